//! When mail to a subscription is in vain (`privacy.md` EML-44): what a relay's last word on a mail says
//! of the mailbox, and how much of it ends the subscription.
//!
//! Left out on purpose: what a relay refuses by policy (5.7.x, or a 554 that does not name the mailbox)
//! says nothing of a person, and neither does what it says of itself (5.3.x), of the conversation (5.5.x) or
//! of the text (5.6.x). A relay that says the same to everybody is believed in nothing.

use std::time::Duration;

use crate::DeliveryState;

/// Refusals for good count for so long.
pub const REFUSED_WITHIN: Duration = Duration::from_hours(14 * 24);
/// So many issues refused for good within [`REFUSED_WITHIN`] end a subscription.
const REFUSED: u64 = 3;
/// So many issues in a row that were refused for now until their end do.
const EXHAUSTED: u64 = 5;
/// A relay may refuse so many of an issue for good before somebody has to look.
const COINCIDENCE: u64 = 10;
/// Above one in so many it is the relay, and not the mailboxes.
const ONE_IN: u64 = 5;
/// "Transaction failed": often about the sender.
const FAILED: u16 = 554;
/// "The domain does not accept mail" (RFC 7504).
const NO_MAIL: u16 = 556;

/// Whether so much of an issue was refused for good, of what was tried of it, that the relay's word is
/// not taken for any of it: more than one in five, or, of a few, more than half.
#[must_use]
pub const fn is_burst(refused: u64, tried: u64) -> bool {
    (refused >= COINCIDENCE && refused * ONE_IN > tried) || (refused > 1 && refused * 2 > tried)
}

/// What a mail that came back says of its mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BounceKind {
    /// There is no such mailbox, or no such domain.
    NoSuchMailbox,
    /// Refused for good, for another reason.
    Refused,
    /// Refused for now, again and again until it was too late.
    Exhausted,
}

/// The rule by which a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BounceRule {
    /// No such mailbox, once.
    NoSuchMailbox,
    /// Refused for good by three issues in 14 days.
    RefusedThreeTimes,
    /// Refused until the end of five issues in a row.
    ExhaustedFiveTimes,
}

impl BounceKind {
    /// What this end of a delivery says; none where it says nothing of the mailbox.
    #[must_use]
    pub fn of(state: DeliveryState, code: Option<u16>, enhanced: Option<[u8; 3]>) -> Option<Self> {
        match (state, code?, enhanced) {
            (DeliveryState::Bounced, NO_MAIL, _)
            | (DeliveryState::Bounced, 500..=599, Some([5, 1, 1..=3 | 10] | [5, 2, 1])) => {
                Some(Self::NoSuchMailbox)
            }
            (DeliveryState::Bounced, FAILED, None | Some([_, 0, _])) => None,
            (DeliveryState::Bounced, 500..=599, None | Some([_, 0 | 1 | 2 | 4, _])) => {
                Some(Self::Refused)
            }
            (DeliveryState::Expired, 450 | 452, None)
            | (DeliveryState::Expired, 400..=499, Some([4, 1 | 2, _])) => Some(Self::Exhausted),
            _ => None,
        }
    }

    /// Its number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::NoSuchMailbox),
            1 => Some(Self::Refused),
            2 => Some(Self::Exhausted),
            _ => None,
        }
    }
}

impl BounceRule {
    /// All of them, by number.
    pub const ALL: [Self; 3] = [
        Self::NoSuchMailbox,
        Self::RefusedThreeTimes,
        Self::ExhaustedFiveTimes,
    ];

    /// The rule by which a subscription ends; none: it goes on. `refused` issues came back for good
    /// within [`REFUSED_WITHIN`], and the last `exhausted` issues were refused until their end.
    #[must_use]
    pub const fn for_bounce(kind: BounceKind, refused: u64, exhausted: u64) -> Option<Self> {
        match kind {
            BounceKind::NoSuchMailbox => Some(Self::NoSuchMailbox),
            BounceKind::Refused if refused >= REFUSED => Some(Self::RefusedThreeTimes),
            BounceKind::Exhausted if exhausted >= EXHAUSTED => Some(Self::ExhaustedFiveTimes),
            BounceKind::Refused | BounceKind::Exhausted => None,
        }
    }

    /// Its number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// Its name in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoSuchMailbox => "no_such_mailbox",
            Self::RefusedThreeTimes => "refused",
            Self::ExhaustedFiveTimes => "exhausted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DeliveryState::{Accepted, Bounced, Deferred, Expired};

    #[test]
    fn only_what_a_relay_says_of_a_mailbox_counts() {
        use BounceKind::{Exhausted, NoSuchMailbox, Refused};
        let table = [
            (Bounced, 550, Some([5, 1, 1]), Some(NoSuchMailbox)),
            (Bounced, 550, Some([5, 1, 2]), Some(NoSuchMailbox)),
            (Bounced, 553, Some([5, 1, 3]), Some(NoSuchMailbox)),
            (Bounced, 556, Some([5, 1, 10]), Some(NoSuchMailbox)),
            (Bounced, 556, None, Some(NoSuchMailbox)),
            (Bounced, 550, Some([5, 2, 1]), Some(NoSuchMailbox)),
            (Bounced, 550, None, Some(Refused)),
            (Bounced, 550, Some([5, 0, 0]), Some(Refused)),
            (Bounced, 552, Some([5, 2, 2]), Some(Refused)),
            (Bounced, 550, Some([5, 4, 1]), Some(Refused)),
            (Bounced, 550, Some([5, 7, 1]), None),
            (Bounced, 554, Some([5, 7, 26]), None),
            (Bounced, 554, None, None),
            (Bounced, 554, Some([5, 0, 0]), None),
            (Bounced, 554, Some([5, 1, 1]), Some(NoSuchMailbox)),
            (Bounced, 552, Some([5, 3, 4]), None),
            (Bounced, 503, Some([5, 5, 1]), None),
            (Bounced, 554, Some([5, 6, 0]), None),
            (Expired, 450, Some([4, 2, 2]), Some(Exhausted)),
            (Expired, 452, None, Some(Exhausted)),
            (Expired, 450, Some([4, 7, 1]), None),
            (Expired, 421, None, None),
            (Expired, 451, Some([4, 3, 0]), None),
            (Deferred, 450, Some([4, 2, 2]), None),
            (Accepted, 250, None, None),
        ];
        for (state, code, enhanced, kind) in table {
            let found = BounceKind::of(state, Some(code), enhanced);
            assert_eq!(found, kind, "{state:?} {code} {enhanced:?}");
        }
        assert_eq!(BounceKind::of(Bounced, None, None), None, "never asked");
    }

    #[test]
    fn one_missing_mailbox_is_enough_and_other_refusals_are_not() {
        let rule = BounceRule::for_bounce;
        assert_eq!(
            rule(BounceKind::NoSuchMailbox, 1, 0),
            Some(BounceRule::NoSuchMailbox)
        );
        assert_eq!(rule(BounceKind::Refused, 2, 9), None);
        assert_eq!(
            rule(BounceKind::Refused, 3, 0),
            Some(BounceRule::RefusedThreeTimes)
        );
        assert_eq!(rule(BounceKind::Exhausted, 9, 4), None);
        assert_eq!(
            rule(BounceKind::Exhausted, 0, 5),
            Some(BounceRule::ExhaustedFiveTimes)
        );
    }

    #[test]
    fn a_relay_that_refuses_everybody_is_not_believed() {
        let bursts = [(2, 2), (9, 10), (10, 49), (200, 200), (201, 1_000)];
        let none = [(0, 0), (1, 1), (1, 9), (5, 10), (10, 50), (200, 1_000)];
        assert!(
            bursts
                .iter()
                .all(|(refused, tried)| is_burst(*refused, *tried))
        );
        assert!(
            !none
                .iter()
                .any(|(refused, tried)| is_burst(*refused, *tried))
        );
    }

    #[test]
    fn numbers_go_both_ways() {
        for number in 0..3 {
            let kind = BounceKind::from_number(number);
            assert_eq!(kind.map(BounceKind::number), Some(number));
        }
        assert_eq!(BounceKind::from_number(3), None);
    }
}
