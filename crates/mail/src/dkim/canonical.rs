//! The "relaxed" forms that are hashed (RFC 6376, 3.4.2 and 3.4.4): relays may fold and pad as they
//! like without breaking a signature.

use aws_lc_rs::digest::{Context, Digest, SHA256};

/// Writes a header field without its name: unfolded, white space as one space, none at the ends.
pub(super) fn header(name: &str, value: &[u8], output: &mut Vec<u8>) {
    output.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
    output.push(b':');
    let start = output.len();
    let mut gap = false;
    for byte in value {
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            gap = true;
            continue;
        }
        if gap && output.len() > start {
            output.push(b' ');
        }
        gap = false;
        output.push(*byte);
    }
    output.extend_from_slice(b"\r\n");
}

/// The hash of a body: no white space at the end of a line, one space for each other run of it, and
/// no empty lines at the end.
pub(super) fn body_hash(body: &[u8]) -> Digest {
    let mut hash = Context::new(&SHA256);
    let mut canonical = Vec::with_capacity(body.len().min(16 * 1024) + 2);
    let mut empty_lines = 0;
    for line in lines(body) {
        let line = trim_end(line);
        if line.is_empty() {
            empty_lines += 1;
            continue;
        }
        for _ in 0..empty_lines {
            canonical.extend_from_slice(b"\r\n");
        }
        empty_lines = 0;
        push_line(line, &mut canonical);
        canonical.extend_from_slice(b"\r\n");
        if canonical.len() >= 8 * 1024 {
            hash.update(&canonical);
            canonical.clear();
        }
    }
    hash.update(&canonical);
    hash.finish()
}

/// The lines of a body; what stands behind the last line end is one too.
fn lines(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let line = match memchr::memchr(b'\n', rest) {
            Some(end) => {
                let line = &rest[..end];
                rest = &rest[end + 1..];
                line
            }
            None => std::mem::take(&mut rest),
        };
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

fn trim_end(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !is_blank(*byte));
    end.map_or(&[], |end| &line[..=end])
}

fn push_line(line: &[u8], output: &mut Vec<u8>) {
    // The last byte is no white space, so pairs see all of it. Nearly every line is plain; looking at
    // all pairs without stopping is what a processor does many at a time.
    let pairs = line.iter().zip(line.get(1..).unwrap_or_default());
    let found = pairs.fold(0, |found, (one, next)| {
        let gap = u8::from(*one == b' ') & u8::from(is_blank(*next));
        found | u8::from(*one == b'\t') | gap
    });
    if found == 0 {
        output.extend_from_slice(line);
        return;
    }
    let mut gap = false;
    for byte in line {
        if is_blank(*byte) {
            gap = true;
            continue;
        }
        if gap {
            output.push(b' ');
        }
        gap = false;
        output.push(*byte);
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::digest::digest;

    fn hash_of(canonical: &[u8]) -> Vec<u8> {
        digest(&SHA256, canonical).as_ref().to_vec()
    }

    #[test]
    fn bodies_as_the_standard_has_them() {
        let cases: [(&[u8], &[u8]); 10] = [
            // RFC 6376, 3.4.5
            (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),
            // RFC 6376, 3.4.4: the empty body stays empty
            (b"", b""),
            (b"\r\n", b""),
            (b"\r\n \t\r\n", b""),
            (b"a", b"a\r\n"),
            (b"a\r\n\r\nb", b"a\r\n\r\nb\r\n"),
            (b"\t\ta  b\t\r\n", b" a b\r\n"),
            (b"a \r\n \r\nb\r\n", b"a\r\n\r\nb\r\n"),
            (b"a\tb\r\n", b"a b\r\n"),
            (b"a b c\r\n", b"a b c\r\n"),
        ];
        for (body, canonical) in cases {
            assert_eq!(
                body_hash(body).as_ref(),
                hash_of(canonical),
                "{:?}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn a_long_body_is_hashed_as_a_short_one() {
        let mut body = Vec::new();
        for number in 0..5_000 {
            body.extend_from_slice(format!("line  {number} \r\n").as_bytes());
        }
        let canonical = String::from_utf8(body.clone())
            .unwrap()
            .replace("  ", " ")
            .replace(" \r\n", "\r\n");
        assert_eq!(body_hash(&body).as_ref(), hash_of(canonical.as_bytes()));
    }

    #[test]
    fn headers_as_the_standard_has_them() {
        let mut output = Vec::new();
        header("A", b" X\r\n", &mut output);
        header("B ".trim_end(), b" Y\t\r\n\tZ  \r\n", &mut output);
        header("SubJect", b"", &mut output);
        assert_eq!(output, b"a:X\r\nb:Y Z\r\nsubject:\r\n");
    }
}
