//! Sign-ups and their confirmation.

use std::time::Duration;

use domain::{BoxId, CONFIRMATION_DAYS, Confirm, SignUp};
use store::{Codes, Confirmation, ConsentFact, EarlyEvent, EarlyKind, NewConsent, PendingSignUp};

use super::mails::MailWish;
use super::{Inapplicable, Readable, WorkingSet};

const CONFIRMATION_TIME: Duration = Duration::from_hours(CONFIRMATION_DAYS * 24);

impl WorkingSet<'_> {
    pub(super) fn sign_up(
        &mut self,
        event: &Readable,
        sign_up: &SignUp,
    ) -> Result<(), Inapplicable> {
        let box_id = BoxId::from(event.event_id);
        let Some(codes) = event.codes else {
            return Err(Inapplicable("its box was not opened"));
        };
        if self.boxes.contains_key(&box_id) {
            // The same request again: an Idempotency-Key, or an archive that is played back.
            return Ok(());
        }
        if let Some(erased_at) = self.erased.get(codes.suppression.as_bytes())
            && event.accepted_at <= *erased_at
        {
            // It came late, or from an archive that is played back, and was erased with the rest.
            return Ok(());
        }
        if sign_up.choices.is_empty() {
            return Err(Inapplicable("it names no newsletter"));
        }
        let all_known = sign_up.choices.iter().all(|choice| {
            self.notices
                .contains_key(&(choice.newsletter, choice.notice))
        });
        if !all_known {
            return Err(Inapplicable("it names a notice that was never published"));
        }
        for choice in &sign_up.choices {
            let notice = self.notices[&(choice.newsletter, choice.notice)];
            let entropy = self.entropy;
            let id = *self
                .identities
                .entry((codes.index, choice.newsletter))
                .or_insert_with(|| domain::SubscriptionId::new(entropy.sixteen()));
            if self.subject(id).exists() {
                self.may_come_back();
            }
            let consent_id = self.entropy.sixteen();
            self.changes.new_consents.push(NewConsent {
                consent_id,
                box_id,
                newsletter: choice.newsletter,
                subscription_id: id,
                notice,
                language: sign_up.language,
                wording: sign_up.wording,
                origin: sign_up.origin.clone(),
                channel: sign_up.channel,
                requested_at: event.accepted_at,
            });
            self.subject(id).load_consent(ConsentFact {
                consent_id,
                box_id,
                newsletter: choice.newsletter,
                subscription_id: id,
                language: sign_up.language,
                requested_at: event.accepted_at,
                confirmed: None,
                disowned_at: None,
                withdrawn: None,
                sealed: None,
            });
            self.boxes.entry(box_id).or_default().insert(id);
        }
        let waiting = PendingSignUp {
            box_id,
            sealed: sign_up.sealed.clone(),
            codes,
            language: sign_up.language,
            accepted_at: event.accepted_at,
            expires_at: event.accepted_at.plus(CONFIRMATION_TIME),
        };
        self.wishes.push(MailWish::new(&waiting, &sign_up.choices));
        self.changes.new_sign_ups.push(waiting.clone());
        self.waiting.insert(box_id, waiting);
        self.meet_early_events(box_id, &codes);
        Ok(())
    }

    /// Applies what came before this sign-up. A "not me" is in the ledger since it came.
    fn meet_early_events(&mut self, box_id: BoxId, codes: &Codes) {
        for early in self.early.remove(&box_id).unwrap_or_default() {
            self.changes.ended_early.push(early.event_id);
            match early.kind {
                EarlyKind::Confirm => self.confirm_box(
                    box_id,
                    Confirmation {
                        at: early.accepted_at,
                        event_id: early.event_id,
                        kid: early.token.kid,
                        token_version: early.token.version,
                    },
                ),
                EarlyKind::NotMe => {
                    self.disown(box_id, early.accepted_at, Some(*codes), None);
                    self.ask_no_more(codes, early.event_id, early.accepted_at);
                }
                EarlyKind::NeverEmail => {
                    self.disown(box_id, early.accepted_at, Some(*codes), None);
                    self.silence(codes, early.event_id, early.accepted_at, None);
                }
            }
        }
    }

    pub(super) fn confirm(&mut self, event: &Readable, confirm: Confirm) {
        if self.boxes.contains_key(&confirm.box_id) {
            self.confirm_box(
                confirm.box_id,
                Confirmation {
                    at: event.accepted_at,
                    event_id: event.event_id,
                    kid: confirm.token.kid,
                    token_version: confirm.token.version,
                },
            );
        } else {
            self.wait_for_sign_up(EarlyEvent {
                event_id: event.event_id,
                box_id: confirm.box_id,
                kind: EarlyKind::Confirm,
                accepted_at: event.accepted_at,
                token: confirm.token,
                spool_id: event.spool_id,
            });
        }
    }

    pub(super) fn wait_for_sign_up(&mut self, event: EarlyEvent) {
        let waiting = self.early.entry(event.box_id).or_default();
        if waiting.iter().all(|other| other.event_id != event.event_id) {
            waiting.push(event);
            self.changes.new_early.push(event);
        }
    }

    /// Expiry was judged by the role that accepted the press, by its time: here it counts whenever
    /// the sign-up is still there.
    fn confirm_box(&mut self, box_id: BoxId, by: Confirmation) {
        let waiting = self.end_waiting(box_id);
        for id in self.subjects_of(box_id) {
            self.subject(id).confirm(
                box_id,
                by,
                waiting
                    .as_ref()
                    .map(|sign_up| (&sign_up.codes, &sign_up.sealed)),
            );
            self.meet_everything(id);
        }
    }

    /// The sign-up waits no longer.
    pub(super) fn end_waiting(&mut self, box_id: BoxId) -> Option<PendingSignUp> {
        let waiting = self.waiting.remove(&box_id);
        if waiting.is_some() {
            self.changes.ended_sign_ups.push(box_id);
        }
        waiting
    }
}
