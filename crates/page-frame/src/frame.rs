//! The layout: header with the body's name, the page's main part, footer with the ways to reach the
//! data protection officer (`policy.txt`: on every page).

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{Body, Catalogue, Language};

use crate::language_choice::other_than;
use crate::words::FrameWords;
use crate::{SecurityHeaders, stylesheet};

/// A page without its main part.
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    /// The language of the page.
    pub language: Language,
    /// What the page asks or says: the first part of the title.
    pub title: &'a str,
    /// For the body's name, colour and officer.
    pub catalogue: &'a Catalogue,
    /// Where the same page is in the other language ([`crate::other_language`]); none leaves the
    /// link out, as on an answer to a POST.
    pub other_language: Option<String>,
    /// Whether the resident has to put something right: the title then begins with "Error: ".
    pub is_error: bool,
}

#[derive(Template)]
#[template(path = "frame.html")]
struct FrameTemplate<'a> {
    words: &'static FrameWords,
    language: Language,
    other: Language,
    title: &'a str,
    is_error: bool,
    body: Option<&'a Body>,
    body_name: &'a str,
    other_language: Option<&'a str>,
    stylesheet: String,
    main: &'a str,
}

impl Frame<'_> {
    /// The page, with the [`SecurityHeaders`].
    ///
    /// A template writes into memory and so does not fail; were it to, the answer would be a bare
    /// 500.
    #[must_use]
    pub fn page(&self, status: StatusCode, main: &impl Template) -> Response {
        let html = main.render().and_then(|main| self.around(&main).render());
        let Ok(html) = html else {
            return crate::text_line(
                StatusCode::INTERNAL_SERVER_ERROR,
                "This page could not be written.",
            );
        };
        let mut response = (
            status,
            [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
            [(header::CONTENT_LANGUAGE, self.language.tag())],
            html,
        )
            .into_response();
        SecurityHeaders.add_to(response.headers_mut());
        response
    }

    fn around<'b>(&'b self, main: &'b str) -> FrameTemplate<'b> {
        let words = FrameWords::in_language(self.language);
        let body = self.catalogue.body.as_ref();
        FrameTemplate {
            words,
            language: self.language,
            other: other_than(self.language),
            title: self.title,
            is_error: self.is_error,
            body,
            body_name: body.map_or("Letterbox", |body| body.name.in_language(self.language)),
            other_language: self.other_language.as_deref(),
            stylesheet: stylesheet::address(body),
            main,
        }
    }
}
