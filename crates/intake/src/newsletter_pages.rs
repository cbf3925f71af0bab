//! The pages that are only read: the list, a newsletter's form, what comes after it, and the form for
//! other sites.

use askama::Template;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{CONFIRMATION_DAYS, Language, Newsletter};

use crate::said::{Said, said};
use crate::sign_up_form::{self, NoticeOnPage, Shown, Typed};
use crate::visit::Visit;
use crate::words::PageWords;

/// The slug in the address; an address that cannot be decoded names no newsletter.
type SlugInPath = Result<Path<String>, PathRejection>;

/// Sends to the list, in the language that was asked for.
pub(crate) async fn home(visit: Visit) -> Response {
    let location = match visit.asked_language() {
        Some(language) => format!("/newsletters?lang={}", language.tag()),
        None => "/newsletters".to_owned(),
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

#[derive(Template)]
#[template(path = "newsletter_list.html")]
struct ListMain<'a> {
    words: &'static PageWords,
    language: Language,
    newsletters: Vec<Listed<'a>>,
    has_body: bool,
}

struct Listed<'a> {
    slug: &'a str,
    name: Said<'a>,
    summary: Said<'a>,
    frequency: Said<'a>,
}

/// Open newsletters; with none, what comes next.
pub(crate) async fn list(visit: Visit) -> Response {
    if !visit.doors.catalogue.has_any() {
        return visit.unavailable_page();
    }
    let language = visit.language(Language::En);
    let words = PageWords::in_language(language);
    let main = ListMain {
        words,
        language,
        newsletters: visit
            .catalogue
            .open_newsletters()
            .map(|newsletter| Listed {
                slug: newsletter.slug.as_str(),
                name: said(&newsletter.name, language),
                summary: said(&newsletter.summary, language),
                frequency: said(&newsletter.frequency, language),
            })
            .collect(),
        has_body: visit.catalogue.body.is_some(),
    };
    visit
        .frame(language, words.list_title)
        .page(StatusCode::OK, &main)
}

/// A newsletter's page, with the form.
pub(crate) async fn one(slug: SlugInPath, visit: Visit) -> Response {
    let Some(newsletter) = visit.open_newsletter(text_of(&slug)) else {
        return visit.no_newsletter_page();
    };
    let language = visit.language_for(newsletter);
    let shown = Shown::First;
    sign_up_form::page(&visit, language, &[newsletter], shown, Typed::default())
}

#[derive(Template)]
#[template(path = "thank_you.html")]
struct ThankYouMain<'a> {
    words: &'static PageWords,
    next_mail: String,
    next_button: String,
    /// Where there are several, a list instead of the one in the sentence.
    names: Vec<Said<'a>>,
    next_nothing: String,
    no_mail_junk: String,
    href: String,
}

/// What comes after the form, the same for everybody.
pub(crate) async fn thank_you(slug: SlugInPath, visit: Visit) -> Response {
    let Some(newsletter) = visit.open_newsletter(text_of(&slug)) else {
        return visit.no_newsletter_page();
    };
    let language = visit.language_for(newsletter);
    let words = PageWords::in_language(language);
    let sender = &newsletter.sender_address;
    let mut others = visit.named_newsletters();
    others.retain(|other| other.open && other.slug != newsletter.slug);
    let name = newsletter.name.in_language(language);
    let main = ThankYouMain {
        words,
        next_mail: words.next_mail.replace("{sender}", sender),
        next_button: if others.is_empty() {
            words.next_button.replace("{name}", name)
        } else {
            words.next_button_several.to_owned()
        },
        names: if others.is_empty() {
            Vec::new()
        } else {
            std::iter::once(newsletter)
                .chain(others)
                .map(|one| said(&one.name, language))
                .collect()
        },
        next_nothing: words
            .next_nothing
            .replace("{days}", &CONFIRMATION_DAYS.to_string()),
        no_mail_junk: words.no_mail_junk.replace("{sender}", sender),
        href: format!("/newsletters/{}?lang={}", newsletter.slug, language.tag()),
    };
    visit
        .frame(language, words.thanks_title)
        .page(StatusCode::OK, &main)
}

#[derive(Template)]
#[template(path = "form_for_other_sites.html")]
struct FormForOtherSites<'a> {
    words: &'static PageWords,
    language: Language,
    base_url: &'a str,
    newsletter: &'a Newsletter,
    notice: NoticeOnPage<'a>,
    email_id: String,
}

/// The form as plain HTML to paste into any site, without style or script.
pub(crate) async fn form_for_other_sites(slug: SlugInPath, visit: Visit) -> Response {
    let Some(newsletter) = visit.open_newsletter(text_of(&slug)) else {
        return visit.no_newsletter_page();
    };
    let language = visit.language_for(newsletter);
    let Some(notice) = visit.catalogue.current_notice(newsletter, language) else {
        return visit.unavailable_page();
    };
    let form = FormForOtherSites {
        words: PageWords::in_language(language),
        language,
        base_url: &visit.doors.base_url,
        newsletter,
        notice: NoticeOnPage::new(notice, language),
        email_id: format!("letterbox-{}-email", newsletter.slug),
    };
    let Ok(html) = form.render() else {
        return visit.unavailable_page();
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_LANGUAGE, language.tag()),
    ];
    (StatusCode::OK, headers, html).into_response()
}

fn text_of(slug: &SlugInPath) -> Option<&str> {
    slug.as_ref().ok().map(|Path(slug)| slug.as_str())
}
