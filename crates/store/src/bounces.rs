//! Mail that came back: written down with the result that says so, and judged soon after. Whose mail is
//! in vain is stopped by a request in the inbox, like anybody's unsubscribe, and by the registrar, with an
//! entry in the ledger.

use std::time::Duration;

use domain::{
    BounceKind, BounceRule, EventId, IssueNumber, REFUSED_WITHIN, SubscriptionId, Timestamp,
    WorkerId, is_burst,
};
use sqlx::PgConnection;

use crate::{Database, DeliveryAttempt, StoreError, columns};

const TABLE: &str = "bounce";
/// Judged in one transaction.
const STEP: i64 = 500;
/// Of so many that were tried a share says something.
const ENOUGH: u64 = 50;
/// Five issues of a newsletter that comes four times a year.
const KEPT: Duration = Duration::from_hours(24 * 500);

/// A subscription that ends because its mail came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BouncedOut {
    /// Which.
    pub subscription_id: SubscriptionId,
    /// The issue that came back last.
    pub issue: IssueNumber,
    /// Why.
    pub rule: BounceRule,
    /// When it came back.
    pub at: Timestamp,
}

/// Issues of which something came back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BouncedIssues {
    /// Those whose bounces may be judged.
    pub to_judge: Vec<IssueNumber>,
    /// Those whose bounces are left alone: it looks as if the relay were at fault.
    pub left_alone: Vec<IssueNumber>,
}

/// The request that ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BounceRequest {
    /// The decision that it names.
    pub decision_id: EventId,
    /// Its record, as in the inbox.
    pub envelope: Vec<u8>,
}

/// The table of bounces.
#[derive(Debug, Clone)]
pub struct BounceTable {
    database: Database,
}

impl Database {
    /// Judging what came back.
    #[must_use]
    pub fn bounces(&self) -> BounceTable {
        BounceTable {
            database: self.clone(),
        }
    }
}

impl BounceTable {
    /// The issues of which something came back that is not judged yet: those of which it may be, and those
    /// of which too much came back, or which are held. How much that is, is known once 50 were tried or the
    /// issue is over.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn issues(&self) -> Result<BouncedIssues, StoreError> {
        let rows = sqlx::query!(
            "SELECT i.id, i.state = 7 AS \"held!\", i.bounces_count,
                    i.finished_at IS NOT NULL AS \"over!\",
                    (SELECT count(*) FROM bounce b
                     WHERE b.issue_id = i.id AND b.kind IN (0, 1)) AS \"refused!\",
                    (SELECT coalesce(sum(c.n), 0) FROM chunk c
                     WHERE c.issue_id = i.id AND c.epoch > 0 AND c.state <> 1)
                    + i.past_accepted AS \"tried!\"
             FROM issue i
             WHERE EXISTS (SELECT FROM bounce b WHERE b.issue_id = i.id AND NOT b.judged)
             ORDER BY i.id"
        )
        .fetch_all(&self.database.pool)
        .await?;
        let mut issues = BouncedIssues::default();
        for row in rows {
            let number = IssueNumber(columns::number(row.id, "issue")?);
            let (refused, tried) = (
                columns::number(row.refused, TABLE)?,
                columns::number(row.tried, "chunk")?,
            );
            let is_known = row.over || tried >= ENOUGH;
            if row.held || (!row.bounces_count && is_known && is_burst(refused, tried)) {
                issues.left_alone.push(number);
            } else if row.bounces_count || is_known {
                issues.to_judge.push(number);
            }
        }
        Ok(issues)
    }

    /// Judges what came back of these issues since the last time, at most 500 at once, and puts a request into the inbox
    /// for each subscription that ends by it; `request` writes it for this seq. All in one transaction:
    /// each bounce is judged once. Returns who ended; and whether there may be more to judge.
    ///
    /// # Errors
    /// As [`StoreError`] says; nothing was judged then. [`StoreError::Inconsistent`] where the worker was
    /// never registered.
    pub async fn judge(
        &self,
        worker: WorkerId,
        issues: &[IssueNumber],
        now: Timestamp,
        request: &(dyn Fn(&BouncedOut, u64) -> BounceRequest + Sync),
    ) -> Result<(Vec<BouncedOut>, bool), StoreError> {
        let issues: Vec<i64> = issues.iter().map(|issue| i64::from(issue.0)).collect();
        let mut tx = self.database.begin().await?;
        // What came back before the sign-up that counts now says nothing of it. An issue that arrived
        // ends a row of those that did not.
        let rows = sqlx::query!(
            "SELECT b.id, b.issue_id, b.kind, b.bounced_at, s.subscription_id AS \"subscription_id?\",
                    coalesce(s.state = 1 AND b.bounced_at > s.box_accepted_at, false) AS \"counts!\",
                    (SELECT count(*) FROM bounce o
                     WHERE o.subscription = b.subscription AND o.kind IN (0, 1)
                       AND o.bounced_at > $2 AND o.bounced_at > s.box_accepted_at) AS \"refused!\",
                    CASE WHEN b.kind = 2 THEN (
                        SELECT count(*) FROM bounce o
                        WHERE o.subscription = b.subscription AND o.kind = 2
                          AND o.bounced_at > s.box_accepted_at
                          AND NOT EXISTS (
                              SELECT FROM issue i
                              JOIN delivery d ON d.issue_id = i.id AND d.subscriber_id = s.subscriber_id
                              WHERE i.newsletter_id = s.newsletter_id AND i.id > o.issue_id
                                AND d.state = 2)
                    ) ELSE 0 END AS \"exhausted!\"
             FROM bounce b LEFT JOIN subscription s ON s.id = b.subscription
             WHERE NOT b.judged AND b.issue_id = ANY($3)
             ORDER BY b.issue_id, b.id LIMIT $1 FOR UPDATE OF b SKIP LOCKED",
            STEP,
            columns::moment(now.minus(REFUSED_WITHIN)),
            &issues,
        )
        .fetch_all(&mut *tx)
        .await?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows == STEP);
        let (mut judged, mut ended) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            judged.push(row.id);
            let kind = BounceKind::from_number(row.kind).ok_or(StoreError::Inconsistent(TABLE))?;
            let (refused, exhausted) = (
                columns::number(row.refused, TABLE)?,
                columns::number(row.exhausted, TABLE)?,
            );
            if row.counts
                && let Some(subscription_id) = row.subscription_id
                && let Some(rule) = BounceRule::for_bounce(kind, refused, exhausted)
            {
                ended.push(BouncedOut {
                    subscription_id: columns::id(&subscription_id, TABLE)?,
                    issue: IssueNumber(columns::number(row.issue_id, TABLE)?),
                    rule,
                    at: Timestamp::from_date_time(row.bounced_at),
                });
            }
        }
        sqlx::query!(
            "UPDATE bounce SET judged = true WHERE id = ANY($1)",
            &judged
        )
        .execute(&mut *tx)
        .await?;
        if !ended.is_empty() {
            ask_for(&mut tx, worker, &ended, now, request).await?;
        }
        tx.commit().await?;
        Ok((ended, is_full))
    }

    /// Deletes what no rule looks at any more. Returns how many.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        let forgotten = sqlx::query!(
            "DELETE FROM bounce WHERE (kind IN (0, 1) AND bounced_at < $1) OR bounced_at < $2",
            columns::moment(now.minus(REFUSED_WITHIN)),
            columns::moment(now.minus(KEPT)),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(forgotten.rows_affected())
    }
}

/// Puts the requests into the inbox, under the worker's own id and numbers without a gap.
async fn ask_for(
    tx: &mut PgConnection,
    worker: WorkerId,
    ended: &[BouncedOut],
    now: Timestamp,
    request: &(dyn Fn(&BouncedOut, u64) -> BounceRequest + Sync),
) -> Result<(), StoreError> {
    let number = columns::bigint(ended.len() as u64);
    let last = sqlx::query_scalar!(
        "UPDATE worker SET requests = requests + $2 WHERE worker_id = $1 RETURNING requests",
        worker.as_bytes(),
        number,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(StoreError::Inconsistent("worker"))?;
    // The registrar's mark stands in a row of spools. The barrier waits for none of a worker: what it
    // asks for is here already.
    sqlx::query!(
        "INSERT INTO spool (spool_id, role, holds_stops, moved_at) VALUES ($1, 'deliver', false, $2)
         ON CONFLICT (spool_id) DO NOTHING",
        worker.as_bytes(),
        columns::moment(now),
    )
    .execute(&mut *tx)
    .await?;
    let seqs: Vec<i64> = (last - number + 1..=last).collect();
    let (mut envelopes, mut decisions) = (Vec::new(), Vec::new());
    let (mut subscriptions, mut issues, mut rules) = (Vec::new(), Vec::new(), Vec::new());
    for (end, seq) in ended.iter().zip(&seqs) {
        let request = request(end, columns::number(*seq, "worker")?);
        envelopes.push(request.envelope);
        decisions.push(request.decision_id.as_bytes().to_vec());
        subscriptions.push(end.subscription_id.as_bytes().to_vec());
        issues.push(i64::from(end.issue.0));
        rules.push(end.rule.number());
    }
    sqlx::query!(
        "INSERT INTO automated_decision (decision_id, rule, subscription_id, issue_id, decided_at)
         SELECT t.decision, t.rule, t.subscription, t.issue, $5
         FROM unnest($1::bytea[], $2::smallint[], $3::bytea[], $4::bigint[])
              AS t(decision, rule, subscription, issue)",
        &decisions,
        &rules,
        &subscriptions,
        &issues,
        columns::moment(now),
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO request_inbox (spool_id, seq, stop, envelope, received_at)
         SELECT $1, t.seq, true, t.envelope, $4
         FROM unnest($2::bigint[], $3::bytea[]) AS t(seq, envelope) ORDER BY t.seq",
        worker.as_bytes(),
        &seqs,
        &envelopes,
        columns::moment(now),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes down what came back of an issue, in the transaction that wrote its results. One of another
/// attempt than the row is at came too late and is left out; a worse word on the same issue replaces an
/// earlier one.
pub(crate) async fn note(
    tx: &mut PgConnection,
    issue: IssueNumber,
    bounces: &[(DeliveryAttempt, BounceKind)],
    now: Timestamp,
) -> Result<(), StoreError> {
    if bounces.is_empty() {
        return Ok(());
    }
    let subscribers: Vec<i64> = bounces.iter().map(|(key, _)| key.subscriber).collect();
    let epochs: Vec<i32> = bounces.iter().map(|(key, _)| key.epoch).collect();
    let attempts: Vec<i16> = bounces.iter().map(|(key, _)| key.attempt).collect();
    let kinds: Vec<i16> = bounces.iter().map(|(_, kind)| kind.number()).collect();
    sqlx::query!(
        "INSERT INTO bounce (subscription, issue_id, kind, bounced_at)
         SELECT d.subscription, $1, r.kind, $6
         FROM unnest($2::bigint[], $3::integer[], $4::smallint[], $5::smallint[])
              AS r(subscriber, epoch, attempt, kind)
         JOIN delivery d ON d.issue_id = $1 AND d.subscriber_id = r.subscriber
                        AND d.epoch = r.epoch AND d.attempt = r.attempt AND d.state IN (4, 7)
         ON CONFLICT (subscription, issue_id) DO UPDATE
         SET kind = excluded.kind, bounced_at = excluded.bounced_at, judged = false
         WHERE excluded.kind < bounce.kind",
        i64::from(issue.0),
        &subscribers,
        &epochs,
        &attempts,
        &kinds,
        columns::moment(now),
    )
    .execute(tx)
    .await?;
    Ok(())
}
