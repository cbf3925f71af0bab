//! Where bounces go.

use domain::EmailAddress;

use crate::cli::RelayOptions;
use crate::failure::SettingsError;

/// As long as a return path's local part (`FORMATS.md`, Return path).
const LOCAL_PART: usize = 58;

/// The domain of return paths as it stands in the DNS.
///
/// # Errors
/// The setting to change, and how.
pub(crate) fn check(options: &RelayOptions) -> Result<Option<String>, SettingsError> {
    options
        .return_path_domain
        .as_deref()
        .map(domain)
        .transpose()
}

fn domain(text: &str) -> Result<String, SettingsError> {
    let address = format!("{}@{text}", "b".repeat(LOCAL_PART));
    EmailAddress::parse(&address)
        .ok()
        .map(|address| address.domain_ascii().to_ascii_lowercase())
        .filter(|domain| domain.contains('.') || domain == "localhost")
        .ok_or_else(|| {
            SettingsError::new(format!(
                "--return-path-domain {text} is no domain that bounces could be sent to: bounces.news.example.gov.uk say"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_taken_as_it_stands_in_the_dns() {
        for (text, expected) in [
            ("bounces.news.example.gov.uk", "bounces.news.example.gov.uk"),
            ("Bounces.Example.ORG", "bounces.example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(domain(text).unwrap(), expected);
        }
        let long = ["a".repeat(60).as_str(); 4].join(".");
        for text in [
            "",
            "a b",
            "news@example.org",
            "example",
            "-.example",
            ".",
            &long,
        ] {
            let refused = domain(text).unwrap_err().to_string();
            assert!(refused.contains("--return-path-domain"), "{refused}");
        }
    }
}
