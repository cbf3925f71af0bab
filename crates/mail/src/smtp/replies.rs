//! Replies of a relay: as many lines as it likes, cut into segments as the network likes.

use smtp_proto::response::parser::ResponseReceiver;

/// What is kept of a reply: never its text, which usually names the address (`privacy.md` EML-46).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerReply {
    pub(crate) code: u16,
    /// The enhanced code of RFC 3463, where there is one and its class is that of the code; a number
    /// over 255 is kept as 255. 4.7.0 where a relay without these codes says in words that it wants
    /// less of us: the words stay here.
    pub(crate) enhanced: Option<[u8; 3]>,
}

/// Bytes that are no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonsense;

/// RFC 5321 4.5.3.1.5 allows 512; be generous.
const LONGEST_LINE: usize = 4_096;
const LONGEST_REPLY: usize = 1 << 20;

/// Finds the end of a reply in a stream of bytes.
#[derive(Debug, Default)]
pub(crate) struct ReplyFinder {
    /// Bytes of complete lines before this one.
    seen: usize,
    code: Option<u16>,
}

impl ReplyFinder {
    /// Looks at all bytes that came since the end of the last reply; the same bytes and more next
    /// time. Gives the reply and its length once it is complete.
    pub(crate) fn look(&mut self, bytes: &[u8]) -> Result<Option<(ServerReply, usize)>, Nonsense> {
        loop {
            let rest = bytes.get(self.seen..).unwrap_or_default();
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                let too_long = rest.len() > LONGEST_LINE || bytes.len() > LONGEST_REPLY;
                return if too_long { Err(Nonsense) } else { Ok(None) };
            };
            let line = &rest[..=end];
            let code = code_of(line).ok_or(Nonsense)?;
            if *self.code.get_or_insert(code) != code || self.seen > LONGEST_REPLY {
                return Err(Nonsense);
            }
            self.seen += line.len();
            if line[3] != b'-' {
                return Ok(Some((whole(&bytes[..self.seen], line)?, self.seen)));
            }
        }
    }
}

fn code_of(line: &[u8]) -> Option<u16> {
    let (digits, rest) = line.split_at_checked(3)?;
    let separated = matches!(rest.first(), Some(b' ' | b'-' | b'\r' | b'\n'));
    if !separated || line.len() > LONGEST_LINE || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Only the last line goes to the parser: its own limit on a whole reply is 4 KiB.
fn whole(text: &[u8], last_line: &[u8]) -> Result<ServerReply, Nonsense> {
    let response = ResponseReceiver::default()
        .parse(&mut last_line.iter())
        .map_err(|_| Nonsense)?;
    let class = response.code / 100;
    let enhanced = match u16::from(response.esc[0]) {
        its_class if its_class == class => Some(response.esc),
        _ if class == 4 && wants_less(text) => Some(LESS),
        _ => None,
    };
    Ok(ServerReply {
        code: response.code,
        enhanced,
    })
}

/// "Other or undefined security status", which relays use for senders that are too fast.
const LESS: [u8; 3] = [4, 7, 0];

/// What relays without enhanced codes say when they throttle. Not "try again later": that is what
/// greylisting says, about one recipient.
const THROTTLING: [&str; 8] = [
    "throttl",
    "rate limit",
    "rate-limit",
    "ratelimit",
    "too fast",
    "too much mail",
    "too many messages",
    "too many connections",
];

fn wants_less(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    // An address may be called anything.
    let words = text.split_whitespace().filter(|word| !word.contains('@'));
    let words = words.collect::<Vec<_>>().join(" ");
    THROTTLING.iter().any(|said| words.contains(said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(code: u16, enhanced: Option<[u8; 3]>) -> ServerReply {
        ServerReply { code, enhanced }
    }

    #[test]
    fn replies_are_read_whatever_their_length() {
        let long = format!("{}250 2.0.0 done\r\n", "250-2.0.0 and more\r\n".repeat(511));
        let cases: &[(&str, ServerReply)] = &[
            ("250 OK\r\n", reply(250, None)),
            ("250\r\n", reply(250, None)),
            ("250 \n", reply(250, None)),
            (
                "550 5.1.1 <a@example.org> unknown\r\n",
                reply(550, Some([5, 1, 1])),
            ),
            ("550 4.1.1 odd\r\n", reply(550, None)),
            (
                "250-a\r\n250-\r\n250 2.1.5\r\n",
                reply(250, Some([2, 1, 5])),
            ),
            ("550 5.7.515 no\r\n", reply(550, Some([5, 7, 255]))),
            (&long, reply(250, Some([2, 0, 0]))),
        ];
        for (text, expected) in cases {
            let found = ReplyFinder::default().look(text.as_bytes());
            assert_eq!(found, Ok(Some((*expected, text.len()))), "{text:?}");
        }
    }

    #[test]
    fn what_follows_a_reply_is_left_alone() {
        let found = ReplyFinder::default().look(b"250 ok\r\n421 bye\r\n");
        assert_eq!(found, Ok(Some((reply(250, None), 8))));
    }

    #[test]
    fn a_relay_that_throttles_without_a_code_is_understood() {
        for (text, enhanced) in [
            ("450 Rate limit exceeded\r\n", Some(LESS)),
            ("421-You are sending too\r\n421 fast\r\n", None),
            ("451-Too many  messages from you\r\n451 bye\r\n", Some(LESS)),
            ("452 Throttled, slow down\r\n", Some(LESS)),
            ("450 4.2.1 Rate limit of the mailbox\r\n", Some([4, 2, 1])),
            ("450 <throttle@example.org> is busy\r\n", None),
            ("450 Greylisted, try again later\r\n", None),
            ("550 Too many messages\r\n", None),
            ("250 Too many messages\r\n", None),
        ] {
            let found = ReplyFinder::default().look(text.as_bytes()).unwrap();
            assert_eq!(found.unwrap().0.enhanced, enhanced, "{text:?}");
        }
    }

    #[test]
    fn nonsense_is_no_reply() {
        let endless = "2".repeat(LONGEST_LINE + 1);
        let abusive = "250-x\r\n".repeat(LONGEST_REPLY / 7 + 2);
        let long_line = format!("250 {}\r\n", "x".repeat(LONGEST_LINE));
        for text in [
            "hello\r\n",
            "25\r\n",
            "\r\n",
            "250-a\r\n251 b\r\n",
            "250x\r\n",
            "２50 a\r\n",
            &endless,
            &abusive,
            &long_line,
        ] {
            assert_eq!(ReplyFinder::default().look(text.as_bytes()), Err(Nonsense));
        }
    }

    proptest! {
        #[test]
        fn segments_do_not_matter(
            lines in prop::collection::vec("[ -~]{0,40}", 1..20),
            code in 200..600_u16,
            step in 1..30_usize,
        ) {
            let mut text = String::new();
            for (index, line) in lines.iter().enumerate() {
                let mark = if index + 1 == lines.len() { " " } else { "-" };
                text.extend([code.to_string().as_str(), mark, line, "\r\n"]);
            }
            let mut finder = ReplyFinder::default();
            let mut found = None;
            for end in (1..=text.len()).step_by(step).chain([text.len()]) {
                found = found.or(finder.look(&text.as_bytes()[..end]).unwrap());
            }
            let (reply, length) = found.unwrap();
            prop_assert_eq!(reply.code, code);
            prop_assert_eq!(length, text.len());
        }

        #[test]
        fn any_bytes_are_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ReplyFinder::default().look(&bytes);
        }
    }
}
