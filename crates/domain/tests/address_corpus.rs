//! The address rule against a corpus written by hand, and against the HTML standard's production
//! written a second time, character by character.

use std::collections::BTreeSet;

use domain::{AddressProblem, EmailAddress, comparison_form, comparison_form_of_text};
use proptest::prelude::*;

const CORPUS: &str = include_str!("../../../tests/corpus/addresses.tsv");

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        if let Some(behind) = behind.strip_prefix('\\') {
            out.push('\\');
            rest = behind;
        } else {
            let hex_and_more = behind.strip_prefix("u{").expect("an escape is \\u{..}");
            let (hex, behind) = hex_and_more.split_once('}').expect("a brace is closed");
            let number = u32::from_str_radix(hex, 16).expect("a code point is hexadecimal");
            out.push(char::from_u32(number).expect("a code point is a character"));
            rest = behind;
        }
    }
    out + rest
}

#[test]
fn the_corpus_is_taken_and_refused_as_it_says() {
    let mut wrong = Vec::new();
    let mut codes = BTreeSet::new();
    let mut cases = 0;
    for line in CORPUS.lines().filter(|line| !line.starts_with('#')) {
        let [escaped, verdict, code, why] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not four columns: {line}");
        };
        cases += 1;
        let (said, said_code) = match EmailAddress::parse(&unescaped(escaped)) {
            Ok(_) => ("accept", "-"),
            Err(problem) => ("reject", problem.code()),
        };
        if (said, said_code) != (verdict, code) {
            wrong.push(format!(
                "{why}: {escaped}: {said} {said_code}, not {verdict} {code}"
            ));
        }
        codes.insert(code);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases >= 250, "{cases} cases");
    for problem in AddressProblem::ALL {
        assert!(
            codes.contains(problem.code()),
            "no case is {}",
            problem.code()
        );
    }
}

#[test]
fn codes_are_all_different() {
    let codes: BTreeSet<&str> = AddressProblem::ALL.iter().map(|p| p.code()).collect();
    assert_eq!(codes.len(), AddressProblem::ALL.len());
}

/// The production of the HTML standard, "valid e-mail address", read as a grammar.
fn html_standard_takes(text: &str) -> bool {
    let atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let let_dig = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    !local.is_empty()
        && local.chars().all(|c| atext(c) || c == '.')
        && domain.split('.').all(|label| {
            let_dig(label.chars().next())
                && let_dig(label.chars().last())
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && label.len() <= 63
        })
}

fn rule_takes_ascii(text: &str) -> bool {
    html_standard_takes(text)
        && text.len() <= 254
        && text.split_once('@').is_some_and(|(local, domain)| {
            local.len() <= 64 && domain.len() <= 253 && domain.contains('.')
        })
}

fn nearly_an_address() -> impl Strategy<Value = String> {
    (
        "[a-z.!#'+\"(,@ ]{0,6}[a-z]{0,70}",
        "@{0,2}",
        prop::collection::vec("-?[a-zA-Z0-9_-]{0,3}[a-z0-9]{0,64}-?", 0..6),
        "\\.?",
    )
        .prop_map(|(local, at, labels, dot)| format!("{local}{at}{}{dot}", labels.join(".")))
}

/// A broken A-label is the one thing in ASCII that UTS 46 refuses and the production does not.
fn has_a_label(text: &str) -> bool {
    text.to_ascii_lowercase().contains("xn--")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn in_ascii_the_rule_is_the_html_standards(
        text in prop_oneof![nearly_an_address(), "[ -~]{0,12}@[ -~]{0,12}", "[a-z.@-]{0,9}"],
    ) {
        prop_assume!(!has_a_label(&text));
        prop_assert_eq!(EmailAddress::parse(&text).is_ok(), rule_takes_ascii(&text), "{:?}", text);
    }

    #[test]
    fn whatever_is_taken_keeps_the_limits(
        text in prop_oneof![
            "\\PC{0,40}@\\PC{0,30}\\.\\PC{0,30}",
            "[a-zé用א]{1,70}@[a-züא例0-9.。-]{1,80}\\.[a-zü]{1,10}",
            any::<String>(),
            nearly_an_address(),
        ],
    ) {
        if let Ok(address) = EmailAddress::parse(&text) {
            prop_assert_eq!(address.expose(), &text);
            prop_assert!(address.local_part().len() <= 64);
            prop_assert!(address.domain_as_typed().len() <= 255);
            prop_assert!(address.domain_ascii().len() <= 253);
            prop_assert!(address.domain_ascii().is_ascii());
            prop_assert!(address.smtp_path().len() <= 254);
            prop_assert!(text.len() <= 328, "a sealed address holds it");
            let in_ascii = format!("a@{}", address.domain_ascii());
            prop_assert!(html_standard_takes(&in_ascii), "{}", in_ascii);
            // Nothing that could end a line or a path of SMTP, or a header.
            let breaks_a_line = |c: char| {
                c.is_control() || c.is_whitespace() || "<>()[],;:\\\"".contains(c)
            };
            prop_assert!(!address.smtp_path().contains(breaks_a_line));
            // What is computed piece by piece is what the format says of the whole.
            let form = Some(comparison_form(&address));
            prop_assert!(form == comparison_form_of_text(&text));
            // What goes out is the same address.
            prop_assert!(form == comparison_form_of_text(&address.smtp_path()));
        }
    }
}
