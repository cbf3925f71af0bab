//! Answers to those who ask how to leave without an old mail at hand. What they get is looked up here and
//! said in a mail to the address itself, and nowhere else.

use std::time::Duration;

use address_open::RowFields;
use domain::{BoxId, Language, LookUp, MailKind, SealedAddress, SubscriptionId, Timestamp};
use store::{Codes, NewMail};

use super::mails::PENDING;
use super::{Inapplicable, Readable, WorkingSet};

/// So many answers go to one mailbox in 24 hours, and in seven days (`privacy.md` 7.1): whoever types
/// somebody else's address cannot flood them.
const A_DAY: u32 = 1;
const A_WEEK: u32 = 3;
/// An answer that could not be sent for so long is not waited for any more.
const WAITED_FOR: Duration = Duration::from_hours(24);

/// A question that asks for a mail.
#[derive(Debug)]
pub(super) struct Question {
    box_id: BoxId,
    sealed: SealedAddress,
    codes: Codes,
    language: Language,
    deadline: Timestamp,
}

impl WorkingSet<'_> {
    pub(super) fn look_up(
        &mut self,
        event: &Readable,
        look_up: &LookUp,
    ) -> Result<(), Inapplicable> {
        let Some(codes) = event.codes else {
            return Err(Inapplicable("its box was not opened"));
        };
        self.questions.push(Question {
            box_id: BoxId::from(event.event_id),
            sealed: look_up.sealed.clone(),
            codes,
            language: look_up.language,
            deadline: event.accepted_at.plus(WAITED_FOR),
        });
        Ok(())
    }

    /// Writes the answers, once the whole batch is applied.
    pub(super) fn answer(&mut self) {
        for question in std::mem::take(&mut self.questions) {
            let codes = &question.codes;
            let unwanted = self.silenced.contains(codes.mailbox.as_bytes())
                || self.silenced.contains(codes.suppression.as_bytes());
            if unwanted || question.deadline <= self.now {
                continue;
            }
            let answered = self.answered.get(&codes.mailbox).copied();
            let answered = answered.unwrap_or_default();
            if answered.day >= A_DAY || answered.week >= A_WEEK {
                continue;
            }
            let (mailbox, mail) = (codes.mailbox, self.answer_to(question));
            if let Some(mail) = mail {
                let counted = self.answered.entry(mailbox).or_default();
                counted.day += 1;
                counted.week += 1;
                self.changes.mails.push(mail);
            }
        }
    }

    /// The mail. It names the first newsletter that the address gets, whose mailbox it comes from, or the
    /// first of all where it gets none. Which ones it gets is read again when it is sent.
    fn answer_to(&self, question: Question) -> Option<NewMail> {
        let index = question.codes.index;
        let held = self.identities.iter().find(|((owner, _), id)| {
            *owner == index && self.subjects.get(id).is_some_and(super::Subject::is_active)
        });
        let (newsletter, subscription_id) = match held {
            Some(((_, newsletter), id)) => (*newsletter, *id),
            // No subscription: the box stands in its place, as in links and return paths.
            None => (
                self.first_newsletter?,
                SubscriptionId::new(*question.box_id.as_bytes()),
            ),
        };
        let row_mac = self.keys.row_mac(&RowFields {
            subscription_id,
            box_id: question.box_id,
            newsletter,
            sealed: &question.sealed,
            state: PENDING,
            consent_event_id: None,
        });
        Some(NewMail {
            kind: MailKind::RightsReply,
            language: question.language,
            newsletters: vec![newsletter],
            box_id: question.box_id,
            sealed: question.sealed,
            address_index: index,
            mailbox_code: question.codes.mailbox,
            subscription_id,
            row_mac,
            mac_state: PENDING,
            mac_consent: None,
            deadline: question.deadline,
        })
    }
}
