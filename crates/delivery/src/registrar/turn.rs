//! A batch applied: one transaction, and what it says of each request.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use domain::{Request, Timestamp};
use store::{Changes, Dead, Place, StoreError};

use super::Registrar;
use super::reading::{Found, Reading};
use super::working_set::{Inapplicable, WorkingSet, wanted};

/// When a request of a newer version is looked at again.
const LATER: Duration = Duration::from_secs(30);

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// So many places are done with: applied now or before, or set aside.
    pub(super) places: usize,
    /// These were set aside, now.
    pub(super) dead: BTreeSet<Place>,
    /// These are for a newer version, and are not marked in any way.
    pub(super) later: BTreeSet<Place>,
}

impl Applied {
    fn and(mut self, other: Self) -> Self {
        self.places += other.places;
        self.dead.extend(other.dead);
        self.later.extend(other.later);
        self
    }
}

impl Registrar {
    /// Applies these. Where the tables refuse it, the halves are tried, and so on: one request that
    /// cannot be applied is set aside and holds up no other.
    pub(super) async fn apply(&self, readings: &[Reading]) -> Result<Applied, StoreError> {
        let started = Instant::now();
        let (erasures, others): (Vec<&Reading>, Vec<&Reading>) = one_each(readings)
            .into_iter()
            .partition(|one| is_erasure(one));
        let mut applied = Applied::default();
        if !others.is_empty() {
            applied = self.apply_part(&others).await?;
        }
        for reading in erasures {
            if let Found::Readable(event) = &reading.found {
                applied = applied.and(self.erase(reading, event).await?);
            }
        }
        metrics::histogram!("letterbox_registrar_batch_seconds")
            .record(started.elapsed().as_secs_f64());
        Ok(applied)
    }

    async fn apply_part(&self, readings: &[&Reading]) -> Result<Applied, StoreError> {
        match self.turn(readings, None).await {
            Err(StoreError::Refused(_) | StoreError::Inconsistent(_)) if readings.len() > 1 => {
                let (first, second) = readings.split_at(readings.len() / 2);
                let applied = Box::pin(self.apply_part(first)).await?;
                Ok(applied.and(Box::pin(self.apply_part(second)).await?))
            }
            Err(error @ (StoreError::Refused(_) | StoreError::Inconsistent(_))) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a request cannot be applied and was set aside"
                );
                self.turn(readings, Some("the tables refuse it")).await
            }
            other => other,
        }
    }

    /// One transaction over these requests. With a reason, none is applied and all are set aside.
    pub(super) async fn turn(
        &self,
        readings: &[&Reading],
        set_aside: Option<&'static str>,
    ) -> Result<Applied, StoreError> {
        let mut turn = self
            .store
            .take_turn(readings.iter().map(|reading| reading.place))
            .await?;
        let now = self.clock.now();
        let fresh: Vec<&Reading> = readings
            .iter()
            .copied()
            .filter(|reading| turn.fresh().contains(&reading.place))
            .collect();
        let events = fresh.iter().filter_map(|reading| match &reading.found {
            Found::Readable(event) => Some(event.as_ref()),
            _ => None,
        });
        let known = turn.load(&wanted(events), now).await?;
        let mut set = WorkingSet::new(
            known,
            turn.ledger_head(),
            &self.keys.address,
            self.entropy.as_ref(),
            now,
        );
        let mut outcome = Outcome::default();
        for reading in fresh {
            outcome.add(reading, &mut set, set_aside, now);
        }
        let changes = Changes {
            applied: outcome.applied,
            dead: outcome.dead,
            later: outcome.later,
            ..set.finish()
        };
        let applied = Applied {
            places: turn.repeated() + changes.applied.len() + changes.dead.len(),
            dead: changes.dead.iter().map(|dead| dead.place).collect(),
            later: changes.later.iter().map(|(place, _)| *place).collect(),
        };
        turn.finish(&changes, now).await?;
        count(&outcome.kinds, &changes);
        Ok(applied)
    }
}

fn is_erasure(reading: &Reading) -> bool {
    matches!(&reading.found, Found::Readable(event) if matches!(event.request, Request::Erasure(_)))
}

/// One reading a place, in the order of arrival. A queue may bring a request twice, and a broken copy
/// beside a good one: the good one counts.
fn one_each(readings: &[Reading]) -> Vec<&Reading> {
    let rank = |reading: &Reading| match reading.found {
        Found::Readable(_) | Found::Tombstone => 0,
        Found::Later => 1,
        Found::Dead(_) => 2,
    };
    let mut best: BTreeMap<Place, (usize, &Reading)> = BTreeMap::new();
    for (position, reading) in readings.iter().enumerate() {
        match best.entry(reading.place) {
            Entry::Vacant(free) => {
                free.insert((position, reading));
            }
            Entry::Occupied(mut taken) => {
                if rank(reading) < rank(taken.get().1) {
                    taken.insert((position, reading));
                }
            }
        }
    }
    let mut chosen: Vec<_> = best.into_values().collect();
    chosen.sort_unstable_by_key(|(position, _)| *position);
    chosen.into_iter().map(|(_, reading)| reading).collect()
}

/// What becomes of each request of a turn.
#[derive(Debug, Default)]
struct Outcome {
    applied: Vec<Place>,
    dead: Vec<Dead>,
    later: Vec<(Place, Timestamp)>,
    kinds: BTreeMap<&'static str, u64>,
}

impl Outcome {
    fn add(
        &mut self,
        reading: &Reading,
        set: &mut WorkingSet<'_>,
        set_aside: Option<&'static str>,
        now: Timestamp,
    ) {
        let reason = match (&reading.found, set_aside) {
            (Found::Later, _) => {
                self.later.push((reading.place, now.plus(LATER)));
                return;
            }
            (Found::Dead(reason), _) => Some(*reason),
            (_, Some(reason)) => Some(reason),
            (Found::Tombstone, None) => None,
            (Found::Readable(event), None) => match set.apply(event) {
                Ok(()) => {
                    *self.kinds.entry(event.request.kind()).or_default() += 1;
                    None
                }
                Err(Inapplicable(reason)) => Some(reason),
            },
        };
        match reason {
            None => self.applied.push(reading.place),
            Some(reason) => self.dead.push(Dead {
                place: reading.place,
                stop: reading.stop,
                reason,
                envelope: reading.envelope.clone(),
            }),
        }
    }
}

/// After the commit, so that what was rolled back is not counted.
pub(super) fn count(kinds: &BTreeMap<&'static str, u64>, changes: &Changes) {
    for (kind, number) in kinds {
        metrics::counter!("letterbox_requests_applied_total", "kind" => *kind).increment(*number);
    }
    for entry in &changes.ledger {
        metrics::counter!(
            "letterbox_ledger_entries_total",
            "method" => entry.method.label(), "effect" => entry.effect.label()
        )
        .increment(1);
    }
    for dead in &changes.dead {
        tracing::error!(
            reason = dead.reason,
            stop = dead.stop,
            "a request was set aside as unreadable"
        );
        metrics::counter!("letterbox_requests_dead_total").increment(1);
    }
}
