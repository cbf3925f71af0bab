//! The pages for everything that can go wrong, each with a way forward, and the one-line answers for
//! programs.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{Body, Catalogue, Language};

use crate::words::{ProblemPage, ProblemWords};
use crate::{Frame, SecurityHeaders};

/// One thing that a resident, or the writer of a form, has to put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// The field's name as it is sent, `newsletter` say; empty for the whole request.
    pub field: &'static str,
    /// How to write it, in the language of the page.
    pub message: String,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemTemplate<'a> {
    words: &'static ProblemWords,
    language: Language,
    heading: &'a str,
    paragraphs: &'a [&'a str],
    steps: &'a [&'a str],
    body: Option<&'a Body>,
    /// Whether somebody who gets this page may have come to leave.
    may_want_a_link: bool,
}

#[derive(Template)]
#[template(path = "not_valid.html")]
struct NotValidTemplate<'a> {
    words: &'static ProblemWords,
    language: Language,
    problems: &'a [FieldProblem],
}

/// 404 for every link that does not verify: cut, changed, of another route, of an unknown key. The
/// bytes are the same for every cause and carry nothing of the link (`privacy.md` 4.4, ABU-06).
#[must_use]
pub fn broken_link(catalogue: &Catalogue, language: Language) -> Response {
    let page = &ProblemWords::in_language(language).broken_link;
    let other_language = crate::other_language(None, language);
    problem_page(
        catalogue,
        language,
        StatusCode::NOT_FOUND,
        page,
        other_language,
    )
}

/// The same for a POST, which programs send: 404 and one line.
#[must_use]
pub fn broken_link_line() -> Response {
    text_line(StatusCode::NOT_FOUND, "This link is not working.")
}

/// 404 for an address without a page, a newsletter that is not there or not open.
#[must_use]
pub fn not_found(catalogue: &Catalogue, language: Language) -> Response {
    let words = ProblemWords::in_language(language);
    problem(catalogue, language, StatusCode::NOT_FOUND, &words.not_found)
}

/// 405 with the methods that the address takes, as in `GET, HEAD, POST`.
#[must_use]
pub fn method_not_allowed(
    catalogue: &Catalogue,
    language: Language,
    allow: &'static str,
) -> Response {
    let words = ProblemWords::in_language(language);
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response = problem(catalogue, language, status, &words.method_not_allowed);
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// 413 for a body over the limit.
#[must_use]
pub fn too_large(catalogue: &Catalogue, language: Language) -> Response {
    let words = ProblemWords::in_language(language);
    let status = StatusCode::PAYLOAD_TOO_LARGE;
    problem(catalogue, language, status, &words.too_large)
}

/// 415 for a body that is no form and no JSON.
#[must_use]
pub fn unreadable_type(catalogue: &Catalogue, language: Language) -> Response {
    let words = ProblemWords::in_language(language);
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    problem(catalogue, language, status, &words.unreadable_type)
}

/// A page that names each field and how to write it, where there is no form to show again; `status`
/// is 400, 404 or 422.
#[must_use]
pub fn not_valid(
    catalogue: &Catalogue,
    language: Language,
    status: StatusCode,
    problems: &[FieldProblem],
) -> Response {
    let words = ProblemWords::in_language(language);
    let main = NotValidTemplate {
        words,
        language,
        problems,
    };
    Frame {
        language,
        title: words.not_valid_heading,
        catalogue,
        other_language: None,
        is_error: true,
    }
    .page(status, &main)
}

/// 503 with `Retry-After`: nothing was taken, and the resident is told so.
#[must_use]
pub fn unavailable(
    catalogue: &Catalogue,
    language: Language,
    retry_after_seconds: u32,
) -> Response {
    let words = ProblemWords::in_language(language);
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = problem(catalogue, language, status, &words.unavailable);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds));
    response
}

/// One line of plain text, with the [`SecurityHeaders`].
#[must_use]
pub fn text_line(status: StatusCode, line: &str) -> Response {
    let mut response = (
        status,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        format!("{line}\n"),
    )
        .into_response();
    SecurityHeaders.add_to(response.headers_mut());
    response
}

/// A page that may be an answer to a POST, which has no other language at the same address: the link
/// leads to the list instead.
fn problem(
    catalogue: &Catalogue,
    language: Language,
    status: StatusCode,
    page: &ProblemPage,
) -> Response {
    let list = format!("/newsletters{}", crate::other_language(None, language));
    problem_page(catalogue, language, status, page, list)
}

fn problem_page(
    catalogue: &Catalogue,
    language: Language,
    status: StatusCode,
    page: &ProblemPage,
    other_language: String,
) -> Response {
    let main = ProblemTemplate {
        words: ProblemWords::in_language(language),
        language,
        heading: page.heading,
        paragraphs: page.paragraphs,
        steps: page.steps,
        body: catalogue.body.as_ref(),
        may_want_a_link: status == StatusCode::NOT_FOUND,
    };
    Frame {
        language,
        title: page.heading,
        catalogue,
        other_language: Some(other_language),
        is_error: true,
    }
    .page(status, &main)
}
