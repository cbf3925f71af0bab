//! RFC 8058, and what mail programs make of it.

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode, Version, header};
use domain::{IssueNumber, KeyId, KeyState, Method, SubscriptionId};
use http_body_util::{BodyExt, Full};
use link_token::{LinkClass, Purpose};

use crate::role::{Role, SUBJECT, keys_of};

const FORM: &str = "application/x-www-form-urlencoded";
const PAIR: &str = "List-Unsubscribe=One-Click";
const MULTIPART: &str = "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\n\
                         One-Click\r\n--x--\r\n";

/// `EML-04`: content type, body, and what else is special.
fn matrix() -> Vec<(&'static str, Request<Body>)> {
    let post = |content_type: Option<&str>, body: Body| {
        let mut request = Request::post("/");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        request.body(body).expect("a well-formed request")
    };
    let mut http_1_0 = post(Some(FORM), PAIR.into());
    *http_1_0.version_mut() = Version::HTTP_10;
    let mut expecting = post(Some(FORM), PAIR.into());
    let headers = expecting.headers_mut();
    headers.insert(header::EXPECT, "100-continue".parse().expect("a value"));
    headers.insert(
        header::ORIGIN,
        "https://evil.example".parse().expect("a value"),
    );
    vec![
        ("urlencoded", post(Some(FORM), PAIR.into())),
        (
            "multipart",
            post(Some("multipart/form-data; boundary=x"), MULTIPART.into()),
        ),
        (
            "a charset",
            post(
                Some("application/x-www-form-urlencoded; charset=\"UTF-8\""),
                PAIR.into(),
            ),
        ),
        (
            "a multipart without its boundary",
            post(Some("multipart/form-data"), MULTIPART.into()),
        ),
        ("no content type", post(None, PAIR.into())),
        ("no body", post(None, Body::empty())),
        ("an empty form", post(Some(FORM), Body::empty())),
        ("JSON", post(Some("application/json"), "{\"a\":".into())),
        (
            "bytes that are no text",
            post(Some(FORM), vec![0xff, 0, 0xfe].into()),
        ),
        (
            "4 kilobytes of something",
            post(Some("text/plain"), "x".repeat(4096).into()),
        ),
        ("HTTP/1.0", http_1_0),
        ("Expect and a foreign Origin", expecting),
    ]
}

#[tokio::test]
async fn every_one_click_request_of_the_matrix_is_taken() {
    let role = Role::new();
    let requests = matrix();
    assert_eq!(requests.len(), 12);
    for (at, (what, mut request)) in requests.into_iter().enumerate() {
        *request.uri_mut() = role.link().parse().expect("a target");
        // so that none counts as a repeat
        role.resumptions.somebody_came_back();
        let answer = role.ask(request).await;
        assert_eq!(answer.status, StatusCode::OK, "{what}");
        answer.assert_headers(what);
        let content_type = &answer.headers[header::CONTENT_TYPE];
        assert_eq!(content_type, "text/plain; charset=utf-8", "{what}");
        assert_eq!(answer.text.lines().count(), 1, "{what}: {}", answer.text);

        // The answer was given, so the record is there, under the receipt of the answer.
        let taken = role.taken();
        assert_eq!(taken.len(), at + 1, "{what}");
        let (receipt, request) = &taken[at];
        assert!(
            answer.text.contains(receipt.as_str()),
            "{what}: {}",
            answer.text
        );
        let domain::Request::Unsubscribe(unsubscribe) = request else {
            panic!("{what}: {request:?}");
        };
        assert_eq!(unsubscribe.subscription_id, SubscriptionId::new(SUBJECT));
        assert_eq!(unsubscribe.issue, IssueNumber(42));
        assert_eq!(unsubscribe.method, Method::OneClick, "{what}");
        assert_eq!(unsubscribe.token.kid, KeyId(3));
        assert_eq!(unsubscribe.token.state, KeyState::Current);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_does_not_stop_an_unsubscribe() {
    let role = Role::new();
    let late = async { Some(Err(std::io::Error::from(std::io::ErrorKind::TimedOut))) };
    let arrived = Full::new(Bytes::from_static(b"List-Unsub"))
        .map_err(|never| match never {})
        .with_trailers(late);
    let body = Body::new(arrived);
    let request = Request::post(role.link()).body(body).expect("a request");
    assert_eq!(role.ask(request).await.status, StatusCode::OK);
    assert_eq!(role.taken().len(), 1);
}

#[tokio::test]
async fn more_than_4_kilobytes_are_refused_and_nothing_is_taken() {
    let role = Role::new();
    let answer = role.send("POST", &role.link(), &"x".repeat(4097)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    answer.assert_headers("too large");
    assert!(role.taken().is_empty());
}

#[tokio::test]
async fn links_of_older_keys_count_and_the_record_says_so() {
    let role = Role::new();
    for (kid, state) in [(1, KeyState::Compromised), (2, KeyState::Retired)] {
        let fill = u8::try_from(kid).expect("a small number");
        role.resumptions.somebody_came_back();
        let older = keys_of(LinkClass::Leave, kid, fill);
        let link = older.mint(Purpose::Unsubscribe, &SUBJECT, 0);
        let answer = role.one_click(&format!("/u/{link}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{state:?}");
        let records = role.taken();
        let Some((_, domain::Request::Unsubscribe(unsubscribe))) = records.last() else {
            panic!("{records:?}");
        };
        assert_eq!(unsubscribe.token.kid, KeyId(kid));
        assert_eq!(unsubscribe.token.state, state);
    }
    // An undo by a key that others know is no undo (FORMATS.md, Link tokens).
    let known = keys_of(LinkClass::Leave, 1, 1);
    let link = known.mint(Purpose::Undo, &SUBJECT, 0);
    let answer = role.press(&format!("/undo/{link}"), "undo").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_not_me_link_takes_one_click_too() {
    let role = Role::new();
    let answer = role.one_click(&role.link_for(Purpose::NotMe)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let taken = role.taken();
    assert!(matches!(taken[0].1, domain::Request::NotMe(not_me)
        if not_me.box_id.as_bytes() == &SUBJECT));
    assert!(answer.text.contains(&taken[0].0));
    assert!(!answer.text.contains("unsubscribed"), "{}", answer.text);
}

#[tokio::test]
async fn a_full_spool_is_a_503_for_every_kind_and_never_a_promise() {
    let role = Role::with_full_spool();
    for link in [
        role.link(),
        role.link_for(Purpose::NotMe),
        role.link_for(Purpose::Undo),
    ] {
        for answer in [role.one_click(&link).await, role.press(&link, "x").await] {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            answer.assert_headers("full");
            assert!(answer.headers.contains_key(header::RETRY_AFTER));
            assert!(
                answer.text.contains("dpo@example.gov.uk"),
                "{}",
                answer.text
            );
        }
        // The page still opens.
        assert_eq!(role.get(&link).await.status, StatusCode::OK);
    }
    assert!(role.taken().is_empty());
}
