//! Which Markdown an issue may use: `CommonMark`, tables and strikethrough.

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

/// Whether a link may go there: to a web page or a mailbox, by an address that browsers understand
/// and that holds no space, where mail programs would cut it.
pub(crate) fn is_safe_link(url: &str) -> bool {
    has_scheme(url, &["https", "http", "mailto"])
}

/// Whether an image may come from there.
pub(crate) fn is_safe_image(url: &str) -> bool {
    has_scheme(url, &["https"])
}

fn has_scheme(url: &str, schemes: &[&str]) -> bool {
    let bends = |character: char| character.is_whitespace() || character.is_control();
    !url.contains(bends)
        && ammonia::Url::parse(url).is_ok_and(|parsed| {
            schemes.contains(&parsed.scheme())
                && (parsed.scheme() == "mailto" || url.contains("://"))
        })
}
