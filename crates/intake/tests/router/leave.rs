//! `/leave`: an address in, and the same answer for everybody.

use axum::http::{StatusCode, header};
use domain::{Language, Request};

use crate::support::{Answer, CANARY, Role};

async fn ask(role: &Role, target: &str, address: &str) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("email", address)
        .finish();
    role.post(target, "application/x-www-form-urlencoded", body)
        .await
}

#[tokio::test]
async fn a_question_is_sealed_and_safe_before_it_is_answered() {
    let role = Role::new();
    let mut answers = Vec::new();
    for address in [CANARY, "nobody@elsewhere.example"] {
        let answer = ask(&role, "/leave?lang=cy", address).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(answer.headers[header::LOCATION], "/leave/asked?lang=cy");
        answers.push(answer);
    }
    assert_eq!(answers[0], answers[1], "whatever was typed");
    let taken = role.spooled();
    assert_eq!(taken.len(), 2);
    for accepted in taken {
        let Request::LookUp(question) = accepted.request else {
            panic!("not a question");
        };
        assert_eq!(question.language, Language::Cy);
    }
    for (language, words) in [("en", "Nothing is stopped yet"), ("cy", "Nid oes dim")] {
        let page = role.get(&format!("/leave/asked?lang={language}")).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.contains(words), "{}", page.body);
    }
}

#[tokio::test]
async fn a_wrong_address_comes_back_with_what_to_put_right() {
    let role = Role::new();
    for (address, words) in [
        ("", "Enter your email address."),
        ("no-at", "with an @"),
        ("a@b@example.org", "single @"),
    ] {
        let answer = ask(&role, "/leave", address).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{address}");
        assert!(answer.body.contains(words), "{address}: {}", answer.body);
        let kept = format!("value=\"{address}\"");
        assert!(answer.body.contains(&kept), "{address}");
        assert!(answer.body.contains("<title>Error: "));
    }
    assert!(role.spooled().is_empty());
}

#[tokio::test]
async fn the_way_there_is_on_the_list_and_on_pages_that_are_not_there() {
    let role = Role::new();
    for page in ["/newsletters", "/newsletters/unknown", "/confirm/broken"] {
        let body = role.get(page).await.body;
        let main = body.split("<footer").next().unwrap_or_default();
        assert!(main.contains("href=\"/leave?lang=en\""), "{page}: {main}");
    }
    let form = role.get("/leave").await;
    assert_eq!(form.status, StatusCode::OK);
    assert!(form.body.contains("action=\"/leave?lang=en\""));
    assert!(role.spooled().is_empty());
}
