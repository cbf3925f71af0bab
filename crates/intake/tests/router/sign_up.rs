//! Sign-ups that are accepted: what the sender is told, and what is spooled.

use std::fs;

use axum::body::Body as HttpBody;
use axum::http::{Request, StatusCode, header};
use domain::{BoxId, Channel, Choice, Language, NewsletterNumber, NoticeHash, SignUp};
use serde_json::json;

use crate::support::{CANARY, Role, notice, superseded};

fn only_sign_up(role: &Role) -> (domain::EventId, SignUp) {
    let spooled = role.spooled();
    assert_eq!(spooled.len(), 1);
    match spooled.into_iter().next().unwrap() {
        domain::AcceptedRequest {
            event_id,
            request: domain::Request::SignUp(sign_up),
            ..
        } => (event_id, sign_up),
        other => panic!("{other:?}"),
    }
}

fn choice(number: u64, language: Language) -> Choice {
    Choice {
        newsletter: NewsletterNumber(number),
        notice: NoticeHash::from_hex(&notice(number, language)).unwrap(),
    }
}

#[tokio::test]
async fn the_hosted_form_as_a_browser_sends_it_is_accepted() {
    let role = Role::new();
    let page = role.get("/newsletters/council-news?lang=cy").await;
    let hidden = |name: &str| {
        let start = format!("name=\"{name}\" value=\"");
        let from = page.body.find(&start).unwrap() + start.len();
        page.body[from..].split('"').next().unwrap().to_owned()
    };
    let (newsletter, notice_hash) = (hidden("newsletter"), hidden("notice"));
    let wording = hidden("wording");
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("email", &format!("  {CANARY}\t"))
        .append_pair("newsletter", &newsletter)
        .append_pair("notice", &notice_hash)
        .append_pair("wording", &wording)
        .finish();
    let request = Request::post("/subscriptions?lang=cy")
        .header(
            header::CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=UTF-8",
        )
        .header(header::ORIGIN, "https://news.example.org")
        .body(HttpBody::from(body))
        .unwrap();
    let answer = role.send(request).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let location = answer.headers[header::LOCATION].to_str().unwrap();
    assert_eq!(location, "/newsletters/council-news/thank-you?lang=cy");
    assert_eq!(role.get(location).await.status, StatusCode::OK);

    let (event_id, sign_up) = only_sign_up(&role);
    assert_eq!(sign_up.choices, [choice(1, Language::Cy)]);
    assert_eq!(sign_up.language, Language::Cy);
    assert_eq!(sign_up.channel, Channel::Web);
    assert_eq!(sign_up.origin.as_deref(), Some("https://news.example.org"));
    assert!(sign_up.wording.is_some());
    assert_eq!(sign_up.sealed.as_bytes().len(), 115);
    assert_ne!(BoxId::from(event_id).as_bytes(), &[0; 16]);
}

#[tokio::test]
async fn json_is_accepted_with_the_same_bytes_for_every_address() {
    let role = Role::new();
    let mut answers = Vec::new();
    for email in [CANARY, CANARY, "somebody.else@elsewhere.example"] {
        let answer = role
            .post_json(&json!({
                "email": email, "newsletter": "council-news", "notice": notice(1, Language::En),
            }))
            .await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
        assert_eq!(answer.json()["status"], "accepted");
        answers.push(answer);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(role.spooled().len(), 3);
}

#[tokio::test]
async fn a_form_that_prefers_json_is_answered_in_json() {
    let role = Role::new();
    let hash = notice(1, Language::En);
    let request = Request::post("/subscriptions")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json")
        .body(HttpBody::from(format!(
            "email=a%40b.example&newsletter=council-news&notice={hash}"
        )))
        .unwrap();
    let answer = role.send(request).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.json()["status"], "accepted");
    assert_eq!(only_sign_up(&role).1.channel, Channel::Web);
}

#[tokio::test]
async fn several_newsletters_are_one_request_with_the_notice_of_each() {
    let role = Role::new();
    let answer = role
        .post_json(&json!({
            "email": CANARY, "newsletter": ["bin-days", "council-news"], "language": "cy",
            "notice": {"council-news": notice(1, Language::Cy), "bin-days": notice(2, Language::En)},
        }))
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    let (_, sign_up) = only_sign_up(&role);
    assert_eq!(
        sign_up.choices,
        [choice(2, Language::En), choice(1, Language::Cy)]
    );
    assert_eq!(
        (sign_up.language, sign_up.channel),
        (Language::Cy, Channel::Api)
    );
    assert_eq!(sign_up.wording, None);
}

#[tokio::test]
async fn a_form_with_check_boxes_may_send_the_notices_of_all_its_newsletters() {
    let role = Role::new();
    let answer = role
        .post_form(&[
            ("notice", &notice(2, Language::En)),
            ("notice", &notice(1, Language::En)),
            ("notice", &notice(1, Language::Cy)),
            ("newsletter", "council-news"),
            ("language", "cy"),
            ("email", CANARY),
            ("csrf_token_of_the_cms", CANARY),
        ])
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(only_sign_up(&role).1.choices, [choice(1, Language::Cy)]);
}

#[tokio::test]
async fn multipart_forms_are_read_too() {
    let role = Role::new();
    let part = |name: &str, value: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = [
        part("email", CANARY),
        part("newsletter", "council-news"),
        part("notice", &notice(1, Language::En)),
        "--x\r\nContent-Disposition: form-data; name=\"cms\"; filename=\"a.bin\"\r\n\r\n\u{0}\r\n"
            .into(),
        "--x--\r\n".into(),
    ]
    .concat();
    let answer = role
        .post("/subscriptions", "multipart/form-data; boundary=x", body)
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    only_sign_up(&role);
}

#[tokio::test]
async fn the_language_is_the_one_chosen_else_the_pages_else_the_newsletters_first() {
    for (target, newsletter, chosen, expected) in [
        ("/subscriptions", "council-news", None, Language::En),
        ("/subscriptions", "council-news", Some("cy"), Language::Cy),
        ("/subscriptions?lang=cy", "council-news", None, Language::Cy),
        (
            "/subscriptions?lang=cy",
            "council-news",
            Some("en"),
            Language::En,
        ),
        ("/subscriptions?lang=cy", "bin-days", None, Language::En),
        (
            "/subscriptions?lang=cy",
            "council-news",
            Some(""),
            Language::Cy,
        ),
    ] {
        let role = Role::new();
        let number = if newsletter == "bin-days" { 2 } else { 1 };
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("email", CANARY)
            .append_pair("newsletter", newsletter)
            .append_pair("notice", &notice(number, Language::En));
        if let Some(chosen) = chosen {
            form.append_pair("language", chosen);
        }
        let content_type = "application/x-www-form-urlencoded";
        role.post(target, content_type, form.finish()).await;
        assert_eq!(
            only_sign_up(&role).1.language,
            expected,
            "{target} {chosen:?}"
        );
    }
}

#[tokio::test]
async fn a_notice_superseded_30_days_ago_is_still_accepted_and_named() {
    let role = Role::new();
    let answer = role
        .post_form(&[
            ("email", CANARY),
            ("newsletter", "council-news"),
            ("notice", &superseded(30).to_uppercase()),
        ])
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let named = only_sign_up(&role).1.choices[0].notice;
    assert_eq!(named.to_string(), superseded(30));
}

#[tokio::test]
async fn one_idempotency_key_of_one_site_is_one_event() {
    let role = Role::new();
    for (origin, key) in [
        ("https://a.example", Some("form-1")),
        ("https://a.example", Some("form-1")),
        ("https://b.example", Some("form-1")),
        ("https://a.example", Some("form-2")),
        ("https://a.example", None),
        ("https://a.example", None),
    ] {
        let body = json!({
            "email": CANARY, "newsletter": "council-news", "notice": notice(1, Language::En),
        });
        let mut request = Request::post("/subscriptions")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ORIGIN, origin);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = role
            .send(request.body(HttpBody::from(body.to_string())).unwrap())
            .await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
    }
    let ids: Vec<_> = role.spooled().iter().map(|one| one.event_id).collect();
    assert_eq!(ids[0], ids[1]);
    let different: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(different.len(), 5);
}

#[tokio::test]
async fn only_an_origin_is_recorded_as_one() {
    let fits = format!("https://{}", "o".repeat(247));
    let too_long = format!("https://{}", "o".repeat(248));
    for (origin, kept) in [
        (&b"null"[..], Some("null")),
        (
            b"https://xn--bcher-kva.example:8443",
            Some("https://xn--bcher-kva.example:8443"),
        ),
        (b"http://[2001:db8::1]", Some("http://[2001:db8::1]")),
        (b"moz-extension://a-b", Some("moz-extension://a-b")),
        (fits.as_bytes(), Some(&*fits)),
        (too_long.as_bytes(), None),
        // A program may send anything, and an address would stand in the database as typed.
        (b"https://rhian.canary@post.example", None),
        (b"https://site.example/?e=rhian.canary%40post.example", None),
        (b"rhian.canary+tag@post.example", None),
        (b"https://site.example/", None),
        (b"https://", None),
        (b"javascript:alert(1)", None),
        (b"https://<b>", None),
        (b"\xff", None),
        (b"", None),
    ] {
        let role = Role::new();
        let body = json!({
            "email": CANARY, "newsletter": "council-news", "notice": notice(1, Language::En),
        });
        let request = Request::post("/subscriptions")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ORIGIN, origin)
            .body(HttpBody::from(body.to_string()))
            .unwrap();
        assert_eq!(role.send(request).await.status, StatusCode::ACCEPTED);
        assert_eq!(only_sign_up(&role).1.origin.as_deref(), kept);
    }
}

#[tokio::test]
async fn the_address_is_nowhere_in_the_spools_files() {
    let role = Role::new();
    let page = "https://site.example";
    let body = json!({
        "email": CANARY, "newsletter": "council-news", "notice": notice(1, Language::En),
    });
    let request = Request::post("/subscriptions")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ORIGIN, page)
        .body(HttpBody::from(body.to_string()))
        .unwrap();
    role.send(request).await;
    let mut bytes = Vec::new();
    for entry in fs::read_dir(role.folder.path().join("spool")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            bytes.extend(fs::read(path).unwrap());
        }
    }
    let holds = |text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(holds(page), "the search finds what is there");
    assert!(!holds("rhian.canary"));
    assert!(!holds("post.example"));
}
