//! An issue as a lane sends it: its templates are compiled once, not once a recipient.

use domain::{Catalogue, IssueNumber, Language, Newsletter, Timestamp};
use issue_text::IssueText;
use mail::{FrozenIssue, IssueMail, IssueTemplate};
use store::IssueToSend;

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
    /// Compiles an issue.
    pub(super) fn compile(
        issue: &IssueToSend,
        catalogue: &Catalogue,
        base_url: &str,
    ) -> Result<Self, Unmailable> {
        let newsletter = catalogue
            .newsletter_by_number(issue.newsletter)
            .ok_or(Unmailable::NoCatalogue)?;
        let body = catalogue.body.as_ref().ok_or(Unmailable::NoCatalogue)?;
        let mut templates = Vec::with_capacity(newsletter.languages.len());
        for language in &newsletter.languages {
            let content = issue
                .contents
                .iter()
                .find(|content| content.language == *language)
                .ok_or(Unmailable::NoCatalogue)?;
            let frozen = FrozenIssue::new(&IssueMail {
                body,
                newsletter,
                language: *language,
                text: &IssueText::new(
                    content.subject.clone(),
                    content.preheader.clone(),
                    content.markdown.clone(),
                ),
                base_url,
            })
            .map_err(Unmailable::Unrendered)?;
            let template =
                IssueTemplate::thaw(&frozen, issue.number).map_err(Unmailable::NotAsApproved)?;
            templates.push((*language, template));
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
