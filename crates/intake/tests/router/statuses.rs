//! Sign-ups that are refused as a whole, by status: 404, 409, 413, 415, 422 for their header, 503; and
//! nothing in the spool afterwards.

use axum::body::Body as HttpBody;
use axum::http::{Request, StatusCode, header};
use domain::Language;
use serde_json::json;
use shipper::CatalogueCopy;

use crate::refusals::{FORM, form_with, good_json, json_with, long};
use crate::support::{Answer, CANARY, Role, catalogue, notice, superseded};

#[tokio::test]
async fn a_newsletter_that_is_closed_or_unknown_is_404() {
    let role = Role::new();
    for slug in ["closed", "nothing"] {
        let answer = role.post_json(&json_with("newsletter", json!(slug))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.json()["code"], "newsletter_not_found");
        assert_eq!(answer.errors(), ["newsletter unknown"]);
        let body = form_with("newsletter", &format!("newsletter={slug}"));
        let page = role.post("/subscriptions", FORM, body).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND);
        page.assert_has(&[
            "<code>newsletter</code>: Choose a newsletter that takes sign-ups",
            "href=\"/newsletters?lang=en\"",
        ]);
    }
}

#[tokio::test]
async fn a_notice_that_is_too_old_or_of_another_newsletter_is_409_with_the_current_one() {
    let role = Role::new();
    for hash in [superseded(31), notice(2, Language::En), "0".repeat(64)] {
        let answer = role.post_json(&json_with("notice", json!(hash))).await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        let problem = answer.json();
        assert_eq!(problem["current_notice"]["hash"], notice(1, Language::En));
        assert_eq!(problem["current_notices"][0], problem["current_notice"]);
        let url = "https://news.example.org/newsletters/council-news?lang=en";
        assert_eq!(problem["current_notice"]["url"], url);

        let page = role
            .post(
                "/subscriptions",
                FORM,
                form_with("notice", &format!("notice={hash}")),
            )
            .await;
        assert_eq!(page.status, StatusCode::CONFLICT);
        page.assert_has(&[
            "What we say about your data has changed",
            &format!("value=\"{CANARY}\""),
            &format!("name=\"notice\" value=\"{}\"", notice(1, Language::En)),
        ]);
        assert_eq!(page.body.matches("<button").count(), 1);
    }
    assert!(role.spooled().is_empty());
    let retried = role.post_json(&good_json()).await;
    assert_eq!(retried.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_hash_under_another_newsletters_name_does_not_count() {
    let role = Role::new();
    let notices = json!({"bin-days": notice(1, Language::En)});
    let answer = role.post_json(&json_with("notice", notices)).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_body_over_16_kib_is_413_for_everybody() {
    let role = Role::new();
    let body = format!("{}&pad={}", form_with("", ""), long(16 * 1024));
    for content_type in [FORM, "application/json", "multipart/form-data; boundary=x"] {
        let answer = role
            .post("/subscriptions", content_type, body.clone())
            .await;
        assert_eq!(
            answer.status,
            StatusCode::PAYLOAD_TOO_LARGE,
            "{content_type}"
        );
    }
    assert!(role.spooled().is_empty());
}

#[tokio::test]
async fn a_body_of_another_type_is_415() {
    let role = Role::new();
    for content_type in ["text/plain", "application/xml", "", "application/jsonp"] {
        let page = role.post("/subscriptions", content_type, "email=x").await;
        assert_eq!(
            page.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{content_type}"
        );
        page.assert_has(&["application/x-www-form-urlencoded"]);
    }
    for content_type in ["application/vnd.api+json", "text/json; charset=utf-8"] {
        let answer = role.post("/subscriptions", content_type, "{}").await;
        assert_eq!(answer.json()["status"], 415, "{content_type}");
    }
    let bare = Request::post("/subscriptions")
        .header(header::ACCEPT, "application/json")
        .body(HttpBody::from("x"))
        .unwrap();
    let answer = role.send(bare).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(answer.json()["code"], "unreadable_type");
}

#[tokio::test]
async fn a_compressed_body_is_415_and_not_a_lack_of_fields() {
    let role = Role::new();
    for (encoding, status) in [
        ("gzip", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("identity, br", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("Identity", StatusCode::ACCEPTED),
    ] {
        let request = Request::post("/subscriptions")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_ENCODING, encoding)
            .body(HttpBody::from(good_json().to_string()))
            .unwrap();
        assert_eq!(role.send(request).await.status, status, "{encoding}");
    }
}

async fn with_key(role: &Role, keys: &[&[u8]]) -> Answer {
    let mut request =
        Request::post("/subscriptions").header(header::CONTENT_TYPE, "application/json");
    for key in keys {
        request = request.header("Idempotency-Key", *key);
    }
    let body = HttpBody::from(good_json().to_string());
    role.send(request.body(body).unwrap()).await
}

#[tokio::test]
async fn an_idempotency_key_that_is_wrong_is_named() {
    let role = Role::new();
    let (fits, too_long) = ([b'k'; 255], [b'k'; 256]);
    assert_eq!(with_key(&role, &[&fits]).await.status, StatusCode::ACCEPTED);
    for (keys, code) in [
        (&[&b""[..]][..], "wrong_value"),
        (&[&too_long[..]], "wrong_value"),
        (&[b"a b"], "wrong_value"),
        (&[b"\xe9"], "wrong_value"),
        (&[b"a", b"a"], "duplicated"),
    ] {
        let answer = with_key(&role, keys).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.errors(), [format!("Idempotency-Key {code}")]);
    }
    assert_eq!(role.spooled().len(), 1);
}

#[tokio::test]
async fn a_form_that_wants_json_gets_its_problem_as_json() {
    let request = Request::post("/subscriptions")
        .header(header::CONTENT_TYPE, FORM)
        .header(header::ACCEPT, "application/json")
        .header(header::ACCEPT_LANGUAGE, "cy")
        .body(HttpBody::from("email=x&newsletter=council-news&notice="))
        .unwrap();
    let answer = Role::new().send(request).await;
    assert_eq!(answer.errors(), ["email no_at", "notice missing"]);
    assert_eq!(answer.headers[header::CONTENT_LANGUAGE], "cy");
    answer.assert_has(&["gydag @"]);
}

#[tokio::test]
async fn a_full_spool_or_no_catalogue_is_503_and_never_a_false_promise() {
    let no_catalogue = CatalogueCopy::load("/nowhere/catalogue.json".into());
    for role in [
        Role::with(CatalogueCopy::fixed(catalogue()), 0),
        Role::with(no_catalogue, spool::REQUEST_LIMIT_BYTES),
    ] {
        let answer = role.post_json(&good_json()).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers[header::RETRY_AFTER], "120");
        assert_eq!(answer.json()["code"], "unavailable");
        let page = role.post("/subscriptions", FORM, form_with("", "")).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(page.headers[header::RETRY_AFTER], "120");
        assert!(role.spooled().is_empty());
    }
}
