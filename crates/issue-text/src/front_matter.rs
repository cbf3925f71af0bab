//! The head of an issue's file.

use domain::Language;

/// An issue as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueText {
    /// The subject line; also the heading of the mail.
    pub subject: String,
    /// The line that mail programs show beside the subject; may be empty.
    pub preheader: String,
    /// The language, where the file says so.
    pub language: Option<Language>,
    /// The text, in Markdown.
    pub markdown: String,
    /// Where the text starts in the file: its first line, counted from 1.
    pub first_line: usize,
}

impl IssueText {
    /// An issue whose parts are known, as they come from the database; lines count from 1.
    #[must_use]
    pub const fn new(subject: String, preheader: String, markdown: String) -> Self {
        Self {
            subject,
            preheader,
            language: None,
            markdown,
            first_line: 1,
        }
    }
}

/// A file that is no issue; each message says how to write it right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueTextError {
    /// No `---` line at the top.
    #[error(
        "line 1: the file must begin with a head between two lines of three hyphens, like this:\n{EXAMPLE}"
    )]
    NoHead,
    /// No second `---` line.
    #[error("line 1: the head has no end; put a line of three hyphens (---) below it:\n{EXAMPLE}")]
    OpenHead,
    /// A line of the head without a colon.
    #[error(
        "line {line}: \"{text}\" is not understood; write a name, a colon and a value:\n{EXAMPLE}"
    )]
    NotAPair {
        /// The line of the file.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// A name that the head does not know.
    #[error(
        "line {line}: \"{key}\" is not known; the head takes subject, preheader and language; delete this line or correct its name"
    )]
    UnknownKey {
        /// The line of the file.
        line: usize,
        /// The name.
        key: String,
    },
    /// A name that came twice.
    #[error("line {line}: {key} is given twice; keep one")]
    Twice {
        /// The line of the file.
        line: usize,
        /// The name.
        key: &'static str,
    },
    /// A language that is not offered.
    #[error("line {line}: the language is \"en\" for English or \"cy\" for Welsh")]
    UnknownLanguage {
        /// The line of the file.
        line: usize,
    },
    /// No subject.
    #[error("the head has no subject; add a line like \"subject: What is on in June\"")]
    NoSubject,
    /// Nothing below the head.
    #[error("line {line}: there is no text; write the issue below the second line of hyphens")]
    NoText {
        /// The last line of the head.
        line: usize,
    },
}

const EXAMPLE: &str = "---
subject: What is on in June
preheader: Fairs, walks and the new library
---
## First heading

Text of the issue.";

const FENCE: &str = "---";

/// Splits the file of an issue into head and text.
///
/// The head stands between two lines of three hyphens and has one `name: value` a line: `subject`,
/// `preheader` and `language` (`en` or `cy`). Quotes around a value are taken off; empty lines and
/// lines that start with `#` are skipped.
///
/// # Errors
/// [`IssueTextError`], with the line and the remedy.
pub fn parse(file: &str) -> Result<IssueText, IssueTextError> {
    let file = file.strip_prefix('\u{feff}').unwrap_or(file);
    let file = file.replace("\r\n", "\n");
    let mut lines = file.split('\n').enumerate();
    let begins = lines
        .next()
        .is_some_and(|(_, line)| line.trim_end() == FENCE);
    if !begins {
        return Err(IssueTextError::NoHead);
    }
    let mut head = Head::default();
    for (index, line) in lines.by_ref() {
        if line.trim_end() != FENCE {
            head.take(index + 1, line)?;
            continue;
        }
        let subject = head.subject.filter(|subject| !subject.is_empty());
        let subject = subject.ok_or(IssueTextError::NoSubject)?;
        let markdown: Vec<&str> = lines.map(|(_, line)| line).collect();
        let markdown = markdown.join("\n");
        if markdown.trim().is_empty() {
            return Err(IssueTextError::NoText { line: index + 1 });
        }
        return Ok(IssueText {
            subject,
            preheader: head.preheader.unwrap_or_default(),
            language: head.language,
            markdown,
            first_line: index + 2,
        });
    }
    Err(IssueTextError::OpenHead)
}

#[derive(Default)]
struct Head {
    subject: Option<String>,
    preheader: Option<String>,
    language: Option<Language>,
}

impl Head {
    fn take(&mut self, line: usize, text: &str) -> Result<(), IssueTextError> {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            return Ok(());
        }
        let Some((key, value)) = text.split_once(':') else {
            return Err(IssueTextError::NotAPair {
                line,
                text: text.chars().take(40).collect(),
            });
        };
        let value = unquoted(value.trim());
        match key.trim() {
            "subject" => once(&mut self.subject, value.to_owned(), line, "subject"),
            "preheader" => once(&mut self.preheader, value.to_owned(), line, "preheader"),
            "language" => {
                let language =
                    Language::from_tag(value).ok_or(IssueTextError::UnknownLanguage { line })?;
                once(&mut self.language, language, line, "language")
            }
            other => Err(IssueTextError::UnknownKey {
                line,
                key: other.chars().take(40).collect(),
            }),
        }
    }
}

fn once<T>(
    place: &mut Option<T>,
    value: T,
    line: usize,
    key: &'static str,
) -> Result<(), IssueTextError> {
    if place.replace(value).is_some() {
        return Err(IssueTextError::Twice { line, key });
    }
    Ok(())
}

fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_head_and_text() {
        let issue = parse(
            "\u{feff}---\r\nsubject: \"Bins: new days\"\r\n# a note\r\n\r\npreheader: From 1 June\r\nlanguage: cy\r\n---\r\n\r\n## Hello\r\n",
        )
        .unwrap();
        assert_eq!(issue.subject, "Bins: new days");
        assert_eq!(issue.preheader, "From 1 June");
        assert_eq!(issue.language, Some(Language::Cy));
        assert_eq!(issue.markdown, "\n## Hello\n");
        assert_eq!(issue.first_line, 8);
    }

    #[test]
    fn a_line_of_hyphens_in_the_text_is_text() {
        let issue = parse("---\nsubject: a\n---\nb\n\n---\n\nc\n").unwrap();
        assert_eq!(issue.markdown, "b\n\n---\n\nc\n");
    }

    #[test]
    fn each_mistake_names_its_line_and_the_remedy() {
        let cases = [
            ("", "must begin with a head"),
            ("subject: a\n\ntext", "must begin with a head"),
            ("---\nsubject: a\ntext: b", "line 3: \"text\" is not known"),
            ("---\nsubject: a\n", "the head has no end"),
            (
                "---\nsubject\n---\nb",
                "line 2: \"subject\" is not understood",
            ),
            (
                "---\nsubject: a\nsubject: b\n---\nb",
                "line 3: subject is given twice",
            ),
            (
                "---\nsubject: a\nlanguage: fr\n---\nb",
                "line 3: the language is",
            ),
            ("---\nsubject:\n---\nb", "has no subject"),
            ("---\npreheader: a\n---\nb", "add a line like"),
            ("---\nsubject: a\n---\n \n", "line 3: there is no text"),
        ];
        for (file, expected) in cases {
            let message = parse(file).unwrap_err().to_string();
            assert!(message.contains(expected), "{file:?}: {message}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_file_is_taken_or_refused(file in "(---\n)?(subject: ?.{0,5}\n|preheader:.\n|.{0,9}\n|---\n){0,6}.{0,20}") {
            let _ = parse(&file);
        }
    }
}
