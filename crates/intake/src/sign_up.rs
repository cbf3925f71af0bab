//! `POST /subscriptions`: an HTML form gets pages and a 303, a JSON client gets JSON; both are
//! checked, sealed and spooled alike.
//!
//! Fields: `email`, `newsletter` (a slug, repeatable), `notice` (the hash of the notice on screen, 64
//! hexadecimal digits, repeatable: each newsletter has to find one of its own among them; in JSON also
//! an object of slug to hash), `language` (`en` or `cy`, optional). The header `Idempotency-Key` (1 to
//! 255 visible ASCII characters) makes one request of all that carry it from one site.

use address_seal::Purpose;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{BoxId, Channel, EventId, Language, Newsletter, Request, SignUp};
use page_frame::FieldProblem;

use crate::body_reader::{self, NoBody};
use crate::checks::{self, Checked, Obstacle};
use crate::fault::{Fault, Field};
use crate::fields::Fields;
use crate::sign_up_form::{self, Shown, Typed};
use crate::visit::{RETRY_AFTER_SECONDS, Visit, first_language};
use crate::{api_answers, form_fields, json_fields, origin};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest `Idempotency-Key` that is taken, in bytes.
const KEY_LIMIT: usize = 255;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyKind {
    Urlencoded,
    Multipart,
    Json,
}

impl BodyKind {
    fn of(headers: &HeaderMap) -> Option<Self> {
        match media_type(headers)?.as_str() {
            "application/x-www-form-urlencoded" => Some(Self::Urlencoded),
            "multipart/form-data" => Some(Self::Multipart),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// What the body is said to be, without parameters, in small letters.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let media = content_type.split(';').next().unwrap_or_default().trim();
    Some(media.to_ascii_lowercase())
}

/// Whether the body is JSON of any kind: only a program sends that.
fn is_any_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media| media.ends_with("/json") || media.ends_with("+json"))
}

/// Whether the body is compressed. Nothing here unpacks it, and taken as it stands it would only seem
/// to lack fields.
fn is_compressed(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Takes a sign-up, or says why not.
pub(crate) async fn accept(visit: Visit, body: Body) -> Response {
    let kind = BodyKind::of(&visit.headers).filter(|_| !is_compressed(&visit.headers));
    let attempt = Attempt {
        is_json: is_any_json(&visit.headers) || visit.accepts_json_first(),
        visit,
    };
    let response = attempt.answer(kind, body).await;
    let outcome = match response.status() {
        StatusCode::ACCEPTED | StatusCode::SEE_OTHER => "accepted",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ => "invalid",
    };
    metrics::counter!("letterbox_sign_ups_total", "outcome" => outcome).increment(1);
    response
}

/// 405: sign-ups are only sent, never read.
pub(crate) async fn only_post(visit: Visit) -> Response {
    let language = visit.language(Language::En);
    if visit.accepts_json_first() {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let mut response = api_answers::problem(status, "method_not_allowed", language);
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    page_frame::method_not_allowed(&visit.catalogue, language, "POST")
}

/// One request, and whom it comes from: a program or a browser.
struct Attempt {
    visit: Visit,
    is_json: bool,
}

impl Attempt {
    async fn answer(&self, kind: Option<BodyKind>, body: Body) -> Response {
        let language = self.visit.language(Language::En);
        if !self.visit.doors.catalogue.has_any() {
            return self.unavailable(language);
        }
        let Some(kind) = kind else {
            return self.unreadable_type(language);
        };
        let body = match body_reader::read(&self.visit.headers, body).await {
            Ok(body) => body,
            Err(NoBody::TooLarge) => return self.too_large(language),
            Err(NoBody::Broken) => {
                return self.not_valid(language, &[Fault::UnreadableBody], &[], Typed::default());
            }
        };
        let fields = match kind {
            BodyKind::Urlencoded => form_fields::urlencoded(&body),
            BodyKind::Json => json_fields::json(&body),
            BodyKind::Multipart => {
                let content_type = self.visit.headers.get(header::CONTENT_TYPE).cloned();
                let content_type = content_type.unwrap_or(HeaderValue::from_static(""));
                form_fields::multipart(body, &content_type).await
            }
        };
        if fields.faults.contains(&Fault::UnreadableBody) {
            // What else is missing then is nobody's mistake but this one's.
            return self.not_valid(language, &[Fault::UnreadableBody], &[], Typed::default());
        }
        self.decide(fields, kind).await
    }

    async fn decide(&self, mut fields: Fields, kind: BodyKind) -> Response {
        let key = idempotency_key(&self.visit.headers).unwrap_or_else(|fault| {
            fields.fault(fault);
            None
        });
        let catalogue = &self.visit.catalogue;
        let page = self.visit.asked_language();
        let typed_language = fields.language.as_deref().and_then(Language::from_tag);
        let Ok(newsletters) = checks::newsletters_of(&mut fields, catalogue) else {
            return self.not_found(self.page_language(typed_language, &[]));
        };
        let on_page = self.page_language(typed_language, &newsletters);
        let language = checks::language_of(&mut fields, &newsletters, page);
        let now = self.visit.doors.clock.now();
        let checked = checks::check(&mut fields, &newsletters, language, catalogue, now);
        let typed = Typed {
            email: fields.email.as_deref().map_or("", |email| email.as_str()),
            language: typed_language,
        };
        let checked = match checked {
            Ok(checked) => checked,
            Err(Obstacle::Faults) => {
                fields.faults.sort_by_key(Fault::field);
                return self.not_valid(on_page, &fields.faults, &newsletters, typed);
            }
            Err(Obstacle::OutdatedNotice) => {
                return self.outdated_notice(on_page, &newsletters, typed);
            }
        };
        let wording = fields
            .wording
            .as_deref()
            .and_then(sign_up_form::wording_named);
        let channel = match kind {
            BodyKind::Json => Channel::Api,
            BodyKind::Urlencoded | BodyKind::Multipart => Channel::Web,
        };
        match self.spool(checked, language, channel, wording, key).await {
            Ok(()) => self.accepted(on_page, &newsletters),
            Err(NotSpooled) => self.unavailable(on_page),
        }
    }

    /// Seals the address, lets go of it, and waits until the request is safe on disk.
    async fn spool(
        &self,
        checked: Checked,
        language: Language,
        channel: Channel,
        wording: Option<[u8; 32]>,
        idempotency_key: Option<&str>,
    ) -> Result<(), NotSpooled> {
        let doors = &self.visit.doors;
        let origin = origin::told(&self.visit.headers);
        let event_id = match idempotency_key {
            Some(key) => doors
                .form_stamp
                .idempotent_event_id(origin.unwrap_or_default(), key),
            None => EventId::new(doors.entropy.sixteen()),
        };
        let sealed = doors
            .sealer
            .seal(&checked.address, Purpose::Subscriber, BoxId::from(event_id))
            .map_err(|error| {
                tracing::error!(%error, "a sign-up was refused: its address could not be sealed");
                NotSpooled
            })?;
        drop(checked.address);
        let request = Request::SignUp(SignUp {
            sealed,
            choices: checked.choices,
            language,
            origin: origin.map(str::to_owned),
            channel,
            wording,
        });
        let accepted = doors.spool.accept(event_id, &request).await;
        accepted.map(|_| ()).map_err(|error| {
            tracing::warn!(%error, "a sign-up was refused: the spool did not take it");
            NotSpooled
        })
    }

    /// The language of an answer: the page's, else the one chosen, else the browser's, else the
    /// first newsletter's.
    fn page_language(&self, typed: Option<Language>, newsletters: &[&Newsletter]) -> Language {
        let standard = newsletters
            .first()
            .copied()
            .map_or(Language::En, first_language);
        self.visit
            .asked_language()
            .or(typed)
            .unwrap_or_else(|| self.visit.language(standard))
    }

    fn accepted(&self, language: Language, newsletters: &[&Newsletter]) -> Response {
        if self.is_json {
            return api_answers::accepted(language);
        }
        let slugs: Vec<&str> = newsletters.iter().map(|one| one.slug.as_str()).collect();
        let first = slugs.first().copied().unwrap_or_default();
        let mut location = format!("/newsletters/{first}/thank-you?lang={}", language.tag());
        if slugs.len() > 1 {
            location.push_str("&n=");
            location.push_str(&slugs.join(","));
        }
        page_frame::secured((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
    }

    fn not_valid(
        &self,
        language: Language,
        faults: &[Fault],
        newsletters: &[&Newsletter],
        typed: Typed<'_>,
    ) -> Response {
        if self.is_json {
            return api_answers::not_valid(language, faults);
        }
        if !newsletters.is_empty() {
            let shown = Shown::AgainWith(faults);
            return sign_up_form::page(&self.visit, language, newsletters, shown, typed);
        }
        self.page_naming(StatusCode::UNPROCESSABLE_ENTITY, language, faults)
    }

    /// A page that names fields, where there is no form to show again.
    fn page_naming(&self, status: StatusCode, language: Language, faults: &[Fault]) -> Response {
        let problems: Vec<FieldProblem> = faults
            .iter()
            .map(|fault| FieldProblem {
                field: fault.field().name(),
                message: fault.message(language).to_owned(),
            })
            .collect();
        page_frame::not_valid(&self.visit.catalogue, language, status, &problems)
    }

    fn outdated_notice(
        &self,
        language: Language,
        newsletters: &[&Newsletter],
        typed: Typed<'_>,
    ) -> Response {
        if self.is_json {
            let base_url = &self.visit.doors.base_url;
            let catalogue = &self.visit.catalogue;
            return api_answers::outdated_notice(language, newsletters, catalogue, base_url);
        }
        sign_up_form::page(
            &self.visit,
            language,
            newsletters,
            Shown::WithNewNotice,
            typed,
        )
    }

    fn not_found(&self, language: Language) -> Response {
        if self.is_json {
            return api_answers::newsletter_not_found(language);
        }
        self.page_naming(StatusCode::NOT_FOUND, language, &[Fault::UnknownNewsletter])
    }

    fn too_large(&self, language: Language) -> Response {
        if self.is_json {
            return api_answers::problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", language);
        }
        page_frame::too_large(&self.visit.catalogue, language)
    }

    fn unreadable_type(&self, language: Language) -> Response {
        if self.is_json {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return api_answers::problem(status, "unreadable_type", language);
        }
        page_frame::unreadable_type(&self.visit.catalogue, language)
    }

    fn unavailable(&self, language: Language) -> Response {
        if self.is_json {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return api_answers::problem(status, "unavailable", language);
        }
        page_frame::unavailable(&self.visit.catalogue, language, RETRY_AFTER_SECONDS)
    }
}

/// The request is not on disk, and why is in the log: the sender has to come again.
#[derive(Debug)]
struct NotSpooled;

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Fault> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (first, second) = (values.next(), values.next());
    let Some(first) = first else { return Ok(None) };
    if second.is_some() {
        return Err(Fault::Duplicated(Field::IdempotencyKey));
    }
    let key = first
        .to_str()
        .ok()
        .filter(|key| (1..=KEY_LIMIT).contains(&key.len()))
        .filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
    key.map(Some)
        .ok_or(Fault::WrongValue(Field::IdempotencyKey))
}
