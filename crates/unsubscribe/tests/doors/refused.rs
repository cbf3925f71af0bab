//! Links that are not ours: one answer for every cause, and nothing taken.

use axum::http::{StatusCode, header};
use link_token::{LinkClass, Purpose};

use crate::role::{Role, SUBJECT, keys_of};

/// Every cause, as what follows the host.
fn causes(role: &Role) -> Vec<(&'static str, String)> {
    let unsubscribe = role.keys.mint(Purpose::Unsubscribe, &SUBJECT, 42);
    let undo = role.keys.mint(Purpose::Undo, &SUBJECT, 0);
    let join = keys_of(LinkClass::Join, 3, 3).mint(Purpose::Confirm, &SUBJECT, 99);
    let unknown_key = keys_of(LinkClass::Leave, 77, 3).mint(Purpose::Unsubscribe, &SUBJECT, 42);
    let other_key = keys_of(LinkClass::Leave, 3, 99).mint(Purpose::Unsubscribe, &SUBJECT, 42);
    let at = |place: usize, with: char| {
        let mut changed: Vec<char> = unsubscribe.chars().collect();
        changed[place] = if changed[place] == with { 'B' } else { with };
        changed.into_iter().collect::<String>()
    };
    vec![
        ("no token", "/u/".to_owned()),
        ("no token and no slash", "/u".to_owned()),
        ("junk only", "/u/.)%3E".to_owned()),
        ("words", "/u/unsubscribe-me".to_owned()),
        ("cut", format!("/u/{}", &unsubscribe[..53])),
        ("a letter more", format!("/u/{unsubscribe}A")),
        ("twice", format!("/u/{unsubscribe}/{unsubscribe}")),
        ("a padded one", format!("/u/{unsubscribe}==")),
        ("another alphabet", format!("/u/{}", at(10, '+'))),
        ("a changed letter", format!("/u/{}", at(30, 'A'))),
        ("a changed version", format!("/u/{}", at(0, 'B'))),
        (
            "a last letter that no token has",
            format!("/u/{}", at(53, 'B')),
        ),
        (
            "case lost",
            format!("/u/{}", unsubscribe.to_ascii_lowercase()),
        ),
        (
            "encoded twice",
            format!("/u/{}", unsubscribe.replacen(|_| true, "%2541", 1)),
        ),
        ("bytes that are no text", "/u/%ff%fe".to_owned()),
        ("a broken escape", "/u/%zz%".to_owned()),
        ("an unknown key", format!("/u/{unknown_key}")),
        ("a key of another body", format!("/u/{other_key}")),
        ("an undo on the wrong route", format!("/u/{undo}")),
        (
            "an unsubscribe on the wrong route",
            format!("/undo/{unsubscribe}"),
        ),
        ("a confirm link", format!("/u/{join}")),
        ("a confirm link as undo", format!("/undo/{join}")),
        ("no undo token", "/undo/".to_owned()),
    ]
}

#[tokio::test]
async fn every_cause_gets_the_same_bytes() {
    let role = Role::new();
    let (mut page, mut line) = (None, None);
    for (what, target) in causes(&role) {
        for query in ["", "?n=council-news&utm=x"] {
            let target = format!("{target}{query}");
            let got = role.get(&target).await;
            got.assert_headers(what);
            assert_eq!(got.status, StatusCode::NOT_FOUND, "{what}");
            let first = page.get_or_insert_with(|| (got.text.clone(), got.headers.clone()));
            assert_eq!((&got.text, &got.headers), (&first.0, &first.1), "{what}");

            for posted in [
                role.one_click(&target).await,
                role.press(&target, "unsubscribe").await,
                // Not even the size of the body makes a difference.
                role.send("POST", &target, &"x".repeat(5000)).await,
            ] {
                posted.assert_headers(what);
                assert_eq!(posted.status, StatusCode::NOT_FOUND, "{what}");
                assert_eq!(posted.text.lines().count(), 1, "{what}");
                let first =
                    line.get_or_insert_with(|| (posted.text.clone(), posted.headers.clone()));
                assert_eq!(
                    (&posted.text, &posted.headers),
                    (&first.0, &first.1),
                    "{what}"
                );
            }
        }
    }
    assert!(role.taken().is_empty());
}

#[tokio::test]
async fn no_single_changed_character_of_a_token_is_accepted() {
    let role = Role::new();
    let token = role.keys.mint(Purpose::Unsubscribe, &SUBJECT, 42);
    for place in 0..token.len() {
        for with in ["A", "B", "g", "_", "~", "%41", "%00"] {
            if token[place..].starts_with(with) || (with == "%41" && &token[place..=place] == "A") {
                continue;
            }
            let changed = format!("/u/{}{with}{}", &token[..place], &token[place + 1..]);
            let status = role.one_click(&changed).await.status;
            assert_eq!(status, StatusCode::NOT_FOUND, "{place} {with}");
        }
    }
    assert!(role.taken().is_empty());
}

#[tokio::test]
async fn other_methods_are_refused_with_those_that_are_taken() {
    let role = Role::new();
    for link in [
        role.link(),
        role.link_for(Purpose::Undo),
        "/u/broken".to_owned(),
    ] {
        for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"] {
            let answer = role.send(method, &link, "List-Unsubscribe=One-Click").await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
            let allow: Vec<_> = answer.headers.get_all(header::ALLOW).iter().collect();
            assert_eq!(allow, ["GET, HEAD, POST"], "{method}");
            answer.assert_headers(method);
        }
    }
    assert!(role.taken().is_empty());
}
