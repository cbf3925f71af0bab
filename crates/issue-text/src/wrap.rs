//! Lines of plain text.

/// The width of plain text, in characters.
pub(crate) const WIDTH: usize = 72;

/// Words that flow, one after another.
#[derive(Default)]
pub(crate) struct Flow {
    words: Vec<Word>,
    open: bool,
}

enum Word {
    Text(String),
    Break,
}

impl Flow {
    /// Adds text; white space in it ends a word.
    pub(crate) fn text(&mut self, text: &str) {
        for (index, part) in text.split([' ', '\n', '\t', '\r']).enumerate() {
            if index > 0 {
                self.space();
            }
            self.glue(part);
        }
    }

    /// Adds something that is never broken, such as a web address.
    pub(crate) fn glue(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.open
            && let Some(Word::Text(word)) = self.words.last_mut()
        {
            word.push_str(text);
        } else {
            self.words.push(Word::Text(text.to_owned()));
        }
        self.open = true;
    }

    /// Adds all of another flow.
    pub(crate) fn append(&mut self, other: Self) {
        self.words.extend(other.words);
        self.open = other.open;
    }

    /// Ends a word.
    pub(crate) const fn space(&mut self) {
        self.open = false;
    }

    /// Ends a line.
    pub(crate) fn line_break(&mut self) {
        self.words.push(Word::Break);
        self.open = false;
    }

    /// Fills lines up to `width` characters; a longer word has a line to itself.
    pub(crate) fn lines(&self, width: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = String::new();
        let mut length = 0;
        for word in &self.words {
            match word {
                Word::Break => {
                    lines.push(std::mem::take(&mut line));
                    length = 0;
                }
                Word::Text(word) => {
                    let more = word.chars().count();
                    if length > 0 && length + 1 + more > width {
                        lines.push(std::mem::take(&mut line));
                        length = 0;
                    }
                    if length > 0 {
                        line.push(' ');
                        length += 1;
                    }
                    line.push_str(word);
                    length += more;
                }
            }
        }
        if !line.is_empty() {
            lines.push(line);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_filled_and_long_words_stay_whole() {
        let mut flow = Flow::default();
        flow.text("one two  three\nfour (");
        flow.glue("https://example.gov.uk/a b");
        flow.text("). five");
        assert_eq!(
            flow.lines(9),
            [
                "one two",
                "three",
                "four",
                "(https://example.gov.uk/a b).",
                "five"
            ]
        );
    }
}
