//! The fields of a ledger entry (`FORMATS.md`, Ledger): what an unsubscribe leaves behind for ever.
//! Bytes, chain and checkpoints are not here: this is the vocabulary.

use crate::{EventId, IssueNumber, KeyId, NewsletterNumber, SpoolId, SubscriptionId, Timestamp};

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal, $label:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its number in the entry.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)+ }
            }

            /// The one with this number.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.number() == number)
            }

            /// Its name in metrics and pages for staff.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }
    };
}

numbered!(
    /// How a stop or a resumption came about.
    Method {
        /// RFC 8058 one-click, by a mail program.
        OneClick = 0, "one_click";
        /// The button on our page.
        PageButton = 1, "page_button";
        /// A mail to the unsubscribe mailbox.
        Mailto = 2, "mailto";
        /// A reply that says stop.
        Reply = 3, "reply";
        /// A complaint reported by a mailbox provider.
        Complaint = 4, "complaint";
        /// A bounce.
        Bounce = 5, "bounce";
        /// A member of staff, on somebody's behalf.
        Staff = 6, "staff";
        /// Erasure.
        Erasure = 7, "erasure";
        /// Objection.
        Objection = 8, "objection";
        /// An import of addresses that must not be mailed.
        ImportSuppress = 9, "import_suppress";
        /// "This wasn't me" on a confirmation.
        NotMe = 10, "not_me";
        /// The undo of an unsubscribe.
        Undo = 11, "undo";
        /// An operator's override of the barrier.
        Override = 12, "override";
        /// The database was restored.
        Restore = 13, "restore";
    }
);

numbered!(
    /// What it changed.
    Effect {
        /// A subscription that was active stopped.
        Stopped = 0, "stopped";
        /// It had stopped before.
        Already = 1, "already";
        /// There is no such subscription any more.
        Absent = 2, "absent";
        /// A stopped subscription is active again.
        Resumed = 3, "resumed";
        /// Nothing changed.
        None = 4, "none";
    }
);

numbered!(
    /// Who did it.
    Actor {
        /// The subscriber, or whoever holds their link.
        Subscriber = 0, "subscriber";
        /// A mailbox provider.
        Provider = 1, "provider";
        /// A member of staff.
        Staff = 2, "staff";
        /// Letterbox itself.
        System = 3, "system";
    }
);

numbered!(
    /// The state of the key that signed a link, when the request was accepted.
    KeyState {
        /// New links are made with it.
        Current = 0, "current";
        /// Replaced, still valid.
        Retired = 1, "retired";
        /// Known to others; only unsubscribe and "not me" still count.
        Compromised = 2, "compromised";
    }
);

/// The key that a link was signed with, as a request and the ledger keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenKey {
    /// Layout version of the token.
    pub version: u8,
    /// Key generation.
    pub kid: KeyId,
    /// State of that generation when the request was accepted.
    pub state: KeyState,
}

/// One entry, but for its `seq`, which the append gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The request that caused it; once in the whole ledger.
    pub event_id: EventId,
    /// When the request was accepted.
    pub occurred_at: Timestamp,
    /// When the entry was appended.
    pub recorded_at: Timestamp,
    /// The newsletter; none stands for all.
    pub newsletter: Option<NewsletterNumber>,
    /// The subscription.
    pub subscription_id: Option<SubscriptionId>,
    /// The issue whose link was used; [`IssueNumber::NONE`] for none.
    pub issue: IssueNumber,
    /// How.
    pub method: Method,
    /// With what effect.
    pub effect: Effect,
    /// The link's key, where a link was used.
    pub token: Option<TokenKey>,
    /// Who.
    pub actor: Actor,
    /// A member of staff's pseudonym.
    pub staff_reference: Option<EventId>,
    /// The automated decision behind it.
    pub decision_id: Option<EventId>,
    /// The spool that accepted it.
    pub spool_id: Option<SpoolId>,
    /// Where the ledger had been before; there if and only if the method is [`Method::Restore`].
    pub restored: Option<Restored>,
}

/// The newest checkpoint outside of a database that went back: everything between this entry and it is
/// gone from the ledger, and said to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// The last entry that it covers; 0 where there is no checkpoint.
    pub checkpoint_seq: u64,
    /// The chain's hash there; h(0) where there is no checkpoint.
    pub checkpoint_h: [u8; 32],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_format() {
        let methods: Vec<u8> = Method::ALL.iter().map(|method| method.number()).collect();
        assert_eq!(methods, (0..14).collect::<Vec<u8>>());
        assert_eq!(Method::from_number(13), Some(Method::Restore));
        assert_eq!(Effect::from_number(3), Some(Effect::Resumed));
        assert_eq!(Actor::from_number(4), None);
        assert_eq!(KeyState::from_number(2), Some(KeyState::Compromised));
    }
}
