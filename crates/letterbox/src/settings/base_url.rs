//! How residents reach an installation.

use crate::failure::SettingsError;

/// `https://host[:port][/path]`, or `http` for a loopback host: RFC 8058 allows https only.
pub(crate) fn check(url: &str) -> Result<String, SettingsError> {
    let refuse = |why: &str| {
        SettingsError::new(format!(
            "--base-url {url} {why}: write it like https://news.example.gov.uk"
        ))
    };
    let parsed: axum::http::Uri = url.parse().map_err(|_| refuse("is no web address"))?;
    let host = parsed.host().unwrap_or_default();
    let is_loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    match parsed.scheme_str() {
        Some("https") => {}
        Some("http") if is_loopback => {}
        Some("http") => {
            return Err(refuse(
                "must start with https, since one-click unsubscribe works over nothing else",
            ));
        }
        _ => return Err(refuse("must start with https://")),
    }
    if host.is_empty() || url.contains(['?', '#', '@', ' ']) {
        return Err(refuse("should be a host and, if need be, a path"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_loses_its_last_slash() {
        let url = check("https://news.example.gov.uk/").unwrap();
        assert_eq!(url, "https://news.example.gov.uk");
    }
}
