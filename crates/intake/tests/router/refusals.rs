//! Fields that are refused: each one empty, too long, of a wrong type, in a wrong encoding and sent
//! twice; and nothing in the spool afterwards.

use axum::http::{StatusCode, header};
use domain::Language;
use serde_json::{Value, json};

use crate::support::{CANARY, Role, notice};

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) fn good_json() -> Value {
    json!({
        "email": CANARY, "newsletter": "council-news", "notice": notice(1, Language::En),
        "language": "en",
    })
}

/// The good sign-up with one field changed.
pub(crate) fn json_with(field: &str, value: Value) -> Value {
    let mut body = good_json();
    body[field] = value;
    body
}

pub(crate) fn long(length: usize) -> String {
    "a".repeat(length)
}

#[tokio::test]
async fn json_fields_that_are_wrong_are_named_with_a_code() {
    let role = Role::new();
    let hash = notice(1, Language::En);
    for (field, value, expected) in [
        ("email", json!(null), "email missing"),
        ("email", json!(""), "email missing"),
        ("email", json!(" \t\r\n"), "email missing"),
        ("email", json!(5), "email wrong_type"),
        ("email", json!([CANARY]), "email wrong_type"),
        ("email", json!({"a": CANARY}), "email wrong_type"),
        ("email", json!("rhian.canary.post.example"), "email no_at"),
        ("email", json!("@post.example"), "email no_local_part"),
        ("email", json!("rhian.canary@localhost"), "email one_label"),
        (
            "email",
            json!("rhian.canary@post.example\r\nRCPT"),
            "email space",
        ),
        (
            "email",
            json!("rhian\u{202e}.canary@post.example"),
            "email hidden_character",
        ),
        (
            "email",
            json!(format!("{}@post.example", long(65))),
            "email local_too_long",
        ),
        (
            "email",
            json!(format!("a@{}.example", long(64))),
            "email label_too_long",
        ),
        ("newsletter", json!(null), "newsletter missing"),
        ("newsletter", json!(""), "newsletter missing"),
        ("newsletter", json!([]), "newsletter missing"),
        ("newsletter", json!(1), "newsletter wrong_type"),
        (
            "newsletter",
            json!([["council-news"]]),
            "newsletter wrong_type",
        ),
        (
            "newsletter",
            json!({"council-news": true}),
            "newsletter wrong_type",
        ),
        ("newsletter", json!(long(41)), "newsletter wrong_value"),
        (
            "newsletter",
            json!("Council News"),
            "newsletter wrong_value",
        ),
        (
            "newsletter",
            json!(["council-news", "council-news"]),
            "newsletter duplicated",
        ),
        (
            "newsletter",
            json!(vec!["council-news"; 51]),
            "newsletter too_many",
        ),
        ("language", json!(""), "language wrong_value"),
        ("language", json!("fr"), "language wrong_value"),
        ("language", json!("EN"), "language wrong_value"),
        ("language", json!(long(1_000)), "language wrong_value"),
        ("language", json!(false), "language wrong_type"),
        ("language", json!(["en"]), "language wrong_type"),
        ("notice", json!(null), "notice missing"),
        ("notice", json!(""), "notice missing"),
        ("notice", json!([]), "notice missing"),
        ("notice", json!({}), "notice missing"),
        ("notice", json!("c4"), "notice wrong_value"),
        ("notice", json!(format!("{hash}0")), "notice wrong_value"),
        ("notice", json!(7), "notice wrong_type"),
        ("notice", json!({"council-news": 7}), "notice wrong_type"),
        ("newsletters", json!("council-news"), "newsletters unknown"),
        (CANARY, json!("x"), " unknown"),
    ] {
        let answer = role.post_json(&json_with(field, value.clone())).await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{field} {value}"
        );
        assert_eq!(
            answer.headers[header::CONTENT_TYPE],
            "application/problem+json"
        );
        assert_eq!(answer.errors(), [expected], "{field} {value}");
    }
    assert!(role.spooled().is_empty());
}

#[tokio::test]
async fn json_that_cannot_be_read_is_refused_as_a_whole() {
    let role = Role::new();
    for body in [
        &b""[..],
        b"{",
        b"[]",
        b"\"text\"",
        b"{\"email\":\"\xff\"}",
        b"{\"email\":\"\\ud800\"}",
        b"\xef\xbb\xbf{}",
    ] {
        let answer = role
            .post("/subscriptions", "application/json", body.to_vec())
            .await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.errors(), [" unreadable"]);
    }
}

#[tokio::test]
async fn json_with_a_key_twice_is_refused() {
    let role = Role::new();
    for field in ["email", "newsletter", "language", "notice"] {
        let good = good_json();
        let again = good[field].to_string();
        let body = good
            .to_string()
            .replacen('{', &format!("{{\"{field}\":{again},"), 1);
        let answer = role.post("/subscriptions", "application/json", body).await;
        assert_eq!(answer.errors(), [format!("{field} duplicated")]);
    }
    assert!(role.spooled().is_empty());
}

/// A good form with `replacement` in place of the field's pair.
pub(crate) fn form_with(field: &str, replacement: &str) -> String {
    let hash = notice(1, Language::En);
    [
        ("email", "rhian.canary%2Btag%40post.example"),
        ("newsletter", "council-news"),
        ("notice", &hash),
        ("language", "en"),
    ]
    .iter()
    .map(|(name, value)| {
        if *name == field {
            replacement.to_owned()
        } else {
            format!("{name}={value}")
        }
    })
    .collect::<Vec<_>>()
    .join("&")
}

#[tokio::test]
async fn a_form_with_something_wrong_comes_back_with_what_was_typed() {
    let role = Role::new();
    for (field, replacement, message) in [
        ("email", "", "Enter your email address."),
        ("email", "email", "Enter your email address."),
        ("email", "email=+++", "Enter your email address."),
        ("email", "email=name", "with an @"),
        ("email", "email=a%40b.example&email=a%40b.example", "once"),
        ("email", "email=%zz", "could not read"),
        ("email", "email=%FF%40b.example", "could not read"),
        (
            "language",
            "language=fr",
            "Choose English (en) or Welsh (cy).",
        ),
        (
            "language",
            "language=en&language=en",
            "Choose one language.",
        ),
        ("language", "language=%ff", "Send this field in UTF-8."),
        ("notice", "", "Send the code of the notice"),
        ("notice", "notice=", "Send the code of the notice"),
        ("notice", "notice=zz", "64 digits"),
        ("notice", "notice=%ff", "Send this field in UTF-8."),
        (
            "newsletter",
            "newsletter=council-news&newsletter=council-news",
            "only once",
        ),
    ] {
        let body = form_with(field, replacement);
        let page = role.post("/subscriptions", FORM, body).await;
        assert_eq!(
            page.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{replacement}"
        );
        page.assert_has(&[
            "<title>Error: Sign up to Council news",
            "class=\"error-summary\" role=\"alert\" tabindex=\"-1\" autofocus",
            message,
            "name=\"newsletter\" value=\"council-news\"",
        ]);
        if field != "email" {
            page.assert_has(&[&format!("value=\"{CANARY}\"")]);
        }
    }
    assert!(role.spooled().is_empty());
}

#[tokio::test]
async fn the_summary_has_the_order_of_the_page() {
    let body = "language=fr&newsletter=council-news&email=name";
    let page = Role::new().post("/subscriptions", FORM, body).await;
    let links: Vec<&str> = page
        .body
        .split("<li><a href=\"#")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert_eq!(links, ["email", "language-en", "sign-up"]);
}

#[tokio::test]
async fn what_was_typed_comes_back_escaped_and_in_welsh() {
    let role = Role::new();
    let body = form_with("email", "email=%22%3E%3Cscript%3Ealert(1)");
    let page = role.post("/subscriptions?lang=cy", FORM, body).await;
    page.assert_has(&[
        "<title>Gwall: Cofrestru ar gyfer",
        "value=\"&#34;&#62;&#60;script&#62;alert(1)\"",
        "aria-describedby=\"email-hint email-error\" aria-invalid=\"true\"",
        "gydag @",
        "value=\"en\" checked",
    ]);
}

#[tokio::test]
async fn a_form_without_a_newsletter_gets_a_page_that_names_the_field() {
    let role = Role::new();
    for replacement in ["", "newsletter=", "newsletter=No+Slug", "newsletter=%zz"] {
        let page = role
            .post("/subscriptions", FORM, form_with("newsletter", replacement))
            .await;
        assert_eq!(
            page.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{replacement}"
        );
        page.assert_has(&["<code>newsletter</code>:", "Error: "]);
    }
}

#[tokio::test]
async fn multipart_with_a_file_or_bad_bytes_is_refused_by_field() {
    let role = Role::new();
    let hash = notice(1, Language::En);
    let others = format!(
        "--x\r\nContent-Disposition: form-data; name=\"newsletter\"\r\n\r\ncouncil-news\r\n\
         --x\r\nContent-Disposition: form-data; name=\"notice\"\r\n\r\n{hash}\r\n--x--\r\n"
    );
    let file = "--x\r\nContent-Disposition: form-data; name=\"email\"; filename=\"a\"\r\n\r\na@b.example\r\n";
    let plain = "--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\n";
    for (email, message) in [
        (file.as_bytes().to_vec(), "Send this field as text"),
        (
            [plain.as_bytes(), b"\xff@b.example\r\n"].concat(),
            "could not read",
        ),
    ] {
        let body = [&email[..], others.as_bytes()].concat();
        let page = role
            .post("/subscriptions", "multipart/form-data; boundary=x", body)
            .await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        page.assert_has(&[message]);
    }
    for (content_type, body) in [
        ("multipart/form-data", "--x--"),
        ("multipart/form-data; boundary=x", "--x\r\nbroken"),
    ] {
        let page = role.post("/subscriptions", content_type, body).await;
        assert_eq!(
            page.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{content_type}"
        );
        page.assert_has(&["There is a mistake in what was sent"]);
        assert!(
            !page.body.contains("<code>"),
            "nothing else is said to be wrong"
        );
    }
    assert!(role.spooled().is_empty());
}
