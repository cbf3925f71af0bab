//! Erasure, each in a turn of its own: as it was asked for, and once more after a restore.

use std::collections::BTreeSet;

use domain::{Actor, Effect, IssueNumber, LedgerEntry, Method, SubscriptionId, Timestamp};
use store::{
    Changes, Erased, PastErasure, StoreError, SuppressedCode, Suppression, SuppressionLevel, Turn,
    Wanted, Whose,
};

use super::Registrar;
use super::reading::{Readable, Reading};
use super::turn::{Applied, count};

impl Registrar {
    /// Erases whom this request is about.
    pub(super) async fn erase(
        &self,
        reading: &Reading,
        event: &Readable,
    ) -> Result<Applied, StoreError> {
        match self.erase_once(reading, event).await {
            Err(error @ (StoreError::Refused(_) | StoreError::Inconsistent(_))) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an erasure cannot be applied and was set aside"
                );
                self.turn(&[reading], Some("the tables refuse it")).await
            }
            other => other,
        }
    }

    async fn erase_once(&self, reading: &Reading, event: &Readable) -> Result<Applied, StoreError> {
        let Some(codes) = event.codes else {
            return self.turn(&[reading], Some("its box was not opened")).await;
        };
        let past = PastErasure {
            event_id: event.event_id,
            accepted_at: event.accepted_at,
            code: codes.suppression,
            generation: codes.generation,
            spool_id: event.spool_id,
        };
        self.remember(&past);
        let mut turn = self.store.take_turn([reading.place]).await?;
        let now = self.clock.now();
        let mut changes = Changes::default();
        if turn.fresh().contains(&reading.place) {
            changes = erasure(&mut turn, &past, &Whose::Address(codes.index), now).await?;
            changes.applied.push(reading.place);
        }
        let applied = Applied {
            places: turn.repeated() + changes.applied.len(),
            ..Applied::default()
        };
        turn.finish(&changes, now).await?;
        let kinds = changes.applied.iter().map(|_| (event.request.kind(), 1));
        count(&kinds.collect(), &changes);
        Ok(applied)
    }

    /// Applies again what workers remembered of a database that went back. How many.
    ///
    /// # Errors
    /// Those of the database; what is left is applied by the next call.
    pub async fn erase_again(&self) -> Result<usize, StoreError> {
        let waiting = self.restores.erasures_waiting().await?;
        for past in &waiting {
            self.remember(past);
            let mut turn = self.store.take_turn([]).await?;
            let now = self.clock.now();
            let changes = erasure(&mut turn, past, &Whose::Code(past.code), now).await?;
            turn.erased_again(past.event_id, now).await?;
            turn.finish(&changes, now).await?;
            count(&std::iter::once(("erasure", 1)).collect(), &changes);
        }
        Ok(waiting.len())
    }

    /// Before it is applied: an erasure that the journal has and the database never got is applied by
    /// its request, or again by nobody, and harms no one.
    fn remember(&self, past: &PastErasure) {
        let Some(journal) = &self.journal else {
            return;
        };
        if let Err(error) = journal.note(past) {
            tracing::error!(
                %error,
                "an erasure cannot be written to the journal: after a restore only the journals of other \
                 workers would know of it"
            );
        }
    }
}

/// Deletes the person, and says what is to be written beside that.
async fn erasure(
    turn: &mut Turn,
    past: &PastErasure,
    whose: &Whose,
    now: Timestamp,
) -> Result<Changes, StoreError> {
    let wanted = Wanted {
        recorded: BTreeSet::from([past.event_id]),
        ..Wanted::default()
    };
    let known = turn.load(&wanted, now).await?;
    let erased = turn.erase(whose, now).await?;
    let mut changes = Changes::default();
    if !known.recorded.contains(&past.event_id) {
        changes.ledger.push(entry(past, &erased, now));
    }
    changes.suppressions.push(Suppression {
        code: SuppressedCode::Address(past.code),
        level: SuppressionLevel::NoMail,
        generation: past.generation,
        reason: Method::Erasure,
        event_id: past.event_id,
        set_at: past.accepted_at,
        expires_at: None,
    });
    Ok(changes)
}

fn entry(past: &PastErasure, erased: &Erased, now: Timestamp) -> LedgerEntry {
    let only = match erased.subscriptions.as_slice() {
        [(id, newsletter, _)] => Some((*id, *newsletter)),
        _ => None,
    };
    let effect = if erased.subscriptions.iter().any(|(.., active)| *active) {
        Effect::Stopped
    } else if erased.anything {
        Effect::Already
    } else {
        Effect::Absent
    };
    let subscription_id: Option<SubscriptionId> = only.map(|(id, _)| id);
    LedgerEntry {
        event_id: past.event_id,
        occurred_at: past.accepted_at,
        recorded_at: now,
        newsletter: only.map(|(_, newsletter)| newsletter),
        subscription_id,
        issue: IssueNumber::NONE,
        method: Method::Erasure,
        effect,
        token: None,
        actor: Actor::Subscriber,
        staff_reference: None,
        decision_id: None,
        spool_id: Some(past.spool_id),
        restored: None,
    }
}
