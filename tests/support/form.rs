//! Reads the forms and the text of a page, as far as our pages need it: lower-case tags, quoted
//! attributes. It fails a story where a page stops being that plain.

/// A form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Where it goes.
    pub action: String,
    /// `get` or `post`, in small letters.
    pub method: String,
    /// Names and values of its inputs and buttons, in order; a checkbox only if it is checked, a
    /// radio button too.
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The same form with this field set to one value.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        match self.fields.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Where it goes from the page at this address.
    #[must_use]
    pub fn target(&self, page: &str) -> String {
        if self.action.is_empty() {
            page.to_owned()
        } else if self.action.starts_with('?') {
            let path = page.split('?').next().unwrap_or_default();
            format!("{path}{}", self.action)
        } else {
            self.action.clone()
        }
    }

    /// Its fields, for [`Web::post_form`](crate::Web::post_form).
    #[must_use]
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }
}

/// The forms of a page, in order.
#[must_use]
pub fn forms(page: &str) -> Vec<Form> {
    page.split("<form")
        .skip(1)
        .map(|rest| {
            let whole = rest.split("</form>").next().unwrap_or_default();
            let (head, inside) = whole.split_once('>').unwrap_or((whole, ""));
            Form {
                action: attribute(head, "action").unwrap_or_default(),
                method: attribute(head, "method").unwrap_or_default().to_lowercase(),
                fields: tags(inside)
                    .filter(|tag| tag.starts_with("input") || tag.starts_with("button"))
                    .filter_map(|tag| {
                        let kind = attribute(tag, "type").unwrap_or_default();
                        let chosen = !matches!(kind.as_str(), "checkbox" | "radio")
                            || tag.split_ascii_whitespace().any(|word| word == "checked");
                        let name = attribute(tag, "name")?;
                        chosen.then(|| (name, attribute(tag, "value").unwrap_or_default()))
                    })
                    .collect(),
            }
        })
        .collect()
}

/// The words of a page without its tags, white space run together.
#[must_use]
pub fn text_of(page: &str) -> String {
    let mut text = String::new();
    for piece in page.split('<') {
        let words = piece.split_once('>').map_or(piece, |(_, words)| words);
        text.push(' ');
        text.push_str(words);
    }
    unescape(&text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.split('<')
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap_or_default())
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag
        .find(&format!(" {name}=\""))
        .or_else(|| tag.find(&format!("\n{name}=\"")))?;
    let value = &tag[start + name.len() + 3..];
    Some(unescape(value.split('"').next()?))
}

fn unescape(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#38;", "&"),
        ("&nbsp;", "\u{a0}"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_gives_what_a_browser_would_send() {
        let page = r#"<p>1 &lt; 2</p><form action="/subscriptions" method="post">
            <input type="hidden" name="notice" value="c4&amp;"><input type="email" name="email">
            <input type="checkbox" name="newsletter" value="a" checked>
            <input type="checkbox" name="newsletter" value="b">
            <button name="go" value="1">Sign up</button></form>"#;
        let form = forms(page).remove(0);
        assert_eq!(
            (form.action.as_str(), form.method.as_str()),
            ("/subscriptions", "post")
        );
        let pairs = [
            ("notice", "c4&"),
            ("email", ""),
            ("newsletter", "a"),
            ("go", "1"),
        ];
        assert_eq!(form.pairs(), pairs);
        assert_eq!(text_of("<p>1 &lt; 2</p>\n <b>x</b>"), "1 < 2 x");
    }
}
