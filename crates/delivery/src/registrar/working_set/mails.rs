//! Which mail a sign-up causes: decided when the whole batch is applied, because a stop or a confirm
//! in the same batch changes the answer.

use address_open::RowFields;
use domain::{BoxId, Choice, Language, MailKind, NewsletterNumber, SealedAddress, Timestamp};
use store::{Codes, NewMail, PendingSignUp};

use super::WorkingSet;

/// Pending, in a row MAC.
pub(super) const PENDING: u8 = 0;
/// Active, in a row MAC.
const ACTIVE: u8 = 1;

/// A sign-up that asks for a mail.
#[derive(Debug)]
pub(super) struct MailWish {
    box_id: BoxId,
    sealed: SealedAddress,
    codes: Codes,
    language: Language,
    newsletters: Vec<NewsletterNumber>,
    deadline: Timestamp,
}

impl MailWish {
    pub(super) fn new(sign_up: &PendingSignUp, choices: &[Choice]) -> Self {
        Self {
            box_id: sign_up.box_id,
            sealed: sign_up.sealed.clone(),
            codes: sign_up.codes,
            language: sign_up.language,
            newsletters: choices.iter().map(|choice| choice.newsletter).collect(),
            deadline: sign_up.expires_at,
        }
    }
}

impl WorkingSet<'_> {
    pub(super) fn write_mails(&mut self) {
        for wish in std::mem::take(&mut self.wishes) {
            let answered = !self.waiting.contains_key(&wish.box_id);
            let codes = &wish.codes;
            let unwanted = self.suppressed.contains(codes.mailbox.as_bytes())
                || self.suppressed.contains(codes.suppression.as_bytes());
            if answered || unwanted {
                continue;
            }
            let mail = self.already_subscribed(&wish);
            match mail {
                None => {
                    let mail = self.confirmation(wish);
                    self.changes.mails.extend(mail);
                }
                Some(mail) => {
                    // at most one a day
                    if self.told.insert(wish.codes.index) {
                        self.changes.mails.push(mail);
                    }
                }
            }
        }
    }

    /// "You already get this"; none where some chosen newsletter does not come to this address.
    fn already_subscribed(&self, wish: &MailWish) -> Option<NewMail> {
        let all_active = wish.newsletters.iter().all(|newsletter| {
            self.identities
                .get(&(wish.codes.index, *newsletter))
                .and_then(|id| self.subjects.get(id))
                .is_some_and(super::Subject::is_active)
        });
        if !all_active {
            return None;
        }
        let first = wish.newsletters.first()?;
        let id = self.identities.get(&(wish.codes.index, *first))?;
        let row = self.subjects.get(id)?.row(self.keys)?;
        // The box of this request, not the subscription's: its id makes the Message-ID, which must
        // differ from that of any earlier mail.
        let row_mac = self.keys.row_mac(&RowFields {
            subscription_id: row.subscription_id,
            box_id: wish.box_id,
            newsletter: *first,
            sealed: &wish.sealed,
            state: ACTIVE,
            consent_event_id: Some(row.consent_event_id),
        });
        Some(NewMail {
            kind: MailKind::AlreadySubscribed,
            language: wish.language,
            newsletters: wish.newsletters.clone(),
            box_id: wish.box_id,
            sealed: wish.sealed.clone(),
            address_index: wish.codes.index,
            mailbox_code: wish.codes.mailbox,
            subscription_id: row.subscription_id,
            row_mac,
            mac_state: ACTIVE,
            mac_consent: Some(row.consent_event_id),
            deadline: wish.deadline,
        })
    }

    fn confirmation(&self, wish: MailWish) -> Option<NewMail> {
        let first = *wish.newsletters.first()?;
        let subscription_id = *self.identities.get(&(wish.codes.index, first))?;
        let row_mac = self.keys.row_mac(&RowFields {
            subscription_id,
            box_id: wish.box_id,
            newsletter: first,
            sealed: &wish.sealed,
            state: PENDING,
            consent_event_id: None,
        });
        Some(NewMail {
            kind: MailKind::Confirmation,
            language: wish.language,
            newsletters: wish.newsletters,
            box_id: wish.box_id,
            sealed: wish.sealed,
            address_index: wish.codes.index,
            mailbox_code: wish.codes.mailbox,
            subscription_id,
            row_mac,
            mac_state: PENDING,
            mac_consent: None,
            deadline: wish.deadline,
        })
    }
}
