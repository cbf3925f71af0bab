//! What becomes of links between our mail and a click: mail programs and gateways add and encode.

use axum::http::StatusCode;
use link_token::Purpose;

use crate::role::{Role, SUBJECT};

#[tokio::test]
async fn a_link_survives_what_mail_programs_and_gateways_do_to_it() {
    let role = Role::new();
    let token = role.keys.mint(Purpose::Unsubscribe, &SUBJECT, 42);
    let encoded = token
        .bytes()
        .fold(String::new(), |text, byte| text + &format!("%{byte:02x}"));
    let targets = [
        format!("/u/{token}"),
        format!("/u/{token}/"),
        format!("/u/{token}."),
        format!("/u/{token})"),
        format!("/u/{token}%3E"),
        format!("/u/{token},"),
        format!("/u/{token}/.)"),
        format!("/u/{token}?"),
        format!("/u/{token}?utm_source=gateway&utm_medium=email"),
        format!("/u/{token}.?n=bins"),
        format!("/u/{encoded}"),
        format!("/u/{encoded}%29"),
        format!("https://NEWS.Example.GOV.uk/u/{token}?n=bins"),
    ];
    for (at, target) in targets.iter().enumerate() {
        assert_eq!(role.get(target).await.status, StatusCode::OK, "{target}");
        role.resumptions.somebody_came_back();
        assert_eq!(
            role.one_click(target).await.status,
            StatusCode::OK,
            "{target}"
        );
        assert_eq!(role.taken().len(), at + 1, "{target}");
    }
}
