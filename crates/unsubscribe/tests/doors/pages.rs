//! The pages: what they say, in both languages, and that looking changes nothing.

use axum::http::{StatusCode, header};
use domain::{Catalogue, Method};
use link_token::{Purpose, Route};

use crate::role::{Role, SUBJECT, catalogue};

#[tokio::test]
async fn looking_50_times_changes_nothing() {
    let role = Role::new();
    for link in [
        role.link(),
        role.link_for(Purpose::NotMe),
        role.link_for(Purpose::Undo),
    ] {
        for _ in 0..50 {
            for method in ["GET", "HEAD", "OPTIONS"] {
                let answer = role.send(method, &link, "List-Unsubscribe=One-Click").await;
                answer.assert_headers(method);
                let expected = if method == "OPTIONS" {
                    StatusCode::METHOD_NOT_ALLOWED
                } else {
                    StatusCode::OK
                };
                assert_eq!(answer.status, expected, "{method}");
                assert_eq!(answer.text.is_empty(), method == "HEAD", "{method}");
            }
        }
    }
    assert!(role.taken().is_empty());
    assert_eq!(role.spool.last_seq(), 0);
}

#[tokio::test]
async fn the_page_names_the_newsletter_and_its_forms_need_nothing() {
    let role = Role::new();
    let answer = role.get(&role.link()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.headers[header::CONTENT_TYPE],
        "text/html; charset=utf-8"
    );
    assert_eq!(answer.headers[header::CONTENT_LANGUAGE], "en");
    let page = &answer.text;
    assert!(
        page.contains("<h1>Unsubscribe from Council &#60;news&#62;?</h1>"),
        "{page}"
    );
    assert!(
        page.contains("<title>Unsubscribe from Council &#60;news&#62;?"),
        "{page}"
    );
    // One for the newsletter, one for all; both go to the address of the page itself.
    assert_eq!(page.matches("<form").count(), 2);
    assert_eq!(page.matches("<form method=\"post\">").count(), 2);
    assert_eq!(page.matches("<button").count(), 2);
    assert!(page.contains("Unsubscribe from all"), "{page}");
    assert!(page.contains("other people can unsubscribe you"), "{page}");
    assert_eq!(page.matches("<h1").count(), 1);
    assert!(page.contains("?n=council-news&#38;lang=cy"), "{page}");
    // Nothing of the link but what was checked comes back.
    let token = role.link()[3..57].to_owned();
    assert!(!page.contains(&token));
}

#[tokio::test]
async fn hints_that_the_catalogue_does_not_know_are_not_shown() {
    let role = Role::new();
    let path = role
        .link()
        .split('?')
        .next()
        .map(str::to_owned)
        .expect("a path");
    for hint in [
        "",
        "?",
        "?n=",
        "?n=unknown",
        "?n=%3Cscript%3Ealert(1)%3C/script%3E",
        "?N=council-news",
        "?utm_source=x&n=%ff%fe",
        "?n=Council-News",
    ] {
        let answer = role.get(&format!("{path}{hint}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{hint}");
        answer.assert_headers(hint);
        let heading = "<h1>Unsubscribe from this newsletter?</h1>";
        assert!(answer.text.contains(heading), "{hint}: {}", answer.text);
    }
    let answer = role
        .get(&format!("{path}?utm_source=x&n=unknown%2Cbins&x=1"))
        .await;
    assert!(
        answer.text.contains("<h1>Unsubscribe from Bins?</h1>"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn everything_works_with_an_empty_catalogue() {
    let role = Role::with(Catalogue::default(), spool::STOP_LIMIT_BYTES);
    assert!(
        role.get(&role.link())
            .await
            .text
            .contains("Unsubscribe from this newsletter?")
    );
    let answer = role.press(&role.link(), "unsubscribe").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text.contains("You have unsubscribed"));
    role.resumptions.somebody_came_back();
    assert_eq!(role.one_click(&role.link()).await.status, StatusCode::OK);
    assert_eq!(role.taken().len(), 2);

    let full = Role::with(Catalogue::default(), 1);
    let answer = full.one_click(&full.link()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn the_button_gets_a_page_with_the_receipt_and_an_undo_that_works() {
    let role = Role::new();
    let answer = role.press(&role.link(), "unsubscribe").await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.assert_headers("done");
    let taken = role.taken();
    let (receipt, domain::Request::Unsubscribe(unsubscribe)) = &taken[0] else {
        panic!("{taken:?}");
    };
    assert_eq!(unsubscribe.method, Method::PageButton);
    let page = &answer.text;
    for part in [
        "You have unsubscribed",
        "You will not get Council &#60;news&#62; any more.",
        &format!("<code class=\"receipt\">{receipt}</code>"),
        "24 November 2026, 09:14 GMT",
        "may still arrive",
        "after 30\u{a0}days",
        "mailto:dpo@example.gov.uk",
        "https://ico.org.uk/make-a-complaint/",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }

    let action = page
        .split("action=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let undo = action.expect("the undo form").replace("&#38;", "&");
    let rest = undo.strip_prefix("/undo/").expect("our own route");
    let checked = role
        .keys
        .check(Route::Undo, rest)
        .expect("a genuine undo link");
    assert_eq!(
        &link_token::receipt::of(domain::EventId::new(checked.subject)),
        receipt
    );

    // By its page, and by the button at once.
    let asked = role.get(&undo).await;
    assert!(
        asked
            .text
            .contains("<h1>Keep getting Council &#60;news&#62;?</h1>"),
        "{}",
        asked.text
    );
    assert_eq!(role.taken().len(), 1, "looking is not undoing");
    let undone = role.press(&undo, "undo").await;
    assert_eq!(undone.status, StatusCode::OK);
    assert!(
        undone
            .text
            .contains("You will keep getting Council &#60;news&#62;.")
    );
    assert!(undone.text.contains("/newsletters/council-news?lang=en"));
    assert!(
        !undone.text.contains("<form"),
        "there is no undo of an undo"
    );
    let domain::Request::Undo(request) = role.taken()[1].1 else {
        panic!("{:?}", role.taken());
    };
    assert_eq!(request.unsubscribe.as_bytes(), &checked.subject);
}

#[tokio::test]
async fn not_me_names_all_newsletters_of_the_sign_up_and_offers_no_undo() {
    let role = Role::new();
    let link = role.link_for(Purpose::NotMe);
    let page = role.get(&link).await.text;
    assert!(page.contains("<li>Council &#60;news&#62;</li>"), "{page}");
    assert!(page.contains("<li>Bins</li>"), "{page}");
    assert!(page.contains("This wasn’t me"), "{page}");
    let done = role.press(&link, "not_me").await;
    assert_eq!(done.status, StatusCode::OK);
    assert!(done.text.contains("We have cancelled the sign-up"));
    assert!(!done.text.contains("<form"));
    assert!(matches!(role.taken()[0].1, domain::Request::NotMe(not_me)
        if not_me.box_id.as_bytes() == &SUBJECT));
}

#[tokio::test]
async fn the_link_speaks_welsh_and_so_do_the_answers() {
    let role = Role::new();
    let token = role.keys.mint(Purpose::Unsubscribe, &SUBJECT, 42);
    for query in ["n=council-news&l=cy", "n=council-news&l=en&lang=cy"] {
        let link = format!("/u/{token}?{query}");
        let asked = role.get(&link).await;
        assert_eq!(asked.headers[header::CONTENT_LANGUAGE], "cy");
        assert!(asked.text.contains("<html lang=\"cy\">"));
        assert!(
            asked
                .text
                .contains("Dad-danysgrifio o Newyddion y &#60;Cyngor&#62;?")
        );
        let done = role.press(&link, "unsubscribe").await;
        assert!(
            done.text.contains("Rydych wedi dad-danysgrifio"),
            "{}",
            done.text
        );
        assert!(done.text.contains("24 Tachwedd 2026, 09:14 GMT"));
        assert!(
            done.text
                .contains("?l=cy&#38;t=29925194&#38;n=council-news"),
            "{}",
            done.text
        );
        let text = role.one_click(&link).await.text;
        assert!(text.starts_with("Rydych wedi dad-danysgrifio."), "{text}");
    }
    let unnamed = role.get(&format!("/u/{token}?l=cy")).await.text;
    assert!(
        unnamed.contains("Dad-danysgrifio o’r cylchlythyr hwn?"),
        "{unnamed}"
    );
}

#[tokio::test]
async fn a_newsletter_that_keeps_nothing_says_so() {
    let mut catalogue = catalogue();
    catalogue.newsletters[0].retention_days = 0;
    let role = Role::with(catalogue, spool::STOP_LIMIT_BYTES);
    let done = role.press(&role.link(), "unsubscribe").await;
    assert!(done.text.contains("straight away"), "{}", done.text);
    assert!(!done.text.contains("0\u{a0}days"));
}
