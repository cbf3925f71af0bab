//! What every page needs of a request, and the answers to requests that no page takes.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use domain::{Catalogue, Language, Newsletter};
use page_frame::Frame;

use crate::{Doors, api_answers};

/// A request without its body.
pub(crate) struct Visit {
    pub(crate) doors: Arc<Doors>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
}

impl FromRequestParts<Arc<Doors>> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, doors: &Arc<Doors>) -> Result<Self, Infallible> {
        Ok(Self {
            doors: Arc::clone(doors),
            catalogue: doors.catalogue.current(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
        })
    }
}

impl Visit {
    /// The language of the answer.
    pub(crate) fn language(&self, fallback: Language) -> Language {
        let accept = self
            .headers
            .get(header::ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok());
        page_frame::language_from(self.uri.query(), accept, fallback)
    }

    /// The language that the address of the page asks for.
    pub(crate) fn asked_language(&self) -> Option<Language> {
        let asked = |fallback| page_frame::language_from(self.uri.query(), None, fallback);
        let language = asked(Language::En);
        (language == asked(Language::Cy)).then_some(language)
    }

    /// The language of a page about this newsletter: without a wish, the newsletter's first.
    pub(crate) fn language_for(&self, newsletter: &Newsletter) -> Language {
        self.language(first_language(newsletter))
    }

    /// A page that can be read in the other language at the same address.
    pub(crate) fn frame<'a>(&'a self, language: Language, title: &'a str) -> Frame<'a> {
        Frame {
            language,
            title,
            catalogue: &self.catalogue,
            other_language: Some(page_frame::other_language(self.uri.query(), language)),
            is_error: false,
        }
    }

    /// The open newsletter of this slug.
    pub(crate) fn open_newsletter(&self, slug: Option<&str>) -> Option<&Newsletter> {
        self.catalogue
            .open_newsletters()
            .find(|newsletter| Some(newsletter.slug.as_str()) == slug)
    }

    /// Newsletters that the hint `n` of the address names and the catalogue knows, each once.
    pub(crate) fn named_newsletters(&self) -> Vec<&Newsletter> {
        let query = self.uri.query().unwrap_or_default();
        let Some((_, slugs)) = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "n")
        else {
            return Vec::new();
        };
        let mut newsletters: Vec<&Newsletter> = Vec::new();
        for newsletter in slugs
            .split(',')
            .filter_map(|slug| self.catalogue.newsletter(slug))
        {
            if !newsletters.contains(&newsletter) {
                newsletters.push(newsletter);
            }
        }
        newsletters
    }

    /// What stands in for a newsletter that is not open: not found, or 503 while no catalogue was
    /// ever read and nobody can tell.
    pub(crate) fn no_newsletter_page(&self) -> Response {
        if self.doors.catalogue.has_any() {
            self.not_found_page()
        } else {
            self.unavailable_page()
        }
    }

    pub(crate) fn not_found_page(&self) -> Response {
        page_frame::not_found(&self.catalogue, self.language(Language::En))
    }

    pub(crate) fn unavailable_page(&self) -> Response {
        let language = self.language(Language::En);
        page_frame::unavailable(&self.catalogue, language, RETRY_AFTER_SECONDS)
    }

    /// Whether `Accept` prefers JSON to HTML.
    pub(crate) fn accepts_json_first(&self) -> bool {
        let accept = self.headers.get_all(header::ACCEPT).iter();
        api_answers::prefers_json(accept.filter_map(|value| value.to_str().ok()))
    }
}

/// When a form may be sent again after a 503: a full spool drains, and a disk is looked after, in
/// minutes.
pub(crate) const RETRY_AFTER_SECONDS: u32 = 120;

/// The newsletter's standard language; English for one without any, which the settings refuse.
pub(crate) fn first_language(newsletter: &Newsletter) -> Language {
    newsletter
        .languages
        .first()
        .copied()
        .unwrap_or(Language::En)
}

/// 405 of an address that is only read.
pub(crate) async fn only_get(visit: Visit) -> Response {
    page_frame::method_not_allowed(&visit.catalogue, visit.language(Language::En), "GET, HEAD")
}

/// Links in mails are for the people who got them.
pub(crate) async fn robots() -> Response {
    page_frame::text_line(
        StatusCode::OK,
        "User-agent: *\nDisallow: /confirm/\nDisallow: /my-data/\nDisallow: /subscriptions\nDisallow: /u/\nDisallow: /undo/",
    )
}
