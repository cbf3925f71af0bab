//! The closed list of mails that Letterbox can send (promise P2, `privacy.md` S12).

/// What a mail is for. There is no other kind: a feature that needs one changes this list first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MailKind {
    /// Asks whether a sign-up was meant.
    Confirmation,
    /// Answers a sign-up of somebody who gets the newsletter already; at most one a day.
    AlreadySubscribed,
    /// An issue of a newsletter that its reader chose.
    Issue,
    /// Answers what an address's owner asked under their rights.
    RightsReply,
    /// Tells the old address that a new one was asked for.
    ChangeOfAddressNotice,
    /// Tells of a personal data breach (Article 34).
    BreachNotice,
    /// A trial of an issue, to staff only.
    TestSend,
    /// Invites a member of staff.
    Invitation,
}

impl MailKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Confirmation,
        Self::AlreadySubscribed,
        Self::Issue,
        Self::RightsReply,
        Self::ChangeOfAddressNotice,
        Self::BreachNotice,
        Self::TestSend,
        Self::Invitation,
    ];

    /// Its number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Confirmation => 1,
            Self::AlreadySubscribed => 2,
            Self::Issue => 3,
            Self::RightsReply => 4,
            Self::ChangeOfAddressNotice => 5,
            Self::BreachNotice => 6,
            Self::TestSend => 7,
            Self::Invitation => 8,
        }
    }

    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Whether the link that it ends with stops something by one POST (RFC 8058), so that it stands in
    /// `List-Unsubscribe` too. Every kind ends with a link; of the others it opens a page.
    #[must_use]
    pub const fn has_one_click(self) -> bool {
        match self {
            Self::Confirmation | Self::AlreadySubscribed | Self::Issue => true,
            Self::RightsReply
            | Self::ChangeOfAddressNotice
            | Self::BreachNotice
            | Self::TestSend
            | Self::Invitation => false,
        }
    }

    /// Its name in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation",
            Self::AlreadySubscribed => "already_subscribed",
            Self::Issue => "issue",
            Self::RightsReply => "rights_reply",
            Self::ChangeOfAddressNotice => "change_of_address_notice",
            Self::BreachNotice => "breach_notice",
            Self::TestSend => "test_send",
            Self::Invitation => "invitation",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_both_ways_and_are_all_different() {
        for kind in MailKind::ALL {
            assert_eq!(MailKind::from_number(kind.number()), Some(kind));
        }
        assert_eq!(MailKind::from_number(0), None);
    }
}
