//! What the link of a request says: the token, and the display hints beside it.
//!
//! | hint | what it is |
//! | --- | --- |
//! | `n` | slugs of newsletters, with commas between them |
//! | `l` | the language |
//! | `all` | 1 where everything was left |
//! | `t` | when an unsubscribe was accepted, in minutes since 1970 |
//!
//! Anybody can change a hint, and only words on a page change with it.

use std::time::Duration;

use axum::http::{HeaderMap, Uri, header};
use domain::{Catalogue, Language, Newsletter, Timestamp};
use link_token::{CheckedToken, LinkKeys, Route};

/// Newsletters that a hint may name; a sign-up form offers fewer.
const MOST_NAMED: usize = 20;

/// The token, checked; nothing for every kind of link that is not ours.
///
/// The request target is taken as it was sent: routing and decoding it again would open a second
/// spelling.
pub(crate) fn checked(keys: &LinkKeys, route: Route, target: &Uri) -> Option<CheckedToken> {
    let target = target.path_and_query()?.as_str();
    keys.check(route, target.strip_prefix(route.path())?)
}

/// The language of the page: the link's, else the browser's.
pub(crate) fn language(target: &Uri, headers: &HeaderMap) -> Language {
    let accepted = headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok());
    page_frame::language_from(target.query(), accepted, Language::En)
}

/// The hints, as far as the catalogue knows what they name.
#[derive(Debug, Default)]
pub(crate) struct Hints<'a> {
    /// In the hint's order.
    pub(crate) newsletters: Vec<&'a Newsletter>,
    pub(crate) is_all: bool,
    pub(crate) taken_at: Option<Timestamp>,
}

impl<'a> Hints<'a> {
    /// Those of this request.
    pub(crate) fn of(target: &Uri, catalogue: &'a Catalogue) -> Self {
        let mut hints = Self::default();
        let query = target.query().unwrap_or_default();
        let mut are_named = false;
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "n" if !are_named => {
                    hints.newsletters = named(&value, catalogue);
                    are_named = true;
                }
                "all" => hints.is_all = value == "1",
                "t" => {
                    let minutes = value.parse::<u32>().ok();
                    hints.taken_at =
                        minutes.map(|minutes| Timestamp::from_millis(u64::from(minutes) * 60_000));
                }
                _ => {}
            }
        }
        hints
    }

    /// The query of a link to undo with.
    pub(crate) fn of_undo(&self, language: Language, taken_at: Timestamp, is_all: bool) -> String {
        let minutes = taken_at.as_millis() / 60_000;
        let mut query = format!("l={}&t={minutes}", language.tag());
        if is_all {
            query.push_str("&all=1");
        } else if let Some(newsletter) = self.newsletters.first() {
            query.push_str("&n=");
            query.push_str(newsletter.slug.as_str());
        }
        query
    }

    /// Whether the address that an undo needs is deleted by now, as the notice promised.
    pub(crate) fn is_over(&self, catalogue: &Catalogue, now: Timestamp) -> bool {
        let kept = if self.is_all {
            catalogue
                .newsletters
                .iter()
                .map(|it| it.retention_days)
                .max()
        } else {
            self.newsletters.first().map(|it| it.retention_days)
        };
        match (kept, self.taken_at) {
            (Some(days), Some(taken_at)) => {
                // An hour more: the hint is cut to the minute, and nothing is deleted to the second.
                let life = Duration::from_hours(u64::from(days) * 24 + 1);
                now >= taken_at.plus(life)
            }
            _ => false,
        }
    }
}

fn named<'a>(hint: &str, catalogue: &'a Catalogue) -> Vec<&'a Newsletter> {
    let mut named: Vec<&Newsletter> = Vec::new();
    for slug in hint.split(',').take(MOST_NAMED) {
        if let Some(newsletter) = catalogue.newsletter(slug)
            && named.iter().all(|other| other.number != newsletter.number)
        {
            named.push(newsletter);
        }
    }
    named
}
