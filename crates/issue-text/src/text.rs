//! The plain text of an issue: it says all that the HTML says (`privacy.md` EML-23).
//!
//! Headings are underlined; a link is its words followed by its address in brackets; an image is its
//! description; each row of a table is a block of `heading: cell` lines, which reads well aloud.

use comrak::Arena;
use comrak::arena_tree::NodeEdge;
use comrak::nodes::{ListType, Node, NodeValue};

use crate::document;
use crate::wrap::{Flow, WIDTH};

/// Blocks inside blocks beyond this are flattened, so that no text can exhaust the stack.
const DEEPEST: usize = 16;
const NARROWEST: usize = 24;

/// Renders Markdown as plain text.
pub(crate) fn render(markdown: &str) -> String {
    let arena = Arena::new();
    let root = document::read(&arena, markdown);
    let mut text = String::with_capacity(markdown.len());
    for line in blocks(root, WIDTH, 0, true) {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn blocks(parent: Node<'_>, width: usize, depth: usize, spaced: bool) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for child in parent.children() {
        let block = block(child, width.max(NARROWEST), depth);
        if block.is_empty() {
            continue;
        }
        if spaced && !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(block);
    }
    lines
}

fn block(node: Node<'_>, width: usize, depth: usize) -> Vec<String> {
    if depth >= DEEPEST {
        return inline(node).lines(width);
    }
    match &node.data().value {
        NodeValue::Heading(heading) => {
            let mut lines = inline(node).lines(width);
            let longest = lines.iter().map(|line| line.chars().count()).max();
            let mark = if heading.level <= 2 { "-" } else { "~" };
            lines.extend(longest.map(|longest| mark.repeat(longest.min(WIDTH))));
            lines
        }
        NodeValue::BlockQuote => indented(blocks(node, width - 2, depth + 1, true), "> ", "> "),
        NodeValue::List(list) => {
            let mut lines = Vec::new();
            for (index, item) in node.children().enumerate() {
                let marker = match list.list_type {
                    ListType::Bullet => "- ".to_owned(),
                    ListType::Ordered => format!("{}. ", list.start.saturating_add(index)),
                };
                let room = width.saturating_sub(marker.len());
                let block = blocks(item, room, depth + 1, !list.tight);
                if !list.tight && index > 0 {
                    lines.push(String::new());
                }
                lines.extend(indented(block, &marker, &" ".repeat(marker.len())));
            }
            lines
        }
        NodeValue::CodeBlock(code) => {
            let lines = code.literal.trim_end_matches('\n').split('\n');
            indented(lines.map(str::to_owned).collect(), "    ", "    ")
        }
        NodeValue::ThematicBreak => vec!["* * *".to_owned()],
        NodeValue::Table(_) => table(node, width),
        NodeValue::HtmlBlock(_) => Vec::new(),
        _ => inline(node).lines(width),
    }
}

fn indented(lines: Vec<String>, first: &str, rest: &str) -> Vec<String> {
    let mark = |(index, line)| format!("{}{line}", if index == 0 { first } else { rest });
    lines.into_iter().enumerate().map(mark).collect()
}

fn table(node: Node<'_>, width: usize) -> Vec<String> {
    let cells = |row: Node<'_>| -> Vec<Flow> { row.children().map(|cell| inline(cell)).collect() };
    let mut rows = node.children().map(cells);
    let head: Vec<String> = rows
        .next()
        .unwrap_or_default()
        .iter()
        .map(|cell| cell.lines(usize::MAX).join(" "))
        .collect();
    let mut lines: Vec<String> = Vec::new();
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return vec![head.join(", ")];
    }
    for row in rows {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        for (name, cell) in head.iter().zip(row) {
            let mut flow = Flow::default();
            if !name.is_empty() {
                flow.text(name);
                flow.glue(":");
                flow.space();
            }
            flow.append(cell);
            lines.extend(flow.lines(width));
        }
    }
    lines
}

/// The words of a block. It walks without recursion, since emphasis can nest at will.
fn inline(node: Node<'_>) -> Flow {
    let mut flow = Flow::default();
    let mut link_words = Vec::new();
    for edge in node.traverse() {
        match edge {
            NodeEdge::Start(node) => enter(node, &mut flow, &mut link_words),
            NodeEdge::End(node) => leave(node, &mut flow, &mut link_words),
        }
    }
    flow
}

fn enter(node: Node<'_>, flow: &mut Flow, link_words: &mut Vec<String>) {
    let data = node.data();
    let text: &str = match &data.value {
        NodeValue::Text(text) => {
            flow.text(text);
            text.as_ref()
        }
        NodeValue::Code(code) => {
            flow.text(&code.literal);
            code.literal.as_str()
        }
        NodeValue::SoftBreak => {
            flow.space();
            " "
        }
        NodeValue::LineBreak => {
            flow.line_break();
            " "
        }
        NodeValue::Strikethrough => {
            flow.glue("~~");
            return;
        }
        NodeValue::Image(_) => {
            flow.glue("[");
            return;
        }
        NodeValue::Link(_) => {
            link_words.push(String::new());
            return;
        }
        _ => return,
    };
    if let Some(words) = link_words.last_mut() {
        words.push_str(text);
    }
}

fn leave(node: Node<'_>, flow: &mut Flow, link_words: &mut Vec<String>) {
    match &node.data().value {
        NodeValue::Strikethrough => flow.glue("~~"),
        NodeValue::Image(_) => flow.glue("]"),
        NodeValue::Link(link) => {
            let words = link_words.pop().unwrap_or_default();
            let is_itself = words == link.url || link.url.strip_prefix("mailto:") == Some(&words);
            if !is_itself && document::is_safe_link(&link.url) {
                flow.space();
                flow.glue("(");
                flow.glue(&link.url);
                flow.glue(")");
            }
        }
        value if value.block() => flow.space(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_text_says_what_the_html_says() {
        let text = render(
            "## What is on\n\nThe *summer* fair is on [12 June](https://example.gov.uk/fair?a=1&b=2), at the park behind the town hall.\n\n### Bring\n\n- a hat\n- water, and\n  more water\n\n1. come\n2. stay\n\n> Lovely\n> day\n\n| Day | Where |\n|---|---|\n| Mon | Hall |\n| Tue | *Park* |\n\n```\ncode  here\n```\n\n---\n\n<https://example.gov.uk>, ![A red bus](https://example.gov.uk/b.png) and <a@example.gov.uk>\\\nlast ~~old~~\n",
        );
        let expected = "\
What is on
----------

The summer fair is on 12 June (https://example.gov.uk/fair?a=1&b=2), at
the park behind the town hall.

Bring
~~~~~

- a hat
- water, and more water

1. come
2. stay

> Lovely day

Day: Mon
Where: Hall

Day: Tue
Where: Park

    code  here

* * *

https://example.gov.uk, [A red bus] and a@example.gov.uk
last ~~old~~
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_long_address_is_never_broken() {
        let url = format!("https://example.gov.uk/{}", "a/".repeat(60));
        let text = render(&format!(
            "Words before it and [the page]({url}). Words after."
        ));
        assert!(text.contains(&format!("({url}).\n")), "{text}");
    }

    #[test]
    fn deep_nesting_is_flattened() {
        let text = render(&format!("{} deep", ">".repeat(5_000)));
        assert!(text.contains("deep"), "{text}");
        let text = render(&format!(
            "{}word{}",
            "*a ".repeat(5_000),
            " b*".repeat(5_000)
        ));
        assert!(text.contains("word"));
    }

    proptest! {
        #[test]
        fn any_text_renders(markdown in "([#*>|\\-\\[\\]()<!`~ \n\t]|[a-z]|[0-9]|\\. |[^\u{0}]){0,80}") {
            let text = render(&markdown);
            prop_assert_eq!(render(&markdown), text);
        }

        #[test]
        fn lines_without_long_words_fit(words in prop::collection::vec("[a-zŵé]{1,20}", 1..60)) {
            for line in render(&words.join(" ")).lines() {
                prop_assert!(line.chars().count() <= WIDTH);
            }
        }
    }
}
