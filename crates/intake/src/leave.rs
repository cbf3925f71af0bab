//! `/leave`: for somebody who wants to leave and has no mail with a link at hand. They type their address
//! and get the links by mail. The page answers everybody alike, since this role knows nothing of an address;
//! whom a mail goes to, and how often, the registrar decides (`privacy.md` 7.1).

use address_seal::Purpose;
use askama::Template;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{BoxId, EmailAddress, EventId, Language, LookUp, Request};
use page_frame::Frame;

use crate::body_reader::{self, NoBody};
use crate::fault::{Fault, Field};
use crate::fields::Fields;
use crate::leave_words::LeaveWords;
use crate::visit::{RETRY_AFTER_SECONDS, Visit};
use crate::{checks, form_fields};

#[derive(Template)]
#[template(path = "leave.html")]
struct FormMain<'a> {
    words: &'static LeaveWords,
    language: Language,
    email: &'a str,
    error: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "leave_asked.html")]
struct AskedMain {
    words: &'static LeaveWords,
    language: Language,
}

/// The form.
pub(crate) async fn show(visit: Visit) -> Response {
    let language = visit.language(Language::En);
    form(&visit, language, "", None)
}

/// What comes after it, the same for everybody.
pub(crate) async fn asked(visit: Visit) -> Response {
    let language = visit.language(Language::En);
    let words = LeaveWords::in_language(language);
    visit
        .frame(language, words.asked_title)
        .page(StatusCode::OK, &AskedMain { words, language })
}

/// 405 for everything but the form and its button.
pub(crate) async fn only_get_and_post(visit: Visit) -> Response {
    let language = visit.language(Language::En);
    page_frame::method_not_allowed(&visit.catalogue, language, "GET, HEAD, POST")
}

/// Takes the question.
pub(crate) async fn ask(visit: Visit, body: Body) -> Response {
    let response = answer(&visit, body).await;
    let outcome = match response.status() {
        StatusCode::SEE_OTHER => "accepted",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ => "invalid",
    };
    metrics::counter!("letterbox_leave_questions_total", "outcome" => outcome).increment(1);
    response
}

async fn answer(visit: &Visit, body: Body) -> Response {
    let language = visit.language(Language::En);
    let mut fields = match read(visit, body).await {
        Ok(fields) => fields,
        Err(response) => return response,
    };
    let address = checks::address_of(&mut fields);
    let typed = fields.email.as_deref().map_or("", |email| email.as_str());
    let Some(address) = address else {
        let fault = fields.faults.iter().find(|it| it.field() == Field::Email);
        let fault = fault.unwrap_or(&Fault::Missing(Field::Email));
        return form(visit, language, typed, Some(fault.message(language)));
    };
    match spool(visit, address, language).await {
        Ok(()) => {
            let location = format!("/leave/asked?lang={}", language.tag());
            (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
        }
        Err(NotSpooled) => page_frame::unavailable(&visit.catalogue, language, RETRY_AFTER_SECONDS),
    }
}

async fn read(visit: &Visit, body: Body) -> Result<Fields, Response> {
    let language = visit.language(Language::En);
    let catalogue = &visit.catalogue;
    let content_type = visit.headers.get(header::CONTENT_TYPE).cloned();
    let content_type = content_type.unwrap_or(HeaderValue::from_static(""));
    let media = content_type
        .to_str()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is_multipart = media.starts_with("multipart/form-data");
    if !is_multipart && !media.starts_with("application/x-www-form-urlencoded") {
        return Err(page_frame::unreadable_type(catalogue, language));
    }
    match body_reader::read(&visit.headers, body).await {
        Ok(body) if is_multipart => Ok(form_fields::multipart(body, &content_type).await),
        Ok(body) => Ok(form_fields::urlencoded(&body)),
        Err(NoBody::TooLarge) => Err(page_frame::too_large(catalogue, language)),
        Err(NoBody::Broken) => Err(form(visit, language, "", None)),
    }
}

/// The question is not on disk, and why is in the log.
struct NotSpooled;

/// Seals the address, lets go of it, and waits until the question is safe on disk.
async fn spool(visit: &Visit, address: EmailAddress, language: Language) -> Result<(), NotSpooled> {
    let doors = &visit.doors;
    let event_id = EventId::new(doors.entropy.sixteen());
    let sealed = doors
        .sealer
        .seal(&address, Purpose::LookUp, BoxId::from(event_id))
        .map_err(|error| {
            tracing::error!(%error, "a question was refused: its address could not be sealed");
            NotSpooled
        })?;
    drop(address);
    let request = Request::LookUp(LookUp { sealed, language });
    match doors.spool.accept(event_id, &request).await {
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, "a question was refused: the spool did not take it");
            Err(NotSpooled)
        }
    }
}

fn form(visit: &Visit, language: Language, email: &str, error: Option<&'static str>) -> Response {
    let words = LeaveWords::in_language(language);
    let main = FormMain {
        words,
        language,
        email,
        error,
    };
    let status = match error {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    Frame {
        is_error: error.is_some(),
        ..visit.frame(language, words.title)
    }
    .page(status, &main)
}
