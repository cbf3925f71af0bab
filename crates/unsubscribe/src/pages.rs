//! The pages: one that asks, one that confirms, and one that comes too late.

use askama::Template;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use domain::{Body, Catalogue, EventId, Language, Newsletter, Request, Timestamp};
use link_token::{Purpose, Route, receipt};
use page_frame::Frame;

use crate::link::{self, Hints};
use crate::words::{AskWords, DoneWords, Words, filled};
use crate::{moment, posted};

/// How a request wants its page.
pub(crate) struct Asked<'a> {
    pub(crate) language: Language,
    pub(crate) catalogue: &'a Catalogue,
    hints: Hints<'a>,
    now: Timestamp,
    /// The same page in the other language, for pages that can be asked for again.
    other_language: String,
    words: &'static Words,
}

/// What was taken.
pub(crate) struct Done<'a> {
    pub(crate) request: &'a Request,
    pub(crate) event_id: EventId,
    pub(crate) accepted_at: Timestamp,
    /// For an unsubscribe only.
    pub(crate) undo_token: Option<String>,
}

#[derive(Template)]
#[template(path = "ask.html")]
struct AskTemplate<'a> {
    heading: &'a str,
    /// The newsletters of a sign-up, with the line before them.
    signed_up: Option<(&'static str, Vec<&'a str>)>,
    explanation: String,
    /// The hidden field: its name and value.
    field: (&'static str, &'static str),
    button: &'static str,
    otherwise: &'static str,
    second: Option<Second>,
    forwarded: Option<&'static str>,
}

/// The button that does more.
struct Second {
    heading: &'static str,
    explanation: &'static str,
    value: &'static str,
    button: String,
}

#[derive(Template)]
#[template(path = "too_late.html")]
struct TooLateTemplate {
    words: &'static Words,
    sign_up_again: String,
}

#[derive(Template)]
#[template(path = "done.html")]
struct DoneTemplate<'a> {
    words: &'static Words,
    language: Language,
    done: &'static DoneWords,
    panel: String,
    receipt: String,
    accepted_at: Option<String>,
    undo: Option<Undo>,
    sign_up_again: Option<String>,
    complaint: Option<(&'a Body, String)>,
}

struct Undo {
    action: String,
    field: (&'static str, &'static str),
    button: String,
    until: Option<String>,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(
        target: &Uri,
        headers: &HeaderMap,
        catalogue: &'a Catalogue,
        now: Timestamp,
    ) -> Self {
        let language = link::language(target, headers);
        Self {
            language,
            catalogue,
            hints: Hints::of(target, catalogue),
            now,
            other_language: page_frame::other_language(target.query(), language),
            words: Words::in_language(language),
        }
    }

    /// The newsletter that a subscription's link names: the first, since it is about one.
    fn newsletter(&self) -> Option<&'a Newsletter> {
        self.hints.newsletters.first().copied()
    }

    fn name(&self) -> &'a str {
        self.newsletter()
            .map_or(self.words.this_newsletter, |newsletter| {
                newsletter.name.in_language(self.language)
            })
    }

    /// The page with the buttons.
    pub(crate) fn page(&self, purpose: Purpose) -> Response {
        let is_undo = purpose == Purpose::Undo;
        if is_undo && self.hints.is_over(self.catalogue, self.now) {
            return self.too_late();
        }
        let (words, value): (&AskWords, _) = match purpose {
            Purpose::NotMe => (&self.words.ask_not_me, "not_me"),
            Purpose::Undo if self.hints.is_all => (&self.words.ask_undo_all, "undo"),
            Purpose::Undo => (&self.words.ask_undo, "undo"),
            _ => (&self.words.ask_leave, "unsubscribe"),
        };
        let heading = match self.newsletter() {
            Some(_) => filled(words.heading, self.name()),
            None => words.heading_unnamed.to_owned(),
        };
        let main = AskTemplate {
            heading: &heading,
            signed_up: (purpose == Purpose::NotMe).then(|| self.signed_up()),
            explanation: filled(words.explanation, self.name()),
            field: (posted::BUTTON, value),
            button: words.button,
            otherwise: words.otherwise,
            second: self.second(purpose),
            forwarded: (purpose == Purpose::Unsubscribe).then_some(self.words.forwarded),
        };
        self.frame(&heading, true).page(StatusCode::OK, &main)
    }

    fn second(&self, purpose: Purpose) -> Option<Second> {
        let words = self.words;
        match purpose {
            Purpose::Unsubscribe => Some(Second {
                heading: words.all_heading,
                explanation: words.all_explanation,
                value: posted::ALL,
                button: self.catalogue.body.as_ref().map_or_else(
                    || words.all_button_unnamed.to_owned(),
                    |body| filled(words.all_button, body.name.in_language(self.language)),
                ),
            }),
            Purpose::NotMe => Some(Second {
                heading: words.never_heading,
                explanation: words.never_explanation,
                value: posted::NEVER,
                button: words.never_button.to_owned(),
            }),
            _ => None,
        }
    }

    /// In the place of an undo whose address is gone.
    fn too_late(&self) -> Response {
        let main = TooLateTemplate {
            words: self.words,
            sign_up_again: self.sign_up_address(),
        };
        self.frame(self.words.undo_over_heading, true)
            .page(StatusCode::OK, &main)
    }

    fn frame<'t>(&'t self, title: &'t str, can_be_asked_again: bool) -> Frame<'t> {
        Frame {
            language: self.language,
            title,
            catalogue: self.catalogue,
            other_language: can_be_asked_again.then(|| self.other_language.clone()),
            is_error: false,
        }
    }

    fn signed_up(&self) -> (&'static str, Vec<&'a str>) {
        let names: Vec<&str> = self
            .hints
            .newsletters
            .iter()
            .map(|newsletter| newsletter.name.in_language(self.language))
            .collect();
        if names.is_empty() {
            (self.words.signed_up_unnamed, names)
        } else {
            (self.words.signed_up_for, names)
        }
    }

    /// The page after the button.
    pub(crate) fn done_page(&self, done: &Done<'_>) -> Response {
        let words = self.done_words(done.request);
        let is_undo = matches!(done.request, Request::Undo(_));
        let is_all = matches!(done.request, Request::UnsubscribeAll(_));
        let is_unsubscribe = is_all || matches!(done.request, Request::Unsubscribe(_));
        let what = if is_all {
            self.words.any_newsletter
        } else {
            self.name()
        };
        let main = DoneTemplate {
            words: self.words,
            language: self.language,
            done: words,
            panel: filled(words.panel, self.name()),
            receipt: receipt::of(done.event_id),
            accepted_at: moment::written(done.accepted_at, self.language),
            undo: done
                .undo_token
                .as_deref()
                .map(|token| self.undo(token, done.accepted_at, is_all)),
            sign_up_again: is_undo.then(|| self.sign_up_address()),
            complaint: self
                .catalogue
                .body
                .as_ref()
                .filter(|_| is_unsubscribe)
                .map(|body| (body, filled(self.words.tell_officer, what))),
        };
        self.frame(words.heading, false).page(StatusCode::OK, &main)
    }

    /// The answer to a program: one line.
    pub(crate) fn done_line(&self, done: &Done<'_>) -> Response {
        let line = format!(
            "{} {}: {}",
            self.done_words(done.request).line,
            self.words.receipt,
            receipt::of(done.event_id)
        );
        page_frame::text_line(StatusCode::OK, &line)
    }

    const fn done_words(&self, request: &Request) -> &'static DoneWords {
        match request {
            Request::Undo(_) if self.hints.is_all => &self.words.done_undo_all,
            Request::Undo(_) => &self.words.done_undo,
            Request::NotMe(_) => &self.words.done_not_me,
            Request::NeverEmail(_) => &self.words.done_never,
            Request::UnsubscribeAll(_) => &self.words.done_leave_all,
            _ => &self.words.done_leave,
        }
    }

    fn undo(&self, token: &str, taken_at: Timestamp, is_all: bool) -> Undo {
        let query = self.hints.of_undo(self.language, taken_at, is_all);
        let newsletters = &self.catalogue.newsletters;
        let kept = if is_all {
            // The first of them to go.
            newsletters.iter().map(|it| it.retention_days).min()
        } else {
            self.newsletter()
                .map(|newsletter| newsletter.retention_days)
        };
        Undo {
            action: format!("{}{token}?{query}", Route::Undo.path()),
            field: (posted::BUTTON, "undo"),
            button: if is_all {
                self.words.undo_all_button.to_owned()
            } else {
                filled(self.words.undo_button, self.name())
            },
            until: kept.map(|days| match (days, is_all) {
                (0, _) => self.words.deleted_at_once.to_owned(),
                (days, false) => filled(self.words.deleted_after, &(self.words.days)(days)),
                (days, true) => filled(self.words.all_deleted_after, &(self.words.days)(days)),
            }),
        }
    }

    fn sign_up_address(&self) -> String {
        let mut address = "/newsletters".to_owned();
        if let Some(newsletter) = self.newsletter().filter(|newsletter| newsletter.open) {
            address.push('/');
            address.push_str(newsletter.slug.as_str());
        }
        address.push_str("?lang=");
        address.push_str(self.language.tag());
        address
    }
}

/// The line for a program when nothing could be written down.
pub(crate) fn unavailable_line(catalogue: &Catalogue, language: Language) -> String {
    let words = Words::in_language(language);
    match &catalogue.body {
        Some(body) => filled(words.unavailable_write_to, &body.dpo_email),
        None => words.unavailable.to_owned(),
    }
}
