//! What an author should put right, in plain words.

use comrak::Arena;
use comrak::arena_tree::NodeEdge;
use comrak::nodes::{Node, NodeLink, NodeValue};

use crate::{Code, IssueText, Problem, document, html};

const LONGEST_SUBJECT: usize = 150;
const LONGEST_PREHEADER: usize = 200;

/// The HTML of the text with its styles; the shell comes on top, and `mail` checks the whole
/// against 100 KB (`privacy.md` EML-26), too late for the author to hear of it.
const LONGEST_HTML: usize = 88_000;

/// What the styles of an element add at most, in bytes: they stand on each one, since mail programs
/// drop style sheets.
const STYLES: [(&str, usize); 19] = [
    ("<p", 80),
    ("<li", 80),
    ("<ul", 60),
    ("<ol", 60),
    ("<td", 150),
    ("<th", 150),
    ("<table", 80),
    ("<a ", 30),
    ("<code", 190),
    ("<pre", 200),
    ("<blockquote", 100),
    ("<img", 90),
    ("<hr", 70),
    ("<h2", 100),
    ("<h3", 100),
    ("<h4", 100),
    ("<h5", 100),
    ("<h6", 100),
    ("<br", 10),
];

const VAGUE: [&str; 17] = [
    "click here",
    "here",
    "click",
    "link",
    "this link",
    "this page",
    "this",
    "more",
    "read more",
    "learn more",
    "cliciwch yma",
    "yma",
    "clicio yma",
    "mwy",
    "darllen mwy",
    "darllenwch fwy",
    "rhagor",
];

/// Looks through an issue; sorted by line. Empty is good.
#[must_use]
pub fn lint(issue: &IssueText) -> Vec<Problem> {
    let mut found = Found {
        problems: Vec::new(),
        first_line: issue.first_line,
        level: 1,
    };
    found.head(issue);
    if issue.markdown.len() > 2 * LONGEST_HTML
        || styled_length(&html::render(&issue.markdown)) > LONGEST_HTML
    {
        found.add(1, Code::TooLong, "The issue is too long: mail programs would cut it off, and the link to unsubscribe with it. Shorten it, or put parts on a page and link to that.".into());
    }
    if issue.markdown.len() <= 2 * LONGEST_HTML {
        found.characters(&issue.markdown);
        let arena = Arena::new();
        for edge in document::read(&arena, &issue.markdown).traverse() {
            if let NodeEdge::Start(node) = edge {
                found.node(node);
            }
        }
    }
    found.problems.sort();
    found.problems.dedup();
    found.problems
}

fn styled_length(html: &str) -> usize {
    let styles = STYLES
        .iter()
        .map(|(tag, bytes)| html.matches(tag).count() * bytes);
    html.len() + styles.sum::<usize>()
}

struct Found {
    problems: Vec<Problem>,
    first_line: usize,
    level: u8,
}

impl Found {
    /// `line` counts from 1 in the text.
    fn add(&mut self, line: usize, code: Code, message: String) {
        let line = self.first_line + line.max(1) - 1;
        self.problems.push(Problem {
            line,
            code,
            message,
        });
    }

    fn add_to_head(&mut self, code: Code, message: String) {
        self.problems.push(Problem {
            line: 1,
            code,
            message,
        });
    }

    fn head(&mut self, issue: &IssueText) {
        let length = issue.subject.chars().count();
        if issue.subject.trim().is_empty() {
            self.add_to_head(
                Code::EmptySubject,
                "The subject is empty. Say in a few words what the issue is about.".into(),
            );
        } else if length > LONGEST_SUBJECT {
            self.add_to_head(Code::LongSubject, format!("The subject has {length} characters. Use at most {LONGEST_SUBJECT}; mail programs show about 60."));
        }
        let length = issue.preheader.chars().count();
        if length > LONGEST_PREHEADER {
            self.add_to_head(Code::LongPreheader, format!("The preheader has {length} characters. Use at most {LONGEST_PREHEADER}; mail programs show about 90."));
        }
        for (name, text) in [("subject", &issue.subject), ("preheader", &issue.preheader)] {
            if text.contains(char::is_control) {
                self.add_to_head(Code::ControlCharacter, format!("The {name} contains a character that cannot be seen, such as a line break or a tab. Type it again instead of pasting it."));
            }
            if text.contains(turns_direction) {
                self.add_to_head(Code::TextDirection, direction_message(name));
            }
        }
    }

    fn characters(&mut self, markdown: &str) {
        for (index, line) in markdown.split('\n').enumerate() {
            if line.contains(|character: char| character.is_control() && character != '\t') {
                self.add(index + 1, Code::ControlCharacter, "This line contains a character that cannot be seen and does not belong in text. Type the line again instead of pasting it.".into());
            }
            if line.contains(turns_direction) {
                self.add(index + 1, Code::TextDirection, direction_message("line"));
            }
        }
    }

    fn node(&mut self, node: Node<'_>) {
        let data = node.data();
        let line = data.sourcepos.start.line;
        match &data.value {
            NodeValue::HtmlBlock(_) | NodeValue::HtmlInline(_) => self.add(line, Code::RawHtml, "There is HTML here (text in < and >). It would be left out of the mail. Write it as Markdown: **bold**, *italic*, [words](https://address), and \\< for a plain <.".into()),
            NodeValue::Heading(heading) => self.heading(line, heading.level),
            NodeValue::Link(target) => self.link(line, target, &words_of(node)),
            NodeValue::Image(image) => self.image(line, image, &words_of(node)),
            NodeValue::Text(text) if is_bare_address(text) && !is_in_link(node) => self.add(line, Code::BareAddress, "A web address here is no link. Write [words that say where it leads](https://address), or put < and > around the address.".into()),
            _ => {}
        }
    }

    fn heading(&mut self, line: usize, level: u8) {
        if level == 1 {
            self.add(line, Code::FirstLevelHeading, "Start headings with ##. The mail has its one main heading already: the subject. This one will be shown as if it were written with ##.".into());
        } else if level > self.level + 1 {
            let marks = "#".repeat(usize::from(self.level) + 1);
            self.add(line, Code::SkippedHeadingLevel, format!("This heading skips a level, which confuses people who listen to the mail. Write it with {marks}."));
        }
        self.level = level.max(2);
    }

    fn link(&mut self, line: usize, target: &NodeLink, words: &str) {
        if !document::is_safe_link(&target.url) {
            self.add(line, Code::UnsafeLink, format!("The link to \"{}\" cannot be used. A link starts with https:// (or http:// or mailto:) and has no spaces; write %20 for a space.", shortened(&target.url)));
        }
        if words.trim().is_empty() {
            self.add(
                line,
                Code::EmptyLinkText,
                "This link has no words. Write between [ and ] where it leads.".into(),
            );
        } else if VAGUE.contains(&bare(words).as_str()) {
            self.add(line, Code::VagueLinkText, format!("\"{}\" does not say where the link leads. People who listen to the mail hear links on their own: name the page.", shortened(words.trim())));
        }
    }

    fn image(&mut self, line: usize, image: &NodeLink, words: &str) {
        if words.trim().is_empty() {
            self.add(line, Code::ImageWithoutDescription, "This image has no description. Write between [ and ] what it shows, for people who cannot see it.".into());
        }
        if !document::is_safe_image(&image.url) {
            self.add(line, Code::UnsafeImage, format!("The image \"{}\" cannot be shown. Its address must start with https:// and have no spaces.", shortened(&image.url)));
        }
    }
}

fn direction_message(place: &str) -> String {
    format!(
        "The {place} contains a hidden character that turns the direction of text around and can disguise what is written. Type it again instead of pasting it."
    )
}

/// Overrides, embeddings and isolates of the Unicode bidirectional algorithm.
const fn turns_direction(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_bare_address(text: &str) -> bool {
    ["https://", "http://", "www."]
        .iter()
        .any(|start| text.to_lowercase().contains(start))
}

fn is_in_link(node: Node<'_>) -> bool {
    node.ancestors().any(|ancestor| {
        matches!(
            ancestor.data().value,
            NodeValue::Link(_) | NodeValue::Image(_)
        )
    })
}

/// What a reader, or a listener, gets of a link or an image.
fn words_of(node: Node<'_>) -> String {
    let mut words = String::new();
    for inner in node.descendants() {
        match &inner.data().value {
            NodeValue::Text(text) => words.push_str(text),
            NodeValue::Code(code) => words.push_str(&code.literal),
            NodeValue::SoftBreak | NodeValue::LineBreak => words.push(' '),
            _ => {}
        }
    }
    words
}

fn bare(words: &str) -> String {
    let words = words.trim_matches(|character: char| !character.is_alphanumeric());
    words.to_lowercase()
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(60).filter(|c| !c.is_control()).collect();
    if text.chars().count() > 60 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn issue(markdown: &str) -> IssueText {
        IssueText::new("A subject".into(), String::new(), markdown.into())
    }

    fn codes(markdown: &str) -> Vec<(usize, Code)> {
        lint(&issue(markdown))
            .into_iter()
            .map(|problem| (problem.line, problem.code))
            .collect()
    }

    #[test]
    fn good_text_has_no_problem() {
        let good = "## Bins\n\nThe [new times](https://example.gov.uk/bins) start in June.\n\n### Bags\n\n![A bag](https://example.gov.uk/bag.png)\n\n## Fairs\n\n<https://example.gov.uk> and <a@example.gov.uk>, 3 < 4, `<b>`\n";
        assert_eq!(codes(good), []);
    }

    #[test]
    fn each_problem_is_found_on_its_line() {
        let cases: &[(&str, usize, Code)] = &[
            ("a\n\n<div>b</div>", 3, Code::RawHtml),
            ("a <b>c</b>", 1, Code::RawHtml),
            ("a\n\n[b](javascript:x)", 3, Code::UnsafeLink),
            ("[b](data:text/html,x)", 1, Code::UnsafeLink),
            ("[b](/path)", 1, Code::UnsafeLink),
            ("[b](<https://example.gov.uk/a b>)", 1, Code::UnsafeLink),
            ("[](https://example.gov.uk)", 1, Code::EmptyLinkText),
            (
                "[Click here!](https://example.gov.uk)",
                1,
                Code::VagueLinkText,
            ),
            (
                "[*cliciwch* yma](https://example.gov.uk)",
                1,
                Code::VagueLinkText,
            ),
            (
                "a\n![](https://example.gov.uk/a.png)",
                2,
                Code::ImageWithoutDescription,
            ),
            ("![a](http://example.gov.uk/a.png)", 1, Code::UnsafeImage),
            ("# a", 1, Code::FirstLevelHeading),
            ("## a\n\n#### b", 3, Code::SkippedHeadingLevel),
            ("### a", 1, Code::SkippedHeadingLevel),
            ("see www.example.gov.uk", 1, Code::BareAddress),
            ("a\nb\u{7}", 2, Code::ControlCharacter),
            ("a\nb\u{202e}c", 2, Code::TextDirection),
        ];
        for (markdown, line, code) in cases {
            assert_eq!(codes(markdown), [(*line, *code)], "{markdown:?}");
        }
        assert!(codes(&"word ".repeat(20_000)).contains(&(1, Code::TooLong)));
        assert!(codes(&"word ".repeat(200_000)).contains(&(1, Code::TooLong)));
        assert!(codes(&"- a\n".repeat(2_000)).contains(&(1, Code::TooLong)));
    }

    #[test]
    fn the_head_is_looked_at_too() {
        let mut text = issue("a");
        let cases = [
            (String::new(), Code::EmptySubject),
            ("s".repeat(151), Code::LongSubject),
            ("a\nb".into(), Code::ControlCharacter),
            ("a\u{2066}b".into(), Code::TextDirection),
        ];
        for (subject, code) in cases {
            text.subject = subject;
            assert_eq!(lint(&text).first().map(|problem| problem.code), Some(code));
        }
        text.subject = "a".into();
        text.preheader = "p".repeat(201);
        assert_eq!(lint(&text)[0].code, Code::LongPreheader);
    }

    #[test]
    fn lines_are_those_of_the_file() {
        let text = crate::parse("---\nsubject: a\n---\n\nb\n\n<b>c</b>\n").unwrap();
        assert_eq!(lint(&text)[0].line, 7);
    }

    proptest! {
        #[test]
        fn any_text_is_looked_through(markdown in "([#*>|\\-\\[\\]()<!`~ \n\t]|[a-z]|[^\u{0}]){0,80}") {
            let text = issue(&markdown);
            prop_assert_eq!(lint(&text), lint(&text));
        }
    }
}
