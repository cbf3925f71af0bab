//! The pages that are only read.

use axum::body::Body as HttpBody;
use axum::http::{Method, Request, StatusCode, header};
use domain::{Catalogue, Language};
use shipper::CatalogueCopy;

use crate::support::{Role, catalogue, notice, notice_text};

#[tokio::test]
async fn the_list_names_open_newsletters_only() {
    let role = Role::new();
    let page = role.get("/newsletters").await;
    assert_eq!(page.status, StatusCode::OK);
    page.assert_has(&[
        "<title>Newsletters you can get by email – Email newsletters – Example County Council</title>",
        "href=\"/newsletters/council-news?lang=en\"",
        "What the council decides &#38; does.",
        "once a month",
        "hreflang=\"cy\"",
    ]);
    assert!(!page.body.contains("Closed"));
    assert_eq!(role.get("/newsletters/").await.body, page.body);
}

#[tokio::test]
async fn the_list_without_newsletters_says_what_comes_next() {
    let empty = CatalogueCopy::fixed(Catalogue::default());
    let page = Role::with(empty, 0).get("/newsletters").await;
    assert_eq!(page.status, StatusCode::OK);
    page.assert_has(&[
        "letterbox body set FILE.toml",
        "letterbox newsletter add FILE.toml",
    ]);
}

#[tokio::test]
async fn the_front_door_leads_to_the_list() {
    let answer = Role::new().get("/?lang=cy").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.headers[header::LOCATION], "/newsletters?lang=cy");
}

#[tokio::test]
async fn a_newsletters_page_has_form_and_notice_in_the_language_asked_for() {
    let role = Role::new();
    let english = role.get("/newsletters/council-news").await;
    english.assert_has(&[
        "<title>Sign up to Council news – ",
        "type=\"email\" value=\"\" autocomplete=\"email\" autocapitalize=\"none\" spellcheck=\"false\"",
        "novalidate",
        "name=\"newsletter\" value=\"council-news\"",
        &format!("name=\"notice\" value=\"{}\"", notice(1, Language::En)),
        "We keep it until you unsubscribe, then delete it within 30 days.",
        "<a class=\"language\" href=\"?lang=cy\" hreflang=\"cy\" lang=\"cy\"",
    ]);
    assert!(
        !english.body.contains("checked"),
        "nothing is ticked for the resident"
    );
    let welsh = role.get("/newsletters/council-news?lang=cy").await;
    welsh.assert_has(&[
        "<html lang=\"cy\">",
        "Cofrestru ar gyfer Newyddion y cyngor",
        &format!("name=\"notice\" value=\"{}\"", notice(1, Language::Cy)),
        "Cyngor Sir Enghraifft",
        "<span lang=\"en\">What the council decides &#38; does.</span>",
    ]);
    let only_english = role.get("/newsletters/bin-days?lang=cy").await;
    only_english.assert_has(&[
        "<html lang=\"cy\">",
        "<div lang=\"en\">",
        &notice_text(2, Language::En)[..60],
    ]);
    assert!(
        !only_english.body.contains("type=\"radio\""),
        "one language is no choice"
    );
}

#[tokio::test]
async fn a_slash_at_the_end_of_an_address_makes_no_difference() {
    let role = Role::new();
    for target in ["/newsletters", "/newsletters/council-news", "/privacy"] {
        let page = role.get(target).await;
        assert_eq!(page.status, StatusCode::OK, "{target}");
        assert_eq!(role.get(&format!("{target}/")).await, page, "{target}");
    }
    let sent = format!(
        "email=a%40b.example&newsletter=council-news&notice={}",
        notice(1, Language::En)
    );
    let content_type = "application/x-www-form-urlencoded";
    let accepted = role.post("/subscriptions/", content_type, sent).await;
    assert_eq!(accepted.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_browsers_language_is_used_where_none_is_asked_for() {
    let request = Request::get("/newsletters")
        .header(header::ACCEPT_LANGUAGE, "cy-GB,cy;q=0.9,en;q=0.8")
        .body(HttpBody::empty())
        .unwrap();
    let page = Role::new().send(request).await;
    page.assert_has(&["<html lang=\"cy\">", "Cylchlythyrau"]);
}

#[tokio::test]
async fn a_newsletter_that_is_closed_or_not_there_has_no_page() {
    let role = Role::new();
    let mut bodies = Vec::new();
    for slug in [
        "closed",
        "nothing",
        "council-news%20",
        "%ff",
        "COUNCIL-NEWS",
        "..%2f",
    ] {
        for end in ["", "/form.html", "/thank-you"] {
            let page = role.get(&format!("/newsletters/{slug}{end}")).await;
            assert_eq!(page.status, StatusCode::NOT_FOUND, "{slug}{end}");
            bodies.push(page.body);
        }
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn the_form_for_other_sites_posts_to_this_one() {
    let form = Role::new()
        .get("/newsletters/council-news/form.html?lang=cy")
        .await;
    assert_eq!(
        form.headers[header::CONTENT_TYPE],
        "text/html; charset=utf-8"
    );
    form.assert_has(&[
        "<form action=\"https://news.example.org/subscriptions?lang=cy\" method=\"post\"",
        "<label for=\"letterbox-council-news-email\">",
        &notice_text(1, Language::Cy)[..60],
        &notice(1, Language::Cy),
        "name=\"language\" value=\"cy\"",
    ]);
    assert!(!form.body.contains("<html"));
}

#[tokio::test]
async fn the_thank_you_page_says_what_comes_next_and_what_to_do_without_mail() {
    let page = Role::new()
        .get("/newsletters/council-news/thank-you?lang=en")
        .await;
    assert_eq!(page.status, StatusCode::OK);
    page.assert_has(&[
        "You are not signed up yet",
        "newyddion@council.example",
        "junk or spam",
        "7 days",
        "href=\"/newsletters/council-news?lang=en\"",
    ]);
}

#[tokio::test]
async fn the_thank_you_page_names_all_newsletters_of_the_sign_up() {
    let role = Role::new();
    let sent = [
        ("email", "jo@post.example"),
        ("newsletter", "bin-days"),
        ("newsletter", "council-news"),
        ("notice", &notice(1, Language::En)),
        ("notice", &notice(2, Language::En)),
    ];
    let answer = role.post_form(&sent).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let location = answer.headers[header::LOCATION].to_str().unwrap();
    let page = role.get(location).await;
    page.assert_has(&["<li>Bin days</li>", "<li>Council news</li>"]);
    let invented = role
        .get("/newsletters/bin-days/thank-you?n=%3Cb%3E,closed,nothing")
        .await;
    invented.assert_has(&["Only then do we send you Bin days."]);
    assert!(!invented.body.contains("Closed"));
}

#[tokio::test]
async fn the_privacy_page_tells_the_retention_of_each_newsletter() {
    let mut with_other_retention = catalogue();
    with_other_retention.newsletters[1].retention_days = 14;
    let role = Role::with(CatalogueCopy::fixed(with_other_retention), 0);
    let page = role.get("/privacy").await;
    page.assert_has(&[
        "within 30 days",
        "within 14 days",
        "7 days",
        "Information Commissioner",
    ]);
    role.get("/privacy?lang=cy")
        .await
        .assert_has(&["o fewn 14 diwrnod", "Comisiynydd Gwybodaeth"]);
    let empty = Role::with(CatalogueCopy::fixed(Catalogue::default()), 0);
    assert_eq!(empty.get("/privacy").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn robots_are_kept_from_links_in_mails() {
    let file = Role::new().get("/robots.txt").await;
    file.assert_has(&["User-agent: *", "Disallow: /confirm/", "Disallow: /u/"]);
}

#[tokio::test]
async fn without_any_catalogue_pages_answer_503_and_say_when_to_come_again() {
    let role = Role::with(CatalogueCopy::load("/nowhere/catalogue.json".into()), 0);
    for target in ["/newsletters", "/newsletters/council-news", "/privacy"] {
        let page = role.get(target).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{target}");
        assert_eq!(page.headers[header::RETRY_AFTER], "120");
    }
}

#[tokio::test]
async fn other_methods_are_told_which_ones_there_are() {
    let role = Role::new();
    for (target, allowed) in [
        ("/", "GET, HEAD"),
        ("/newsletters", "GET, HEAD"),
        ("/newsletters/council-news", "GET, HEAD"),
        ("/newsletters/council-news/form.html", "GET, HEAD"),
        ("/newsletters/council-news/thank-you", "GET, HEAD"),
        ("/privacy", "GET, HEAD"),
        ("/robots.txt", "GET, HEAD"),
        ("/subscriptions", "POST"),
        ("/confirm/x", "GET, HEAD, POST"),
    ] {
        for method in [Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
            let request = Request::builder()
                .method(method.clone())
                .uri(target)
                .body(HttpBody::empty())
                .unwrap();
            let answer = role.send(request).await;
            assert_eq!(
                answer.status,
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {target}"
            );
            assert_eq!(answer.headers[header::ALLOW], allowed, "{method} {target}");
        }
    }
    assert!(role.spooled().is_empty());
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let request = Request::head("/newsletters")
        .body(HttpBody::empty())
        .unwrap();
    let answer = Role::new().send(request).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ""));
}
