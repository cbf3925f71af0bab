//! From an approved issue to its audience, step by step (`reliability.md` 1.4, T2; 1.10).

use domain::{IssueNumber, Timestamp};

use crate::{Database, StoreError, columns};

/// Subscriptions written down in one transaction.
pub const FAN_OUT_STEP: i64 = 10_000;
/// Recipients of a chunk: about ten seconds of one connection.
pub const CHUNK_SIZE: i64 = 200;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FanOutStep {
    /// No issue waits for its audience.
    Idle,
    /// This many recipients were added; there may be more.
    Added(IssueNumber, u64),
    /// This many were added, and the audience is complete.
    Complete(IssueNumber, u64),
}

/// The planner's view of issues.
#[derive(Debug, Clone)]
pub struct FanOut {
    database: Database,
}

impl Database {
    /// Writing down audiences.
    #[must_use]
    pub fn fan_out(&self) -> FanOut {
        FanOut {
            database: self.clone(),
        }
    }
}

impl FanOut {
    /// Adds the next active subscriptions to the oldest issue that waits for its audience. The
    /// issue's row lock makes two planners serial; a crash goes on at the cursor.
    ///
    /// # Errors
    /// As [`StoreError`] says; nothing was written then.
    pub async fn step(&self, now: Timestamp) -> Result<FanOutStep, StoreError> {
        self.step_of(FAN_OUT_STEP, now).await
    }

    pub(crate) async fn step_of(
        &self,
        limit: i64,
        now: Timestamp,
    ) -> Result<FanOutStep, StoreError> {
        let now = columns::moment(now);
        let mut tx = self.database.begin().await?;
        let issue = sqlx::query!(
            "SELECT id, newsletter_id, upper_id, cursor_id FROM issue
             WHERE state IN (1, 2) ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(issue) = issue else {
            return Ok(FanOutStep::Idle);
        };
        let upper = match issue.upper_id {
            Some(upper) => upper,
            // of whatever newsletter: the end of the table, found without reading it
            None => {
                sqlx::query_scalar!("SELECT coalesce(max(id), 0) AS \"upper!\" FROM subscription")
                    .fetch_one(&mut *tx)
                    .await?
            }
        };
        // The cursor runs over subscribers, the order of the index of active subscriptions.
        let step = sqlx::query!(
            "WITH picked AS (
                 SELECT s.id, s.subscriber_id,
                        (row_number() OVER (ORDER BY s.subscriber_id) - 1) / $5 AS position
                 FROM subscription s
                 WHERE s.newsletter_id = $2 AND s.state = 1
                   AND s.subscriber_id > $3 AND s.id <= $4
                 ORDER BY s.subscriber_id LIMIT $6
             ), base AS (
                 SELECT coalesce(max(chunk_no) + 1, 0) AS first FROM chunk WHERE issue_id = $1
             ), added AS (
                 INSERT INTO delivery (issue_id, subscriber_id, subscription, chunk_no, updated_at)
                 SELECT $1, p.subscriber_id, p.id, b.first + p.position::integer, $7
                 FROM picked p, base b
                 ON CONFLICT (issue_id, subscriber_id) DO NOTHING
                 RETURNING chunk_no
             ), chunks AS (
                 INSERT INTO chunk (issue_id, chunk_no, n, outboxed_at)
                 SELECT $1, chunk_no, count(*)::integer, $7 FROM added GROUP BY chunk_no
                 RETURNING chunk_no
             ), hints AS (
                 INSERT INTO outbox (topic, body, created_at)
                 SELECT 1, '{\"v\":1,\"issue\":' || $1::bigint || ',\"chunk\":' || chunk_no || '}', $7
                 FROM chunks ORDER BY chunk_no
             )
             SELECT (SELECT count(*) FROM picked) AS \"picked!\",
                    (SELECT count(*) FROM added) AS \"added!\",
                    (SELECT max(subscriber_id) FROM picked) AS last",
            issue.id,
            issue.newsletter_id,
            issue.cursor_id,
            upper,
            CHUNK_SIZE,
            limit,
            now,
        )
        .fetch_one(&mut *tx)
        .await?;
        let complete = step.picked < limit;
        sqlx::query!(
            "UPDATE issue SET state = CASE WHEN $4 THEN 3 ELSE 2 END, upper_id = $2,
                    cursor_id = $3, fanned_out_at = CASE WHEN $4 THEN $5::timestamptz END
             WHERE id = $1",
            issue.id,
            upper,
            step.last.unwrap_or(issue.cursor_id),
            complete,
            now,
        )
        .execute(&mut *tx)
        .await?;
        #[cfg(feature = "failpoints")]
        fail::fail_point!("P0", |_| std::process::abort());
        tx.commit().await?;
        let number = IssueNumber(columns::number(issue.id, "issue")?);
        let added = columns::number(step.added, "delivery")?;
        Ok(if complete {
            FanOutStep::Complete(number, added)
        } else {
            FanOutStep::Added(number, added)
        })
    }

    /// Finishes the issues that have no chunk left to do. A periodic look, not a counter that
    /// reaches zero: a counter can be wrong. Returns how many.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn finish(&self, now: Timestamp) -> Result<u64, StoreError> {
        let finished = sqlx::query!(
            "UPDATE issue i SET state = CASE WHEN i.state = 5 THEN 5 ELSE 6 END, finished_at = $1,
                    held_reason = NULL
             WHERE i.finished_at IS NULL AND i.retry_from IS NULL
               AND (i.state = 5 OR (i.state IN (3, 4, 7)
                                    AND (i.fanned_out_at IS NOT NULL OR i.deadline <= $1)))
               AND NOT EXISTS (
                   SELECT 1 FROM chunk c WHERE c.issue_id = i.id AND c.state IN (0, 1, 2, 4, 5))
               AND NOT EXISTS (
                   SELECT 1 FROM doubt q WHERE q.issue_id = i.id AND q.decided IS NOT NULL)",
            columns::moment(now)
        )
        .execute(&self.database.pool)
        .await?;
        Ok(finished.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttemptResult, InDoubtPolicy, IssueContent, IssueState, NewIssue};
    use domain::{DeliveryState, Language, Slug, WorkerId};
    use sqlx::{Executor, PgPool, Row};
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_millis(1_795_500_000_000);
    const WORKER: WorkerId = WorkerId::new([7; 16]);

    /// Two newsletters and so many subscribers, who get both.
    async fn audience(pool: &PgPool) -> Database {
        for statement in [
            "INSERT INTO body VALUES (true, 'Council', null, 'dpo@c.example', '{Hall}', 'Regulator',
                                      null, 'https://r.example', '#00563f', 'hello@c.example', now())",
            "INSERT INTO newsletter (slug, name_en, summary_en, frequency_en, sender_address,
                 languages, retention_days, lawful_basis, open, created_at, changed_at)
             SELECT slug, slug, 'About.', 'weekly', slug || '@c.example', '{0}', 30, 0, true,
                    now(), now() FROM unnest('{news,bins}'::text[]) slug",
            "INSERT INTO subscriber (address_index, suppression_code, mailbox_code,
                                     code_generation, created_at)
             SELECT sha256(i::text::bytea), sha256(('s' || i)::bytea), sha256(('m' || i)::bytea),
                    1, now() FROM generate_series(1, 25) i",
            "INSERT INTO subscription (subscription_id, subscriber_id, newsletter_id, state,
                 language, box_id, box_accepted_at, sealed, consent_event_id, row_mac, changed_at)
             SELECT substr(sha256((s.id || '-' || n.id)::bytea), 1, 16), s.id, n.id, 1, 0,
                    substr(sha256(s.id::text::bytea), 1, 16), now(),
                    decode(repeat('01', 115), 'hex'), decode(repeat('05', 16), 'hex'),
                    sha256('mac'), now()
             FROM subscriber s CROSS JOIN newsletter n ORDER BY n.id, s.id DESC",
        ] {
            pool.execute(statement).await.unwrap();
        }
        Database::from_pool(pool.clone())
    }

    async fn approve(database: &Database) -> IssueNumber {
        let issue = NewIssue {
            newsletter: Slug::parse("news").unwrap(),
            contents: vec![IssueContent {
                language: Language::En,
                subject: "Hello".into(),
                preheader: String::new(),
                markdown: "Hello.".into(),
                frozen: None,
            }],
            content_sha256: [1; 32],
            message_date: NOW,
            deadline: NOW.plus(Duration::from_hours(36)),
            in_doubt_policy: InDoubtPolicy::Skip,
        };
        database.issues().approve(&issue, NOW).await.unwrap()
    }

    async fn number(pool: &PgPool, sql: &'static str) -> i64 {
        pool.fetch_one(sql).await.unwrap().get(0)
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn an_audience_is_written_in_steps_and_each_reader_once(pool: PgPool) {
        let database = audience(&pool).await;
        let issue = approve(&database).await;
        let fan_out = database.fan_out();
        let mut steps = Vec::new();
        loop {
            let step = fan_out.step_of(10, NOW).await.unwrap();
            if step == FanOutStep::Idle {
                break;
            }
            steps.push(step);
        }
        assert_eq!(
            steps,
            [
                FanOutStep::Added(issue, 10),
                FanOutStep::Added(issue, 10),
                FanOutStep::Complete(issue, 5)
            ]
        );
        let once = "SELECT count(*) FROM delivery d JOIN subscription s ON s.id = d.subscription
                    AND s.newsletter_id = 1 AND s.subscriber_id = d.subscriber_id";
        assert_eq!(number(&pool, once).await, 25);
        let chunks = "SELECT sum(n) FROM chunk c WHERE n = (
            SELECT count(*) FROM delivery d WHERE d.chunk_no = c.chunk_no)";
        assert_eq!(number(&pool, chunks).await, 25);
        let hint = "SELECT body FROM outbox ORDER BY id LIMIT 1";
        let body: String = pool.fetch_one(hint).await.unwrap().get(0);
        assert_eq!(body, r#"{"v":1,"issue":1,"chunk":0}"#);
        assert_eq!(database.chunks().take_hints().await.unwrap(), 3);
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn who_comes_after_the_first_step_waits_for_the_next_issue(pool: PgPool) {
        let database = audience(&pool).await;
        pool.execute("UPDATE subscription SET state = 2 WHERE subscriber_id = 3")
            .await
            .unwrap();
        approve(&database).await;
        let fan_out = database.fan_out();
        fan_out.step_of(10, NOW).await.unwrap();
        pool.execute(
            "DELETE FROM subscription WHERE subscriber_id = 25 AND newsletter_id = 1;
             INSERT INTO subscription (subscription_id, subscriber_id, newsletter_id, state,
                 language, box_id, box_accepted_at, sealed, consent_event_id, row_mac, changed_at)
             SELECT substr(sha256('new'), 1, 16), subscriber_id, 1, 1, 0, box_id, now(), sealed,
                    consent_event_id, row_mac, now()
             FROM subscription WHERE subscriber_id = 25 AND newsletter_id = 2",
        )
        .await
        .unwrap();
        while fan_out.step_of(10, NOW).await.unwrap() != FanOutStep::Idle {}
        let missing = "SELECT count(*) FROM delivery WHERE subscriber_id IN (3, 25)";
        assert_eq!(number(&pool, missing).await, 0);
        assert_eq!(number(&pool, "SELECT count(*) FROM delivery").await, 23);
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn two_claims_share_a_chunk_and_no_row(pool: PgPool) {
        let database = audience(&pool).await;
        approve(&database).await;
        database.fan_out().step(NOW).await.unwrap();
        let chunk = database
            .chunks()
            .take_due(WORKER, NOW)
            .await
            .unwrap()
            .unwrap();
        let none = database.chunks().take_due(WORKER, NOW).await.unwrap();
        assert!(none.is_none(), "one chunk, one owner");
        let deliveries = database.deliveries();
        let first = deliveries.claim(&chunk, 20, NOW).await.unwrap().deliveries;
        let second = deliveries.claim(&chunk, 20, NOW).await.unwrap().deliveries;
        assert_eq!((first.len(), second.len()), (20, 5));
        assert!(
            !database.chunks().close(&chunk).await.unwrap(),
            "being attempted"
        );
        let late = crate::OwnedChunk {
            epoch: chunk.epoch - 1,
            ..chunk
        };
        let nothing = deliveries.claim(&late, 20, NOW).await.unwrap();
        assert!(
            nothing.deliveries.is_empty(),
            "an owner of before claims nothing"
        );
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn a_result_of_another_attempt_changes_nothing(pool: PgPool) {
        let database = audience(&pool).await;
        let issue = approve(&database).await;
        database.fan_out().step(NOW).await.unwrap();
        let chunk = database
            .chunks()
            .take_due(WORKER, NOW)
            .await
            .unwrap()
            .unwrap();
        let deliveries = database.deliveries();
        let claim = deliveries.claim(&chunk, 25, NOW).await.unwrap().deliveries;
        let key = claim[0].key;
        let accepted = AttemptResult {
            state: DeliveryState::Accepted,
            code: Some(250),
            enhanced: Some([2, 0, 0]),
            not_before: None,
            counts: true,
        };
        let mut others = [key; 3];
        others[0].epoch += 1;
        others[1].attempt += 1;
        others[2].subscriber += 1_000;
        for other in others {
            let taken = deliveries.flush(WORKER, &[(other, accepted)], NOW).await;
            assert_eq!(taken.unwrap(), 0, "{other:?}");
        }
        let stranger = WorkerId::new([8; 16]);
        let taken = deliveries.flush(stranger, &[(key, accepted)], NOW).await;
        assert_eq!(taken.unwrap(), 0);
        let all: Vec<_> = claim.iter().map(|row| (row.key, accepted)).collect();
        assert_eq!(deliveries.flush(WORKER, &all, NOW).await.unwrap(), 25);
        assert_eq!(
            deliveries.flush(WORKER, &all, NOW).await.unwrap(),
            0,
            "again"
        );
        assert_eq!(deliveries.release(WORKER, &[key], NOW).await.unwrap(), 0);
        assert_eq!(
            database.fan_out().finish(NOW).await.unwrap(),
            0,
            "chunk in hand"
        );
        assert!(database.chunks().close(&chunk).await.unwrap());
        assert_eq!(database.fan_out().finish(NOW).await.unwrap(), 1);
        let progress = database.issues().progress(issue).await.unwrap().unwrap();
        assert_eq!(progress.state, IssueState::Finished);
        assert_eq!(progress.counts.accepted, 25);
        assert_eq!(database.issues().list(10).await.unwrap(), [progress]);
    }
}
