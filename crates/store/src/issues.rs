//! Issues: approved by an operator, read by the sender and as they were sent.

use domain::{IssueNumber, Language, NewsletterNumber, Slug, Timestamp};
use sqlx::PgConnection;

use crate::issue_states::{InDoubtPolicy, IssueState};
use crate::{Database, StoreError, columns};

/// The mail that a text makes, as whoever renders it froze it at approval: what is sent, whatever
/// version or catalogue comes later. Kept with its SHA-256 and never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenText {
    /// The subject line.
    pub subject: String,
    /// What mail programs show beside it.
    pub preheader: String,
    /// The mailbox that it comes from.
    pub sender: String,
    /// Header lines that all recipients share.
    pub headers: String,
    /// What stands behind the issue's number in `Feedback-ID`.
    pub feedback: String,
    /// What stands in both texts where a recipient's link goes.
    pub place: String,
    /// The plain text.
    pub text: String,
    /// The HTML.
    pub html: String,
    /// The renderer's own hash over all of it.
    pub sha256: [u8; 32],
}

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
    /// The mail that it makes; none in an issue of an earlier version.
    pub frozen: Option<FrozenText>,
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
    pub(crate) database: Database,
}

/// An issue as its readers got it.
#[derive(Debug, Clone)]
pub struct IssueAsSent {
    /// Which.
    pub number: IssueNumber,
    /// When it was approved.
    pub approved: Option<Timestamp>,
    /// SHA-256 over the texts that were approved.
    pub content_sha256: [u8; 32],
    /// Its texts, in the order of the newsletter's languages.
    pub contents: Vec<IssueContent>,
}

pub(crate) const ISSUE: &str = "issue";

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
            let frozen = content.frozen.as_ref();
            sqlx::query!(
                "INSERT INTO issue_content (issue_id, language, subject, preheader, markdown,
                                            frozen, frozen_sha256)
                 SELECT $1, $2, $3, $4, $5, frozen, sha256(frozen)
                 FROM (SELECT CASE WHEN $14::bytea IS NOT NULL THEN
                           convert_to(json_build_object('subject', $6::text, 'preheader', $7::text,
                               'sender', $8::text, 'headers', $9::text, 'feedback', $10::text,
                               'place', $11::text, 'text', $12::text, 'html', $13::text,
                               'sha256', encode($14, 'hex'))::text, 'UTF8') END AS frozen) f",
                number,
                content.language.number(),
                content.subject,
                content.preheader,
                content.markdown,
                frozen.map(|frozen| &frozen.subject),
                frozen.map(|frozen| &frozen.preheader),
                frozen.map(|frozen| &frozen.sender),
                frozen.map(|frozen| &frozen.headers),
                frozen.map(|frozen| &frozen.feedback),
                frozen.map(|frozen| &frozen.place),
                frozen.map(|frozen| &frozen.text),
                frozen.map(|frozen| &frozen.html),
                frozen.map(|frozen| &frozen.sha256[..]),
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(IssueNumber(columns::number(number, ISSUE)?))
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
        let mut connection = self.database.pool.acquire().await?;
        let contents = contents(&mut connection, issue).await?;
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

    /// An issue as its readers got it; none where there is no such issue.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn as_sent(&self, issue: IssueNumber) -> Result<Option<IssueAsSent>, StoreError> {
        let mut connection = self.database.pool.acquire().await?;
        let row = sqlx::query!(
            "SELECT approved_at, content_sha256 FROM issue WHERE id = $1",
            i64::from(issue.0)
        )
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(IssueAsSent {
            number: issue,
            approved: row.approved_at.map(Timestamp::from_date_time),
            content_sha256: columns::bytes(&row.content_sha256, ISSUE)?,
            contents: contents(&mut connection, issue).await?,
        }))
    }
}

/// The texts of an issue.
async fn contents(
    connection: &mut PgConnection,
    issue: IssueNumber,
) -> Result<Vec<IssueContent>, StoreError> {
    const TABLE: &str = "issue_content";
    sqlx::query!(
        "SELECT c.language, c.subject, c.preheader, c.markdown,
                f.subject AS \"frozen_subject?\", f.preheader AS \"frozen_preheader?\",
                f.sender AS \"sender?\", f.headers AS \"headers?\", f.feedback AS \"feedback?\",
                f.place AS \"place?\", f.text AS \"text?\", f.html AS \"html?\",
                decode(f.sha256, 'hex') AS \"sha256?\"
         FROM issue_content c JOIN issue i ON i.id = c.issue_id
         JOIN newsletter n ON n.id = i.newsletter_id
         LEFT JOIN LATERAL json_to_record(convert_from(c.frozen, 'UTF8')::json)
             AS f(subject text, preheader text, sender text, headers text, feedback text,
                  place text, text text, html text, sha256 text) ON c.frozen IS NOT NULL
         WHERE c.issue_id = $1 ORDER BY array_position(n.languages, c.language)",
        i64::from(issue.0)
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(|row| {
        let frozen = row.sha256.map(|sha256| {
            let part = |text: Option<String>| text.ok_or(StoreError::Inconsistent(TABLE));
            Ok::<_, StoreError>(FrozenText {
                subject: part(row.frozen_subject)?,
                preheader: part(row.frozen_preheader)?,
                sender: part(row.sender)?,
                headers: part(row.headers)?,
                feedback: part(row.feedback)?,
                place: part(row.place)?,
                text: part(row.text)?,
                html: part(row.html)?,
                sha256: columns::bytes(&sha256, TABLE)?,
            })
        });
        Ok(IssueContent {
            language: columns::language(row.language, TABLE)?,
            subject: row.subject,
            preheader: row.preheader,
            markdown: row.markdown,
            frozen: frozen.transpose()?,
        })
    })
    .collect()
}

/// Every language of the newsletter once, and no other.
fn languages_fit(offered: &[i16], contents: &[IssueContent]) -> Result<(), ApproveError> {
    for number in offered {
        let wanted = columns::language(*number, "newsletter")?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn content(language: Language) -> IssueContent {
        IssueContent {
            language,
            subject: "Hello".into(),
            preheader: String::new(),
            markdown: "Hello.".into(),
            frozen: None,
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
