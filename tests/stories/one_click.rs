//! Unsubscribe requests as mail providers and gateways send them (RFC 8058; `privacy.md` EML-04): each
//! works, and a link that is not ours never does.

use anyhow::Result;
use support::{Letterbox, Resident, forms, raw_exchange, token_of, unsubscribe_link, url_path};

fn subscriber(letterbox: &Letterbox) -> Result<String> {
    let jo = Resident::new("jo@example.org");
    jo.join(letterbox)?;
    letterbox.wait_for_active(1)?;
    letterbox.send_issue("Bins", "Bins are collected on Tuesday.")?;
    unsubscribe_link(&letterbox.mailbox().wait_for(&jo.email, "Bins")?)
}

#[test]
fn every_way_of_asking_works() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let link = subscriber(&letterbox)?;
    let path = url_path(&link);
    let plain = path.split('?').next().unwrap_or_default();
    let token = token_of(&link);
    let percent = plain.replace(
        token,
        &format!("%{:02X}{}", token.as_bytes()[0], &token[1..]),
    );
    let body = "List-Unsubscribe=One-Click";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n";
    let cases: &[(&str, &str, String, &str, &str)] = &[
        ("urlencoded", "1.1", path.into(), form, body),
        (
            "multipart",
            "1.1",
            path.into(),
            "Content-Type: multipart/form-data; boundary=b\r\n",
            multipart,
        ),
        (
            "a charset",
            "1.1",
            path.into(),
            "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n",
            body,
        ),
        ("no body", "1.1", path.into(), "", ""),
        (
            "an odd body",
            "1.1",
            path.into(),
            "Content-Type: text/plain\r\n",
            "\u{1}%zz&&=",
        ),
        ("no content type", "1.1", path.into(), "", body),
        ("HTTP/1.0", "1.0", path.into(), form, body),
        (
            "a foreign Origin",
            "1.1",
            path.into(),
            "Origin: https://evil.example\r\nCookie: a=b\r\n",
            body,
        ),
        (
            "more in the query",
            "1.1",
            format!("{path}&utm_source=x"),
            form,
            body,
        ),
        (
            "another query",
            "1.1",
            format!("{plain}?utm_source=x"),
            form,
            body,
        ),
        ("no query", "1.1", plain.into(), form, body),
        ("a slash at the end", "1.1", format!("{plain}/"), form, body),
        (
            "punctuation at the end",
            "1.1",
            format!("{plain}.)%3E,"),
            form,
            body,
        ),
        ("percent-encoded", "1.1", percent, form, body),
    ];
    for (name, version, place, headers, body) in cases {
        let request = format!(
            "POST {place} HTTP/{version}\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            letterbox.port(),
            body.len()
        );
        let answer = raw_exchange(letterbox.port(), request.as_bytes())?;
        assert!(
            answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200"),
            "{name}: {answer}"
        );
        assert!(!answer.to_lowercase().contains("set-cookie"), "{name}");
    }
    // A client that waits to be asked for the body.
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n{form}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = raw_exchange(letterbox.port(), request.as_bytes())?;
    assert!(answer.contains(" 200 "), "Expect: {answer}");

    letterbox.wait_for_active(0)?;
    // Fifteen requests, one of which stopped something; the others repeat it and write nothing.
    letterbox.wait_for_sql("SELECT sum(applied_upto) FROM spool", "3")?;
    let entries = letterbox.sql("SELECT count(*), min(effect), max(effect) FROM ledger_entry")?;
    assert_eq!(entries, "1|0|0");
    Ok(())
}

#[test]
fn every_wrong_link_gets_the_same_404() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let link = subscriber(&letterbox)?;
    let web = letterbox.web();
    let token = token_of(&link).to_owned();
    let flipped = |index: usize| {
        let mut bytes = token.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap_or_default()
    };
    let wrong = [
        String::new(),
        "x".into(),
        token[..53].into(),
        format!("{token}A"),
        flipped(0),
        flipped(2),
        flipped(5),
        flipped(20),
        flipped(50),
        token.to_uppercase(),
        format!("{}B", &token[..53]),
        "A".repeat(54),
        "A".repeat(5000),
        "%FF%FE".into(),
        format!("../u/{token}"),
        format!("{token}%00"),
    ];
    let mut pages = Vec::new();
    for bad in &wrong {
        let page = web.get(&format!("/u/{bad}"))?;
        assert_eq!(page.status, 404, "GET {bad}");
        pages.push(page.body);
        let answer = web.post_form(&format!("/u/{bad}"), &[("List-Unsubscribe", "One-Click")])?;
        assert_eq!(answer.status, 404, "POST {bad}");
        assert_eq!(answer.body.trim().lines().count(), 1, "{}", answer.body);
    }
    // The token belongs to another door.
    for door in ["/undo/", "/confirm/"] {
        let page = web.get(&format!("{door}{token}"))?;
        assert_eq!(page.status, 404, "{door}");
        pages.push(page.body);
        assert_eq!(
            web.post_form(&format!("{door}{token}"), &[])?.status,
            404,
            "{door}"
        );
    }
    pages.dedup();
    assert_eq!(
        pages.len(),
        1,
        "identical bytes for every cause: {pages:#?}"
    );
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = web.send(method, url_path(&link), &[], b"")?;
        assert_eq!(answer.status, 405, "{method}");
    }
    assert_eq!(letterbox.sql("SELECT count(*) FROM ledger_entry")?, "0");
    assert_eq!(
        letterbox.sql("SELECT count(*) FROM subscription WHERE state = 1")?,
        "1"
    );
    Ok(())
}

#[test]
fn an_unsubscribe_can_be_undone_and_the_pages_say_so() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let link = subscriber(&letterbox)?;
    let web = letterbox.web();
    let page = web.get(&link)?;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Council news"), "{}", page.body);
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-robots-tag", "noindex"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        let found = page.header(name).unwrap_or_default();
        assert!(found.contains(value), "{name}: {found}");
    }
    assert!(
        page.header("content-security-policy")
            .is_some_and(|policy| policy.contains("default-src 'none'"))
    );
    let button = forms(&page.body).remove(0);
    let done = web.post_form(&link, &button.pairs())?;
    assert_eq!(done.status, 200);
    letterbox.wait_for_active(0)?;
    assert_eq!(
        letterbox.sql("SELECT method, effect FROM ledger_entry")?,
        "1|0"
    );
    let undo = forms(&done.body)
        .into_iter()
        .find(|form| form.action.contains("/undo/"));
    let undo = undo.ok_or_else(|| anyhow::anyhow!("no undo button: {}", done.body))?;
    assert_eq!(web.get(&undo.action)?.status, 200);
    letterbox.wait_for_active(0)?;
    assert_eq!(web.post_form(&undo.action, &undo.pairs())?.status, 200);
    letterbox.wait_for_active(1)?;
    letterbox.send_issue("Again", "We are back.")?;
    letterbox.mailbox().wait_for("jo@example.org", "Again")?;
    Ok(())
}
