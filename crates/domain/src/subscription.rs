//! The state of a subscription: a pure function of the set of accepted events, whatever order they
//! arrived in (`DESIGN.md` 2, idea 4).

use crate::{BoxId, EventId, Timestamp};

/// A sign-up for one newsletter, as far as its subscription is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignUpFact {
    /// Which.
    pub box_id: BoxId,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Whether its confirm button was pressed.
    pub confirmed: bool,
    /// Whether the mailbox's owner said "this wasn't me".
    pub disowned: bool,
}

/// An unsubscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnsubscribeFact {
    /// Which.
    pub event_id: EventId,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Whether its undo link was used.
    pub undone: bool,
}

/// The state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionState {
    /// Signed up, never confirmed.
    Pending,
    /// Gets the newsletter, by the consent of this sign-up.
    Active(BoxId),
    /// Gets nothing.
    Stopped,
}

impl SubscriptionState {
    /// Its number in the row MAC and the database.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Active(_) => 1,
            Self::Stopped => 2,
        }
    }
}

/// The rule: active if and only if some confirmed, not disowned sign-up S exists such that every
/// unsubscribe accepted at or after S was accepted has been undone, and no other stop (complaint,
/// bounce, objection, erasure, restriction) is in force.
///
/// If any sign-up satisfies it, the latest confirmed one does, so only that one is looked at; of
/// two accepted in the same millisecond the larger `box_id` counts, so that the answer does not
/// depend on the order of the slice.
#[must_use]
pub fn state_of(
    sign_ups: &[SignUpFact],
    unsubscribes: &[UnsubscribeFact],
    other_stop_in_force: bool,
) -> SubscriptionState {
    let latest = sign_ups
        .iter()
        .filter(|sign_up| sign_up.confirmed && !sign_up.disowned)
        .max_by_key(|sign_up| (sign_up.accepted_at, sign_up.box_id));
    match latest {
        Some(sign_up) => {
            let ended = unsubscribes
                .iter()
                .any(|leave| leave.accepted_at >= sign_up.accepted_at && !leave.undone);
            if ended || other_stop_in_force {
                SubscriptionState::Stopped
            } else {
                SubscriptionState::Active(sign_up.box_id)
            }
        }
        None if sign_ups
            .iter()
            .any(|sign_up| !sign_up.disowned && !sign_up.confirmed) =>
        {
            SubscriptionState::Pending
        }
        None => SubscriptionState::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sign_up(id: u8, at: u64, confirmed: bool, disowned: bool) -> SignUpFact {
        SignUpFact {
            box_id: BoxId::new([id; 16]),
            accepted_at: Timestamp::from_millis(at),
            confirmed,
            disowned,
        }
    }

    fn leave(id: u8, at: u64, undone: bool) -> UnsubscribeFact {
        UnsubscribeFact {
            event_id: EventId::new([id; 16]),
            accepted_at: Timestamp::from_millis(at),
            undone,
        }
    }

    #[test]
    fn the_rule_case_by_case() {
        use SubscriptionState::{Active, Pending, Stopped};
        let first = Active(BoxId::new([1; 16]));
        let second = Active(BoxId::new([2; 16]));
        let plain = sign_up(1, 10, true, false);
        let cases: &[(
            &str,
            Vec<SignUpFact>,
            Vec<UnsubscribeFact>,
            SubscriptionState,
        )] = &[
            (
                "signed up only",
                vec![sign_up(1, 10, false, false)],
                vec![],
                Pending,
            ),
            ("confirmed", vec![plain], vec![], first),
            ("left", vec![plain], vec![leave(9, 11, false)], Stopped),
            (
                "left in the same millisecond",
                vec![plain],
                vec![leave(9, 10, false)],
                Stopped,
            ),
            ("left before", vec![plain], vec![leave(9, 9, false)], first),
            ("undone", vec![plain], vec![leave(9, 11, true)], first),
            (
                "one of two undone",
                vec![plain],
                vec![leave(9, 11, true), leave(8, 12, false)],
                Stopped,
            ),
            (
                "signed up again",
                vec![plain, sign_up(2, 20, true, false)],
                vec![leave(9, 11, false)],
                second,
            ),
            (
                "again, unconfirmed",
                vec![plain, sign_up(2, 20, false, false)],
                vec![leave(9, 11, false)],
                Stopped,
            ),
            (
                "disowned",
                vec![sign_up(1, 10, true, true)],
                vec![],
                Stopped,
            ),
            (
                "again disowned",
                vec![plain, sign_up(2, 20, true, true)],
                vec![],
                first,
            ),
        ];
        for (name, sign_ups, leaves, expected) in cases {
            assert_eq!(state_of(sign_ups, leaves, false), *expected, "{name}");
        }
        assert_eq!(state_of(&[plain], &[], true), Stopped, "another stop");
    }

    /// The definition of `DESIGN.md`, word for word, against the short way above.
    fn active_by_the_letter(sign_ups: &[SignUpFact], leaves: &[UnsubscribeFact]) -> bool {
        sign_ups.iter().any(|s| {
            s.confirmed
                && !s.disowned
                && leaves
                    .iter()
                    .all(|u| u.accepted_at < s.accepted_at || u.undone)
        })
    }

    proptest! {
        #[test]
        fn it_is_the_definition_whatever_the_order(
            mut sign_ups in prop::collection::vec(
                (any::<u8>(), 0..20u64, any::<bool>(), any::<bool>())
                    .prop_map(|(id, at, c, d)| sign_up(id, at, c, d)), 0..6),
            mut leaves in prop::collection::vec(
                (any::<u8>(), 0..20u64, any::<bool>()).prop_map(|(id, at, u)| leave(id, at, u)), 0..6),
        ) {
            let state = state_of(&sign_ups, &leaves, false);
            prop_assert_eq!(
                matches!(state, SubscriptionState::Active(_)),
                active_by_the_letter(&sign_ups, &leaves)
            );
            sign_ups.reverse();
            leaves.reverse();
            prop_assert_eq!(state, state_of(&sign_ups, &leaves, false));
        }
    }
}
