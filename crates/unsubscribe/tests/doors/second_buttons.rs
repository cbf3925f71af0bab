//! "Unsubscribe from all" and "never email me", and an undo that comes too late.

use std::time::Duration;

use axum::http::StatusCode;
use domain::{Method, Request};
use link_token::Purpose;

use crate::role::{Role, SUBJECT};

fn undo_of(page: &str) -> String {
    let action = page.split("action=\"").nth(1);
    let action = action.and_then(|rest| rest.split('"').next());
    action.expect("an undo form").replace("&#38;", "&")
}

#[tokio::test]
async fn all_newsletters_are_left_by_the_second_button_only() {
    let role = Role::new();
    let done = role.press(&role.link(), "all").await;
    assert_eq!(done.status, StatusCode::OK);
    done.assert_headers("all");
    for part in [
        "You will not get any newsletter from us any more.",
        "Undo: keep getting our newsletters",
    ] {
        assert!(done.text.contains(part), "{part}: {}", done.text);
    }
    let taken = role.taken();
    let Request::UnsubscribeAll(leave) = &taken[0].1 else {
        panic!("{taken:?}");
    };
    assert_eq!(leave.subscription_id.as_bytes(), &SUBJECT);
    assert_eq!(leave.method, Method::PageButton);
    assert!(done.text.contains(&taken[0].0));

    let undo = undo_of(&done.text);
    let asked = role.get(&undo).await;
    assert!(
        asked.text.contains("Keep getting our newsletters?"),
        "{}",
        asked.text
    );
    let undone = role.press(&undo, "undo").await.text;
    assert!(
        undone.contains("the newsletters that you got before"),
        "{undone}"
    );

    // The pair of RFC 8058 never means more than the link says.
    let both = "List-Unsubscribe=One-Click&button=all";
    role.resumptions.somebody_came_back();
    role.send("POST", &role.link(), both).await;
    assert!(matches!(role.taken()[2].1, Request::Unsubscribe(_)));
}

#[tokio::test]
async fn never_is_on_the_page_of_a_confirmation_and_has_no_undo() {
    let role = Role::new();
    let link = role.link_for(Purpose::NotMe);
    let page = role.get(&link).await.text;
    assert!(page.contains("Never email me at all"), "{page}");
    assert_eq!(page.matches("<form").count(), 2);
    let done = role.press(&link, "never").await;
    assert_eq!(done.status, StatusCode::OK);
    assert!(done.text.contains("We will not email you any more"));
    assert!(!done.text.contains("<form"));
    assert!(matches!(role.taken()[0].1, Request::NeverEmail(not_me)
        if not_me.box_id.as_bytes() == &SUBJECT));
    // A button belongs to its own page.
    role.press(&role.link(), "never").await;
    role.press(&role.link_for(Purpose::Undo), "all").await;
    assert!(matches!(role.taken()[1].1, Request::Unsubscribe(_)));
    assert!(matches!(role.taken()[2].1, Request::Undo(_)));
}

#[tokio::test]
async fn an_undo_says_when_the_address_is_gone() {
    let role = Role::new();
    for button in ["unsubscribe", "all"] {
        let undo = undo_of(&role.press(&role.link(), button).await.text);
        role.clock.advance(Duration::from_hours(29 * 24));
        let page = role.get(&undo).await.text;
        assert!(page.contains("<form"), "{page}");
        role.clock.advance(Duration::from_hours(2 * 24));
        for (language, expected) in [("en", "It is too late"), ("cy", "Mae’n rhy hwyr")] {
            let page = role.get(&format!("{undo}&lang={language}")).await;
            assert_eq!(page.status, StatusCode::OK);
            assert!(page.text.contains(expected), "{}", page.text);
            assert!(!page.text.contains("<form"), "{}", page.text);
            assert!(page.text.contains("/newsletters"));
        }
        // Whoever presses an old page's button is taken at their word; the registrar decides.
        assert_eq!(role.press(&undo, "undo").await.status, StatusCode::OK);
        role.resumptions.somebody_came_back();
    }
    assert_eq!(role.taken().len(), 4);
}

#[tokio::test]
async fn both_buttons_speak_welsh() {
    let role = Role::new();
    let leave = role.link().replace("l=en", "l=cy");
    let page = role.get(&leave).await.text;
    assert!(
        page.contains("Dad-danysgrifio o holl gylchlythyrau"),
        "{page}"
    );
    let done = role.press(&leave, "all").await.text;
    assert!(done.contains("unrhyw gylchlythyr gennym mwyach"), "{done}");
    let not_me = role.link_for(Purpose::NotMe).replace("l=en", "l=cy");
    let page = role.get(&not_me).await.text;
    assert!(
        page.contains("Peidiwch byth ag anfon e-bost ataf"),
        "{page}"
    );
    let done = role.press(&not_me, "never").await.text;
    assert!(
        done.contains("Ni fyddwn yn anfon e-bost atoch mwyach"),
        "{done}"
    );
}
