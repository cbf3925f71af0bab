//! How far an issue has come, and what becomes of its doubts.

/// What becomes of a mail of which nobody knows whether it went (`reliability.md` 1.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InDoubtPolicy {
    /// Never sent twice: after 15 minutes it counts as sent.
    Skip,
    /// Sent again, with the same Message-ID, Date and text.
    Resend,
    /// Left for an operator to decide.
    Hold,
}

impl InDoubtPolicy {
    /// Its number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Skip => 0,
            Self::Resend => 1,
            Self::Hold => 2,
        }
    }

    /// The policy with this number.
    #[must_use]
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Skip),
            1 => Some(Self::Resend),
            2 => Some(Self::Hold),
            _ => None,
        }
    }
}

/// Why a safety rule stopped an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// Its mails cannot be made.
    Unrenderable,
    /// The relay refused too many of its mails by policy (`reliability.md` 2.4).
    Refusals,
}

impl HoldReason {
    /// Its number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Unrenderable => 0,
            Self::Refusals => 1,
        }
    }

    /// The reason with this number.
    #[must_use]
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Unrenderable),
            1 => Some(Self::Refusals),
            _ => None,
        }
    }

    /// Its name in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unrenderable => "render",
            Self::Refusals => "refusals",
        }
    }
}

/// An operator's word on deliveries in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoubtDecision {
    /// They are sent again, with the same Message-ID, Date and text.
    Again,
    /// They count as sent.
    Sent,
}

impl DoubtDecision {
    /// The number of the state that a delivery gets by it.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Again => 0,
            Self::Sent => 9,
        }
    }
}

/// How far an issue has come, by its number in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueState {
    /// Being written.
    Draft,
    /// Waiting for the planner.
    Approved,
    /// Its audience is being written down.
    FanningOut,
    /// Mails go out.
    Sending,
    /// Stopped by staff, for now.
    Paused,
    /// Stopped by staff, for good.
    Cancelled,
    /// Every recipient has been dealt with.
    Finished,
    /// Stopped by a safety rule.
    Held,
}

impl IssueState {
    /// All of them, by number.
    pub const ALL: [Self; 8] = [
        Self::Draft,
        Self::Approved,
        Self::FanningOut,
        Self::Sending,
        Self::Paused,
        Self::Cancelled,
        Self::Finished,
        Self::Held,
    ];

    /// Its number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// The state with this number.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        usize::try_from(number)
            .ok()
            .and_then(|index| Self::ALL.get(index).copied())
    }

    /// Its name in words for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Approved => "approved",
            Self::FanningOut => "fanning out",
            Self::Sending => "sending",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Finished => "finished",
            Self::Held => "held",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_both_ways() {
        for state in IssueState::ALL {
            assert_eq!(IssueState::from_number(state.number()), Some(state));
        }
        assert_eq!(IssueState::from_number(8), None);
        for policy in [
            InDoubtPolicy::Skip,
            InDoubtPolicy::Resend,
            InDoubtPolicy::Hold,
        ] {
            assert_eq!(InDoubtPolicy::from_number(policy.number()), Some(policy));
        }
        for reason in [HoldReason::Unrenderable, HoldReason::Refusals] {
            assert_eq!(HoldReason::from_number(reason.number()), Some(reason));
        }
    }
}
