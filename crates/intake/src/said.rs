//! A text of the operator's as it stands on a page: marked with its language where that is not the
//! page's (`privacy.md` 8.2, `lang` on mixed-language spans).

use askama::Template;
use domain::{Language, Words};

/// A text, and its language if the page is in the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Template)]
#[template(
    source = "{% if let Some(language) = language %}<span lang=\"{{ language }}\">{{ text }}</span>{% else %}{{ text }}{% endif %}",
    ext = "html"
)]
pub(crate) struct Said<'a> {
    pub(crate) text: &'a str,
    pub(crate) language: Option<&'static str>,
}

/// The words on a page in `language`.
pub(crate) fn said(words: &Words, language: Language) -> Said<'_> {
    let is_missing = language == Language::Cy && words.cy.is_none();
    Said {
        text: words.in_language(language),
        language: is_missing.then_some(Language::En.tag()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_on_a_welsh_page_says_so_and_is_escaped() {
        let words = Words {
            en: "Bins & more".into(),
            cy: None,
        };
        let html = |language| said(&words, language).render().unwrap();
        assert_eq!(html(Language::En), "Bins &#38; more");
        assert_eq!(
            html(Language::Cy),
            "<span lang=\"en\">Bins &#38; more</span>"
        );
    }
}
