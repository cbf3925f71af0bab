//! The heartbeat of a spool: tells the database how old its oldest waiting request is, learns how far the
//! registrar came, and finishes segments (`DESIGN.md` 2, Barrier).

use std::time::Duration;

use domain::Timestamp;
use spool::AcceptError;
use store::StoreError;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::Shipper;
use crate::marks::{Marks, Movement};

/// The barrier takes a role for silent after 10 s.
const BEAT_EVERY: Duration = Duration::from_secs(2);

/// A mark that stands still this long while records are shipped and not applied: they may be lost, as
/// by a broker whose data was deleted or a database that was restored to the last minute. To ship them
/// again is harmless.
const SHIP_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// So a registrar that is down for long does not get copies each minute.
const SHIP_AGAIN_AT_MOST_EVERY: Duration = Duration::from_mins(15);

#[derive(Debug, thiserror::Error)]
enum BeatError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the spool cannot go on behind the registrar's mark")]
    Behind(#[from] AcceptError),
}

/// When a mark that stands still makes the shipping begin again from it.
#[derive(Debug)]
struct Patience {
    mark: u64,
    since: Timestamp,
    limit: Duration,
}

impl Patience {
    const fn new(mark: u64, now: Timestamp) -> Self {
        Self {
            mark,
            since: now,
            limit: SHIP_AGAIN_AFTER,
        }
    }

    /// Whether it is at its end; then it begins anew, and lasts longer.
    fn is_over(&mut self, marks: Marks, now: Timestamp) -> bool {
        if marks.applied != self.mark || marks.shipped == marks.applied {
            *self = Self::new(marks.applied, now);
            return false;
        }
        if now.since(self.since) < self.limit {
            return false;
        }
        self.since = now;
        self.limit = (self.limit * 2).min(SHIP_AGAIN_AT_MOST_EVERY);
        true
    }
}

impl Shipper {
    pub(crate) async fn report_for_ever(&self) {
        let mut ticks = tokio::time::interval(BEAT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut patience = Patience::new(0, self.clock.now());
        let mut reached = true;
        loop {
            ticks.tick().await;
            let beaten = self.beat().await;
            self.gauge();
            match beaten {
                Ok(()) => {
                    let marks = *self.marks.borrow();
                    if !reached {
                        info!(spool.role = self.role, "the spool reports again");
                        // The registrar was without the database as well.
                        patience = Patience::new(marks.applied, self.clock.now());
                    }
                    reached = true;
                    if patience.is_over(marks, self.clock.now()) {
                        info!(
                            spool.role = self.role,
                            spool.applied = marks.applied,
                            "requests that are not applied are shipped again"
                        );
                        self.marks.send_modify(Marks::ask_again);
                    }
                    let most = self.accept_displaced().await;
                    self.finish(most).await;
                }
                Err(failure) => {
                    if reached {
                        let follows = if self.holds_stops {
                            "; bulk mail stops until it can"
                        } else {
                            ""
                        };
                        warn!(
                            spool.role = self.role,
                            error = %failure,
                            "the spool cannot report{follows}"
                        );
                    }
                    reached = false;
                }
            }
        }
    }

    /// One heartbeat, which registers the spool first where the database does not know it.
    async fn beat(&self) -> Result<(), BeatError> {
        if !self.marks.borrow().registered {
            self.register().await?;
        }
        let said = self.oldest_waiting();
        if !self.say(said).await? {
            warn!(
                spool.role = self.role,
                "the database does not know the spool; requests are shipped again from the first"
            );
            self.marks.send_modify(Marks::forget);
            self.register().await?;
        }
        // The answer brought the newest mark: if the stop that was just reported is applied by now,
        // bulk mail need not wait for the next beat.
        let now = self.oldest_waiting();
        if self.holds_stops && now != said {
            self.say(now).await?;
        }
        Ok(())
    }

    fn oldest_waiting(&self) -> Option<Timestamp> {
        let applied = self.marks.borrow().applied;
        self.spool.oldest_accepted_after(applied)
    }

    /// Whether the database knows the spool.
    async fn say(&self, oldest_waiting: Option<Timestamp>) -> Result<bool, StoreError> {
        let (id, now) = (self.spool.spool_id(), self.clock.now());
        let Some(applied) = self.table.beat(id, oldest_waiting, now).await? else {
            return Ok(false);
        };
        self.moved(applied, Marks::learn);
        Ok(true)
    }

    async fn register(&self) -> Result<(), BeatError> {
        let (id, now) = (self.spool.spool_id(), self.clock.now());
        let applied = self
            .table
            .register(id, self.role, self.holds_stops, now)
            .await?;
        self.go_on_behind(applied).await?;
        self.moved(applied, Marks::register);
        Ok(())
    }

    fn moved(&self, applied: u64, change: impl FnOnce(&mut Marks, u64) -> Movement) {
        let before = self.marks.borrow().applied;
        let mut movement = Movement::Still;
        // Wakes the shipping only if something changed.
        self.marks.send_if_modified(|marks| {
            let old = *marks;
            movement = change(marks, applied);
            *marks != old
        });
        if movement == Movement::Back {
            warn!(
                spool.role = self.role,
                spool.applied = applied,
                spool.before = before,
                "the database went back; requests are shipped again from its mark"
            );
        }
    }

    async fn finish(&self, most: u64) {
        let applied = self.marks.borrow().applied.min(most);
        let spool = self.spool.clone();
        let finished = tokio::task::spawn_blocking(move || spool.finish_upto(applied)).await;
        if let Err(failure) = finished.map_err(std::io::Error::other).flatten() {
            warn!(spool.role = self.role, error = %failure, "segments cannot be finished");
        }
    }

    fn gauge(&self) {
        let applied = self.marks.borrow().applied;
        let waiting = self.spool.last_seq().saturating_sub(applied);
        let oldest = self.spool.oldest_accepted_after(applied);
        let age = oldest.map_or(Duration::ZERO, |oldest| self.clock.now().since(oldest));
        metrics::gauge!("letterbox_spool_records", "role" => self.role).set(number(waiting));
        metrics::gauge!("letterbox_spool_oldest_unapplied_seconds", "role" => self.role)
            .set(age.as_secs_f64());
        metrics::gauge!("letterbox_spool_free_bytes", "role" => self.role)
            .set(number(self.spool.free_bytes()));
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; 2^53 records is far"
)]
const fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_stands_still_is_waited_for_longer_each_time() {
        let minute = |minute: u64| Timestamp::from_millis(minute * 60_000);
        let marks = |applied, shipped| Marks {
            shipped,
            ..Marks::starting_at(applied)
        };
        let mut patience = Patience::new(0, minute(0));
        assert!(!patience.is_over(marks(0, 0), minute(10)), "nothing waits");
        assert!(!patience.is_over(marks(0, 5), minute(10)));
        let over: Vec<u64> = (11..60)
            .filter(|now| patience.is_over(marks(0, 5), minute(*now)))
            .collect();
        assert_eq!(over, [11, 13, 17, 25, 40, 55]);
        assert!(!patience.is_over(marks(1, 5), minute(70)), "it moved");
        assert!(!patience.is_over(marks(1, 5), minute(70)));
        assert!(patience.is_over(marks(1, 5), minute(71)));
    }
}
