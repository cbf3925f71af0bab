//! The corpus of addresses, posted as a form and as JSON and compared with the rule.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::json;
use support::{Letterbox, repository, sign_up_form};

struct Row {
    address: String,
    accepted: bool,
    code: String,
    why: String,
}

fn corpus() -> Result<Vec<Row>> {
    let path = repository().join("tests/corpus/addresses.tsv");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut cells = line.split('\t');
            let mut cell = || {
                cells
                    .next()
                    .with_context(|| format!("no four columns: {line}"))
            };
            Ok(Row {
                address: unescape(cell()?)?,
                accepted: cell()? == "accept",
                code: cell()?.to_owned(),
                why: cell()?.to_owned(),
            })
        })
        .collect()
}

/// `\u{..}` is a character by its code point, `\\` a backslash.
fn unescape(text: &str) -> Result<String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        if let Some(hex) = after.strip_prefix("u{") {
            let (hex, after) = hex.split_once('}').context("no end of \\u{")?;
            let point = u32::from_str_radix(hex, 16)?;
            plain.push(char::from_u32(point).context("no character")?);
            rest = after;
        } else {
            plain.push('\\');
            rest = after.strip_prefix('\\').context("a lone backslash")?;
        }
    }
    plain.push_str(rest);
    Ok(plain)
}

#[test]
fn each_address_of_the_corpus_is_taken_or_refused_by_form_and_by_json() -> Result<()> {
    let letterbox = Letterbox::start()?;
    let web = letterbox.web();
    let form = sign_up_form(&letterbox)?;
    let notice = form.field("notice").context("no notice")?.to_owned();
    let mut corpus = corpus()?;
    let accepted: BTreeSet<String> = corpus
        .iter()
        .filter(|row| row.accepted)
        .map(|row| row.address.clone())
        .collect();
    assert!(corpus.len() >= 200, "only {} addresses", corpus.len());
    let mut wrong = Vec::new();
    for row in &mut corpus {
        // White space around an address is typed by accident: a form cuts it off, so it counts for
        // nothing, and nothing but white space is no address at all.
        let trimmed = row.address.trim_matches(|c: char| c.is_ascii_whitespace());
        if trimmed.is_empty() {
            row.code = "missing".to_owned();
        } else if trimmed != row.address {
            row.accepted = accepted.contains(trimmed);
        }
        let row = &*row;
        let typed = form.clone().with("email", &row.address);
        let status = web.post_form(&typed.action, &typed.pairs())?.status;
        if status != if row.accepted { 303 } else { 422 } {
            wrong.push(format!("form {status}: {:?} ({})", row.address, row.why));
        }
        let body = json!({ "email": row.address, "newsletter": "council-news", "notice": notice });
        let answer = web.post_json("/subscriptions", &body)?;
        let fits = answer.status == if row.accepted { 202 } else { 422 };
        if !fits || !(row.accepted || answer.body.contains(&row.code)) {
            wrong.push(format!(
                "json {} {}: {:?} ({})",
                answer.status, answer.body, row.address, row.why
            ));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    let accepted = corpus.iter().filter(|row| row.accepted).count();
    letterbox.wait_for_sql(
        "SELECT sum(applied_upto) FROM spool",
        &(2 * accepted).to_string(),
    )
}
