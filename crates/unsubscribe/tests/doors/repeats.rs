//! A repeat of the last hour is answered with the same receipt and writes nothing; whatever may have
//! brought a subscription back ends that.

use std::time::Duration;

use axum::http::StatusCode;
use link_token::Purpose;

use crate::role::{Answer, Role};

fn receipt(answer: &Answer) -> String {
    let text = &answer.text;
    let rest = text.split_once("Your receipt: ").map_or_else(
        || text.split("class=\"receipt\">").nth(1).unwrap_or_default(),
        |(_, rest)| rest,
    );
    rest.chars().take(26).collect()
}

#[tokio::test]
async fn a_repeat_has_the_same_receipt_and_writes_nothing() {
    let role = Role::new();
    for link in [
        role.link(),
        role.link_for(Purpose::NotMe),
        role.link_for(Purpose::Undo),
    ] {
        let before = role.spool.last_seq();
        let first = receipt(&role.press(&link, "x").await);
        for _ in 0..10 {
            for answer in [role.one_click(&link).await, role.press(&link, "x").await] {
                assert_eq!(answer.status, StatusCode::OK);
                assert_eq!(receipt(&answer), first, "{link}");
            }
        }
        assert_eq!(role.spool.last_seq(), before + 1, "{link}");
    }
}

#[tokio::test]
async fn the_second_button_is_another_question() {
    let role = Role::new();
    let link = role.link();
    let one = receipt(&role.press(&link, "unsubscribe").await);
    let all = receipt(&role.press(&link, "all").await);
    assert_ne!(one, all);
    assert_eq!(receipt(&role.press(&link, "all").await), all);
    assert_eq!(role.taken().len(), 2);
}

#[tokio::test]
async fn after_an_undo_an_hour_or_a_return_it_is_written_again() {
    let role = Role::new();
    let link = role.link();
    let done = role.press(&link, "unsubscribe").await;
    let undo = done.text.split("action=\"").nth(1);
    let undo = undo.and_then(|rest| rest.split('"').next());
    let undo = undo.expect("an undo").replace("&#38;", "&");
    assert_eq!(role.press(&undo, "undo").await.status, StatusCode::OK);
    let second = receipt(&role.one_click(&link).await);
    assert_ne!(second, receipt(&done));
    assert_eq!(role.taken().len(), 3, "left, taken back, left");

    // That undo again: nothing new, and nothing that the second unsubscribe could fall with.
    role.press(&undo, "undo").await;
    assert_eq!(receipt(&role.one_click(&link).await), second);
    assert_eq!(role.taken().len(), 3);

    role.resumptions.somebody_came_back();
    let third = receipt(&role.one_click(&link).await);
    assert_ne!(third, second);
    role.clock.advance(Duration::from_mins(59));
    assert_eq!(receipt(&role.one_click(&link).await), third);
    role.clock.advance(Duration::from_mins(1));
    assert_ne!(receipt(&role.one_click(&link).await), third);
    assert_eq!(role.taken().len(), 5);
}

#[tokio::test]
async fn what_was_not_taken_is_not_remembered() {
    let role = Role::with_full_spool();
    for _ in 0..2 {
        let answer = role.one_click(&role.link()).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
