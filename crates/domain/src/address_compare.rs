//! When two spellings are one address or one mailbox (`FORMATS.md`, Codes of an address). For
//! comparison only: mail goes to the address as typed.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::EmailAddress;
use crate::email_address::joined;

/// `norm` of an accepted address: NFC, `A-Z` of the local part lowered, the domain in lower-case
/// A-labels.
#[must_use]
pub fn comparison_form(address: &EmailAddress) -> Zeroizing<String> {
    joined(
        &comparison_local_part(address.local_part()),
        address.comparison_domain(),
    )
}

/// `norm` of any text, also one that no sign-up would be accepted with, a trailing dot for example:
/// for lists and mails that others wrote. None if it fails.
#[must_use]
pub fn comparison_form_of_text(text: &str) -> Option<Zeroizing<String>> {
    let (local, domain) = text.rsplit_once('@')?;
    if local.is_empty() {
        return None;
    }
    // NFC of each side is NFC of the whole: nothing composes with an `@` or across it.
    Some(joined(
        &comparison_local_part(local),
        &comparison_domain(domain)?,
    ))
}

/// `mailbox` of an accepted address: its [`comparison_form`] without a `+tag`.
#[must_use]
pub fn mailbox_form(address: &EmailAddress) -> Zeroizing<String> {
    mailbox_form_of(&comparison_form(address))
}

/// `mailbox` of a `norm`: the local part ends before its first `+`, unless nothing would be left or
/// it is quoted.
#[must_use]
pub fn mailbox_form_of(norm: &str) -> Zeroizing<String> {
    let (local, domain) = norm.rsplit_once('@').unwrap_or((norm, ""));
    match local.split_once('+') {
        Some((mailbox, _)) if !mailbox.is_empty() && !local.starts_with('"') => {
            joined(mailbox, domain)
        }
        _ => Zeroizing::new(norm.to_owned()),
    }
}

fn comparison_local_part(local: &str) -> Zeroizing<String> {
    // NFC at most trebles the octets of a text (Unicode Standard Annex 15, 9).
    let mut form = Zeroizing::new(String::with_capacity(local.len() * 3));
    form.extend(local.nfc());
    form.make_ascii_lowercase();
    form
}

/// UTS 46 `ToASCII` of the domain's NFC with `UseSTD3ASCIIRules`, `CheckBidi`, `CheckJoiners` and
/// `VerifyDnsLength` on, `CheckHyphens` and `Transitional` off, then one trailing dot removed; none
/// if that fails. The library always checks bidi and joiners and is never transitional.
pub(crate) fn comparison_domain(domain: &str) -> Option<Zeroizing<String>> {
    let mut composed = Zeroizing::new(String::with_capacity(domain.len() * 3));
    composed.extend(domain.nfc());
    let ascii = Uts46::new()
        .to_ascii(
            composed.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::Allow,
            DnsLength::VerifyAllowRootDot,
        )
        .ok()?;
    let mut ascii = Zeroizing::new(ascii.into_owned());
    if ascii.ends_with('.') {
        ascii.pop();
    }
    (!ascii.is_empty()).then_some(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_compare_equal() {
        let norm = |text: &str| comparison_form(&EmailAddress::parse(text).unwrap());
        for (one, other, same) in [
            ("Jo@Example.ORG", "jo@example.org", true),
            ("jo@bücher.example", "JO@XN--BCHER-KVA.example", true),
            ("jose\u{301}@example.org", "jos\u{e9}@example.org", true),
            ("Élodie@example.org", "élodie@example.org", false),
            ("jo+a@example.org", "jo@example.org", false),
            ("j.o@example.org", "jo@example.org", false),
            ("x@straße.example", "x@strasse.example", false),
        ] {
            assert_eq!(norm(one) == norm(other), same, "{one} {other}");
        }
    }

    #[test]
    fn a_mailbox_has_no_tag() {
        for (norm, mailbox) in [
            ("jo@example.org", "jo@example.org"),
            ("jo+a+b@example.org", "jo@example.org"),
            ("jo+@example.org", "jo@example.org"),
            ("+a@example.org", "+a@example.org"),
            ("\"jo+a\"@example.org", "\"jo+a\"@example.org"),
        ] {
            assert_eq!(*mailbox_form_of(norm), mailbox);
        }
    }

    #[test]
    fn text_that_no_sign_up_takes_still_has_a_form() {
        let form = |text| comparison_form_of_text(text).map(|form| form.to_string());
        assert_eq!(form("Jo@Example.org."), Some("jo@example.org".into()));
        assert_eq!(form("\"Jo B\"@b.org"), Some("\"jo b\"@b.org".into()));
        for bad in [
            "",
            "@",
            "jo",
            "jo@",
            "@b.org",
            "jo@.",
            "jo@b.org..",
            "jo@b c.org",
        ] {
            assert_eq!(form(bad), None, "{bad}");
        }
    }
}
