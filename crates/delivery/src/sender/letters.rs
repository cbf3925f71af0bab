//! One-to-one mails, each with its links, for an address that was opened.

use domain::{
    Body, BoxId, Catalogue, EmailAddress, Language, Newsletter, NewsletterNumber, SubscriptionId,
    Timestamp,
};
use link_token::{Purpose, expiry_aux};
use mail::{AlreadyHeld, AlreadySubscribedMail, ConfirmationMail, LeaveLinksMail};

use super::prepare::{Unmailable, page};
use crate::Keys;

/// What the kinds of one-to-one mail have in common.
pub(super) struct Letter<'a> {
    pub(super) keys: &'a Keys,
    pub(super) base_url: &'a str,
    pub(super) catalogue: &'a Catalogue,
    pub(super) newsletters: &'a [&'a Newsletter],
    pub(super) language: Language,
    pub(super) address: &'a EmailAddress,
    pub(super) message_id: &'a str,
    pub(super) date: Timestamp,
}

impl Letter<'_> {
    pub(super) fn confirmation(
        &self,
        box_id: BoxId,
        now: Timestamp,
    ) -> Result<Vec<u8>, Unmailable> {
        let subject = box_id.as_bytes();
        let life = Purpose::Confirm.life().unwrap_or_default();
        let confirm = self
            .keys
            .join
            .mint(Purpose::Confirm, subject, expiry_aux(now, life));
        let not_me = self.keys.leave.mint(Purpose::NotMe, subject, 0);
        mail::confirmation(&ConfirmationMail {
            body: self.body()?,
            newsletters: self.newsletters,
            language: self.language,
            recipient: self.address,
            base_url: self.base_url,
            confirm_url: &self.page("confirm", &confirm),
            not_me_url: &self.page("u", &not_me),
            message_id: self.message_id,
            date: self.date,
        })
        .map_err(Unmailable::Unrendered)
    }

    pub(super) fn already_subscribed(
        &self,
        held: &[(NewsletterNumber, SubscriptionId)],
    ) -> Result<Vec<u8>, Unmailable> {
        let links = self.links(held)?;
        mail::already_subscribed(&AlreadySubscribedMail {
            body: self.body()?,
            held: &held_by(&links),
            language: self.language,
            recipient: self.address,
            base_url: self.base_url,
            message_id: self.message_id,
            date: self.date,
        })
        .map_err(Unmailable::Unrendered)
    }

    pub(super) fn leave_links(
        &self,
        held: &[(NewsletterNumber, SubscriptionId)],
    ) -> Result<Vec<u8>, Unmailable> {
        let links = self.links(held)?;
        mail::leave_links(&LeaveLinksMail {
            body: self.body()?,
            sender: self.newsletters.first().ok_or(Unmailable::NoCatalogue)?,
            held: &held_by(&links),
            language: self.language,
            recipient: self.address,
            base_url: self.base_url,
            message_id: self.message_id,
            date: self.date,
        })
        .map_err(Unmailable::Unrendered)
    }

    fn body(&self) -> Result<&Body, Unmailable> {
        self.catalogue.body.as_ref().ok_or(Unmailable::NoCatalogue)
    }

    /// Each newsletter with the link that ends it.
    fn links(
        &self,
        held: &[(NewsletterNumber, SubscriptionId)],
    ) -> Result<Vec<(&Newsletter, String)>, Unmailable> {
        held.iter()
            .map(|(number, subscription)| {
                let newsletter = self.catalogue.newsletter_by_number(*number)?;
                let subject = subscription.as_bytes();
                let token = self.keys.leave.mint(Purpose::Unsubscribe, subject, 0);
                let url = page(self.base_url, "u", &token, &[newsletter], self.language);
                Some((newsletter, url))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or(Unmailable::NoCatalogue)
    }

    fn page(&self, route: &str, token: &str) -> String {
        page(self.base_url, route, token, self.newsletters, self.language)
    }
}

fn held_by<'a>(links: &'a [(&'a Newsletter, String)]) -> Vec<AlreadyHeld<'a>> {
    links
        .iter()
        .map(|(newsletter, url)| AlreadyHeld {
            newsletter,
            unsubscribe_url: url,
        })
        .collect()
}
