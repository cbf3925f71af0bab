//! The frame and the problem pages as a browser gets them.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, in its helpers too"
)]

use axum::Router;
use axum::body::Body as HttpBody;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use domain::{Body, Catalogue, Language, Words};
use http_body_util::BodyExt;
use page_frame::{FieldProblem, SecurityHeaders};
use tower::ServiceExt;

fn catalogue() -> Catalogue {
    let words = |en: &str, cy: &str| Words {
        en: en.into(),
        cy: Some(cy.into()),
    };
    Catalogue {
        body: Some(Body {
            name: words("Council of <Example>", "Cyngor <Enghraifft>"),
            dpo_email: "dpo@council.example".into(),
            dpo_post: vec!["1 High Street".into(), "AB1 2CD".into()],
            regulator_name: words("Information Commissioner", "Comisiynydd Gwybodaeth"),
            regulator_url: "https://regulator.example/".into(),
            colour: "#ffdd00".into(),
            reply_to: "news@council.example".into(),
        }),
        ..Catalogue::default()
    }
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn problem_pages(catalogue: &Catalogue, language: Language) -> Vec<(StatusCode, Response)> {
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let problems = [FieldProblem {
        field: "email",
        message: "Write <it> right.".into(),
    }];
    vec![
        (
            StatusCode::NOT_FOUND,
            page_frame::broken_link(catalogue, language),
        ),
        (
            StatusCode::NOT_FOUND,
            page_frame::not_found(catalogue, language),
        ),
        (
            StatusCode::METHOD_NOT_ALLOWED,
            page_frame::method_not_allowed(catalogue, language, "GET"),
        ),
        (
            StatusCode::PAYLOAD_TOO_LARGE,
            page_frame::too_large(catalogue, language),
        ),
        (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            page_frame::unreadable_type(catalogue, language),
        ),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            page_frame::unavailable(catalogue, language, 120),
        ),
        (
            unprocessable,
            page_frame::not_valid(catalogue, language, unprocessable, &problems),
        ),
    ]
}

#[tokio::test]
async fn every_problem_page_is_whole_in_both_languages() {
    let catalogue = catalogue();
    for (language, error, officer) in [
        (Language::En, "<title>Error: ", "Data Protection Officer"),
        (Language::Cy, "<title>Gwall: ", "Swyddog Diogelu Data"),
    ] {
        for (status, response) in problem_pages(&catalogue, language) {
            assert_eq!(response.status(), status);
            for (name, value) in SecurityHeaders::ALL {
                assert_eq!(response.headers().get(&name), Some(&value), "{name}");
            }
            assert!(!response.headers().contains_key(header::SET_COOKIE));
            let page = text(response).await;
            for part in [
                &*format!("<html lang=\"{}\">", language.tag()),
                error,
                officer,
                "mailto:dpo@council.example",
                "1 High Street<br>AB1 2CD",
                "https://regulator.example/",
                &*format!("/privacy?lang={}", language.tag()),
                "<a class=\"skip-link\" href=\"#main\">",
            ] {
                assert!(page.contains(part), "{status}: no {part:?} in {page}");
            }
            assert_eq!(page.matches("<h1>").count(), 1);
            for forbidden in ["<script", "style=", "<Example>", "<Enghraifft>", "<it>"] {
                assert!(!page.contains(forbidden), "{status}: {forbidden}");
            }
        }
    }
}

#[tokio::test]
async fn the_two_languages_share_no_heading() {
    let catalogue = Catalogue::default();
    let english = problem_pages(&catalogue, Language::En);
    let welsh = problem_pages(&catalogue, Language::Cy);
    for ((_, english), (_, welsh)) in english.into_iter().zip(welsh) {
        let heading = |page: String| {
            let from = page.find("<h1>").unwrap();
            page[from..].split('\n').next().unwrap().to_owned()
        };
        assert_ne!(heading(text(english).await), heading(text(welsh).await));
    }
}

#[tokio::test]
async fn the_sheet_that_a_page_names_is_served_and_kept() {
    let page = text(page_frame::not_found(&catalogue(), Language::En)).await;
    let start = "rel=\"stylesheet\" href=\"";
    let from = page.find(start).unwrap() + start.len();
    let href = page[from..]
        .split('"')
        .next()
        .unwrap()
        .replace("&#38;", "&");
    let get = async |target: &str| {
        let router: Router = page_frame::styles();
        let request = Request::get(target).body(HttpBody::empty()).unwrap();
        router.oneshot(request).await.unwrap()
    };
    let sheet = get(&href).await;
    assert_eq!(
        sheet.headers()[header::CONTENT_TYPE],
        "text/css; charset=utf-8"
    );
    let kept = "public, max-age=31536000, immutable";
    assert_eq!(sheet.headers()[header::CACHE_CONTROL], kept);
    let router: Router = page_frame::styles();
    let wrong = Request::post(&href).body(HttpBody::empty()).unwrap();
    let refused = router.oneshot(wrong).await.unwrap();
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    for (name, value) in SecurityHeaders::ALL {
        assert_eq!(refused.headers().get(&name), Some(&value), "{name}");
    }
    let sheet = text(sheet).await;
    assert!(
        !sheet.contains("--body: #ffdd00"),
        "white text could not be read on it"
    );
    for other in [
        "/assets/letterbox.css",
        "/assets/letterbox.css?colour=red;}*{display:none&v=0",
        "/assets/letterbox.css?colour=%ff",
    ] {
        let response = get(other).await;
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-cache");
        assert!(text(response).await.starts_with(":root { --body: #1f3a5f;"));
    }
}

#[tokio::test]
async fn the_answers_for_programs_are_one_line() {
    let line = page_frame::broken_link_line();
    assert_eq!(line.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        line.headers()[header::CONTENT_TYPE],
        "text/plain; charset=utf-8"
    );
    assert_eq!(text(line).await, "This link is not working.\n");
}
