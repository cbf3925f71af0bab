//! The header fields of a message, and which of them a signature covers (`privacy.md` EML-31).

/// Named once more than they are there, so that nobody can add another behind our back; what is not
/// there at all may not be added either.
const OVERSIGNED: [&str; 7] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Reply-To",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
];

/// Named as often as they are there. Relays of providers add a `Feedback-ID` of their own, for one.
const SIGNED: [&str; 17] = [
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Language",
    "List-Id",
    "List-Help",
    "List-Owner",
    "List-Subscribe",
    "List-Archive",
    "List-Post",
    "Feedback-ID",
    "Auto-Submitted",
    "Precedence",
    "X-Auto-Response-Suppress",
    "Sender",
];

/// The fields of a message, from the top.
pub(super) struct Head<'a> {
    fields: Vec<(&'a str, &'a [u8])>,
    /// What stands behind the empty line.
    pub(super) body: &'a [u8],
}

impl<'a> Head<'a> {
    /// Splits a message; none where it is not a head with CRLF, an empty line and a body.
    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let mut fields: Vec<(&str, &[u8])> = Vec::with_capacity(24);
        let mut rest = message;
        loop {
            if let Some(body) = rest.strip_prefix(b"\r\n") {
                return Some(Self { fields, body });
            }
            let end = field_end(rest)?;
            let (field, after) = rest.split_at(end);
            let colon = field.iter().position(|byte| *byte == b':')?;
            let name = std::str::from_utf8(&field[..colon]).ok()?.trim_end();
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return None;
            }
            fields.push((name, &field[colon + 1..]));
            rest = after;
        }
    }

    /// The value of the only field with this name, without white space around it.
    pub(super) fn only(&self, name: &str) -> Option<&'a str> {
        let mut found = self.called(name);
        let value = found.next()?;
        if found.next().is_some() {
            return None;
        }
        std::str::from_utf8(value).ok().map(str::trim)
    }

    /// The fields to sign, in the order of the `h=` tag: a name, and the value, or none where the
    /// name only keeps another from being added. Of several the last comes first (RFC 6376, 5.4.2).
    pub(super) fn signed(&self) -> Vec<(&'static str, Option<&'a [u8]>)> {
        let mut signed = Vec::with_capacity(32);
        for name in OVERSIGNED {
            signed.extend(self.called(name).map(|value| (name, Some(value))));
            signed.push((name, None));
        }
        for name in SIGNED {
            signed.extend(self.called(name).map(|value| (name, Some(value))));
        }
        signed
    }

    /// The values of all fields with this name, from the bottom.
    fn called(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .rev()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }
}

/// Where the field that starts here ends: behind the first line end that nothing is folded after.
fn field_end(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        let line = bytes[end..].iter().position(|byte| *byte == b'\n')?;
        if line == 0 || bytes[end + line - 1] != b'\r' {
            return None;
        }
        end += line + 1;
        if !matches!(bytes.get(end), Some(b' ' | b'\t')) {
            return Some(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_split_into_its_fields() {
        let message =
            b"From: a@b\r\nSubject: one\r\n two\r\nX-Many: 1\r\nX-Many: 2\r\n\r\nbody\r\n";
        let head = Head::parse(message).unwrap();
        assert_eq!(head.only("from"), Some("a@b"));
        assert_eq!(head.only("Subject"), Some("one\r\n two"));
        assert_eq!(head.only("X-Many"), None);
        assert_eq!(head.body, b"body\r\n");
        for broken in [
            &b"From: a@b\r\n"[..],
            b"From: a@b\n\nbody",
            b"From a@b\r\n\r\n",
            b" From: a@b\r\n\r\n",
            b": a@b\r\n\r\n",
            b"",
        ] {
            assert!(Head::parse(broken).is_none(), "{broken:?}");
        }
    }

    #[test]
    fn what_must_not_be_added_is_named_once_more() {
        let head = Head::parse(b"From: 1\r\nFROM: 2\r\nDate: 3\r\n\r\n").unwrap();
        let signed = head.signed();
        let of = |name| {
            let values = signed.iter().filter(|(found, _)| *found == name);
            values.map(|(_, value)| *value).collect::<Vec<_>>()
        };
        assert_eq!(of("From"), [Some(&b" 2\r\n"[..]), Some(b" 1\r\n"), None]);
        assert_eq!(of("Cc"), [None]);
        assert_eq!(of("Date"), [Some(&b" 3\r\n"[..])]);
        assert!(of("Feedback-ID").is_empty());
    }
}
