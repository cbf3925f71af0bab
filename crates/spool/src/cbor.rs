//! Deterministic CBOR (RFC 8949 4.2.1), checked strictly before anything is read out of it, so that no
//! value has a second spelling.
//!
//! Only what the layouts use is taken: integers, byte and text strings, arrays, maps, `false`, `true`
//! and `null`. Tags, floats, `undefined` and indefinite lengths are refused.

/// Deeper than any payload; a record from outside must not use up the stack.
const MAX_DEPTH: usize = 8;

/// Whether the bytes are exactly one deterministic item.
pub(crate) fn is_deterministic(bytes: &[u8]) -> bool {
    item_end(bytes, 0, 0) == Some(bytes.len())
}

/// Where the item that starts at `at` ends.
fn item_end(bytes: &[u8], at: usize, depth: usize) -> Option<usize> {
    if depth > MAX_DEPTH {
        return None;
    }
    let (major, argument, start) = head(bytes, at)?;
    match major {
        0 | 1 => Some(start),
        2 | 3 => {
            let end = start.checked_add(usize::try_from(argument).ok()?)?;
            let content = bytes.get(start..end)?;
            (major == 2 || std::str::from_utf8(content).is_ok()).then_some(end)
        }
        4 => (0..argument).try_fold(start, |at, _| item_end(bytes, at, depth + 1)),
        5 => map_end(bytes, start, argument, depth),
        // false, true, null
        7 => (20..=22).contains(&argument).then_some(start),
        _ => None,
    }
}

/// Keys stand in the order of their bytes, none twice.
fn map_end(bytes: &[u8], start: usize, entries: u64, depth: usize) -> Option<usize> {
    let mut at = start;
    let mut before: &[u8] = &[];
    for _ in 0..entries {
        let key_end = item_end(bytes, at, depth + 1)?;
        let key = &bytes[at..key_end];
        if key <= before {
            return None;
        }
        before = key;
        at = item_end(bytes, key_end, depth + 1)?;
    }
    Some(at)
}

/// Major type, argument and the byte after them; the argument only in its shortest form.
fn head(bytes: &[u8], at: usize) -> Option<(u8, u64, usize)> {
    let first = *bytes.get(at)?;
    let (major, low) = (first >> 5, first & 0x1f);
    let width = match low {
        0..=23 => return Some((major, u64::from(low), at + 1)),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return None,
    };
    if major == 7 {
        return None;
    }
    let start = at + 1 + width;
    let argument = bytes
        .get(at + 1..start)?
        .iter()
        .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let smallest = match width {
        1 => 24,
        2 => 1 << 8,
        4 => 1 << 16,
        _ => 1 << 32,
    };
    (argument >= smallest).then_some((major, argument, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_spelling() {
        let cases: &[(&[u8], bool)] = &[
            (&[0x00], true),
            (&[0x17], true),
            (&[0x18, 0x18], true),
            (&[0x18, 0x17], false),
            (&[0x19, 0x00, 0xff], false),
            (&[0x19, 0x01, 0x00], true),
            (&[0x1a, 0x00, 0x00, 0xff, 0xff], false),
            (&[0x1a, 0x00, 0x01, 0x00, 0x00], true),
            (&[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], false),
            (&[0x1b, 0, 0, 0, 1, 0, 0, 0, 0], true),
            (&[0x42, 1, 2], true),
            (&[0x42, 1], false),
            (&[0x62, 0xc3, 0xa9], true),
            (&[0x62, 0xc3, 0x28], false),
            (&[0x5f, 0x41, 1, 0xff], false),
            (&[0x82, 0x01, 0x02], true),
            (&[0x82, 0x01], false),
            (&[0x9f, 0x01, 0xff], false),
            (&[0xa2, 0x61, b'a', 1, 0x61, b'b', 2], true),
            (&[0xa2, 0x61, b'b', 1, 0x61, b'a', 2], false),
            (&[0xa2, 0x61, b'a', 1, 0x61, b'a', 2], false),
            (&[0xa2, 0x61, b'b', 1, 0x62, b'a', b'a', 2], true),
            (&[0xbf, 0xff], false),
            (&[0xf4], true),
            (&[0xf6], true),
            (&[0xf7], false),
            (&[0xf9, 0x3c, 0x00], false),
            (&[0xf8, 0x20], false),
            (&[0xc0, 0x00], false),
            (&[0x00, 0x00], false),
            (&[], false),
            (
                &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                false,
            ),
            (
                &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                false,
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(is_deterministic(bytes), *expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_use_up_the_stack() {
        let mut deep = vec![0x81; 1_000_000];
        deep.push(0);
        assert!(!is_deterministic(&deep));
    }
}
