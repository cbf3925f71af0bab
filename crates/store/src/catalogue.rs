//! Reads the catalogue: the body, its newsletters and every notice that was ever shown; through views,
//! which are all that a web role may read.

use domain::{
    Body, Catalogue, Language, LawfulBasis, Newsletter, NewsletterNumber, Notice, NoticeHash, Slug,
    Timestamp, Words,
};
use sqlx::PgConnection;

use crate::{Database, StoreError, columns};

/// Reads the catalogue. Nothing in it is personal.
#[derive(Debug, Clone)]
pub struct CatalogueReader {
    database: Database,
}

impl Database {
    /// For web roles, which keep a copy on disk, and for commands.
    #[must_use]
    pub fn catalogue(&self) -> CatalogueReader {
        CatalogueReader {
            database: self.clone(),
        }
    }
}

impl CatalogueReader {
    /// The catalogue as it stands, all of one moment.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: keep the last copy.
    pub async fn read(&self) -> Result<Catalogue, StoreError> {
        let mut snapshot = self
            .database
            .pool
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        let catalogue = Catalogue {
            body: body(&mut snapshot).await?,
            newsletters: newsletters(&mut snapshot).await?,
            notices: notices(&mut snapshot).await?,
        };
        snapshot.commit().await?;
        Ok(catalogue)
    }
}

pub(crate) async fn body(connection: &mut PgConnection) -> Result<Option<Body>, StoreError> {
    let row = sqlx::query!(
        "SELECT name_en AS \"name_en!\", name_cy, dpo_email AS \"dpo_email!\",
                dpo_post AS \"dpo_post!\", regulator_name_en AS \"regulator_name_en!\",
                regulator_name_cy, regulator_url AS \"regulator_url!\", colour AS \"colour!\",
                reply_to AS \"reply_to!\"
         FROM catalogue_body"
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Body {
        name: words(row.name_en, row.name_cy),
        dpo_email: row.dpo_email,
        dpo_post: row.dpo_post,
        regulator_name: words(row.regulator_name_en, row.regulator_name_cy),
        regulator_url: row.regulator_url,
        colour: row.colour,
        reply_to: row.reply_to,
    }))
}

pub(crate) async fn newsletters(
    connection: &mut PgConnection,
) -> Result<Vec<Newsletter>, StoreError> {
    const TABLE: &str = "newsletter";
    let rows = sqlx::query!(
        "SELECT id AS \"id!\", slug AS \"slug!\", name_en AS \"name_en!\", name_cy,
                summary_en AS \"summary_en!\", summary_cy, frequency_en AS \"frequency_en!\",
                frequency_cy, sender_address AS \"sender_address!\",
                languages AS \"languages!\", retention_days AS \"retention_days!\",
                lawful_basis AS \"lawful_basis!\", open AS \"open!\"
         FROM catalogue_newsletter ORDER BY id"
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Newsletter {
                number: NewsletterNumber(columns::number(row.id, TABLE)?),
                slug: Slug::parse(&row.slug).map_err(|_| StoreError::Inconsistent(TABLE))?,
                name: words(row.name_en, row.name_cy),
                summary: words(row.summary_en, row.summary_cy),
                frequency: words(row.frequency_en, row.frequency_cy),
                sender_address: row.sender_address,
                languages: row
                    .languages
                    .into_iter()
                    .map(|number| columns::language(number, TABLE))
                    .collect::<Result<_, _>>()?,
                retention_days: columns::number(row.retention_days, TABLE)?,
                lawful_basis: lawful_basis(row.lawful_basis)?,
                open: row.open,
            })
        })
        .collect()
}

async fn notices(connection: &mut PgConnection) -> Result<Vec<Notice>, StoreError> {
    const TABLE: &str = "notice";
    let rows = sqlx::query!(
        "SELECT hash AS \"hash!\", newsletter_id AS \"newsletter_id!\",
                language AS \"language!\", version AS \"version!\", text AS \"text!\",
                published_at AS \"published_at!\", superseded_at
         FROM catalogue_notice ORDER BY newsletter_id, language, version"
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Notice {
                hash: NoticeHash::new(columns::bytes(&row.hash, TABLE)?),
                newsletter: NewsletterNumber(columns::number(row.newsletter_id, TABLE)?),
                language: columns::language(row.language, TABLE)?,
                version: columns::number(row.version, TABLE)?,
                text: row.text,
                published_at: Timestamp::from_date_time(row.published_at),
                superseded_at: row.superseded_at.map(Timestamp::from_date_time),
            })
        })
        .collect()
}

fn words(en: String, cy: Option<String>) -> Words {
    Words { en, cy }
}

fn lawful_basis(number: i16) -> Result<LawfulBasis, StoreError> {
    match number {
        0 => Ok(LawfulBasis::Consent),
        1 => Ok(LawfulBasis::PublicTask),
        _ => Err(StoreError::Inconsistent("newsletter")),
    }
}

pub(crate) const fn lawful_basis_number(basis: LawfulBasis) -> i16 {
    match basis {
        LawfulBasis::Consent => 0,
        LawfulBasis::PublicTask => 1,
    }
}

pub(crate) fn language_numbers(languages: &[Language]) -> Vec<i16> {
    languages.iter().map(|language| language.number()).collect()
}
