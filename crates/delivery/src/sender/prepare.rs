//! From a claimed row to a finished message. Everything that needs a key and no network happens
//! here, in a thread of its own.

use address_open::{OpenError, RowFields};
use address_seal::Purpose as SealPurpose;
use domain::{
    Catalogue, EmailAddress, IssueNumber, Language, MailKind, Newsletter, NewsletterNumber,
    SubscriptionId, Timestamp,
};
use link_token::Purpose;
use mail::{MailError, Recipient, SignError, ThawError, WireText};
use store::{ClaimedDelivery, ClaimedMail, SealedPerson};

use super::letters::Letter;
use super::{IssueInHand, sending_domain};
use crate::Keys;
use crate::journal::Attempt;

/// A message that can go.
pub(super) struct Ready {
    pub(super) attempt: Attempt,
    pub(super) kind: MailKind,
    /// Whose stop cuts it; none for a confirmation, which has no subscription yet, and for an answer to
    /// who asked how to leave.
    pub(super) subscription: Option<SubscriptionId>,
    /// What the Message-ID is made of besides the issue.
    pub(super) subject: [u8; 16],
    pub(super) message_id: String,
    pub(super) return_path: String,
    pub(super) address: EmailAddress,
    /// Ready for the wire: the thread that sends only writes.
    pub(super) text: WireText,
    pub(super) attempts_before: u16,
    pub(super) created_at: Timestamp,
    pub(super) deadline: Timestamp,
}

/// Why a row gets no mail: a fault of ours or of whoever edited the row, never the recipient's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unmailable {
    /// The subscription is to another newsletter than the issue's: the send path refuses, whatever
    /// the tables say.
    #[error("a subscription to newsletter {subscription} is no reason to send an issue of {issue}")]
    OtherNewsletter {
        /// The subscription's.
        subscription: u64,
        /// The issue's.
        issue: u64,
    },
    /// The row MAC does not hold: somebody edited the row.
    #[error("the row was changed by somebody without the row key")]
    Forged,
    /// A column has a length that no code of ours writes.
    #[error("the row cannot be read")]
    Unreadable,
    /// The address does not open.
    #[error("the sealed address does not open")]
    Unopened(#[source] OpenError),
    /// What is stored of the issue is not what was approved.
    #[error("the issue is not as it was approved")]
    NotAsApproved(#[source] ThawError),
    /// A key did not sign the message.
    #[error("the mail cannot be signed")]
    Unsigned(#[source] SignError),
    /// The message cannot be made.
    #[error("the mail cannot be made")]
    Unrendered(#[source] MailError),
    /// The catalogue lacks what the mail names.
    #[error("the catalogue lacks the body or a newsletter")]
    NoCatalogue,
    /// The worker must not send mails of this kind.
    #[error("this kind of mail has no sender")]
    NoSender,
}

/// Checks the row MAC, then opens the address: HPKE alone does not say who sealed.
fn open(
    keys: &Keys,
    person: &SealedPerson,
    purpose: SealPurpose,
) -> Result<EmailAddress, Unmailable> {
    let fields = RowFields {
        subscription_id: person.subscription_id,
        box_id: person.box_id,
        newsletter: person.newsletter,
        sealed: &person.sealed,
        state: person.state,
        consent_event_id: person.consent_event_id,
    };
    if !keys.address.row_mac_holds(&fields, &person.row_mac) {
        return Err(Unmailable::Forged);
    }
    keys.opener
        .open(&person.sealed, purpose, person.box_id)
        .map_err(Unmailable::Unopened)
}

/// The message of an issue for one subscription.
pub(super) fn delivery(
    keys: &Keys,
    base_url: &str,
    return_path_domain: Option<&str>,
    issue: &IssueInHand,
    claimed: &ClaimedDelivery,
    now: Timestamp,
) -> Result<Ready, Unmailable> {
    let person = claimed.person.as_ref().ok_or(Unmailable::Unreadable)?;
    same_newsletter(issue.newsletter.number, person.newsletter)?;
    let address = open(keys, person, SealPurpose::Subscriber)?;
    let (language, template) = issue.template(person.language);
    let subject = *person.subscription_id.as_bytes();
    let token = keys
        .leave
        .mint(Purpose::Unsubscribe, &subject, issue.number.0);
    let url = page(base_url, "u", &token, &[&issue.newsletter], language);
    let message_id = message_id(keys, template.domain(), issue.number, &subject);
    let message = template
        .render(&Recipient {
            address: &address,
            unsubscribe_url: &url,
            message_id: &message_id,
            date: issue.message_date,
        })
        .map_err(Unmailable::Unrendered)?;
    Ok(Ready {
        attempt: Attempt::Delivery(claimed.key),
        kind: MailKind::Issue,
        subscription: Some(person.subscription_id),
        subject,
        message_id,
        return_path: return_path(
            keys,
            return_path_domain,
            template.sender(),
            issue.number,
            &subject,
            now,
        ),
        address,
        text: WireText::new(signed(keys, message, template.domain())?),
        attempts_before: claimed.attempts_before,
        created_at: issue.message_date,
        deadline: issue.deadline,
    })
}

/// The rule of the send path: an issue goes to subscriptions of its own newsletter.
fn same_newsletter(
    issue: NewsletterNumber,
    subscription: NewsletterNumber,
) -> Result<(), Unmailable> {
    if issue == subscription {
        Ok(())
    } else {
        Err(Unmailable::OtherNewsletter {
            subscription: subscription.0,
            issue: issue.0,
        })
    }
}

/// A one-to-one mail. Its links live from `now` on.
pub(super) fn mail(
    keys: &Keys,
    base_url: &str,
    return_path_domain: Option<&str>,
    catalogue: &Catalogue,
    claimed: &ClaimedMail,
    now: Timestamp,
) -> Result<Ready, Unmailable> {
    let person = claimed.person.as_ref().ok_or(Unmailable::Unreadable)?;
    let purpose = match claimed.kind {
        MailKind::RightsReply => SealPurpose::LookUp,
        _ => SealPurpose::Subscriber,
    };
    let address = open(keys, person, purpose)?;
    let newsletters = claimed
        .newsletters
        .iter()
        .map(|number| catalogue.newsletter_by_number(*number))
        .collect::<Option<Vec<_>>>()
        .ok_or(Unmailable::NoCatalogue)?;
    let first = *newsletters.first().ok_or(Unmailable::NoCatalogue)?;
    let subject = *claimed.box_id.as_bytes();
    let sender = mailbox(first);
    let domain = sending_domain(&sender);
    let message_id = message_id(keys, domain, IssueNumber::NONE, &subject);
    let letter = Letter {
        keys,
        base_url,
        catalogue,
        newsletters: &newsletters,
        language: person.language,
        address: &address,
        message_id: &message_id,
        date: claimed.created_at,
    };
    let (message, subscription) = match claimed.kind {
        MailKind::Confirmation => (letter.confirmation(claimed.box_id, now)?, None),
        MailKind::AlreadySubscribed => (
            letter.already_subscribed(&claimed.held)?,
            Some(person.subscription_id),
        ),
        MailKind::RightsReply => (letter.leave_links(&claimed.held)?, None),
        // every other kind has its own issue and its own rules first
        _ => return Err(Unmailable::NoSender),
    };
    Ok(Ready {
        attempt: Attempt::Mail(claimed.key),
        kind: claimed.kind,
        subscription,
        subject,
        return_path: return_path(
            keys,
            return_path_domain,
            &sender,
            IssueNumber::NONE,
            &subject,
            now,
        ),
        text: WireText::new(signed(keys, message, domain)?),
        attempts_before: before(claimed.key.attempt),
        created_at: claimed.created_at,
        deadline: claimed.deadline,
        message_id,
        address,
    })
}

/// The address of a page. `n` and `l` only say what the page may show; the token decides.
pub(super) fn page(
    base_url: &str,
    route: &str,
    token: &str,
    newsletters: &[&Newsletter],
    language: Language,
) -> String {
    let slugs: Vec<&str> = newsletters
        .iter()
        .map(|newsletter| newsletter.slug.as_str())
        .collect();
    let (slugs, language) = (slugs.join(","), language.tag());
    format!("{base_url}/{route}/{token}?n={slugs}&l={language}")
}

/// The mailbox that a newsletter's mails come from, as `From` has it: ASCII.
fn mailbox(newsletter: &Newsletter) -> String {
    let typed = &newsletter.sender_address;
    EmailAddress::parse(typed)
        .map_or_else(|_| typed.clone(), |address| address.smtp_path().to_string())
}

/// The same for every copy of one mail, so that a repeated one can be recognised.
fn message_id(keys: &Keys, domain: &str, issue: IssueNumber, subject: &[u8; 16]) -> String {
    let local = keys.address.message_id_local_part(issue, subject);
    format!("{local}@{domain}")
}

/// The sender of the envelope: where a bounce of this one mail goes (`FORMATS.md`, Return path).
fn return_path(
    keys: &Keys,
    domain: Option<&str>,
    sender: &str,
    issue: IssueNumber,
    subject: &[u8; 16],
    now: Timestamp,
) -> String {
    domain.map_or_else(
        || sender.to_owned(),
        |domain| format!("{}@{domain}", keys.return_paths.mint(subject, issue, now)),
    )
}

/// The message with the signatures of the domain that its `From` names.
fn signed(keys: &Keys, message: Vec<u8>, domain: &str) -> Result<Vec<u8>, Unmailable> {
    match &keys.dkim {
        Some(signer) => signer.sign(message, domain).map_err(Unmailable::Unsigned),
        None => Ok(message),
    }
}

fn before(attempt: i16) -> u16 {
    u16::try_from(attempt).unwrap_or(0).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_goes_only_to_subscriptions_of_its_own_newsletter() {
        assert!(same_newsletter(NewsletterNumber(1), NewsletterNumber(1)).is_ok());
        assert!(matches!(
            same_newsletter(NewsletterNumber(1), NewsletterNumber(2)),
            Err(Unmailable::OtherNewsletter {
                subscription: 2,
                issue: 1
            })
        ));
    }
}
