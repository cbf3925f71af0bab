//! Which language a page is in, and the address of the same page in the other one.

use domain::Language;

/// The language of a page: `lang` of the query (the language link), else `l` of the query (the hint
/// in mailed links), else the first language of `Accept-Language` that we have, else `fallback`.
///
/// `query` is the part of the request target after the first `?`, as sent.
#[must_use]
pub fn language_from(
    query: Option<&str>,
    accept_language: Option<&str>,
    fallback: Language,
) -> Language {
    let asked = |name: &str| {
        form_urlencoded::parse(query.unwrap_or_default().as_bytes())
            .filter(|(key, _)| key == name)
            .find_map(|(_, value)| Language::from_tag(&value))
    };
    asked("lang")
        .or_else(|| asked("l"))
        .or_else(|| accept_language.and_then(preferred))
        .unwrap_or(fallback)
}

/// The language of the header with the greatest weight; the earlier one where weights are equal
/// (RFC 9110, 12.5.4). `cy-GB` counts as Welsh.
fn preferred(accept_language: &str) -> Option<Language> {
    let mut best: Option<(Language, f32)> = None;
    for range in accept_language.split(',') {
        let mut parts = range.split(';');
        let tag = parts.next().unwrap_or_default().trim();
        let primary = tag.split('-').next().unwrap_or_default();
        let weight = parts
            .find_map(|part| part.trim().strip_prefix("q="))
            .map_or(Some(1.0), |q| q.trim().parse::<f32>().ok())
            .unwrap_or(0.0);
        let Some(language) = Language::from_tag(&primary.to_ascii_lowercase()) else {
            continue;
        };
        if weight > best.map_or(0.0, |(_, greatest)| greatest) {
            best = Some((language, weight));
        }
    }
    best.map(|(language, _)| language)
}

/// The address of the page on screen in the language that it is not in, relative to it: `?lang=cy`.
///
/// Of the query only `n`, the newsletters named in mailed links, is kept: the path, and with it the
/// token, stays by itself.
#[must_use]
pub fn other_language(query: Option<&str>, on_screen: Language) -> String {
    let mut href = String::from("?");
    let newsletters = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .find(|(key, value)| key == "n" && value.len() <= 1024);
    let mut pairs = form_urlencoded::Serializer::for_suffix(&mut href, 1);
    if let Some((key, value)) = newsletters {
        pairs.append_pair(&key, &value);
    }
    pairs.append_pair("lang", other_than(on_screen).tag());
    pairs.finish();
    href
}

/// The language that this one is not.
pub(crate) const fn other_than(language: Language) -> Language {
    match language {
        Language::En => Language::Cy,
        Language::Cy => Language::En,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Language::{Cy, En};

    #[test]
    fn the_link_beats_the_hint_beats_the_browser() {
        for (query, accept, fallback, expected) in [
            (Some("l=en&lang=cy"), Some("en"), En, Cy),
            (Some("l=cy"), Some("en"), En, Cy),
            (Some("lang=fr&l=cy"), None, En, Cy),
            (Some("lang=CY"), None, En, En),
            (None, Some("cy-GB, en;q=0.5"), En, Cy),
            (None, Some("en;q=0.5, cy"), En, Cy),
            (None, Some("fr, cy;q=0.2, en;q=0.9"), Cy, En),
            (None, Some("cy;q=0, de"), En, En),
            (None, Some(";;;,q=,\u{e9}"), Cy, Cy),
            (Some("%ff=%"), None, En, En),
            (None, None, Cy, Cy),
        ] {
            assert_eq!(
                language_from(query, accept, fallback),
                expected,
                "{query:?} {accept:?}"
            );
        }
    }

    #[test]
    fn the_language_link_keeps_the_newsletters_and_nothing_else() {
        assert_eq!(other_language(None, En), "?lang=cy");
        assert_eq!(
            other_language(Some("utm=x&n=bins,news&l=en&lang=cy"), Cy),
            "?n=bins%2Cnews&lang=en"
        );
        assert_eq!(
            other_language(Some("n=%22%3E%3Cscript"), En),
            "?n=%22%3E%3Cscript&lang=cy"
        );
    }
}
