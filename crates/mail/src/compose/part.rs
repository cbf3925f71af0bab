//! A part of a mail, encoded once, with places for a recipient's link.

use mail_builder::encoders::quoted_printable::QuotedPrintableEncoder;

use super::MailError;
use super::message::in_attribute;

/// Columns of a line before the `=` of a soft line break.
const COLUMNS: usize = 75;
const SOFT_BREAK: &[u8] = b"=\r\n";

/// Quoted-printable pieces; between two of them stands the link, on lines of its own, so that no piece
/// depends on how long it is. Quoted-printable always: base64 for much Welsh or Polish makes spam
/// filters suspicious and a message unreadable in its source.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pieces: Vec<Vec<u8>>,
    is_html: bool,
}

impl Part {
    /// A text without a place.
    pub(crate) fn whole(text: &str) -> Result<Self, MailError> {
        Ok(Self {
            pieces: vec![encode(text)?],
            is_html: false,
        })
    }

    /// Plain text with the link wherever it says `place`.
    pub(crate) fn text(text: &str, place: &str) -> Result<Self, MailError> {
        Self::with_places(text, place, false)
    }

    /// HTML with the link in an attribute wherever it says `place`.
    pub(crate) fn html(html: &str, place: &str) -> Result<Self, MailError> {
        Self::with_places(html, place, true)
    }

    fn with_places(text: &str, place: &str, is_html: bool) -> Result<Self, MailError> {
        let mut pieces = text
            .split(place)
            .map(encode)
            .collect::<Result<Vec<_>, _>>()?;
        let last = pieces.len() - 1;
        for (number, piece) in pieces.iter_mut().enumerate() {
            let is_end = number == last && piece.is_empty();
            if number > 0 && !is_end && !piece.starts_with(b"\r\n") {
                piece.splice(0..0, SOFT_BREAK.iter().copied());
            }
            if number < last {
                end_line(piece);
            }
        }
        Ok(Self { pieces, is_html })
    }

    /// At least how many bytes [`Part::write`] writes.
    pub(crate) fn room(&self, link: &str) -> usize {
        let pieces: usize = self.pieces.iter().map(Vec::len).sum();
        // Each byte of the link may become three, and `&` five; soft breaks are within that.
        pieces + self.pieces.len() * link.len() * 5
    }

    /// Writes the part for the recipient of this link.
    pub(crate) fn write(&self, link: &str, message: &mut Vec<u8>) {
        let mut encoded = Vec::new();
        if self.pieces.len() > 1 {
            if self.is_html {
                encode_link(&in_attribute(link), &mut encoded);
            } else {
                encode_link(link, &mut encoded);
            }
        }
        for (number, piece) in self.pieces.iter().enumerate() {
            if number > 0 {
                message.extend_from_slice(&encoded);
            }
            message.extend_from_slice(piece);
        }
    }
}

fn encode(text: &str) -> Result<Vec<u8>, MailError> {
    let encoder = QuotedPrintableEncoder::new().preserve_line_breaks();
    Ok(encoder.encode(text.as_bytes())?)
}

/// Makes what follows start on a new line that a reader does not see.
fn end_line(piece: &mut Vec<u8>) {
    if piece.is_empty() || piece.ends_with(b"\r\n") {
        return;
    }
    let start = piece
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    // The encoder may fill a last line to its end, where no `=` has room: its last letter goes down.
    if piece.len() - start > COLUMNS {
        let letter = if piece[piece.len() - 3] == b'=' { 3 } else { 1 };
        let cut = piece.len() - letter;
        piece.splice(cut..cut, SOFT_BREAK.iter().copied());
    }
    piece.extend_from_slice(SOFT_BREAK);
}

/// A link that starts on a new line; its last line has room for an `=`.
fn encode_link(link: &str, output: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut column = 0;
    for byte in link.bytes() {
        let is_plain = byte.is_ascii_graphic() && byte != b'=';
        let width = if is_plain { 1 } else { 3 };
        if column + width > COLUMNS {
            output.extend_from_slice(SOFT_BREAK);
            column = 0;
        }
        if is_plain {
            output.push(byte);
        } else {
            let digit = |nibble: u8| HEX[usize::from(nibble)];
            output.extend_from_slice(&[b'=', digit(byte >> 4), digit(byte & 15)]);
        }
        column += width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a reader sees: an inverse of quoted-printable that shares nothing with the encoder.
    fn decode(bytes: &[u8]) -> String {
        let text = std::str::from_utf8(bytes).unwrap().replace("=\r\n", "");
        let mut decoded = Vec::new();
        let mut rest = text.as_bytes();
        while let [first, behind @ ..] = rest {
            if *first == b'=' {
                let digits = std::str::from_utf8(&behind[..2]).unwrap();
                decoded.push(u8::from_str_radix(digits, 16).unwrap());
                rest = &behind[2..];
            } else {
                decoded.push(*first);
                rest = behind;
            }
        }
        String::from_utf8(decoded).unwrap().replace("\r\n", "\n")
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_stands_around_the_link_arrives(
            before in "([a-zé =.\n]|[a-z]{60,90}){0,8}",
            between in "([a-zé =.\n]|[a-z]{60,90}){0,8}",
            after in "([a-zé =.\n]|[a-z]{60,90}){0,8}",
            link in "https://[a-z]{1,12}\\.example/u/[A-Za-z0-9_-]{54}\\?n=[a-z]{1,90}&l=(en|cy)",
        ) {
            let place = "https://unsubscribe.invalid/0/";
            let text = [&before, place, &between, place, &after].concat();
            for (part, link_as_written) in [
                (Part::text(&text, place).unwrap(), link.clone()),
                (Part::html(&text, place).unwrap(), link.replace('&', "&amp;")),
            ] {
                let mut written = Vec::new();
                part.write(&link, &mut written);
                prop_assert!(written.len() <= part.room(&link));
                for line in written.split(|byte| *byte == b'\n') {
                    prop_assert!(line.len() <= 77, "{}", String::from_utf8_lossy(line));
                }
                prop_assert_eq!(decode(&written), text.replace(place, &link_as_written));
            }
        }
    }
}
