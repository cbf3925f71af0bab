//! What several workers share of the way to the relay: its rate, its day and its hold
//! (`reliability.md` 2.4).
//!
//! The rate is a moment, up to which it is spent. Whoever asks moves it forward by one interval a mail
//! and gets as many mails as fit before now: no worker can exceed the rate, however many there are and
//! whichever of them dies. The moment is the server's, the only clock that they share.

use std::time::Duration;

use domain::{Timestamp, warm_up_allowance};
use time::Date;

use crate::{Database, StoreError, columns};

/// The relay: there is one.
const ROUTE: i16 = 0;
const TABLE: &str = "rate_window";
/// While the relay throttles us: one mail a minute, a confirmation before an issue's.
const HELD: Pace = Pace {
    interval: Duration::from_mins(1),
    unused: Duration::from_secs(65),
    reserve: Duration::from_secs(5),
};
/// A hold lasts for so long after the last reason for it,
const HOLD_SECONDS: f64 = 1_800.0;
/// and for so long at the most.
const LONGEST_HOLD_SECONDS: f64 = 5_400.0;
/// A day that is full is looked at again after this: somebody may give something back, or midnight pass.
const SOON: Duration = Duration::from_secs(10);

/// A rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From one mail to the next.
    pub interval: Duration,
    /// What was not used is kept for so long.
    pub unused: Duration,
    /// So much of that is kept for confirmations.
    pub reserve: Duration,
}

/// How many mails a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DailyCap {
    /// At the most.
    pub most: Option<u64>,
    /// Fewer on this day, and more from day to day.
    pub warm_up: Option<Timestamp>,
}

/// What a worker asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Mails that it could send now.
    pub mails: u32,
    /// Whether they are an issue's: confirmations come first, and have a part of every budget to
    /// themselves.
    pub bulk: bool,
    /// The rate, where there is one.
    pub pace: Option<Pace>,
    /// The day's limit, where there is one.
    pub day: Option<DailyCap>,
}

/// What it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lease {
    /// Mails that it may send, now.
    pub mails: u32,
    /// When to ask again where that was less than it asked for.
    pub again: Option<Duration>,
    /// The relay is left in peace but for a mail a minute, for so long.
    pub held: Option<Duration>,
    /// What is left of the day, where it has a limit.
    pub left_of_day: Option<u64>,
}

/// Answers of the relay on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answers {
    /// About a recipient.
    pub all: u64,
    /// Of those, 4.7.x.
    pub throttled: u64,
}

/// The budget of the way to the relay.
#[derive(Debug, Clone)]
pub struct RateGrants {
    database: Database,
}

impl Database {
    /// The budget of the way to the relay.
    #[must_use]
    pub fn rate_grants(&self) -> RateGrants {
        RateGrants {
            database: self.clone(),
        }
    }
}

impl RateGrants {
    /// Takes mails from the budget. The day is that of `now`.
    ///
    /// # Errors
    /// As [`StoreError`] says; nothing may be sent then.
    pub async fn lease(&self, ask: &Ask, now: Timestamp) -> Result<Lease, StoreError> {
        let mut tx = self.database.begin().await?;
        let route = sqlx::query!(
            "SELECT extract(epoch FROM clock_timestamp() - spent_upto)::float8 AS \"unspent!\",
                    extract(epoch FROM held_until - clock_timestamp())::float8 AS held
             FROM route WHERE id = $1 FOR UPDATE",
            ROUTE
        )
        .fetch_one(&mut *tx)
        .await?;
        let held = route.held.filter(|seconds| *seconds > 0.0);
        let pace = if held.is_some() { Some(HELD) } else { ask.pace };
        let mut lease = Lease {
            mails: ask.mails,
            held: held.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            ..Lease::default()
        };
        if let Some(pace) = pace {
            pace.limit(route.unspent, ask, &mut lease);
        }
        if let Some(cap) = ask.day {
            cap.limit(&mut tx, ask, &mut lease, now).await?;
        }
        if let Some(pace) = pace
            && lease.mails > 0
        {
            sqlx::query!(
                "UPDATE route SET spent_upto = spent_upto + make_interval(secs => $2) WHERE id = $1",
                ROUTE,
                pace.spent(route.unspent, lease.mails),
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(lease)
    }

    /// Gives back mails of a day that were not sent.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn give_back(&self, mails: u32, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE rate_window SET granted = greatest(granted - $3, 0) WHERE route = $1 AND day = $2",
            ROUTE,
            day_of(now),
            i64::from(mails),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// Adds to the day's answers: they decide whether tomorrow may see more mail.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn report(&self, answers: Answers, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE rate_window SET answered = answered + $3, throttled = throttled + $4
             WHERE route = $1 AND day = $2",
            ROUTE,
            day_of(now),
            columns::bigint(answers.all),
            columns::bigint(answers.throttled),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// The relay throttles us: a mail a minute for the next half an hour, for all workers. Said again
    /// while that lasts it lasts longer, up to 90 minutes.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn hold(&self) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE route
             SET held_since = CASE WHEN held_until > statement_timestamp()
                     THEN held_since ELSE statement_timestamp() END,
                 held_until = CASE WHEN held_until > statement_timestamp()
                     THEN greatest(held_until, least(statement_timestamp() + make_interval(secs => $2),
                                                     held_since + make_interval(secs => $3)))
                     ELSE statement_timestamp() + make_interval(secs => $2) END,
                 spent_upto = CASE WHEN held_until > statement_timestamp()
                     THEN spent_upto ELSE greatest(spent_upto, statement_timestamp()) END
             WHERE id = $1",
            ROUTE,
            HOLD_SECONDS,
            LONGEST_HOLD_SECONDS,
        )
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// For how long the relay is still left in peace.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn held(&self) -> Result<Option<Duration>, StoreError> {
        let seconds = sqlx::query_scalar!(
            "SELECT extract(epoch FROM held_until - clock_timestamp())::float8
             FROM route WHERE id = $1",
            ROUTE
        )
        .fetch_one(&self.database.pool)
        .await?;
        Ok(seconds
            .filter(|seconds| *seconds > 0.0)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
    }
}

impl Pace {
    /// Cuts a lease down to what fits into `unspent` seconds.
    fn limit(&self, unspent: f64, ask: &Ask, lease: &mut Lease) {
        let interval = self.interval.as_secs_f64();
        let reserve = if ask.bulk {
            self.reserve.as_secs_f64()
        } else {
            0.0
        };
        let usable = unspent.min(self.unused.as_secs_f64()) - reserve;
        // a hair's breadth, so that a whole interval is one mail in binary fractions too
        let fit = (usable / interval + 1e-9).floor().max(0.0);
        if fit < f64::from(lease.mails) {
            lease.mails = whole(fit);
            let left = usable - fit * interval;
            lease.again = Duration::try_from_secs_f64(interval - left).ok();
        }
    }

    /// By how many seconds the moment moves.
    fn spent(&self, unspent: f64, mails: u32) -> f64 {
        let forfeited = (unspent - self.unused.as_secs_f64()).max(0.0);
        forfeited + f64::from(mails) * self.interval.as_secs_f64()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is whole, not negative and less than a u32"
)]
const fn whole(number: f64) -> u32 {
    number as u32
}

impl DailyCap {
    /// Cuts a lease down to what is left of the day, and books it.
    async fn limit(
        &self,
        tx: &mut sqlx::PgTransaction<'_>,
        ask: &Ask,
        lease: &mut Lease,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let today = day_of(now);
        sqlx::query!(
            "INSERT INTO rate_window (route, day) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            ROUTE,
            today,
        )
        .execute(&mut **tx)
        .await?;
        let start = day_of(self.warm_up.unwrap_or(now));
        let book = sqlx::query!(
            "SELECT w.granted, (SELECT count(*) FROM rate_window e
                                WHERE e.route = w.route AND e.day >= $3 AND e.day < w.day
                                  AND e.throttled * 100 > e.answered) AS \"stood_still!\"
             FROM rate_window w WHERE w.route = $1 AND w.day = $2 FOR UPDATE OF w",
            ROUTE,
            today,
            start,
        )
        .fetch_one(&mut **tx)
        .await?;
        let allowance = self.allowance((today - start).whole_days(), book.stood_still);
        let granted: u64 = columns::number(book.granted, TABLE)?;
        let left = allowance.saturating_sub(granted);
        let kept = if ask.bulk { allowance.div_ceil(20) } else { 0 };
        let usable = left.saturating_sub(kept);
        if usable < u64::from(lease.mails) {
            lease.mails = columns::number(usable, TABLE)?;
            lease.again = Some(lease.again.map_or(SOON, |again| again.max(SOON)));
        }
        lease.left_of_day = Some(usable - u64::from(lease.mails));
        if lease.mails > 0 {
            sqlx::query!(
                "UPDATE rate_window SET granted = granted + $3 WHERE route = $1 AND day = $2",
                ROUTE,
                today,
                i64::from(lease.mails),
            )
            .execute(&mut **tx)
            .await?;
        }
        Ok(())
    }

    /// What may be sent on the n-th day, where the allowance stood still on some before it.
    fn allowance(&self, days: i64, stood_still: i64) -> u64 {
        let rises = u32::try_from(days - stood_still).unwrap_or(0);
        let ramp = match self.warm_up {
            Some(_) => warm_up_allowance(rises),
            None => u64::MAX,
        };
        ramp.min(self.most.unwrap_or(u64::MAX))
    }
}

fn day_of(now: Timestamp) -> Date {
    columns::moment(now).date()
}
