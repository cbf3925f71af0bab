//! What the sweeper and the barrier ask of deliveries and one-to-one mails: doubts that are old
//! enough, deadlines that are past, workers that are gone (`reliability.md` 1.7, 1.8).

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{BounceKind, DeliveryState, IssueNumber, SubscriptionId, Timestamp, WorkerId};

use crate::bounces;
use crate::deliveries::{Resolved, undotted};
use crate::issue_upkeep::recount;
use crate::{DeliveryAttempt, DeliveryStore, MailStore, StoreError, columns};

/// How long a delivery of an issue stays in doubt, for evidence to come in.
const ISSUE_GRACE: Duration = Duration::from_mins(15);
/// The same for a confirmation, which somebody waits for.
const MAIL_GRACE: Duration = Duration::from_secs(30);
/// A web role with stops writes its spool row every 2 s; silent for this long, it may hold one.
const ROLE_SILENCE: Duration = Duration::from_secs(10);
/// How long an accepted stop may wait unapplied before bulk waits for it.
const STOP_AGE: Duration = Duration::from_secs(5);

/// Whether bulk may be sent (`DESIGN.md` 2, Barrier).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barrier {
    /// Every accepted stop is applied, or is so young that it cannot be promised yet.
    Open,
    /// Why not, in a word for metrics: `silent_spool`, `waiting_stop`, `dead_letter` or `restored`.
    Closed(&'static str),
}

/// The newest stops, by the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecentStops {
    /// The ledger's last seq seen.
    pub seq: u64,
    /// When those that ended something were accepted, by the clock of the role that did.
    pub accepted: Vec<Timestamp>,
    /// Subscriptions that were stopped.
    pub subscriptions: Vec<SubscriptionId>,
    /// Whether an entry names no single subscription: everybody has to be looked at again.
    pub unnamed: bool,
}

impl DeliveryStore {
    /// Whether bulk may be sent now.
    ///
    /// # Errors
    /// As [`StoreError`] says; nothing may be sent then.
    pub async fn barrier(&self, now: Timestamp) -> Result<Barrier, StoreError> {
        let look = sqlx::query!(
            "SELECT EXISTS (SELECT 1 FROM dead_request WHERE stop AND seen_at IS NULL)
                        AS \"dead_stop!\",
                    EXISTS (SELECT 1 FROM spool WHERE holds_stops AND retired_at IS NULL
                              AND moved_at NOT BETWEEN $1 AND $3) AS \"silent_role!\",
                    EXISTS (SELECT 1 FROM spool WHERE holds_stops AND retired_at IS NULL
                              AND oldest_stop_at < $2) AS \"waiting_stop!\",
                    EXISTS (SELECT 1 FROM restore WHERE ended_at IS NULL)
                        OR EXISTS (SELECT 1 FROM installation WHERE tick < $5)
                        AS \"restored!\",
                    EXISTS (SELECT 1 FROM barrier_act
                            WHERE until > $4 AND recorded_seq IS NOT NULL) AS \"overridden!\"",
            columns::moment(now.minus(ROLE_SILENCE)),
            columns::moment(now.minus(STOP_AGE)),
            // By a clock that is far ahead a role would go on reporting after its death.
            columns::moment(now.plus(ROLE_SILENCE)),
            columns::moment(now),
            // Before the first look nothing is claimed either, and it may be a sound one.
            columns::bigint(self.database.seen.known().unwrap_or(0)),
        )
        .fetch_one(&self.database.pool)
        .await?;
        Ok(if look.restored {
            // No override: what would be sent is not known to be wanted by anybody.
            Barrier::Closed("restored")
        } else if look.overridden {
            Barrier::Open
        } else if look.dead_stop {
            Barrier::Closed("dead_letter")
        } else if look.silent_role {
            Barrier::Closed("silent_spool")
        } else if look.waiting_stop {
            Barrier::Closed("waiting_stop")
        } else {
            Barrier::Open
        })
    }

    /// The ledger's entries after `seq`, at most 1,000; without `seq`, where the ledger ends. One that ends
    /// before `seq` has forgotten stops, and gives their numbers to others: everybody has to be looked at
    /// again, and it goes on from its end.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn stops_since(&self, seq: Option<u64>) -> Result<RecentStops, StoreError> {
        let Some(seq) = seq else {
            let head =
                sqlx::query_scalar!("SELECT coalesce(max(seq), 0) AS \"seq!\" FROM ledger_entry")
                    .fetch_one(&self.database.pool)
                    .await?;
            return Ok(RecentStops {
                seq: columns::number(head, "ledger_entry")?,
                ..RecentStops::default()
            });
        };
        let rows = sqlx::query!(
            "SELECT end_of.seq AS \"end!\", e.seq AS \"seq?\", e.subscription_id,
                    e.occurred_ms AS \"occurred_ms?\", e.effect = 0 AS stopped,
                    e.newsletter_id IS NULL AND e.effect = 0 AS everything
             FROM (SELECT coalesce(max(seq), 0) AS seq FROM ledger_entry) end_of
             LEFT JOIN LATERAL (
                 SELECT seq, subscription_id, occurred_ms, effect, newsletter_id
                 FROM ledger_entry WHERE seq > $1 ORDER BY seq LIMIT 1000
             ) e ON true
             ORDER BY e.seq",
            columns::bigint(seq),
        )
        .fetch_all(&self.database.pool)
        .await?;
        let mut stops = RecentStops {
            seq,
            ..RecentStops::default()
        };
        for row in rows {
            let (Some(at), Some(occurred)) = (row.seq, row.occurred_ms) else {
                let end: u64 = columns::number(row.end, "ledger_entry")?;
                stops.unnamed = end < seq;
                stops.seq = end.min(seq);
                break;
            };
            stops.seq = columns::number(at, "ledger_entry")?;
            match row.subscription_id {
                Some(id) => stops.subscriptions.push(columns::id(&id, "ledger_entry")?),
                None => stops.unnamed = true,
            }
            if row.stopped == Some(true) {
                let accepted = columns::number(occurred, "ledger_entry")?;
                stops.accepted.push(Timestamp::from_millis(accepted));
            }
            // one of several that ended
            stops.unnamed |= row.everything == Some(true);
        }
        Ok(stops)
    }

    /// The issues of which nothing may be sent although they have begun: paused, cancelled, held.
    ///
    /// # Errors
    /// As [`StoreError`] says; nothing of any issue may be sent then.
    pub async fn stopped_issues(&self) -> Result<Vec<IssueNumber>, StoreError> {
        sqlx::query_scalar!(
            "SELECT id FROM issue WHERE finished_at IS NULL AND state IN (4, 5, 7) ORDER BY id"
        )
        .fetch_all(&self.database.pool)
        .await?
        .into_iter()
        .map(|number| Ok(IssueNumber(columns::number(number, "issue")?)))
        .collect()
    }

    /// Decides on deliveries that have been in doubt for 15 minutes, by their issue's policy; those
    /// that an operator is to decide on stay. One whose issue is past its deadline or cancelled is
    /// never sent again.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn resolve_in_doubt(&self, now: Timestamp) -> Result<Resolved, StoreError> {
        let mut tx = self.database.begin().await?;
        // The chunks are locked first and in order, as a flush locks deliveries first: a deadlock
        // is possible and harmless, the next sweep does it again.
        let decided = sqlx::query!(
            "WITH doubtful AS (
                 SELECT c.issue_id, c.chunk_no, (i.in_doubt_policy = 1 AND i.deadline > $1 AND i.state <> 5) AS again
                 FROM chunk c JOIN issue i ON i.id = c.issue_id
                 WHERE c.in_doubt > 0 AND i.in_doubt_policy IN (0, 1)
                 ORDER BY c.issue_id, c.chunk_no LIMIT 500 FOR UPDATE OF c SKIP LOCKED
             )
             UPDATE delivery d SET state = CASE WHEN q.again THEN 0 ELSE 9 END, updated_at = $1
             FROM doubtful q
             WHERE d.issue_id = q.issue_id AND d.chunk_no = q.chunk_no AND d.state = 6
               AND d.updated_at <= $2
             RETURNING d.issue_id, d.chunk_no, q.again AS \"again!\"",
            columns::moment(now),
            columns::moment(now.minus(ISSUE_GRACE)),
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut resolved = Resolved::default();
        let (mut issues, mut chunks) = (Vec::new(), Vec::new());
        for row in decided {
            if row.again {
                resolved.queued_again += 1;
            } else {
                resolved.assumed_sent += 1;
            }
            issues.push(row.issue_id);
            chunks.push(row.chunk_no);
        }
        recount(&mut tx, &issues, &chunks).await?;
        tx.commit().await?;
        Ok(resolved)
    }

    /// Ends what is past its issue's deadline, at most 20 chunks at a time. Returns how many
    /// deliveries expired.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn expire(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.database.begin().await?;
        let late = sqlx::query!(
            "SELECT c.issue_id, c.chunk_no FROM chunk c
             JOIN issue i ON i.id = c.issue_id AND i.state IN (3, 4, 7) AND i.deadline <= $1
                          AND i.finished_at IS NULL
             WHERE c.state IN (0, 2, 4, 5) ORDER BY c.issue_id, c.chunk_no LIMIT 20
             FOR UPDATE OF c SKIP LOCKED",
            columns::moment(now),
        )
        .fetch_all(&mut *tx)
        .await?;
        let (issues, chunks): (Vec<i64>, Vec<i32>) = late
            .into_iter()
            .map(|row| (row.issue_id, row.chunk_no))
            .unzip();
        let expired = sqlx::query!(
            "UPDATE delivery d SET state = 7, not_before = NULL, updated_at = $3
             FROM unnest($1::bigint[], $2::integer[]) AS t(issue, chunk)
             WHERE d.issue_id = t.issue AND d.chunk_no = t.chunk AND d.state IN (0, 3)
             RETURNING d.issue_id, d.subscriber_id, d.epoch, d.attempt, d.code, d.enhanced",
            &issues,
            &chunks,
            columns::moment(now),
        )
        .fetch_all(&mut *tx)
        .await?;
        let number = u64::try_from(expired.len()).unwrap_or(u64::MAX);
        let mut bounced: BTreeMap<IssueNumber, Vec<_>> = BTreeMap::new();
        for row in expired {
            let code = row.code.and_then(|code| u16::try_from(code).ok());
            let enhanced = row.enhanced.as_deref().and_then(undotted);
            if let Some(kind) = BounceKind::of(DeliveryState::Expired, code, enhanced) {
                let key = DeliveryAttempt::of_row(
                    row.issue_id,
                    row.subscriber_id,
                    row.epoch,
                    row.attempt,
                )?;
                bounced.entry(key.issue).or_default().push((key, kind));
            }
        }
        for (issue, bounced) in bounced {
            bounces::note(&mut tx, issue, &bounced, now).await?;
        }
        sqlx::query!(
            "UPDATE chunk c SET state = 3, next_due = NULL
             FROM unnest($1::bigint[], $2::integer[]) AS t(issue, chunk)
             WHERE c.issue_id = t.issue AND c.chunk_no = t.chunk",
            &issues,
            &chunks,
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(number)
    }

    /// Puts in doubt what dead workers were attempting: their journals are out of reach, so nothing
    /// proves that a mail was not sent. Their chunks are handed back by
    /// [`ChunkTable::close_all_of`](crate::ChunkTable::close_all_of). A row is found whoever has its
    /// chunk by now, and keeps a `not_before` by which [`Self::taken_for_dead`] knows it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn doubt_all_of(&self, dead: &[WorkerId], now: Timestamp) -> Result<u64, StoreError> {
        let dead: Vec<&[u8]> = dead.iter().map(|worker| &worker.as_bytes()[..]).collect();
        let mut tx = self.database.begin().await?;
        let doubted = sqlx::query!(
            "UPDATE delivery d SET state = 6, not_before = $2, updated_at = $2 FROM chunk c
             WHERE c.state = 1 AND d.issue_id = c.issue_id AND d.chunk_no = c.chunk_no
               AND d.state = 1 AND d.worker = ANY($1)
             RETURNING d.issue_id, d.chunk_no",
            &dead as &[&[u8]],
            columns::moment(now),
        )
        .fetch_all(&mut *tx)
        .await?;
        let number = u64::try_from(doubted.len()).unwrap_or(u64::MAX);
        let (issues, chunks): (Vec<i64>, Vec<i32>) = doubted
            .into_iter()
            .map(|row| (row.issue_id, row.chunk_no))
            .unzip();
        recount(&mut tx, &issues, &chunks).await?;
        tx.commit().await?;
        Ok(number)
    }

    /// How many deliveries are in doubt.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn in_doubt(&self) -> Result<u64, StoreError> {
        let number = sqlx::query_scalar!(
            "SELECT coalesce(sum(in_doubt), 0) AS \"n!\" FROM chunk WHERE in_doubt > 0"
        )
        .fetch_one(&self.database.pool)
        .await?;
        columns::number(number, "chunk")
    }
}

impl MailStore {
    /// Queues again what has been in doubt for 30 seconds: a second confirmation is better than
    /// none. Past its deadline a mail counts as sent.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn resolve_in_doubt(&self, now: Timestamp) -> Result<Resolved, StoreError> {
        let states = sqlx::query_scalar!(
            "UPDATE mail SET state = CASE WHEN deadline > $1 THEN 0 ELSE 9 END, updated_at = $1,
                    not_before = NULL, sealed = CASE WHEN deadline > $1 THEN sealed END
             WHERE state = 6 AND updated_at <= $2 RETURNING state",
            columns::moment(now),
            columns::moment(now.minus(MAIL_GRACE)),
        )
        .fetch_all(&self.database.pool)
        .await?;
        let mut resolved = Resolved::default();
        for state in states {
            if state == 0 {
                resolved.queued_again += 1;
            } else {
                resolved.assumed_sent += 1;
            }
        }
        Ok(resolved)
    }

    /// Ends mails that are past their deadline. Returns how many.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn expire(&self, now: Timestamp) -> Result<u64, StoreError> {
        let expired = sqlx::query!(
            "UPDATE mail SET state = 7, sealed = NULL, not_before = NULL, updated_at = $1
             WHERE state IN (0, 3) AND deadline <= $1",
            columns::moment(now),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(expired.rows_affected())
    }

    /// Puts in doubt what dead workers were attempting.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn doubt_all_of(&self, dead: &[WorkerId], now: Timestamp) -> Result<u64, StoreError> {
        let dead: Vec<&[u8]> = dead.iter().map(|worker| &worker.as_bytes()[..]).collect();
        let doubted = sqlx::query!(
            "UPDATE mail SET state = 6, updated_at = $2 WHERE worker = ANY($1) AND state = 1",
            &dead as &[&[u8]],
            columns::moment(now),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(doubted.rows_affected())
    }

    /// How many mails are in doubt.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn in_doubt(&self) -> Result<u64, StoreError> {
        let number = sqlx::query_scalar!("SELECT count(*) AS \"n!\" FROM mail WHERE state = 6")
            .fetch_one(&self.database.pool)
            .await?;
        columns::number(number, "mail")
    }
}
