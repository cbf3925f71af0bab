//! What is around the text of every mail: band, heading and foot.

use css_inline::CSSInliner;
use domain::{Body, Language, Newsletter};

use super::words::Say;
use super::{MAX_HTML_BYTES, MailError};

/// The values that `templates/shell.html` and `templates/shell.txt` show.
pub(crate) struct Shell<'a> {
    pub(crate) language: &'static str,
    pub(crate) title: &'a str,
    pub(crate) preheader: &'a str,
    pub(crate) colour: &'a str,
    /// The small line of the band.
    pub(crate) over: &'a str,
    /// The large line of the band.
    pub(crate) under: &'a str,
    pub(crate) why: String,
    pub(crate) questions: &'static str,
    pub(crate) officer: &'static str,
    pub(crate) dpo_email: &'a str,
    pub(crate) dpo_post: String,
    pub(crate) privacy_url: String,
    pub(crate) privacy_words: &'static str,
}

/// A newsletter in a list.
pub(crate) struct Item<'a> {
    pub(crate) name: &'a str,
    pub(crate) frequency: &'a str,
}

impl<'a> Item<'a> {
    pub(crate) fn list(
        newsletters: impl Iterator<Item = &'a Newsletter>,
        language: Language,
    ) -> Vec<Self> {
        newsletters
            .map(|newsletter| Self {
                name: newsletter.name.in_language(language),
                frequency: newsletter.frequency.in_language(language),
            })
            .collect()
    }
}

impl<'a> Shell<'a> {
    pub(crate) fn new(
        body: &'a Body,
        language: Language,
        base_url: &str,
        title: &'a str,
        why: String,
    ) -> Result<Self, MailError> {
        let say = Say(language);
        let name = body.name.in_language(language);
        check_colour(&body.colour)?;
        check_link("the address of the privacy page", base_url)?;
        Ok(Self {
            language: language.tag(),
            title,
            preheader: "",
            colour: &body.colour,
            over: name,
            under: name,
            why,
            questions: say.questions(),
            officer: say.officer(),
            dpo_email: &body.dpo_email,
            dpo_post: body.dpo_post.join(", "),
            privacy_url: format!("{base_url}/privacy?l={}", language.tag()),
            privacy_words: say.privacy(),
        })
    }

    /// The title with a line under it, for plain text.
    pub(crate) fn headline(&self) -> String {
        let title = issue_text::wrap(self.title);
        format!("{title}\n{}", underline(&title))
    }

    pub(crate) fn wrapped_why(&self) -> String {
        issue_text::wrap(&self.why)
    }

    pub(crate) fn wrapped_questions(&self) -> String {
        issue_text::wrap(&format!(
            "{} {}, {}, {}.",
            self.questions, self.officer, self.dpo_email, self.dpo_post
        ))
    }
}

/// A line as long as the longest of these.
pub(crate) fn underline(text: &str) -> String {
    let longest = text.lines().map(|line| line.chars().count()).max();
    "*".repeat(longest.unwrap_or(0).min(72))
}

/// Puts the styles onto the elements, since mail programs drop style sheets; only what depends on
/// the reader's screen stays in `<style>`. Text has a contrast of at least 7:1, links and the band
/// that of the body's colour with white.
pub(crate) fn with_styles(html: &str, colour: &str) -> Result<String, MailError> {
    let css = format!(
        "{}\n.page a {{ color: {colour}; }}",
        include_str!("../../templates/style.css")
    );
    let inliner = CSSInliner::options()
        .load_remote_stylesheets(false)
        .minify_css(true)
        .extra_css(Some(css.into()))
        .build();
    let html = inliner.inline(html)?;
    let html = html.replacen(" data-css-inline=\"keep\"", "", 1);
    if html.len() > MAX_HTML_BYTES {
        return Err(MailError::TooLong { bytes: html.len() });
    }
    Ok(html)
}

fn check_colour(colour: &str) -> Result<(), MailError> {
    let digits = colour.strip_prefix('#').unwrap_or_default();
    if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(())
    } else {
        Err(MailError::UnfitColour)
    }
}

/// Every link of ours is https; plain http only leads to this machine, where Letterbox is tried out.
pub(crate) fn check_link(name: &'static str, url: &str) -> Result<(), MailError> {
    let printable = url.len() <= 900 && url.bytes().all(|byte| byte.is_ascii_graphic());
    let breaks = url.contains(['<', '>', '"', '\\']);
    let local = ["127.0.0.1", "localhost", "[::1]"].iter().any(|host| {
        url.strip_prefix("http://")
            .and_then(|rest| rest.strip_prefix(host))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    });
    if printable && !breaks && (url.starts_with("https://") || local) {
        Ok(())
    } else {
        Err(MailError::UnfitLink(name))
    }
}
