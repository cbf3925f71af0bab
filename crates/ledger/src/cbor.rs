//! The few items of deterministic CBOR (RFC 8949 4.2) that an entry is made of, each in its one spelling.

const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const ARRAY: u8 = 4;
const NULL: u8 = 0xf6;
/// What an argument of 1, 2, 4 and 8 bytes is announced by.
const WIDTHS: [u8; 4] = [0x18, 0x19, 0x1a, 0x1b];

/// Bytes that are no such item in its one spelling.
pub(crate) struct Unreadable;

type Read<T> = Result<T, Unreadable>;

/// Writes items one after the other.
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn array(&mut self, items: u8) {
        self.head(ARRAY, items.into());
    }

    pub(crate) fn unsigned(&mut self, value: u64) {
        self.head(UNSIGNED, value);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn unsigned_or_null(&mut self, value: Option<u64>) {
        match value {
            Some(value) => self.unsigned(value),
            None => self.0.push(NULL),
        }
    }

    pub(crate) fn bytes_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bytes(bytes),
            None => self.0.push(NULL),
        }
    }

    /// The shortest form there is: the only one that is deterministic.
    fn head(&mut self, major: u8, argument: u64) {
        let [.., b3, b2, b1, b0] = argument.to_be_bytes();
        let major = major << 5;
        let [one, two, four, eight] = WIDTHS.map(|width| major | width);
        match argument {
            0..=0x17 => self.0.push(major | b0),
            0x18..=0xff => self.0.extend([one, b0]),
            0x100..=0xffff => self.0.extend([two, b1, b0]),
            0x1_0000..=0xffff_ffff => self.0.extend([four, b3, b2, b1, b0]),
            _ => {
                self.0.push(eight);
                self.0.extend(argument.to_be_bytes());
            }
        }
    }
}

/// Reads items one after the other.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn array(&mut self) -> Read<u64> {
        self.expect(ARRAY)
    }

    pub(crate) fn unsigned(&mut self) -> Read<u64> {
        self.expect(UNSIGNED)
    }

    /// A number that must fit into a smaller type.
    pub(crate) fn small<T: TryFrom<u64>>(&mut self) -> Read<T> {
        self.unsigned()?.try_into().map_err(|_| Unreadable)
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Read<[u8; N]> {
        let length = usize::try_from(self.expect(BYTES)?).map_err(|_| Unreadable)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        bytes.try_into().map_err(|_| Unreadable)
    }

    pub(crate) fn unsigned_or_null(&mut self) -> Read<Option<u64>> {
        if self.is_null() {
            return Ok(None);
        }
        self.unsigned().map(Some)
    }

    pub(crate) fn bytes_or_null<const N: usize>(&mut self) -> Read<Option<[u8; N]>> {
        if self.is_null() {
            return Ok(None);
        }
        self.bytes().map(Some)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn is_null(&mut self) -> bool {
        let Some(rest) = self.0.strip_prefix(&[NULL]) else {
            return false;
        };
        self.0 = rest;
        true
    }

    fn expect(&mut self, major: u8) -> Read<u64> {
        let (first, rest) = self.0.split_first().ok_or(Unreadable)?;
        if first >> 5 != major {
            return Err(Unreadable);
        }
        let low = first & 0x1f;
        if low < WIDTHS[0] {
            self.0 = rest;
            return Ok(low.into());
        }
        let place = WIDTHS.iter().position(|width| *width == low);
        let (width, smallest) = match place {
            Some(0) => (1, 0x18),
            Some(1) => (2, 0x100),
            Some(2) => (4, 0x1_0000),
            Some(3) => (8, 0x1_0000_0000),
            _ => return Err(Unreadable),
        };
        let (digits, rest) = rest.split_at_checked(width).ok_or(Unreadable)?;
        let value = digits
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        self.0 = rest;
        if value >= smallest {
            Ok(value)
        } else {
            Err(Unreadable)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for value in [
            0,
            23,
            24,
            0xff,
            0x100,
            0xffff,
            0x1_0000,
            0xffff_ffff,
            0x1_0000_0000,
            u64::MAX,
        ] {
            let mut writer = Writer(Vec::new());
            writer.unsigned(value);
            assert_eq!(Reader(&writer.0).unsigned().ok(), Some(value));
        }
        for longer in [
            &[0x18, 23][..],
            &[0x19, 0, 0xff],
            &[0x1a, 0, 0, 0xff, 0xff],
            &[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            &[0x1c],
            &[0x1f],
            &[0x18],
            &[],
        ] {
            assert!(Reader(longer).unsigned().is_err(), "{longer:02x?}");
        }
    }
}
