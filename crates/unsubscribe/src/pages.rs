//! The pages: one that asks, one that confirms.

use askama::Template;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use domain::{Body, Catalogue, EventId, Language, Newsletter, Request, Timestamp};
use link_token::{Purpose, Route, receipt};
use page_frame::Frame;

use crate::words::{AskWords, DoneWords, Words, filled};
use crate::{link, moment, posted};

/// How a request wants its page.
pub(crate) struct Asked<'a> {
    pub(crate) language: Language,
    pub(crate) catalogue: &'a Catalogue,
    newsletters: Vec<&'a Newsletter>,
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
    pub(crate) fn of(target: &Uri, headers: &HeaderMap, catalogue: &'a Catalogue) -> Self {
        let language = link::language(target, headers);
        Self {
            language,
            catalogue,
            newsletters: link::newsletters(target, catalogue),
            other_language: page_frame::other_language(target.query(), language),
            words: Words::in_language(language),
        }
    }

    /// The newsletter that a subscription's link names: the first, since it is about one.
    fn newsletter(&self) -> Option<&'a Newsletter> {
        self.newsletters.first().copied()
    }

    fn name(&self) -> &'a str {
        self.newsletter()
            .map_or(self.words.this_newsletter, |newsletter| {
                newsletter.name.in_language(self.language)
            })
    }

    /// The page with the button.
    pub(crate) fn page(&self, purpose: Purpose) -> Response {
        let (words, value): (&AskWords, _) = match purpose {
            Purpose::NotMe => (&self.words.ask_not_me, "not_me"),
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
        };
        Frame {
            language: self.language,
            title: &heading,
            catalogue: self.catalogue,
            other_language: Some(self.other_language.clone()),
            is_error: false,
        }
        .page(StatusCode::OK, &main)
    }

    fn signed_up(&self) -> (&'static str, Vec<&'a str>) {
        let names: Vec<&str> = self
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
        let is_unsubscribe = matches!(done.request, Request::Unsubscribe(_));
        let main = DoneTemplate {
            words: self.words,
            language: self.language,
            done: words,
            panel: filled(words.panel, self.name()),
            receipt: receipt::of(done.event_id),
            accepted_at: moment::written(done.accepted_at, self.language),
            undo: done.undo_token.as_deref().map(|token| self.undo(token)),
            sign_up_again: is_undo.then(|| self.sign_up_address()),
            complaint: self
                .catalogue
                .body
                .as_ref()
                .filter(|_| is_unsubscribe)
                .map(|body| (body, filled(self.words.tell_officer, self.name()))),
        };
        Frame {
            language: self.language,
            title: words.heading,
            catalogue: self.catalogue,
            other_language: None,
            is_error: false,
        }
        .page(StatusCode::OK, &main)
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
            Request::Undo(_) => &self.words.done_undo,
            Request::NotMe(_) => &self.words.done_not_me,
            _ => &self.words.done_leave,
        }
    }

    fn undo(&self, token: &str) -> Undo {
        let mut action = format!("{}{token}?l={}", Route::Undo.path(), self.language.tag());
        if let Some(newsletter) = self.newsletter() {
            action.push_str("&n=");
            action.push_str(newsletter.slug.as_str());
        }
        Undo {
            action,
            field: (posted::BUTTON, "undo"),
            button: filled(self.words.undo_button, self.name()),
            until: self
                .newsletter()
                .map(|newsletter| match newsletter.retention_days {
                    0 => self.words.deleted_at_once.to_owned(),
                    days => filled(self.words.deleted_after, &(self.words.days)(days)),
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
