//! An issue as a lane sends it: its templates are compiled once, not once a recipient.

use domain::{Catalogue, IssueNumber, Language, Newsletter, Timestamp};
use issue_text::IssueText;
use mail::{FrozenIssue, IssueMail, IssueTemplate};
use store::{FrozenText, IssueContent, IssueToSend};

use super::prepare::Unmailable;

/// An issue, ready for its recipients.
pub(crate) struct IssueInHand {
    pub(super) number: IssueNumber,
    pub(super) newsletter: Newsletter,
    pub(super) message_date: Timestamp,
    pub(super) deadline: Timestamp,
    /// The newsletter's first language first; never empty.
    templates: Vec<(Language, IssueTemplate)>,
}

impl IssueInHand {
    /// Compiles an issue as it was approved, whatever the catalogue says by now.
    pub(super) fn compile(
        issue: &IssueToSend,
        catalogue: &Catalogue,
        base_url: &str,
    ) -> Result<Self, Unmailable> {
        let newsletter = catalogue
            .newsletter_by_number(issue.newsletter)
            .ok_or(Unmailable::NoCatalogue)?;
        let mut templates = Vec::with_capacity(issue.contents.len());
        for content in &issue.contents {
            let frozen = match &content.frozen {
                Some(frozen) => as_approved(content.language, frozen),
                None => rendered(content, newsletter, catalogue, base_url)?,
            };
            let template =
                IssueTemplate::thaw(&frozen, issue.number).map_err(Unmailable::NotAsApproved)?;
            templates.push((content.language, template));
        }
        if templates.is_empty() {
            return Err(Unmailable::NoCatalogue);
        }
        Ok(Self {
            number: issue.number,
            newsletter: newsletter.clone(),
            message_date: issue.message_date,
            deadline: issue.deadline,
            templates,
        })
    }

    /// The text for this language, else in the newsletter's first.
    pub(super) fn template(&self, wanted: Language) -> (Language, &IssueTemplate) {
        let (language, template) = self
            .templates
            .iter()
            .find(|(language, _)| *language == wanted)
            .unwrap_or(&self.templates[0]);
        (*language, template)
    }
}

/// What was frozen at approval; its hash is checked when it is thawed.
fn as_approved(language: Language, frozen: &FrozenText) -> FrozenIssue {
    FrozenIssue {
        language,
        subject: frozen.subject.clone(),
        preheader: frozen.preheader.clone(),
        sender: frozen.sender.clone(),
        headers: frozen.headers.clone(),
        feedback: frozen.feedback.clone(),
        place: frozen.place.clone(),
        text: frozen.text.clone(),
        html: frozen.html.clone(),
        sha256: frozen.sha256,
    }
}

/// An issue that an earlier version approved without freezing it.
fn rendered(
    content: &IssueContent,
    newsletter: &Newsletter,
    catalogue: &Catalogue,
    base_url: &str,
) -> Result<FrozenIssue, Unmailable> {
    FrozenIssue::new(&IssueMail {
        body: catalogue.body.as_ref().ok_or(Unmailable::NoCatalogue)?,
        newsletter,
        language: content.language,
        text: &IssueText::new(
            content.subject.clone(),
            content.preheader.clone(),
            content.markdown.clone(),
        ),
        base_url,
    })
    .map_err(Unmailable::Unrendered)
}
