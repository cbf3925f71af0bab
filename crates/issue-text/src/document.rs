//! Which Markdown an issue may use: CommonMark, tables and strikethrough.

use comrak::nodes::AstNode;
use comrak::{Arena, Options};

/// The options of every reading and writing here. Raw HTML is left out of the output. Bare
/// addresses are not made into links: the extension that does so writes `http://` before `www.`,
/// and a link must be what its author wrote (`privacy.md` S22); `<https://…>` works.
pub(crate) fn options() -> Options<'static> {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.strikethrough = true;
    options
}

/// Reads Markdown.
pub(crate) fn read<'a>(arena: &'a Arena<'a>, markdown: &str) -> &'a AstNode<'a> {
    comrak::parse_document(arena, markdown, &options())
}

/// Whether a link may go there: web pages and mailboxes.
pub(crate) fn is_safe_link(url: &str) -> bool {
    ["https://", "http://", "mailto:"]
        .iter()
        .any(|scheme| has_scheme(url, scheme))
}

/// Whether an image may come from there.
pub(crate) fn is_safe_image(url: &str) -> bool {
    has_scheme(url, "https://")
}

fn has_scheme(url: &str, scheme: &str) -> bool {
    url.len() > scheme.len()
        && url
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}
