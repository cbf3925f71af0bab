//! The body of a POST. A genuine link is never refused for a strange body: mail programs send
//! urlencoded and multipart forms, empty bodies, and worse (`privacy.md` EML-04).

use axum::body::Body;
use domain::Method;
use http_body_util::BodyExt;

/// The largest body (`privacy.md` ABU-16); one-click needs 26 bytes.
const LARGEST: usize = 4 * 1024;

/// The name of the hidden field on our own pages, its values on the buttons that do more than the link's
/// own, and the pair that RFC 8058 prescribes.
pub(crate) const BUTTON: &str = "button";
pub(crate) const ALL: &str = "all";
pub(crate) const NEVER: &str = "never";
const ONE_CLICK: (&str, &str) = ("List-Unsubscribe", "One-Click");

/// Who pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presser {
    /// A program, or anything that is not our page: it gets a line of text.
    Program,
    /// A person on our page: they get a page.
    Page,
    /// The same, by the button for all newsletters.
    AllButton,
    /// The same, by the button for no mail at all.
    NeverButton,
}

impl Presser {
    /// What the ledger says of an unsubscribe.
    pub(crate) const fn method(self) -> Method {
        match self {
            Self::Program => Method::OneClick,
            Self::Page | Self::AllButton | Self::NeverButton => Method::PageButton,
        }
    }
}

/// A body over the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Reads the body and says who pressed.
///
/// A body that breaks off counts as what has arrived of it: the link says it all.
pub(crate) async fn presser(mut body: Body) -> Result<Presser, TooLarge> {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > LARGEST {
                return Err(TooLarge);
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(presser_of(&bytes))
}

/// Whatever its content type says: our own page sends a urlencoded pair, and everything else is
/// treated alike.
fn presser_of(body: &[u8]) -> Presser {
    let mut pressed = None;
    for (name, value) in form_urlencoded::parse(body) {
        if (&*name, &*value) == ONE_CLICK {
            return Presser::Program;
        }
        if name == BUTTON && !value.is_empty() {
            pressed = Some(match &*value {
                ALL => Presser::AllButton,
                NEVER => Presser::NeverButton,
                _ => Presser::Page,
            });
        }
    }
    pressed.unwrap_or(Presser::Program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_button_makes_a_page() {
        for (body, expected) in [
            (&b"button=unsubscribe"[..], Presser::Page),
            (b"x=1&button=undo", Presser::Page),
            (b"button=all", Presser::AllButton),
            (b"button=never", Presser::NeverButton),
            (b"button=All", Presser::Page),
            (b"List-Unsubscribe=One-Click&button=all", Presser::Program),
            (b"", Presser::Program),
            (b"button=", Presser::Program),
            (b"List-Unsubscribe=One-Click", Presser::Program),
            (
                b"button=unsubscribe&List-Unsubscribe=One-Click",
                Presser::Program,
            ),
            (b"\xff\x00%zz=&&&", Presser::Program),
            (
                b"--b\r\nContent-Disposition: form-data; name=\"button\"\r\n\r\nx\r\n--b--",
                Presser::Program,
            ),
        ] {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(presser_of(body), expected, "{shown}");
        }
    }
}
