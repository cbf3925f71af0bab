//! Issues: approved by an operator, watched until they are finished, read by the sender.

use domain::{
    DeliveryState, IssueCounts, IssueNumber, Language, NewsletterNumber, NotASlug, Slug, Timestamp,
};

use crate::issue_states::{InDoubtPolicy, IssueState};
use crate::{Database, StoreError, columns};

/// An issue's text in one language, frozen at approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueContent {
    /// The language.
    pub language: Language,
    /// The subject line.
    pub subject: String,
    /// The line that mail programs show after the subject; may be empty.
    pub preheader: String,
    /// The Markdown, without front matter.
    pub markdown: String,
}

/// An issue to approve.
#[derive(Debug, Clone)]
pub struct NewIssue {
    /// The newsletter that it belongs to.
    pub newsletter: Slug,
    /// Its text in every language of the newsletter.
    pub contents: Vec<IssueContent>,
    /// SHA-256 over the files that were approved.
    pub content_sha256: [u8; 32],
    /// The `Date` of every copy.
    pub message_date: Timestamp,
    /// Nothing is sent after it; usually 36 hours from now.
    pub deadline: Timestamp,
    /// What becomes of mails in doubt.
    pub in_doubt_policy: InDoubtPolicy,
}

/// Why an issue was not approved.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    /// No newsletter has this slug.
    #[error("there is no newsletter {0}")]
    NoSuchNewsletter(Slug),
    /// Nothing can be sent before the body is set: every mail names it.
    #[error("the body is not set")]
    NoBody,
    /// The newsletter is written in this language, and the issue is not.
    #[error("the issue lacks its text in {}", .0.tag())]
    MissingLanguage(Language),
    /// The issue has a text in a language that its newsletter does not offer, or one twice.
    #[error("the newsletter does not take this text in {}", .0.tag())]
    UnwantedLanguage(Language),
    /// The deadline is past.
    #[error("the deadline is past")]
    TooLate,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ApproveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// How an issue stands. While `fanned_out` is false the audience still grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueProgress {
    /// Which.
    pub number: IssueNumber,
    /// Its newsletter.
    pub newsletter: Slug,
    /// Its subject in the newsletter's first language.
    pub subject: String,
    /// How far it has come.
    pub state: IssueState,
    /// The issue equation.
    pub counts: IssueCounts,
    /// Whether the whole audience is written down.
    pub fanned_out: bool,
    /// When it was approved.
    pub started: Option<Timestamp>,
    /// When the last recipient was dealt with.
    pub finished: Option<Timestamp>,
}

/// An issue as the sender needs it.
#[derive(Debug, Clone)]
pub struct IssueToSend {
    /// Which.
    pub number: IssueNumber,
    /// The newsletter that it belongs to: only its subscriptions may get it.
    pub newsletter: NewsletterNumber,
    /// How far it has come.
    pub state: IssueState,
    /// Its texts.
    pub contents: Vec<IssueContent>,
    /// The `Date` of every copy.
    pub message_date: Timestamp,
    /// Nothing is sent after it.
    pub deadline: Timestamp,
    /// What becomes of mails in doubt.
    pub in_doubt_policy: InDoubtPolicy,
}

/// The operator's and the sender's view of issues.
#[derive(Debug, Clone)]
pub struct IssueDesk {
    database: Database,
}

const ISSUE: &str = "issue";

impl Database {
    /// Approving and watching issues.
    #[must_use]
    pub fn issues(&self) -> IssueDesk {
        IssueDesk {
            database: self.clone(),
        }
    }
}

impl IssueDesk {
    /// Freezes an issue and hands it to the planner.
    ///
    /// # Errors
    /// Another variant of [`ApproveError`] for each rule that the issue breaks; nothing is written
    /// then.
    pub async fn approve(
        &self,
        issue: &NewIssue,
        now: Timestamp,
    ) -> Result<IssueNumber, ApproveError> {
        if issue.deadline <= now {
            return Err(ApproveError::TooLate);
        }
        let mut tx = self.database.begin().await?;
        let newsletter = sqlx::query!(
            "SELECT id, languages FROM newsletter WHERE slug = $1 FOR SHARE",
            issue.newsletter.as_str()
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| ApproveError::NoSuchNewsletter(issue.newsletter.clone()))?;
        let body = sqlx::query_scalar!("SELECT count(*) AS \"n!\" FROM body")
            .fetch_one(&mut *tx)
            .await?;
        if body == 0 {
            return Err(ApproveError::NoBody);
        }
        languages_fit(&newsletter.languages, &issue.contents)?;
        let number = sqlx::query_scalar!(
            "INSERT INTO issue (newsletter_id, state, content_sha256, message_date, deadline,
                                in_doubt_policy, approved_at)
             VALUES ($1, 1, $2, $3, $4, $5, $6) RETURNING id",
            newsletter.id,
            &issue.content_sha256[..],
            columns::moment(issue.message_date),
            columns::moment(issue.deadline),
            issue.in_doubt_policy.number(),
            columns::moment(now),
        )
        .fetch_one(&mut *tx)
        .await?;
        for content in &issue.contents {
            sqlx::query!(
                "INSERT INTO issue_content (issue_id, language, subject, preheader, markdown)
                 VALUES ($1, $2, $3, $4, $5)",
                number,
                content.language.number(),
                content.subject,
                content.preheader,
                content.markdown,
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(IssueNumber(columns::number(number, ISSUE)?))
    }

    /// How an issue stands; none where there is no such issue.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn progress(&self, issue: IssueNumber) -> Result<Option<IssueProgress>, StoreError> {
        // one snapshot for the row and the counts, so that the equation balances at every look
        let mut tx = self.database.begin().await?;
        sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .execute(&mut *tx)
            .await?;
        let row = sqlx::query!(
            "SELECT i.id, n.slug, i.state, i.approved_at, i.fanned_out_at, i.finished_at,
                    coalesce((SELECT c.subject FROM issue_content c WHERE c.issue_id = i.id
                              ORDER BY array_position(n.languages, c.language) LIMIT 1), '') AS \"subject!\"
             FROM issue i JOIN newsletter n ON n.id = i.newsletter_id WHERE i.id = $1",
            i64::from(issue.0)
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let groups = sqlx::query!(
            "SELECT state, count(*) AS \"n!\" FROM delivery WHERE issue_id = $1 GROUP BY state",
            i64::from(issue.0)
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut counts = IssueCounts::default();
        for group in groups {
            let state = DeliveryState::from_number(group.state)
                .ok_or(StoreError::Inconsistent("delivery"))?;
            counts.add(state, columns::number(group.n, "delivery")?);
        }
        Ok(Some(IssueProgress {
            number: issue,
            newsletter: slug(&row.slug)?,
            subject: row.subject,
            state: IssueState::from_number(row.state).ok_or(StoreError::Inconsistent(ISSUE))?,
            counts,
            fanned_out: row.fanned_out_at.is_some(),
            started: row.approved_at.map(Timestamp::from_date_time),
            finished: row.finished_at.map(Timestamp::from_date_time),
        }))
    }

    /// The newest issues first, at most `limit`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn list(&self, limit: u16) -> Result<Vec<IssueProgress>, StoreError> {
        let numbers = sqlx::query_scalar!(
            "SELECT id FROM issue ORDER BY id DESC LIMIT $1",
            i64::from(limit)
        )
        .fetch_all(&self.database.pool)
        .await?;
        let mut issues = Vec::with_capacity(numbers.len());
        for number in numbers {
            let number = IssueNumber(columns::number(number, ISSUE)?);
            issues.extend(self.progress(number).await?);
        }
        Ok(issues)
    }

    /// Stops an issue that cannot be sent, until an operator has looked.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn hold(&self, issue: IssueNumber) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE issue SET state = 7 WHERE id = $1 AND state = 3",
            i64::from(issue.0)
        )
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// An issue with its texts, for the sender; none where there is no such issue.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn to_send(&self, issue: IssueNumber) -> Result<Option<IssueToSend>, StoreError> {
        let row = sqlx::query!(
            "SELECT newsletter_id, state, message_date, deadline, in_doubt_policy
             FROM issue WHERE id = $1",
            i64::from(issue.0)
        )
        .fetch_optional(&self.database.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let contents = sqlx::query!(
            "SELECT language, subject, preheader, markdown FROM issue_content
             WHERE issue_id = $1 ORDER BY language",
            i64::from(issue.0)
        )
        .fetch_all(&self.database.pool)
        .await?
        .into_iter()
        .map(|content| {
            Ok(IssueContent {
                language: language(content.language, "issue_content")?,
                subject: content.subject,
                preheader: content.preheader,
                markdown: content.markdown,
            })
        })
        .collect::<Result<_, StoreError>>()?;
        Ok(Some(IssueToSend {
            number: issue,
            newsletter: NewsletterNumber(columns::number(row.newsletter_id, ISSUE)?),
            state: IssueState::from_number(row.state).ok_or(StoreError::Inconsistent(ISSUE))?,
            contents,
            message_date: Timestamp::from_date_time(row.message_date),
            deadline: Timestamp::from_date_time(row.deadline),
            in_doubt_policy: InDoubtPolicy::from_number(row.in_doubt_policy)
                .ok_or(StoreError::Inconsistent(ISSUE))?,
        }))
    }
}

/// Every language of the newsletter once, and no other.
fn languages_fit(offered: &[i16], contents: &[IssueContent]) -> Result<(), ApproveError> {
    for number in offered {
        let wanted = language(*number, "newsletter")?;
        if !contents.iter().any(|content| content.language == wanted) {
            return Err(ApproveError::MissingLanguage(wanted));
        }
    }
    for (index, content) in contents.iter().enumerate() {
        let again = contents[..index]
            .iter()
            .any(|earlier| earlier.language == content.language);
        if again || !offered.contains(&content.language.number()) {
            return Err(ApproveError::UnwantedLanguage(content.language));
        }
    }
    Ok(())
}

pub(crate) fn language(number: i16, table: &'static str) -> Result<Language, StoreError> {
    Language::from_number(number).ok_or(StoreError::Inconsistent(table))
}

fn slug(text: &str) -> Result<Slug, StoreError> {
    Slug::parse(text).map_err(|NotASlug| StoreError::Inconsistent("newsletter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(language: Language) -> IssueContent {
        IssueContent {
            language,
            subject: "Hello".into(),
            preheader: String::new(),
            markdown: "Hello.".into(),
        }
    }

    #[test]
    fn an_issue_has_each_language_of_its_newsletter_once() {
        let both = [content(Language::En), content(Language::Cy)];
        assert!(languages_fit(&[0, 1], &both).is_ok());
        assert!(languages_fit(&[1, 0], &both).is_ok());
        assert!(matches!(
            languages_fit(&[0, 1], &both[..1]),
            Err(ApproveError::MissingLanguage(Language::Cy))
        ));
        assert!(matches!(
            languages_fit(&[0], &both),
            Err(ApproveError::UnwantedLanguage(Language::Cy))
        ));
        let twice = [content(Language::En), content(Language::En)];
        assert!(matches!(
            languages_fit(&[0], &twice),
            Err(ApproveError::UnwantedLanguage(Language::En))
        ));
    }
}
