//! What an operator sets: the body and its newsletters. Each change renders the notices again, so
//! that what residents read is always what the purge does (promise P8).

use domain::{
    Body, Catalogue, Language, LawfulBasis, Newsletter, NewsletterNumber, NoticeHash, Slug,
    Timestamp, Words,
};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::catalogue::{body, language_numbers, lawful_basis_number, newsletters};
use crate::{Database, StoreError, columns};

/// Changes the catalogue.
#[derive(Debug, Clone)]
pub struct OperatorDesk {
    database: Database,
}

/// A newsletter as an operator describes it; its number is the database's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNewsletter {
    /// Its name in addresses.
    pub slug: Slug,
    /// Its name for people.
    pub name: Words,
    /// What is in it, in one sentence.
    pub summary: Words,
    /// How often it comes.
    pub frequency: Words,
    /// The mailbox it is sent from.
    pub sender_address: String,
    /// The languages it is written in, the first one standard; at least one.
    pub languages: Vec<Language>,
    /// Days between the last unsubscribe and the deletion of the sealed address, 0 to 90.
    pub retention_days: u16,
    /// Why the address may be kept.
    pub lawful_basis: LawfulBasis,
    /// Whether sign-ups are taken.
    pub open: bool,
}

impl Database {
    /// For the operator's commands.
    #[must_use]
    pub fn operator(&self) -> OperatorDesk {
        OperatorDesk {
            database: self.clone(),
        }
    }
}

impl OperatorDesk {
    /// Sets the body, and publishes every notice that reads differently now, in one transaction.
    ///
    /// # Errors
    /// Those of the database; then nothing is changed.
    pub async fn set_body(&self, new: &Body, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        take_turn(&mut tx).await?;
        sqlx::query!(
            "INSERT INTO body (name_en, name_cy, dpo_email, dpo_post, regulator_name_en,
                               regulator_name_cy, regulator_url, colour, reply_to, changed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (one) DO UPDATE SET
                 name_en = EXCLUDED.name_en, name_cy = EXCLUDED.name_cy,
                 dpo_email = EXCLUDED.dpo_email, dpo_post = EXCLUDED.dpo_post,
                 regulator_name_en = EXCLUDED.regulator_name_en,
                 regulator_name_cy = EXCLUDED.regulator_name_cy,
                 regulator_url = EXCLUDED.regulator_url, colour = EXCLUDED.colour,
                 reply_to = EXCLUDED.reply_to, changed_at = EXCLUDED.changed_at",
            new.name.en,
            new.name.cy,
            new.dpo_email,
            &new.dpo_post,
            new.regulator_name.en,
            new.regulator_name.cy,
            new.regulator_url,
            new.colour,
            new.reply_to,
            columns::moment(now),
        )
        .execute(&mut *tx)
        .await?;
        for newsletter in newsletters(&mut tx).await? {
            publish_notices(&mut tx, new, &newsletter, now).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Adds a newsletter and publishes its notices; where the body is not set yet, that does so.
    /// None where another newsletter has this slug.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for retention outside of 0 to 90 days or no language.
    pub async fn add_newsletter(
        &self,
        new: &NewNewsletter,
        now: Timestamp,
    ) -> Result<Option<Newsletter>, StoreError> {
        let mut tx = self.database.begin().await?;
        take_turn(&mut tx).await?;
        let id = sqlx::query_scalar!(
            "INSERT INTO newsletter (slug, name_en, name_cy, summary_en, summary_cy, frequency_en,
                                     frequency_cy, sender_address, languages, retention_days,
                                     lawful_basis, open, created_at, changed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
             ON CONFLICT (slug) DO NOTHING
             RETURNING id",
            new.slug.as_str(),
            new.name.en,
            new.name.cy,
            new.summary.en,
            new.summary.cy,
            new.frequency.en,
            new.frequency.cy,
            new.sender_address,
            &language_numbers(&new.languages),
            i32::from(new.retention_days),
            lawful_basis_number(new.lawful_basis),
            new.open,
            columns::moment(now),
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(id) = id else { return Ok(None) };
        let newsletter = published(&mut tx, new, id, now).await?;
        tx.commit().await?;
        Ok(Some(newsletter))
    }

    /// Changes the newsletter with this slug, and publishes its notices where they read differently
    /// now. None where there is no such newsletter.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for retention outside of 0 to 90 days or no language.
    pub async fn change_newsletter(
        &self,
        new: &NewNewsletter,
        now: Timestamp,
    ) -> Result<Option<Newsletter>, StoreError> {
        let mut tx = self.database.begin().await?;
        take_turn(&mut tx).await?;
        let id = sqlx::query_scalar!(
            "UPDATE newsletter SET
                 name_en = $2, name_cy = $3, summary_en = $4, summary_cy = $5, frequency_en = $6,
                 frequency_cy = $7, sender_address = $8, languages = $9, retention_days = $10,
                 lawful_basis = $11, open = $12, changed_at = $13
             WHERE slug = $1
             RETURNING id",
            new.slug.as_str(),
            new.name.en,
            new.name.cy,
            new.summary.en,
            new.summary.cy,
            new.frequency.en,
            new.frequency.cy,
            new.sender_address,
            &language_numbers(&new.languages),
            i32::from(new.retention_days),
            lawful_basis_number(new.lawful_basis),
            new.open,
            columns::moment(now),
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(id) = id else { return Ok(None) };
        let newsletter = published(&mut tx, new, id, now).await?;
        tx.commit().await?;
        Ok(Some(newsletter))
    }

    /// The catalogue, for `newsletter list` and for checks before a change.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn list(&self) -> Result<Catalogue, StoreError> {
        self.database.catalogue().read().await
    }
}

/// One change of the catalogue at a time: a newsletter added while the body changes would else miss
/// the new body in its notice.
async fn take_turn(tx: &mut PgConnection) -> Result<(), StoreError> {
    const CATALOGUE: i64 = 0x6c65_7474_6572_0001; // any number that nobody else locks
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", CATALOGUE)
        .execute(tx)
        .await?;
    Ok(())
}

async fn published(
    tx: &mut PgConnection,
    new: &NewNewsletter,
    id: i64,
    now: Timestamp,
) -> Result<Newsletter, StoreError> {
    let newsletter = Newsletter {
        number: NewsletterNumber(columns::number(id, "newsletter")?),
        slug: new.slug.clone(),
        name: new.name.clone(),
        summary: new.summary.clone(),
        frequency: new.frequency.clone(),
        sender_address: new.sender_address.clone(),
        languages: new.languages.clone(),
        retention_days: new.retention_days,
        lawful_basis: new.lawful_basis,
        open: new.open,
    };
    if let Some(body) = body(tx).await? {
        publish_notices(tx, &body, &newsletter, now).await?;
    }
    Ok(newsletter)
}

/// Makes the current notices of a newsletter read as the settings say. The same text again is no
/// new version; a return to an older text makes that version current again, since its hash names
/// exactly these words.
async fn publish_notices(
    tx: &mut PgConnection,
    body: &Body,
    newsletter: &Newsletter,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = columns::bigint(newsletter.number.0);
    for language in Language::ALL {
        let text = newsletter
            .languages
            .contains(&language)
            .then(|| domain::notice_text(body, newsletter, language));
        let hash = text
            .as_ref()
            .map(|text| NoticeHash::new(Sha256::digest(text).into()));
        let hash_bytes = hash.as_ref().map(|hash| hash.as_bytes().as_slice());
        sqlx::query!(
            "UPDATE notice SET superseded_at = $4
             WHERE newsletter_id = $1 AND language = $2 AND superseded_at IS NULL
               AND hash IS DISTINCT FROM $3",
            id,
            language.number(),
            hash_bytes,
            columns::moment(now),
        )
        .execute(&mut *tx)
        .await?;
        let (Some(text), Some(hash)) = (text, hash_bytes) else {
            continue;
        };
        sqlx::query!(
            "INSERT INTO notice (newsletter_id, language, version, hash, text, published_at)
             SELECT $1, $2, 1 + coalesce(max(version), 0), $3, $4, $5
             FROM notice WHERE newsletter_id = $1 AND language = $2
             ON CONFLICT (newsletter_id, language, hash) DO UPDATE SET superseded_at = NULL",
            id,
            language.number(),
            hash,
            text,
            columns::moment(now),
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}
