//! The HTML of an issue: comrak's, with our own links, images and headings, then sanitised.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use ammonia::Builder;
use comrak::Arena;
use comrak::arena_tree;
use comrak::html::{ChildRendering, Context, format_document_with_formatter, format_node_default};
use comrak::nodes::{Node, NodeLink, NodeValue, TableAlignment};
use comrak::options::Plugins;

use crate::document;

/// Renders Markdown as HTML that is safe to send.
pub(crate) fn render(markdown: &str) -> String {
    let arena = Arena::new();
    let root = document::read(&arena, markdown);
    let mut html = String::with_capacity(markdown.len() * 2);
    format_document_with_formatter(
        root,
        &document::options(),
        &mut html,
        &Plugins::default(),
        format_node,
        (),
    )
    .expect("writing into a String does not fail");
    SANITISER.clean(&html).to_string()
}

fn format_node(
    context: &mut Context<'_, '_>,
    node: Node<'_>,
    entering: bool,
) -> Result<ChildRendering, fmt::Error> {
    match &node.data().value {
        NodeValue::Link(link) => format_link(context, link, entering),
        NodeValue::Image(image) => format_image(context, image, entering),
        // The mail has an <h1> already: its subject.
        NodeValue::Heading(heading) => {
            let level = heading.level.max(2);
            if entering {
                context.cr()?;
                write!(context, "<h{level}>")?;
            } else {
                writeln!(context, "</h{level}>")?;
            }
            Ok(ChildRendering::HTML)
        }
        NodeValue::TableCell => format_cell(context, node, entering),
        NodeValue::HtmlBlock(_) | NodeValue::HtmlInline(_) | NodeValue::Raw(_) => {
            Ok(ChildRendering::Skip)
        }
        _ => format_node_default(context, node, entering),
    }
}

/// comrak would percent-encode the address; a link must be byte for byte what its author wrote
/// (`privacy.md` S22).
fn format_link(
    context: &mut Context<'_, '_>,
    link: &NodeLink,
    entering: bool,
) -> Result<ChildRendering, fmt::Error> {
    if document::is_safe_link(&link.url) {
        if entering {
            context.write_str("<a href=\"")?;
            context.escape(&link.url)?;
            format_title(context, link)?;
            context.write_str("\">")?;
        } else {
            context.write_str("</a>")?;
        }
    }
    Ok(ChildRendering::HTML)
}

fn format_image(
    context: &mut Context<'_, '_>,
    image: &NodeLink,
    entering: bool,
) -> Result<ChildRendering, fmt::Error> {
    if document::is_safe_image(&image.url) {
        if entering {
            context.write_str("<img src=\"")?;
            context.escape(&image.url)?;
            context.write_str("\" alt=\"")?;
        } else {
            format_title(context, image)?;
            context.write_str("\">")?;
        }
    }
    Ok(ChildRendering::Plain)
}

/// comrak would use the `align` attribute, which HTML no longer has.
fn format_cell(
    context: &mut Context<'_, '_>,
    node: Node<'_>,
    entering: bool,
) -> Result<ChildRendering, fmt::Error> {
    let row = node.parent();
    let in_head = row.is_some_and(|row| matches!(row.data().value, NodeValue::TableRow(true)));
    let tag = if in_head { "th" } else { "td" };
    if !entering {
        writeln!(context, "</{tag}>")?;
        return Ok(ChildRendering::HTML);
    }
    let column = node.preceding_siblings().count() - 1;
    let alignment =
        row.and_then(arena_tree::Node::parent)
            .and_then(|table| match &table.data().value {
                NodeValue::Table(table) => table.alignments.get(column).copied(),
                _ => None,
            });
    match alignment {
        Some(TableAlignment::Right) => write!(context, "<{tag} style=\"text-align:right\">")?,
        Some(TableAlignment::Center) => write!(context, "<{tag} style=\"text-align:center\">")?,
        _ => write!(context, "<{tag}>")?,
    }
    Ok(ChildRendering::HTML)
}

fn format_title(context: &mut Context<'_, '_>, link: &NodeLink) -> fmt::Result {
    if !link.title.is_empty() {
        context.write_str("\" title=\"")?;
        context.escape(&link.title)?;
    }
    Ok(())
}

static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let tags = [
        "a",
        "blockquote",
        "br",
        "code",
        "del",
        "em",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "img",
        "li",
        "ol",
        "p",
        "pre",
        "strong",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
    ];
    let attributes: [(&str, &[&str]); 5] = [
        ("a", &["href", "title"]),
        ("img", &["src", "alt", "title"]),
        ("ol", &["start"]),
        ("td", &["style"]),
        ("th", &["style"]),
    ];
    let attributes: HashMap<&str, HashSet<&str>> = attributes
        .into_iter()
        .map(|(tag, names)| (tag, names.iter().copied().collect()))
        .collect();
    let mut builder = Builder::empty();
    builder
        .tags(tags.into_iter().collect())
        .tag_attributes(attributes)
        .set_tag_attribute_value("th", "scope", "col")
        .filter_style_properties(HashSet::from(["text-align"]))
        .url_schemes(["http", "https", "mailto"].into_iter().collect())
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer"));
    builder
});

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The values of an attribute in HTML that we wrote, decoded.
    pub(crate) fn attribute_values(html: &str, name: &str) -> Vec<String> {
        html.split(&format!(" {name}=\""))
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .map(|value| {
                value
                    .replace("&nbsp;", "\u{a0}")
                    .replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&quot;", "\"")
                    .replace("&amp;", "&")
            })
            .collect()
    }

    #[test]
    fn markdown_becomes_plain_html() {
        let html = render(
            "## Bins\n\nNew *days* and **times**, ~~old~~.\n\n1. one\n2. two\n\n| a | b |\n|:--|--:|\n| 1 | 2 |\n",
        );
        for part in [
            "<h2>Bins</h2>",
            "<em>days</em>",
            "<strong>times</strong>",
            "<del>old</del>",
            "<ol>",
            "<th scope=\"col\">a</th>",
            "<td style=\"text-align:right\">2</td>",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }

    #[test]
    fn a_first_level_heading_makes_room_for_the_subject() {
        assert_eq!(
            render("# One\n\nTwo\n===\n"),
            "<h2>One</h2>\n<h2>Two</h2>\n"
        );
    }

    #[test]
    fn links_stay_as_they_were_written() {
        for url in [
            "https://example.gov.uk/a?b=c&d=%20e%C3%A9#f",
            "https://example.gov.uk/é/ŵ?q=[x]",
            "http://EXAMPLE.gov.uk:80/../a//b/./",
            "https://example.gov.uk/a?x=1&copy=2&lt=3",
            "mailto:waste@example.gov.uk?subject=Bins%20and%20bags",
            "https://example.gov.uk/'q'|{}^`",
            "HTTPS://example.gov.uk",
        ] {
            let html = render(&format!("[the page](<{}>)", url.replace('&', "&amp;")));
            assert_eq!(attribute_values(&html, "href"), [url], "{html}");
            assert!(html.contains("rel=\"noopener noreferrer\""), "{html}");
        }
    }

    #[test]
    fn nothing_that_runs_or_follows_gets_through() {
        for bad in [
            "[a](javascript:alert(1))",
            "[a](data:text/html,x)",
            "[a](vbscript:x)",
            "[a](/relative)",
            "[a](//example.com/x)",
            "<script>alert(1)</script>",
            "a <b onclick=x>b</b> <iframe src=https://example.com>",
            "<style>p{}</style>",
            "![a](http://example.com/x.png)",
            "![a](data:image/png;base64,AA)",
        ] {
            let html = render(bad);
            for part in [
                "href", "src", "<script", "<b", "<iframe", "<style", "onclick",
            ] {
                assert!(!html.contains(part), "{bad}: {html}");
            }
        }
    }

    #[test]
    fn an_image_keeps_its_address_and_description() {
        let html = render("![A *red* \"bus\"](https://example.gov.uk/b.png)");
        assert_eq!(
            attribute_values(&html, "src"),
            ["https://example.gov.uk/b.png"]
        );
        assert_eq!(attribute_values(&html, "alt"), ["A red \"bus\""]);
    }

    #[test]
    fn html_the_author_wrote_is_left_out() {
        assert_eq!(render("a <u>b</u> c"), "<p>a b c</p>\n");
    }

    proptest! {
        #[test]
        fn any_text_renders(markdown in "([#*>|\\-\\[\\]()<!`~ \n\t]|[a-z]|[^\u{0}]){0,80}") {
            let html = render(&markdown);
            prop_assert!(!html.contains("<script"));
            prop_assert_eq!(render(&markdown), html);
        }

        #[test]
        fn any_web_address_survives(
            path in "[a-zA-Z0-9/._~!$&'()*+,;=:@%?#|{}^\\[\\]-é😀]{0,40}",
        ) {
            let url = format!("https://example.gov.uk/{path}");
            prop_assume!(document::is_safe_link(&url));
            let mut authored = String::new();
            for character in url.chars() {
                if character.is_ascii_punctuation() {
                    authored.push('\\');
                }
                authored.push(character);
            }
            let html = render(&format!("[x](<{authored}>)"));
            prop_assert_eq!(attribute_values(&html, "href"), [url]);
        }
    }
}
