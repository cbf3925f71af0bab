//! Answers for programs: `202` for an accepted sign-up, and problems as RFC 9457 has them. A problem's
//! `type` is `about:blank`; its `code` tells kinds of one status apart.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{Catalogue, Language, Newsletter};
use serde::Serialize;

use crate::fault::Fault;
use crate::visit::RETRY_AFTER_SECONDS;

#[derive(Serialize)]
struct Accepted {
    status: &'static str,
    detail: &'static str,
}

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    type_: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_notice: Option<CurrentNotice<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    current_notices: Vec<CurrentNotice<'a>>,
}

#[derive(Serialize)]
struct FieldError<'a> {
    field: &'a str,
    code: &'static str,
    message: &'static str,
}

#[derive(Serialize, Clone)]
struct CurrentNotice<'a> {
    newsletter: &'a str,
    language: &'static str,
    hash: String,
    text: &'a str,
    url: String,
}

/// 202: the same bytes for every address (`DESIGN.md` P7).
pub(crate) fn accepted(language: Language) -> Response {
    let detail = match language {
        Language::En => {
            "If this address can get the newsletter, an email with a link to confirm is on its way to it."
        }
        Language::Cy => {
            "Os gall y cyfeiriad hwn gael y cylchlythyr, mae e-bost gyda dolen i gadarnhau ar ei ffordd iddo."
        }
    };
    let body = Accepted {
        status: "accepted",
        detail,
    };
    json(StatusCode::ACCEPTED, "application/json", language, &body)
}

/// 422 that names each field.
pub(crate) fn not_valid(language: Language, faults: &[Fault]) -> Response {
    let problem = problem_of(StatusCode::UNPROCESSABLE_ENTITY, "not_valid", language);
    naming(language, problem, faults)
}

/// 404 that names the field.
pub(crate) fn newsletter_not_found(language: Language) -> Response {
    let problem = problem_of(StatusCode::NOT_FOUND, "newsletter_not_found", language);
    naming(language, problem, &[Fault::UnknownNewsletter])
}

fn naming<'a>(language: Language, mut problem: Problem<'a>, faults: &'a [Fault]) -> Response {
    problem.errors = faults
        .iter()
        .map(|fault| FieldError {
            field: fault.field_name(),
            code: fault.code(),
            message: fault.message(language),
        })
        .collect();
    answer(language, &problem)
}

/// 409 with the notices that are shown now: `current_notices` for each newsletter of the sign-up, and
/// `current_notice`, the first, for the usual case of one.
pub(crate) fn outdated_notice(
    language: Language,
    newsletters: &[&Newsletter],
    catalogue: &Catalogue,
    base_url: &str,
) -> Response {
    let mut problem = problem_of(StatusCode::CONFLICT, "notice_outdated", language);
    problem.current_notices = newsletters
        .iter()
        .filter_map(|newsletter| {
            let notice = catalogue.current_notice(newsletter, language)?;
            let slug = newsletter.slug.as_str();
            Some(CurrentNotice {
                newsletter: slug,
                language: notice.language.tag(),
                hash: notice.hash.to_string(),
                text: &notice.text,
                url: format!(
                    "{base_url}/newsletters/{slug}?lang={}",
                    notice.language.tag()
                ),
            })
        })
        .collect();
    problem.current_notice = problem.current_notices.first().cloned();
    answer(language, &problem)
}

/// 405, 413, 415 and 503, of which the sender can only be told.
pub(crate) fn problem(status: StatusCode, code: &'static str, language: Language) -> Response {
    let mut response = answer(language, &problem_of(status, code, language));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
}

fn problem_of(status: StatusCode, code: &'static str, language: Language) -> Problem<'static> {
    Problem {
        type_: "about:blank",
        title: status.canonical_reason().unwrap_or("Problem"),
        status: status.as_u16(),
        code,
        detail: detail(status, language),
        errors: Vec::new(),
        current_notice: None,
        current_notices: Vec::new(),
    }
}

const fn detail(status: StatusCode, language: Language) -> &'static str {
    let (english, welsh) = match status {
        StatusCode::NOT_FOUND => (
            "There is no newsletter of this name that takes sign-ups. Nothing was kept.",
            "Nid oes cylchlythyr o’r enw hwn sy’n derbyn cofrestriadau. Ni chadwyd dim.",
        ),
        StatusCode::METHOD_NOT_ALLOWED => (
            "Sign-ups are sent here by POST.",
            "Anfonir cofrestriadau yma drwy POST.",
        ),
        StatusCode::CONFLICT => (
            "The notice that was on screen is no longer the current one. Show the current notice and send its hash. Nothing was kept.",
            "Nid yr hysbysiad a oedd ar y sgrin yw’r un cyfredol mwyach. Dangoswch yr hysbysiad cyfredol ac anfonwch ei god. Ni chadwyd dim.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => (
            "A sign-up has at most 16 kilobytes. Nothing was read.",
            "Mae gan gofrestriad 16 cilobeit ar y mwyaf. Ni ddarllenwyd dim.",
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            "Send application/x-www-form-urlencoded, multipart/form-data or application/json, not compressed.",
            "Anfonwch application/x-www-form-urlencoded, multipart/form-data neu application/json, heb eu cywasgu.",
        ),
        StatusCode::SERVICE_UNAVAILABLE => (
            "We cannot take sign-ups at the moment. Nothing was kept; try again later.",
            "Ni allwn dderbyn cofrestriadau ar hyn o bryd. Ni chadwyd dim; rhowch gynnig arall arni yn nes ymlaen.",
        ),
        _ => (
            "Some of what was sent has to be put right. Nothing was kept.",
            "Rhaid cywiro rhywfaint o’r hyn a anfonwyd. Ni chadwyd dim.",
        ),
    };
    match language {
        Language::En => english,
        Language::Cy => welsh,
    }
}

fn answer(language: Language, problem: &Problem<'_>) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    json(status, "application/problem+json", language, problem)
}

fn json(
    status: StatusCode,
    content_type: &'static str,
    language: Language,
    body: &impl Serialize,
) -> Response {
    // Structs of texts and numbers always become JSON.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_LANGUAGE, language.tag()),
    ];
    page_frame::secured((status, headers, body).into_response())
}

/// Whether JSON has a greater weight than HTML in these `Accept` lines (RFC 9110, 12.5.1). `*/*`
/// alone, as curl sends it, is no preference.
pub(crate) fn prefers_json<'a>(accept: impl Iterator<Item = &'a str>) -> bool {
    let (mut json, mut html) = (0.0_f32, 0.0_f32);
    for range in accept.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(1.0, |q| q.parse().unwrap_or(0.0));
        match media.as_str() {
            "application/json" | "application/problem+json" => json = json.max(weight),
            "text/html" | "application/xhtml+xml" => html = html.max(weight),
            _ => {}
        }
    }
    json > html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_to_be_asked_for() {
        for (accept, expected) in [
            ("application/json", true),
            ("application/json, text/html;q=0.9", true),
            ("Application/Problem+JSON", true),
            ("text/html,application/xhtml+xml,*/*;q=0.8", false),
            ("application/json;q=0.5, text/html", false),
            ("*/*", false),
            ("", false),
            (";;q=,,", false),
        ] {
            assert_eq!(prefers_json([accept].into_iter()), expected, "{accept}");
        }
    }
}
