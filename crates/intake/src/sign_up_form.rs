//! The sign-up form as it is shown: for the first time, again with what has to be put right, or again
//! because the notice has changed. The reader never types anything twice.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use domain::{Language, Newsletter, Notice};
use page_frame::Frame;
use sha2::{Digest, Sha256};

use crate::fault::{Fault, Field};
use crate::said::{Said, said};
use crate::visit::Visit;
use crate::words::PageWords;

/// Why a form is shown again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    /// It is not: this is the first time.
    First,
    /// These things have to be put right.
    AgainWith(&'a [Fault]),
    /// The notice on the form that was used is no longer the current one.
    WithNewNotice,
}

/// What was typed already.
#[derive(Clone, Copy, Default)]
pub(crate) struct Typed<'a> {
    pub(crate) email: &'a str,
    pub(crate) language: Option<Language>,
}

#[derive(Template)]
#[template(path = "sign_up_form.html")]
struct FormMain<'a> {
    words: &'static PageWords,
    language: Language,
    heading: &'a str,
    newsletters: Vec<OnForm<'a>>,
    error_lines: Vec<ErrorLine>,
    has_new_notice: bool,
    email: &'a str,
    email_error: Option<&'static str>,
    language_error: Option<&'static str>,
    language_hint: Option<String>,
    chosen_language: Option<Language>,
    wording: String,
}

struct OnForm<'a> {
    slug: &'a str,
    name: Said<'a>,
    summary: Said<'a>,
    frequency: Said<'a>,
    notice: NoticeOnPage<'a>,
}

struct ErrorLine {
    anchor: &'static str,
    message: &'static str,
}

/// A notice in its paragraphs.
pub(crate) struct NoticeOnPage<'a> {
    pub(crate) hash: String,
    pub(crate) first: &'a str,
    pub(crate) others: Vec<&'a str>,
    /// Its language, where that is not the page's.
    pub(crate) language: Option<&'static str>,
}

impl<'a> NoticeOnPage<'a> {
    pub(crate) fn new(notice: &'a Notice, page: Language) -> Self {
        let mut paragraphs = notice.text.split("\n\n");
        Self {
            hash: notice.hash.to_string(),
            first: paragraphs.next().unwrap_or_default(),
            others: paragraphs.collect(),
            language: (notice.language != page).then_some(notice.language.tag()),
        }
    }
}

/// The form's page for these newsletters; 503 if one of them has no notice to show.
pub(crate) fn page(
    visit: &Visit,
    language: Language,
    newsletters: &[&Newsletter],
    shown: Shown<'_>,
    typed: Typed<'_>,
) -> Response {
    let words = PageWords::in_language(language);
    let on_form: Option<Vec<OnForm<'_>>> = newsletters
        .iter()
        .map(|newsletter| on_form(visit, newsletter, language))
        .collect();
    let Some(on_form) = on_form else {
        return visit.unavailable_page();
    };
    let sign_up_to = match newsletters {
        [one] => words
            .sign_up_to
            .replace("{name}", one.name.in_language(language)),
        _ => words.sign_up_to_several.to_owned(),
    };
    let faults = match shown {
        Shown::AgainWith(faults) => faults,
        Shown::First | Shown::WithNewNotice => &[],
    };
    let has_new_notice = shown == Shown::WithNewNotice;
    let heading = if has_new_notice {
        words.notice_changed_title
    } else {
        &sign_up_to
    };
    let main = FormMain {
        words,
        language,
        heading,
        newsletters: on_form,
        error_lines: faults
            .iter()
            .map(|fault| error_line(fault, language))
            .collect(),
        has_new_notice,
        email: typed.email,
        email_error: error_of(Field::Email, faults, language),
        language_error: error_of(Field::Language, faults, language),
        language_hint: language_hint(newsletters, language),
        chosen_language: typed.language,
        wording: hex(&wording(language)),
    };
    let (status, other_language) = match shown {
        Shown::First => (
            StatusCode::OK,
            Some(page_frame::other_language(visit.uri.query(), language)),
        ),
        Shown::AgainWith(_) => (StatusCode::UNPROCESSABLE_ENTITY, None),
        Shown::WithNewNotice => (StatusCode::CONFLICT, None),
    };
    Frame {
        language,
        title: heading,
        catalogue: &visit.catalogue,
        other_language,
        is_error: !faults.is_empty(),
    }
    .page(status, &main)
}

fn on_form<'a>(
    visit: &'a Visit,
    newsletter: &'a Newsletter,
    language: Language,
) -> Option<OnForm<'a>> {
    let notice = visit.catalogue.current_notice(newsletter, language)?;
    Some(OnForm {
        slug: newsletter.slug.as_str(),
        name: said(&newsletter.name, language),
        summary: said(&newsletter.summary, language),
        frequency: said(&newsletter.frequency, language),
        notice: NoticeOnPage::new(notice, language),
    })
}

fn error_line(fault: &Fault, language: Language) -> ErrorLine {
    ErrorLine {
        anchor: match fault.field() {
            Field::Email => "email",
            Field::Language => "language-en",
            _ => "sign-up",
        },
        message: fault.message(language),
    }
}

fn error_of(field: Field, faults: &[Fault], language: Language) -> Option<&'static str> {
    faults
        .iter()
        .find(|fault| fault.field() == field)
        .map(|fault| fault.message(language))
}

/// The hint of the language question; none where there is nothing to choose.
fn language_hint(newsletters: &[&Newsletter], language: Language) -> Option<String> {
    let first = newsletters.first()?;
    let is_choice = newsletters
        .iter()
        .any(|newsletter| newsletter.languages.len() > 1);
    let standard = if first.languages.contains(&language) {
        language
    } else {
        crate::visit::first_language(first)
    };
    let name = match (language, standard) {
        (Language::En, Language::En) => "English",
        (Language::En, Language::Cy) => "Welsh",
        (Language::Cy, Language::En) => "Saesneg",
        (Language::Cy, Language::Cy) => "Gymraeg",
    };
    let words = PageWords::in_language(language);
    is_choice.then(|| words.language_hint.replace("{language}", name))
}

/// SHA-256 of label ‖ line feed ‖ button text: the words that a resident acted on, for the consent
/// record (`privacy.md` 2.3, `wording_shown_sha256`).
pub(crate) fn wording(language: Language) -> [u8; 32] {
    let words = PageWords::in_language(language);
    let mut hash = Sha256::new();
    hash.update(words.email_label);
    hash.update("\n");
    hash.update(words.sign_up_button);
    hash.finalize().into()
}

/// The wording that a form names, if it is one of ours: other sites write their own words.
pub(crate) fn wording_named(sent: &str) -> Option<[u8; 32]> {
    Language::ALL
        .into_iter()
        .map(wording)
        .find(|wording| hex(wording) == sent)
}

fn hex(bytes: &[u8; 32]) -> String {
    // NoticeHash writes 32 bytes in the same way.
    domain::NoticeHash::new(*bytes).to_string()
}
