//! Turns an issue written in Markdown into safe HTML and into plain text that says the same, and
//! tells its author in plain words what to put right. No I/O; the same input gives the same bytes.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `front_matter` | subject, preheader and language above the text, between `---` lines |
//! | `document` | which Markdown is understood |
//! | `html` | the HTML: sanitised, link addresses byte for byte as written |
//! | `text`, `wrap` | the plain text: headings underlined, links followed by their address |
//! | `images` | where images may come from |
//! | `lint`, `problem` | what an author should put right, with line and reason |
//!
//! A walk: [`parse`] splits a file into an [`IssueText`]; [`lint`] looks for what would mislead or
//! exclude a reader; [`render`] gives both parts of the mail, which `mail` puts into its shell.

mod document;
mod front_matter;
mod html;
mod images;
mod lint;
mod problem;
mod text;
mod wrap;

pub use front_matter::{IssueText, IssueTextError, parse};
pub use images::foreign_images;
pub use lint::lint;
pub use problem::{Code, Problem, Severity};

/// Both forms of an issue's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// HTML for the middle of a page: no `<html>`, no styles, headings from `<h2>`.
    pub html: String,
    /// Plain text with `\n` line ends, wrapped at 72 columns; a web address is never broken.
    pub text: String,
}

/// Renders the Markdown of an issue. Anything unsafe is left out, so that text which
/// [`lint`] would refuse is still harmless.
#[must_use]
pub fn render(markdown: &str) -> Rendered {
    Rendered {
        html: html::render(markdown),
        text: text::render(markdown),
    }
}

/// Wraps one paragraph at 72 columns with `\n`; a word that is longer stays whole.
#[must_use]
pub fn wrap(paragraph: &str) -> String {
    let mut flow = wrap::Flow::default();
    flow.text(paragraph);
    flow.lines(wrap::WIDTH).join("\n")
}
