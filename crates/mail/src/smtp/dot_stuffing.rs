//! The text of a message as it stands between `DATA` and the dot (RFC 5321 4.5.2).

/// Doubles each dot at the start of a line, and makes every line end CRLF: after a bare LF some
/// servers see a new line and some do not, and a dot there must not end the message for either.
/// The end of the last line is left off: [`END`] brings it.
pub(crate) fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(message.len() + message.len() / 64 + 2);
    let mut at_start = true;
    let mut bytes = message.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' | b'\n' => {
                if byte == b'\r' && bytes.peek() == Some(&b'\n') {
                    bytes.next();
                }
                text.extend_from_slice(b"\r\n");
                at_start = true;
            }
            _ => {
                if at_start && byte == b'.' {
                    text.push(b'.');
                }
                text.push(byte);
                at_start = false;
            }
        }
    }
    if text.ends_with(b"\r\n") {
        text.truncate(text.len() - 2);
    }
    text
}

/// What ends a message: until the first of these bytes is written, it is not sent.
pub(crate) const END: &[u8] = b"\r\n.\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A receiver written from RFC 5321 4.5.2 alone: lines up to the one with nothing but a dot.
    fn received(wire: &[u8]) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        let mut rest = wire;
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
            let (line, tail) = (&rest[..end], &rest[end + 2..]);
            rest = tail;
            match line {
                b"." => return rest.is_empty().then_some(message),
                [b'.', line @ ..] | line => {
                    message.extend_from_slice(line);
                    message.extend_from_slice(b"\r\n");
                }
            }
        }
    }

    fn through(message: &[u8]) -> Option<Vec<u8>> {
        received(&[&stuffed(message), END].concat())
    }

    #[test]
    fn dots_at_line_starts_survive() {
        for message in [
            "a\r\n",
            ".\r\n",
            "..\r\n.a\r\n\r\n.\r\n",
            "\r\n",
            "a\r\n\r\n\r\n",
        ] {
            assert_eq!(through(message.as_bytes()).unwrap(), message.as_bytes());
        }
        assert_eq!(through(b"a").unwrap(), b"a\r\n");
        assert_eq!(through(b"a\n.\nb\r.\r").unwrap(), b"a\r\n.\r\nb\r\n.\r\n");
    }

    proptest! {
        #[test]
        fn any_message_arrives_as_it_was(lines in prop::collection::vec("[.a \\x80-\\xff]{0,6}", 1..20)) {
            let message = format!("{}\r\n", lines.join("\r\n"));
            prop_assert_eq!(through(message.as_bytes()), Some(message.into_bytes()));
        }

        #[test]
        fn any_bytes_end_once_and_have_no_bare_line_end(message in "[.\r\na]{0,30}") {
            let wire = [&stuffed(message.as_bytes()), END].concat();
            prop_assert!(received(&wire).is_some());
            let text = String::from_utf8(wire).unwrap().replace("\r\n", "");
            prop_assert!(!text.contains(['\r', '\n']));
        }
    }
}
