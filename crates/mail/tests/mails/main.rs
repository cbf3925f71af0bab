//! Our mails, read back by an independent parser and byte by byte: `form` has the MIME and the
//! headers (`privacy.md` 3.1, 3.2), `content` what they say (8.3), `refusals` what is not sent,
//! `signatures` what verifiers say of DKIM (3.3), `frozen` what stays as it was approved.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use domain::Language;
use mail_parser::{Message, MessageParser};

mod content;
mod form;
mod frozen;
mod refusals;
mod signatures;
#[path = "../support/mod.rs"]
mod support;

use support::ISSUE;

fn parsed(message: &[u8]) -> Message<'_> {
    MessageParser::default().parse(message).unwrap()
}

/// The lines of all headers with this name, unfolded.
fn headers(message: &[u8], name: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(message);
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    head.replace("\r\n ", " ")
        .split("\r\n")
        .filter_map(|line| line.split_once(": "))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

fn text_part(message: &[u8]) -> String {
    let mail = parsed(message);
    mail.body_text(0).unwrap().replace("\r\n", "\n")
}

fn html_part(message: &[u8]) -> String {
    parsed(message).body_html(0).unwrap().into_owned()
}

fn hrefs(html: &str) -> Vec<String> {
    html.split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .map(|href| {
            href.replace("&quot;", "\"")
                .replace("&lt;", "<")
                .replace("&amp;", "&")
        })
        .collect()
}

/// Whatever a mail says, its bytes keep to the rules of the wire (EML-21, EML-22).
fn assert_fit_for_the_wire(message: &[u8]) {
    assert!(
        message.iter().all(|byte| (1..128).contains(byte)),
        "7-bit and no NUL"
    );
    let text = std::str::from_utf8(message).unwrap();
    assert!(
        !text.replace("\r\n", "").contains(['\r', '\n']),
        "CRLF only"
    );
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.split("\r\n").all(|line| line.len() <= 998));
    for line in head.split("\r\n").filter(|line| line.contains("=?")) {
        assert!(line.len() <= 78, "{line}");
    }
    assert!(
        body.split("\r\n").all(|line| line.len() <= 76),
        "76 columns"
    );
}

fn all_mails() -> Vec<(&'static str, Language, Vec<u8>)> {
    let text = issue_text::parse(ISSUE).unwrap();
    let mut mails = Vec::new();
    for language in Language::ALL {
        mails.push(("confirmation", language, support::confirmation(language)));
        mails.push(("already", language, support::already_subscribed(language)));
        mails.push(("issue", language, support::issue(&text, language)));
    }
    mails
}
