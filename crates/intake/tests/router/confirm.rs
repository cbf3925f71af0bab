//! The link of a confirmation mail.

use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::http::{Request, StatusCode, header};
use domain::{BoxId, KeyId, KeyState, TokenKey};
use link_token::{Purpose, receipt};
use shipper::CatalogueCopy;

use crate::support::{Role, catalogue};

const WEEK: Duration = Duration::from_hours(7 * 24);

#[tokio::test]
async fn reading_the_page_changes_nothing_however_often() {
    let role = Role::new();
    let token = role.confirm_token(WEEK);
    let target = format!("/confirm/{token}?n=council-news,bin-days&l=en");
    for _ in 0..3 {
        let page = role.get(&target).await;
        assert_eq!(page.status, StatusCode::OK);
        page.assert_has(&[
            "Council news",
            "Bin days",
            "action=\"?n=council-news,bin-days&#38;l=en\" method=\"post\"",
            "href=\"?n=council-news%2Cbin-days&#38;lang=cy\"",
            "You are not signed up until you choose the button.",
        ]);
        assert_eq!(page.body.matches("<button").count(), 1);
    }
    let head = Request::head(&target).body(HttpBody::empty()).unwrap();
    assert_eq!(role.send(head).await.status, StatusCode::OK);
    assert!(role.spooled().is_empty());
}

#[tokio::test]
async fn the_button_is_spooled_and_answered_with_a_receipt() {
    let role = Role::new();
    let token = role.confirm_token(WEEK);
    let target = format!("/confirm/{token}?n=council-news&l=cy");
    let page = role
        .post(&target, "application/x-www-form-urlencoded", "")
        .await;
    assert_eq!(page.status, StatusCode::OK);
    let spooled = role.spooled();
    let domain::Request::Confirm(confirm) = &spooled[0].request else {
        panic!("{spooled:?}");
    };
    assert_eq!(confirm.box_id, BoxId::new([0xb0; 16]));
    let key = TokenKey {
        version: 1,
        kid: KeyId(1),
        state: KeyState::Current,
    };
    assert_eq!(confirm.token, key);
    page.assert_has(&[
        "<html lang=\"cy\">",
        "Rydym wedi cael eich cadarnhad",
        "Newyddion y cyngor",
        "unwaith y mis",
        &receipt::of(spooled[0].event_id),
    ]);
}

#[tokio::test]
async fn hints_are_not_trusted() {
    let role = Role::new();
    let token = role.confirm_token(WEEK);
    let page = role
        .get(&format!(
            "/confirm/{token}?n=%3Cscript%3E,nothing&l=fr&lang=%22"
        ))
        .await;
    assert_eq!(page.status, StatusCode::OK);
    page.assert_has(&["the newsletter that you asked for", "<html lang=\"en\">"]);
}

#[tokio::test]
async fn a_link_that_a_mail_program_decorated_still_works() {
    let role = Role::new();
    let token = role.confirm_token(WEEK);
    let first_encoded = format!("%{:02x}{}", token.as_bytes()[0], &token[1..]);
    for rest in [
        format!("{token}/"),
        format!("{token}."),
        format!("{token}),"),
        format!("{token}%3E"),
        format!("{token}?utm_source=gateway"),
        first_encoded,
    ] {
        let page = role.get(&format!("/confirm/{rest}")).await;
        assert_eq!(page.status, StatusCode::OK, "{rest}");
    }
    let absolute = format!("HTTPS://NEWS.EXAMPLE.ORG/confirm/{token}");
    assert_eq!(role.get(&absolute).await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_link_that_does_not_verify_gets_the_same_page_and_line() {
    let role = Role::new();
    let token = role.confirm_token(WEEK);
    let mut changed = token.clone().into_bytes();
    changed[20] = if changed[20] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    let of_another_purpose = role
        .doors
        .join
        .mint(Purpose::ConfirmNewAddress, &[1; 16], u32::MAX);
    let (mut pages, mut lines) = (Vec::new(), Vec::new());
    for rest in [
        changed,
        of_another_purpose,
        token[..53].to_owned(),
        format!("{token}A"),
        token.to_lowercase(),
        format!("/{token}"),
        format!("x/{token}"),
        String::new(),
        "x".into(),
        "%ff".into(),
        "%zz".into(),
        "a".repeat(4_000),
    ] {
        let target = format!("/confirm/{rest}");
        let page = role.get(&target).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{rest}");
        pages.push(page);
        let line = role
            .post(&target, "text/plain", "List-Unsubscribe=One-Click")
            .await;
        assert_eq!(line.status, StatusCode::NOT_FOUND, "{rest}");
        lines.push(line);
    }
    pages.push(role.get("/confirm").await);
    lines.push(role.post("/confirm", "text/plain", "").await);
    assert!(pages.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(lines.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(lines[0].body, "This link is not working.\n");
    assert!(role.spooled().is_empty());
}

#[tokio::test]
async fn an_expired_link_says_so_and_offers_to_sign_up_again() {
    let role = Role::new();
    let target = format!(
        "/confirm/{}?n=council-news,closed&l=en",
        role.confirm_token(WEEK)
    );
    role.clock
        .advance(WEEK.saturating_sub(Duration::from_millis(1)));
    assert_eq!(role.get(&target).await.status, StatusCode::OK);
    role.clock.advance(Duration::from_mins(1));
    for page in [
        role.get(&target).await,
        role.post(&target, "text/plain", "").await,
    ] {
        assert_eq!(page.status, StatusCode::GONE);
        page.assert_has(&[
            "This link has expired",
            "within 7 days",
            "href=\"/newsletters/council-news?lang=en\"",
        ]);
        assert!(!page.body.contains("/newsletters/closed"));
    }
    assert!(role.spooled().is_empty());
}

#[tokio::test]
async fn without_a_catalogue_the_link_works_with_a_page_that_names_no_newsletter() {
    let role = Role::with(
        CatalogueCopy::load("/nowhere/catalogue.json".into()),
        spool::REQUEST_LIMIT_BYTES,
    );
    let target = format!("/confirm/{}?n=council-news&l=en", role.confirm_token(WEEK));
    assert_eq!(role.get(&target).await.status, StatusCode::OK);
    assert_eq!(
        role.post(&target, "text/plain", "").await.status,
        StatusCode::OK
    );
    assert_eq!(role.spooled().len(), 1);
}

#[tokio::test]
async fn a_full_spool_is_503_and_not_a_confirmation() {
    let role = Role::with(CatalogueCopy::fixed(catalogue()), 0);
    let target = format!("/confirm/{}", role.confirm_token(WEEK));
    let page = role.post(&target, "text/plain", "").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page.headers[header::RETRY_AFTER], "120");
    let huge = role.post(&target, "text/plain", "x".repeat(20_000)).await;
    assert_ne!(huge.status, StatusCode::OK);
}
