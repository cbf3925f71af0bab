//! Writes one of each mail, in both languages, as `.eml` and `.html`, to look at:
//! `cargo run -p mail --example sample_mails FOLDER [SUBJECT]`.

#![expect(
    clippy::unwrap_used,
    reason = "what is shared with the tests fails by panicking"
)]

use std::fs;
use std::path::Path;

use domain::Language;
use mail_parser::MessageParser;

#[path = "../tests/support/mod.rs"]
mod support;

fn main() {
    let folder = std::env::args().nth(1).expect("name a folder");
    let folder = Path::new(&folder);
    let mut text = issue_text::parse(support::ISSUE).expect("the sample is an issue");
    if let Some(subject) = std::env::args().nth(2) {
        text.subject = subject;
    }
    for language in Language::ALL {
        let mails = [
            ("confirmation", support::confirmation(language)),
            ("already-subscribed", support::already_subscribed(language)),
            ("issue", support::issue(&text, language)),
        ];
        for (name, message) in mails {
            let file = folder.join(format!("{name}.{}", language.tag()));
            let parsed = MessageParser::default().parse(&message).expect("a message");
            let html = parsed.body_html(0).expect("HTML").into_owned();
            fs::write(file.with_added_extension("eml"), &message).expect("a folder to write to");
            fs::write(file.with_added_extension("html"), html).expect("a folder to write to");
        }
    }
}
