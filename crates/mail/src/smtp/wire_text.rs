//! The text of a message as it stands between `DATA` and the dot (RFC 5321 4.5.2).

use zeroize::{Zeroize, Zeroizing};

/// A message made ready for the wire, in the thread that rendered it: the thread that sends only
/// writes. Each dot at the start of a line is doubled and every line end is CRLF, since after a
/// bare LF some servers see a new line and some do not, and a dot there must not end the message for
/// either. Its memory is wiped when it is dropped: it names its recipient and their link.
pub struct WireText {
    /// Without the end of the last line: [`END`] brings it.
    text: Vec<u8>,
    is_seven_bit: bool,
}

/// What ends a message: until the first of these bytes is written, it is not sent.
pub(crate) const END: &[u8] = b"\r\n.\r\n";

impl WireText {
    /// Makes a message ready. One that is already as it must be is only looked through.
    #[must_use]
    pub fn new(message: Vec<u8>) -> Self {
        let is_seven_bit = message.is_ascii();
        let mut text = if goes_as_it_is(&message) {
            message
        } else {
            stuffed(&Zeroizing::new(message))
        };
        if text.ends_with(b"\r\n") {
            text.truncate(text.len() - 2);
        }
        Self { text, is_seven_bit }
    }

    /// The message, as a recipient gets it.
    #[must_use]
    pub fn to_message(&self) -> Zeroizing<Vec<u8>> {
        let mut message = Vec::with_capacity(self.text.len() + 2);
        let mut at_start = true;
        for &byte in &self.text {
            if !(at_start && byte == b'.') {
                message.push(byte);
            }
            at_start = byte == b'\n';
        }
        message.extend_from_slice(b"\r\n");
        Zeroizing::new(message)
    }

    /// Whether every byte of it is ASCII, so that any relay takes it (RFC 6152).
    pub(crate) const fn is_seven_bit(&self) -> bool {
        self.is_seven_bit
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

impl std::fmt::Debug for WireText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WireText({} bytes)", self.text.len())
    }
}

impl Drop for WireText {
    fn drop(&mut self) {
        // The slice, not the vector: that goes at the speed of memset and not byte by byte.
        self.text.as_mut_slice().zeroize();
    }
}

/// Whether a message has nothing to double and no line end to mend.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "without an early end the loop runs over many bytes at a time"
)]
fn goes_as_it_is(message: &[u8]) -> bool {
    let (Some(first), Some(last)) = (message.first(), message.last()) else {
        return true;
    };
    let odd_ends = matches!(first, b'.' | b'\n') || *last == b'\r';
    let odd_pairs = message.iter().zip(&message[1..]).fold(false, |odd, pair| {
        let (before, after) = pair;
        odd | ((*before == b'\r') != (*after == b'\n')) | ((*before == b'\n') & (*after == b'.'))
    });
    !odd_ends && !odd_pairs
}

fn stuffed(message: &[u8]) -> Vec<u8> {
    // Never too small: a text that grows leaves copies of itself behind.
    let line_starts = message.iter().filter(|byte| matches!(byte, b'\r' | b'\n'));
    let mut text = Vec::with_capacity(message.len() + line_starts.count() + 1);
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
    text
}

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
        let wire = WireText::new(message.to_vec());
        let arrived = received(&[wire.as_bytes(), END].concat())?;
        assert_eq!(*wire.to_message(), arrived);
        Some(arrived)
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
        assert_eq!(through(b"").unwrap(), b"\r\n");
    }

    #[test]
    fn a_message_in_order_keeps_its_memory() {
        let message = b"Subject: x\r\n\r\na.\r\n".to_vec();
        let place = message.as_ptr();
        assert_eq!(WireText::new(message).as_bytes().as_ptr(), place);
    }

    #[test]
    fn what_needs_eight_bits_is_known() {
        assert!(WireText::new(b"a\r\n".to_vec()).is_seven_bit());
        assert!(!WireText::new("é\r\n".into()).is_seven_bit());
        assert!(!WireText::new(".é\r\n".into()).is_seven_bit());
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let text = WireText::new(b"To: resident@example.org\r\n".to_vec());
        assert_eq!(format!("{text:?}"), "WireText(24 bytes)");
    }

    proptest! {
        #[test]
        fn any_message_arrives_as_it_was(lines in prop::collection::vec("[.a \\x80-\\xff]{0,6}", 1..20)) {
            let message = format!("{}\r\n", lines.join("\r\n"));
            prop_assert_eq!(through(message.as_bytes()), Some(message.into_bytes()));
        }

        #[test]
        fn any_bytes_end_once_and_have_no_bare_line_end(message in "[.\r\na]{0,30}") {
            prop_assert!(through(message.as_bytes()).is_some());
            let wire = [WireText::new(message.into()).as_bytes(), END].concat();
            let text = String::from_utf8(wire).unwrap().replace("\r\n", "");
            prop_assert!(!text.contains(['\r', '\n']));
        }
    }
}
