//! One-to-one mails: confirmations, "you already get this" and answers to who asked, with the states and
//! guards of a delivery.

use std::time::Duration;

use domain::{
    BoxId, CONFIRMATION_DAYS, MailKind, NewsletterNumber, SubscriptionId, Timestamp, WorkerId,
};

use crate::deliveries::{AttemptResult, dotted};
use crate::sealed_person::{PersonColumns, SealedPerson};
use crate::{Database, StoreError, columns};

/// One attempt at one mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MailAttempt {
    /// `mail.id`.
    pub mail: i64,
    /// One more with each claim.
    pub epoch: i32,
    /// 1 for the first attempt.
    pub attempt: i16,
}

/// A mail that was claimed.
#[derive(Debug, Clone)]
pub struct ClaimedMail {
    /// Which attempt.
    pub key: MailAttempt,
    /// [`MailKind::Confirmation`], [`MailKind::AlreadySubscribed`] or [`MailKind::RightsReply`].
    pub kind: MailKind,
    /// The newsletters that were asked for.
    pub newsletters: Vec<NewsletterNumber>,
    /// The request that it answers.
    pub box_id: BoxId,
    /// The person, unless a column has a length that no code of ours writes. `newsletter` is the
    /// first of `newsletters`, `state` and `consent_event_id` are what the row MAC covers.
    pub person: Option<SealedPerson>,
    /// Which of `newsletters` they get, by which subscription; none for a confirmation, and for an answer
    /// to who asked all that they get.
    pub held: Vec<(NewsletterNumber, SubscriptionId)>,
    /// The `Date` of every copy.
    pub created_at: Timestamp,
    /// Nothing is sent after it.
    pub deadline: Timestamp,
}

/// What one claim brought.
#[derive(Debug, Clone, Default)]
pub struct MailClaim {
    /// To be attempted now.
    pub mails: Vec<ClaimedMail>,
    /// How many were suppressed by the same statement.
    pub suppressed: u64,
}

/// How an attempt at a mail ended.
#[derive(Debug, Clone)]
pub struct MailResult {
    /// Which attempt.
    pub key: MailAttempt,
    /// How it ended.
    pub result: AttemptResult,
    /// When it was sent, or may have been.
    pub sent_at: Timestamp,
    /// Its Message-ID, for the consent record; none where that is not known any more.
    pub message_id: Option<String>,
}

/// The table of one-to-one mails.
#[derive(Debug, Clone)]
pub struct MailStore {
    pub(crate) database: Database,
}

const MAIL: &str = "mail";

impl Database {
    /// Claiming one-to-one mails and writing down their results.
    #[must_use]
    pub fn mails(&self) -> MailStore {
        MailStore {
            database: self.clone(),
        }
    }
}

impl MailStore {
    /// Claims at most `limit` mails that are due. In the same statement a mail that has lost its
    /// reason becomes suppressed: a confirmation whose sign-up does not wait any more, an "already
    /// subscribed" to somebody who is not, any mail to an address that must get none.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn claim(
        &self,
        worker: WorkerId,
        limit: u16,
        now: Timestamp,
    ) -> Result<MailClaim, StoreError> {
        let rows = sqlx::query!(
            "WITH pick AS (
                 SELECT m.id FROM mail m
                 WHERE m.state IN (0, 3) AND (m.not_before IS NULL OR m.not_before <= $3)
                   AND NOT EXISTS (SELECT FROM installation WHERE tick < $4)
                   AND m.deadline > $3 AND m.kind IN (1, 2, 4)
                 ORDER BY m.not_before NULLS FIRST, m.id LIMIT $2 FOR UPDATE SKIP LOCKED
             ), judged AS (
                 SELECT m.id,
                        m.sealed IS NOT NULL
                        AND CASE m.kind
                            WHEN 1 THEN EXISTS (
                                SELECT 1 FROM sign_up u
                                WHERE u.box_id = m.box_id AND u.expires_at > $3)
                            WHEN 4 THEN true
                            ELSE EXISTS (
                                SELECT 1 FROM subscription s
                                WHERE s.subscription_id = m.subscription_id AND s.state = 1)
                            END
                        AND NOT EXISTS (
                            SELECT 1 FROM suppression x
                            WHERE (x.code = m.mailbox_code
                                   OR x.code IN (SELECT u.suppression_code FROM sign_up u
                                                 WHERE u.box_id = m.box_id)
                                   OR x.code IN (SELECT b.suppression_code FROM subscriber b
                                                 WHERE b.address_index = m.address_index))
                              AND (x.expires_at IS NULL OR x.expires_at > $3)
                              AND (x.level = 3 OR (x.level = 4 AND m.kind <> 4))) AS wanted
                 FROM pick p JOIN mail m ON m.id = p.id
             )
             UPDATE mail m
             SET attempt = m.attempt + j.wanted::integer, epoch = m.epoch + 1, worker = $1,
                 updated_at = $3, not_before = NULL,
                 state = CASE WHEN j.wanted THEN 1 ELSE 5 END,
                 sealed = CASE WHEN j.wanted THEN m.sealed END
             FROM judged j WHERE m.id = j.id
             RETURNING m.id, m.kind, m.language, m.newsletter_ids, m.box_id, m.sealed,
                       m.subscription_id, m.row_mac, m.mac_state, m.mac_consent, m.epoch, m.attempt,
                       m.created_at, m.deadline, j.wanted AS \"wanted!\"",
            worker.as_bytes(),
            i64::from(limit),
            columns::moment(now),
            columns::bigint(self.database.seen.get()),
        )
        .fetch_all(&self.database.pool)
        .await?;
        let mut claim = MailClaim::default();
        for row in rows {
            if !row.wanted {
                claim.suppressed += 1;
                continue;
            }
            let newsletters = row
                .newsletter_ids
                .iter()
                .map(|number| Ok(NewsletterNumber(columns::number(*number, MAIL)?)))
                .collect::<Result<Vec<_>, StoreError>>()?;
            claim.mails.push(ClaimedMail {
                key: MailAttempt {
                    mail: row.id,
                    epoch: row.epoch,
                    attempt: row.attempt,
                },
                kind: MailKind::from_number(row.kind).ok_or(StoreError::Inconsistent(MAIL))?,
                newsletters,
                box_id: columns::id(&row.box_id, MAIL)?,
                person: PersonColumns {
                    subscription_id: Some(row.subscription_id),
                    newsletter: row.newsletter_ids.first().copied(),
                    box_id: Some(row.box_id),
                    sealed: row.sealed,
                    row_mac: Some(row.row_mac),
                    state: Some(row.mac_state),
                    consent_event_id: Some(row.mac_consent),
                    language: Some(row.language),
                }
                .read()
                .ok(),
                held: Vec::new(),
                created_at: Timestamp::from_date_time(row.created_at),
                deadline: Timestamp::from_date_time(row.deadline),
            });
        }
        claim.mails.sort_by_key(|mail| mail.key.mail);
        for mail in &mut claim.mails {
            if matches!(
                mail.kind,
                MailKind::AlreadySubscribed | MailKind::RightsReply
            ) {
                mail.held = self.held(mail.key.mail).await?;
            }
        }
        Ok(claim)
    }

    async fn held(&self, mail: i64) -> Result<Vec<(NewsletterNumber, SubscriptionId)>, StoreError> {
        sqlx::query!(
            "SELECT s.newsletter_id, s.subscription_id FROM mail m
             JOIN subscriber b ON b.address_index = m.address_index
             JOIN subscription s ON s.subscriber_id = b.id AND s.state = 1
                                AND (m.kind = 4 OR s.newsletter_id = ANY(m.newsletter_ids))
             WHERE m.id = $1
             ORDER BY array_position(m.newsletter_ids, s.newsletter_id), s.newsletter_id",
            mail
        )
        .fetch_all(&self.database.pool)
        .await?
        .into_iter()
        .map(|row| {
            Ok((
                NewsletterNumber(columns::number(row.newsletter_id, MAIL)?),
                columns::id(&row.subscription_id, MAIL)?,
            ))
        })
        .collect()
    }

    /// Writes down results, one transaction for all. A final mail loses its sealed address; a
    /// confirmation that went, or may have gone, is entered in its consent records, and its sign-up
    /// can be confirmed for 7 days from then. Returns how many results were taken.
    ///
    /// # Errors
    /// As [`StoreError`] says; doing it again is harmless.
    pub async fn flush(
        &self,
        worker: WorkerId,
        results: &[MailResult],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        if results.is_empty() {
            return Ok(0);
        }
        let (mut ids, mut epochs, mut attempts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut states, mut codes, mut enhanced) = (Vec::new(), Vec::new(), Vec::new());
        let (mut not_before, mut counts, mut sent, mut message_ids) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for entry in results {
            ids.push(entry.key.mail);
            epochs.push(entry.key.epoch);
            attempts.push(entry.key.attempt);
            states.push(entry.result.state.number());
            codes.push(entry.result.code.and_then(|code| i16::try_from(code).ok()));
            enhanced.push(entry.result.enhanced.map(dotted));
            not_before.push(entry.result.not_before.map(columns::moment));
            counts.push(entry.result.counts);
            sent.push(columns::moment(entry.sent_at));
            message_ids.push(entry.message_id.clone());
        }
        let life = Duration::from_hours(24 * CONFIRMATION_DAYS);
        let life_seconds = f64::from(u32::try_from(life.as_secs()).unwrap_or(u32::MAX));
        let taken = sqlx::query_scalar!(
            "WITH r AS (
                 SELECT * FROM unnest($1::bigint[], $2::integer[], $3::smallint[], $4::smallint[],
                     $5::smallint[], $6::text[], $7::timestamptz[], $8::boolean[],
                     $9::timestamptz[], $10::text[])
                     AS t(mail, epoch, attempt, state, code, enhanced, not_before, counts, sent_at,
                          message_id)
             ), taken AS (
                 UPDATE mail m
                 SET state = r.state, code = r.code, enhanced = r.enhanced,
                     not_before = r.not_before, attempt = m.attempt - (NOT r.counts)::integer,
                     updated_at = $12, sealed = CASE WHEN r.state IN (0, 1, 3, 6) THEN m.sealed END
                 FROM r
                 WHERE m.id = r.mail AND m.epoch = r.epoch AND m.attempt = r.attempt
                   AND m.worker = $11 AND (m.state = 1 OR (m.state = 6 AND r.state IN (2, 4)))
                 RETURNING m.kind, m.box_id, r.state, r.sent_at, r.message_id
             ), told AS (
                 UPDATE consent c
                 SET confirmation_sent_at = t.sent_at,
                     confirmation_message_id = coalesce(t.message_id, c.confirmation_message_id)
                 FROM taken t WHERE c.box_id = t.box_id AND t.kind = 1 AND t.state IN (2, 6)
             ), extended AS (
                 UPDATE sign_up u
                 SET expires_at = greatest(u.expires_at, t.sent_at + make_interval(secs => $13))
                 FROM taken t WHERE u.box_id = t.box_id AND t.kind = 1 AND t.state IN (2, 6)
             )
             SELECT count(*) AS \"n!\" FROM taken",
            &ids,
            &epochs,
            &attempts,
            &states,
            &codes as &[Option<i16>],
            &enhanced as &[Option<String>],
            &not_before as &[Option<time::OffsetDateTime>],
            &counts,
            &sent,
            &message_ids as &[Option<String>],
            worker.as_bytes(),
            columns::moment(now),
            life_seconds,
        )
        .fetch_one(&self.database.pool)
        .await?;
        columns::number(taken, MAIL)
    }

    /// Gives back attempts that provably sent nothing.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn release(
        &self,
        worker: WorkerId,
        attempts: &[MailAttempt],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let ids: Vec<i64> = attempts.iter().map(|key| key.mail).collect();
        let epochs: Vec<i32> = attempts.iter().map(|key| key.epoch).collect();
        let numbers: Vec<i16> = attempts.iter().map(|key| key.attempt).collect();
        let released = sqlx::query!(
            "UPDATE mail m SET state = 0, attempt = m.attempt - 1, updated_at = $5
             FROM unnest($1::bigint[], $2::integer[], $3::smallint[]) AS r(mail, epoch, attempt)
             WHERE m.id = r.mail AND m.epoch = r.epoch AND m.attempt = r.attempt
               AND m.worker = $4 AND m.state = 1",
            &ids,
            &epochs,
            &numbers,
            worker.as_bytes(),
            columns::moment(now),
        )
        .execute(&self.database.pool)
        .await?;
        Ok(released.rows_affected())
    }
}
