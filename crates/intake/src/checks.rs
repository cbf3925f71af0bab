//! Whether a sign-up can be accepted: which newsletters, in which language, under which notices.

use std::collections::BTreeSet;

use domain::{
    Catalogue, Choice, EmailAddress, Language, Newsletter, NoticeHash, NoticeStanding, Slug,
    Timestamp,
};

use crate::fault::{Fault, Field};
use crate::fields::Fields;
use crate::visit::first_language;

/// How many newsletters one sign-up may name.
const NEWSLETTERS_LIMIT: usize = 50;

/// A sign-up in which nothing is wrong.
pub(crate) struct Checked {
    pub(crate) address: EmailAddress,
    pub(crate) choices: Vec<Choice>,
}

/// A newsletter that is not there or takes no sign-ups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownNewsletter;

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// What stands in [`Fields::faults`], for the sender to put right.
    Faults,
    /// Nothing but this: for some newsletter the notice on screen was superseded too long ago, or
    /// none of its own.
    OutdatedNotice,
}

/// The newsletters that were chosen, as far as they can be told: a form is shown again for them
/// whatever else is wrong.
pub(crate) fn newsletters_of<'c>(
    fields: &mut Fields,
    catalogue: &'c Catalogue,
) -> Result<Vec<&'c Newsletter>, UnknownNewsletter> {
    let sent = std::mem::take(&mut fields.newsletters);
    if sent.len() > NEWSLETTERS_LIMIT {
        fields.fault(Fault::TooManyNewsletters);
        return Ok(Vec::new());
    }
    if sent.iter().all(String::is_empty) {
        fields.fault(Fault::Missing(Field::Newsletter));
        return Ok(Vec::new());
    }
    let mut chosen: Vec<&Newsletter> = Vec::new();
    for text in &sent {
        let Ok(slug) = Slug::parse(text) else {
            fields.fault(Fault::WrongValue(Field::Newsletter));
            continue;
        };
        let newsletter = catalogue
            .open_newsletters()
            .find(|newsletter| newsletter.slug == slug)
            .ok_or(UnknownNewsletter)?;
        if chosen.iter().any(|other| other.slug == slug) {
            fields.fault(Fault::Duplicated(Field::Newsletter));
        } else {
            chosen.push(newsletter);
        }
    }
    Ok(chosen)
}

/// The language for mails: what was chosen, else what the page on screen was in if the first
/// newsletter is written in it, else that newsletter's first.
pub(crate) fn language_of(
    fields: &mut Fields,
    newsletters: &[&Newsletter],
    page: Option<Language>,
) -> Language {
    if let Some(text) = &fields.language {
        if let Some(language) = Language::from_tag(text) {
            return language;
        }
        fields.fault(Fault::WrongValue(Field::Language));
    }
    let Some(first) = newsletters.first() else {
        return page.unwrap_or(Language::En);
    };
    page.filter(|language| first.languages.contains(language))
        .unwrap_or_else(|| first_language(first))
}

/// Checks the address and the notices, once newsletters and language are known.
pub(crate) fn check(
    fields: &mut Fields,
    newsletters: &[&Newsletter],
    language: Language,
    catalogue: &Catalogue,
    now: Timestamp,
) -> Result<Checked, Obstacle> {
    let address = address_of(fields);
    let notices = notices_of(fields, newsletters, language, catalogue, now);
    match (address, notices) {
        _ if !fields.faults.is_empty() => Err(Obstacle::Faults),
        (Some(address), Some(choices)) => Ok(Checked { address, choices }),
        _ => Err(Obstacle::OutdatedNotice),
    }
}

pub(crate) fn address_of(fields: &mut Fields) -> Option<EmailAddress> {
    if fields.has_fault(Field::Email) {
        return None;
    }
    let Some(text) = &fields.email else {
        fields.fault(Fault::Missing(Field::Email));
        return None;
    };
    // As a browser does before it sends a field of type=email.
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
    if trimmed.is_empty() {
        fields.fault(Fault::Missing(Field::Email));
        return None;
    }
    match EmailAddress::parse(trimmed) {
        Ok(address) => Some(address),
        Err(problem) => {
            fields.fault(Fault::Address(problem));
            None
        }
    }
}

/// For each newsletter the notice that was on screen. The hashes are a set: a form with check boxes
/// sends the hidden hash of each newsletter on it, chosen or not. Where several belong to one
/// newsletter, the one in the sign-up's language counts. None where a newsletter is left without an
/// accepted one.
fn notices_of(
    fields: &mut Fields,
    newsletters: &[&Newsletter],
    language: Language,
    catalogue: &Catalogue,
    now: Timestamp,
) -> Option<Vec<Choice>> {
    let mut sent = Vec::new();
    let mut is_any_malformed = false;
    for notice in &fields.notices {
        match NoticeHash::from_hex(&notice.hash) {
            Some(hash) => sent.push((notice.newsletter.clone(), hash)),
            None if notice.hash.is_empty() => {}
            None => is_any_malformed = true,
        }
    }
    if is_any_malformed {
        fields.fault(Fault::WrongValue(Field::Notice));
    } else if sent.is_empty() {
        fields.fault(Fault::Missing(Field::Notice));
    }
    newsletters
        .iter()
        .map(|newsletter| {
            let own = sent.iter().filter(|(slug, _)| {
                slug.as_deref()
                    .is_none_or(|slug| slug == newsletter.slug.as_str())
            });
            let accepted: BTreeSet<NoticeHash> = own
                .map(|(_, hash)| *hash)
                .filter(|hash| {
                    catalogue.notice_standing(newsletter.number, *hash, now)
                        == NoticeStanding::Accepted
                })
                .collect();
            let in_language = accepted.iter().find(|hash| {
                catalogue.notices.iter().any(|notice| {
                    notice.hash == **hash
                        && notice.newsletter == newsletter.number
                        && notice.language == language
                })
            });
            in_language.or_else(|| accepted.first()).map(|hash| Choice {
                newsletter: newsletter.number,
                notice: *hash,
            })
        })
        .collect()
}
