//! Every field of every endpoint empty, too long, of the wrong type, in the wrong encoding, given
//! twice: a clear answer each time, never an error of ours, and nothing is kept.

use anyhow::Result;
use serde_json::{Value, json};
use support::{Letterbox, Web, raw_exchange, sign_up_form, text_of};

const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

fn nothing_was_kept(letterbox: &Letterbox) -> Result<()> {
    assert_eq!(
        letterbox.web().get("/newsletters")?.status,
        200,
        "it still answers"
    );
    let log = letterbox.log()?;
    assert!(!log.contains("panicked"), "{log}");
    for table in [
        "sign_up",
        "subscriber",
        "request_inbox",
        "dead_request",
        "applied_request",
        "mail",
    ] {
        assert_eq!(
            letterbox.sql(&format!("SELECT count(*) FROM {table}"))?,
            "0",
            "{table}"
        );
    }
    assert_eq!(letterbox.mailbox().all()?.len(), 0);
    Ok(())
}

/// Fields as sent, and the status. `NOTICE` is the current notice, `LONG` 9,000 letters.
const BAD_FORMS: &str = "
    422 (nothing)
    422 newsletter=council-news&notice=NOTICE
    422 email=&newsletter=council-news&notice=NOTICE
    422 email=+++&newsletter=council-news&notice=NOTICE
    422 email=jo&newsletter=council-news&notice=NOTICE
    422 email=jo%40example&newsletter=council-news&notice=NOTICE
    422 email=jo%40example.org%0A&newsletter=council-news&notice=NOTICE%0A
    422 email=jo%00%40example.org&newsletter=council-news&notice=NOTICE
    422 email=jo%40example.org%0D%0ABcc%3Aa%40b.example&newsletter=council-news&notice=NOTICE
    422 email=LONG%40example.org&newsletter=council-news&notice=NOTICE
    422 email=%FF%40example.org&newsletter=council-news&notice=NOTICE
    422 email=jo%zz&newsletter=council-news&notice=NOTICE
    422 email=%C0%AE%40example.org&newsletter=council-news&notice=NOTICE
    422 email=a%40b.example&email=c%40d.example&newsletter=council-news&notice=NOTICE
    422 email=%22jo+b%22%40example.org&newsletter=council-news&notice=NOTICE
    422 email=%E2%80%AEjo%40example.org&newsletter=council-news&notice=NOTICE
    422 email=jo%40example.org&notice=NOTICE
    422 email=jo%40example.org&newsletter=&notice=NOTICE
    422 email=jo%40example.org&newsletter=Council+News&notice=NOTICE
    404 email=jo%40example.org&newsletter=no-such-news&notice=NOTICE
    422 email=jo%40example.org&newsletter=LONG&notice=NOTICE
    422 email=jo%40example.org&newsletter=%FF&notice=NOTICE
    422 email=jo%40example.org&newsletter=council-news&newsletter=council-news&notice=NOTICE
    422 email=jo%40example.org&newsletter=council-news
    422 email=jo%40example.org&newsletter=council-news&notice=
    422 email=jo%40example.org&newsletter=council-news&notice=abc
    422 email=jo%40example.org&newsletter=council-news&notice=LONG
    422 email=jo%40example.org&newsletter=council-news&notice=%FF
    422 email=jo%40example.org&newsletter=council-news&notice=NOTICE&language=fr
    422 email=jo%40example.org&newsletter=council-news&notice=NOTICE&language=LONG
    422 email=jo%40example.org&newsletter=council-news&notice=NOTICE&language=%FF
    422 email=jo%40example.org&newsletter=council-news&notice=NOTICE&language=en&language=cy
    413 email=jo%40example.org&newsletter=council-news&notice=NOTICE&more=LONGLONGLONG
";

#[test]
fn a_form_with_anything_wrong_gets_a_page_that_says_what() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let web = letterbox.web();
    let notice = sign_up_form(&letterbox)?
        .field("notice")
        .unwrap_or_default()
        .to_owned();
    for row in BAD_FORMS
        .lines()
        .map(str::trim)
        .filter(|row| !row.is_empty())
    {
        let (status, body) = row.split_once(' ').unwrap_or((row, ""));
        let body = body.replace("(nothing)", "").replace("NOTICE", &notice);
        let body = body.replace("LONG", &"x".repeat(9_000));
        let answer = web.send("POST", "/subscriptions", &FORM, body.as_bytes())?;
        assert_eq!(
            answer.status.to_string(),
            status,
            "{row}: {}",
            text_of(&answer.body)
        );
        assert!(
            answer
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("text/html"))
        );
        if status == "422" {
            let page = text_of(&answer.body).to_lowercase();
            let named = ["email", "newsletter", "language", "notice", "form"];
            assert!(
                named.iter().any(|word| page.contains(word)),
                "{row}: {page}"
            );
        }
    }
    let outdated = format!(
        "email=jo%40example.org&newsletter=council-news&notice={}",
        "0".repeat(64)
    );
    let answer = web.send("POST", "/subscriptions", &FORM, outdated.as_bytes())?;
    assert!(
        (200..500).contains(&answer.status) && answer.status != 303,
        "{}",
        answer.status
    );
    assert!(
        answer.body.contains(&notice),
        "the current notice, to agree to: {}",
        answer.body
    );
    nothing_was_kept(&letterbox)
}

fn bad_json(notice: &str) -> Vec<(u16, Value)> {
    let long = "x".repeat(9_000);
    let with = |name: &str, value: Value| {
        let mut good =
            json!({ "email": "jo@example.org", "newsletter": "council-news", "notice": notice });
        good[name] = value;
        good
    };
    let wrong = [
        json!(1),
        json!(true),
        json!({}),
        json!([1]),
        json!(""),
        json!(long),
        json!([[]]),
    ];
    let mut cases = vec![
        (422, json!({})),
        (422, json!([])),
        (422, json!("x")),
        (422, json!(null)),
    ];
    for name in ["email", "newsletter", "language", "notice"] {
        cases.extend(wrong.iter().map(|value| (422, with(name, value.clone()))));
    }
    cases.push((422, with("email", json!(null))));
    cases.push((422, with("newsletter", json!([]))));
    cases.push((
        422,
        with("newsletter", json!(["council-news", "council-news"])),
    ));
    cases.push((404, with("newsletter", json!("no-such-news"))));
    cases.push((422, with("e-mail", json!("jo@example.org"))));
    cases.push((409, with("notice", json!("0".repeat(64)))));
    cases
}

#[test]
fn json_with_anything_wrong_gets_a_problem_that_says_what() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let web = letterbox.web();
    let notice = sign_up_form(&letterbox)?
        .field("notice")
        .unwrap_or_default()
        .to_owned();
    for (status, body) in bad_json(&notice) {
        let answer = web.post_json("/subscriptions", &body)?;
        let shown: String = body.to_string().chars().take(200).collect();
        assert_eq!(answer.status, status, "{shown}: {}", answer.body);
        problem(&answer, &shown)?;
        if status == 409 {
            assert!(
                answer.body.contains(&notice),
                "the current hash: {}",
                answer.body
            );
        }
    }
    let good = format!(
        "{{\"email\":\"jo@example.org\",\"newsletter\":\"council-news\",\"notice\":\"{notice}\"}}"
    );
    let twice = good.replace('{', "{\"email\":\"a@b.example\",");
    let texts: [&[u8]; 10] = [
        b"",
        b"{",
        &good.as_bytes()[..good.len() - 1],
        &[good.as_bytes(), b"x"].concat(),
        twice.as_bytes(),
        b"{\"email\":\"\xff\"}",
        b"\xff\xfe{\x00}\x00",
        &good
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<_>>(),
        &[b"[".repeat(8_000), b"]".repeat(8_000)].concat(),
        b"{\"email\":\"\\ud800\"}",
    ];
    let kind = [("content-type", "application/json")];
    for text in texts {
        let answer = web.send("POST", "/subscriptions", &kind, text)?;
        let shown = String::from_utf8_lossy(&text[..text.len().min(100)]).into_owned();
        assert_eq!(answer.status, 422, "{shown}: {}", answer.body);
        problem(&answer, &shown)?;
    }
    let answer = web.send("POST", "/subscriptions", &kind, &b" ".repeat(100_000))?;
    assert_eq!(answer.status, 413, "{}", answer.body);
    for kind in [
        "",
        "text/plain",
        "application/xml",
        "application/json2",
        "x",
        "multipart/form-data",
    ] {
        let headers = [("content-type", kind)];
        let answer = web.send("POST", "/subscriptions", &headers, good.as_bytes())?;
        let expected: &[u16] = if kind.starts_with("multipart") {
            &[415, 422]
        } else {
            &[415]
        };
        assert!(
            expected.contains(&answer.status),
            "{kind}: {}",
            answer.status
        );
    }
    for key in ["", &"k".repeat(5_000), "a\u{e9}"] {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let answer = web.send("POST", "/subscriptions", &headers, good.as_bytes())?;
        assert_eq!(answer.status, 422, "Idempotency-Key {key}: {}", answer.body);
    }
    nothing_was_kept(&letterbox)
}

fn problem(answer: &support::Answer, shown: &str) -> Result<()> {
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{shown}"
    );
    let problem = answer.json()?;
    assert_eq!(problem["status"], answer.status, "{shown}");
    assert!(
        problem["title"].is_string() && problem["type"].is_string(),
        "{shown}: {problem}"
    );
    assert!(
        !answer.body.contains("jo@example.org"),
        "an address came back: {}",
        answer.body
    );
    Ok(())
}

/// Method and place of everything else, and the statuses that are right.
const ELSEWHERE: &str = "
    GET 404 /newsletters/no-such-news
    GET 404 /newsletters/Council-News
    GET 404 /newsletters/%FF
    GET 404 /newsletters/..%2f..%2fetc%2fpasswd
    GET 404 /newsletters/LONG
    GET 404 /newsletters/no-such-news/form.html
    GET 404 /nowhere
    GET 404 /.env
    GET 404 /caught-mail/..%2f..%2fkeys
    GET 404 /caught-mail/nonsense
    GET 404 /assets/nowhere.css
    GET 404 /confirm/x
    POST 404 /confirm/x
    GET 404 /undo/x
    POST 404 /undo/x
    GET 200 /newsletters?lang=xx&lang=cy&l=%FF&n=%00
    GET 200 /newsletters/council-news?lang=%FF
    GET 200 /newsletters/council-news?x=LONG
    GET 405 /subscriptions
    PUT 405 /subscriptions
    DELETE 405 /subscriptions
    POST 405 /newsletters
    POST 405 /newsletters/council-news
    PUT 405 /confirm/x
    DELETE 405 /u/x
    POST 405 /metrics
";

#[test]
fn wrong_places_methods_and_queries_get_the_right_status() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let web = letterbox.web();
    for row in ELSEWHERE
        .lines()
        .map(str::trim)
        .filter(|row| !row.is_empty())
    {
        let mut words = row.split(' ');
        let mut word = || words.next().unwrap_or_default();
        let (method, status, place) = (word(), word(), word());
        let answer = web.send(method, &place.replace("LONG", &"x".repeat(5_000)), &[], b"")?;
        assert_eq!(answer.status.to_string(), status, "{row}");
        assert_eq!(answer.header("set-cookie"), None, "{row}");
    }
    nothing_was_kept(&letterbox)
}

#[test]
fn bytes_that_are_no_request_do_no_harm() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let post = "POST /subscriptions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let requests: Vec<Vec<u8>> = vec![
        b"\r\n\r\n".to_vec(),
        b"nonsense\r\n\r\n".to_vec(),
        b"GET /newsletters HTTP/9.9\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x00\x05hello".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        format!(
            "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
            "x".repeat(1_000_000)
        )
        .into_bytes(),
        format!(
            "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
            "A: b\r\n".repeat(5_000)
        )
        .into_bytes(),
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(200_000)).into_bytes(),
        format!("{post}Content-Length: -1\r\n\r\n").into_bytes(),
        format!("{post}Content-Length: 99999999999999999999\r\n\r\nx").into_bytes(),
        format!("{post}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd").into_bytes(),
        format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n").into_bytes(),
        format!("{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            .into_bytes(),
        b"GET /newsletters HTTP/1.1\r\nHost: x\r\nA\x00B: c\r\n\r\n".to_vec(),
    ];
    for request in &requests {
        let shown = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
        let answer = raw_exchange(letterbox.port(), request).unwrap_or_default();
        let status = answer.split(' ').nth(1).unwrap_or_default();
        let fine = answer.is_empty() || status.starts_with(['4', '5']) && status != "500";
        assert!(fine, "{shown}: {answer}");
    }
    nothing_was_kept(&letterbox)
}

#[test]
fn one_idempotency_key_is_one_sign_up_and_answers_alike() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let web: Web = letterbox.web();
    let notice = sign_up_form(&letterbox)?
        .field("notice")
        .unwrap_or_default()
        .to_owned();
    let body = json!({ "email": "jo@example.org", "newsletter": ["council-news"], "notice": notice, "language": "en" });
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "order-66"),
    ];
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let answer = web.send(
            "POST",
            "/subscriptions",
            &headers,
            body.to_string().as_bytes(),
        )?;
        assert_eq!(answer.status, 202, "{}", answer.body);
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    letterbox.wait_for_sql("SELECT sum(applied_upto) FROM spool", "3")?;
    assert_eq!(letterbox.sql("SELECT count(*) FROM sign_up")?, "1");
    letterbox.wait_for_sql("SELECT count(*) FROM mail WHERE state = 2", "1")?;
    assert_eq!(letterbox.mailbox().all()?.len(), 1);
    Ok(())
}
