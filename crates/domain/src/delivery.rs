//! What becomes of one mail to one recipient (`reliability.md` 1.3): states, outcomes of an attempt,
//! and when to try again.

use std::time::Duration;

use crate::Timestamp;

/// The state of a delivery, by its number in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryState {
    /// In the audience, never tried or proven not sent.
    Queued,
    /// Claimed by a worker; `MAIL FROM` may have been sent.
    Attempting,
    /// The relay said 250 after the dot.
    Accepted,
    /// Refused for now, or the relay was not reached; `not_before` is set.
    Deferred,
    /// Refused for good.
    Bounced,
    /// The person left, or must not be mailed.
    Suppressed,
    /// The dot may have been accepted.
    InDoubt,
    /// Too late for this issue.
    Expired,
    /// The issue was cancelled.
    Cancelled,
    /// In doubt, closed by the policy not to send twice.
    AssumedSent,
    /// This recipient's mail could not be made.
    FailedInternal,
}

impl DeliveryState {
    /// All of them, by number.
    pub const ALL: [Self; 11] = [
        Self::Queued,
        Self::Attempting,
        Self::Accepted,
        Self::Deferred,
        Self::Bounced,
        Self::Suppressed,
        Self::InDoubt,
        Self::Expired,
        Self::Cancelled,
        Self::AssumedSent,
        Self::FailedInternal,
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

    /// Its name in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Attempting => "attempting",
            Self::Accepted => "accepted",
            Self::Deferred => "deferred",
            Self::Bounced => "bounced",
            Self::Suppressed => "suppressed",
            Self::InDoubt => "in_doubt",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::AssumedSent => "assumed_sent",
            Self::FailedInternal => "failed_internal",
        }
    }
}

/// The issue equation: audience = accepted + suppressed + failed + uncertain + waiting. The audience is
/// what was counted when it was written down, the parts are counted from what became of it: so the
/// equation can fail, and then somebody got lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IssueCounts {
    /// Everybody who was written down as the issue's audience so far.
    pub audience: u64,
    /// [`DeliveryState::Accepted`].
    pub accepted: u64,
    /// [`DeliveryState::Suppressed`] and [`DeliveryState::Cancelled`].
    pub suppressed: u64,
    /// [`DeliveryState::Bounced`], [`DeliveryState::Expired`], [`DeliveryState::FailedInternal`].
    pub failed: u64,
    /// [`DeliveryState::InDoubt`] and [`DeliveryState::AssumedSent`].
    pub uncertain: u64,
    /// [`DeliveryState::Queued`], [`DeliveryState::Attempting`], [`DeliveryState::Deferred`].
    pub waiting: u64,
}

impl IssueCounts {
    /// Counts `number` deliveries in `state`. The audience stays as it is.
    pub fn add(&mut self, state: DeliveryState, number: u64) {
        let part = match state {
            DeliveryState::Accepted => &mut self.accepted,
            DeliveryState::Suppressed | DeliveryState::Cancelled => &mut self.suppressed,
            DeliveryState::Bounced | DeliveryState::Expired | DeliveryState::FailedInternal => {
                &mut self.failed
            }
            DeliveryState::InDoubt | DeliveryState::AssumedSent => &mut self.uncertain,
            DeliveryState::Queued | DeliveryState::Attempting | DeliveryState::Deferred => {
                &mut self.waiting
            }
        };
        *part += number;
    }

    /// Whether the parts make the whole.
    #[must_use]
    pub const fn balances(&self) -> bool {
        self.audience
            == self.accepted + self.suppressed + self.failed + self.uncertain + self.waiting
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx after the dot.
    Accepted,
    /// A 4xx for this recipient: try later.
    Deferred(Reply),
    /// A 5xx for this recipient: never.
    Rejected(Reply),
    /// The relay was not reached, or refused us before any recipient: nobody's fault, try later.
    NotSent(&'static str),
    /// The connection was lost after the dot: it may have been accepted.
    InDoubt,
    /// The address cannot be delivered through this relay (SMTPUTF8 missing, say).
    CannotDeliver(&'static str),
}

/// What a relay's refusal leaves behind: never its text, which usually names the address
/// (`privacy.md` EML-46).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The three-digit code.
    pub code: u16,
    /// The enhanced code of RFC 3463, as in 5.1.1.
    pub enhanced: Option<[u8; 3]>,
}

/// What to write down after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The new state.
    pub state: DeliveryState,
    /// When to try again, for [`DeliveryState::Deferred`].
    pub not_before: Option<Timestamp>,
    /// Whether the attempt counts.
    pub counts: bool,
}

const FIRST_RETRY: Duration = Duration::from_mins(15);
const LONGEST_RETRY: Duration = Duration::from_hours(4);
const ROUTE_RETRY: Duration = Duration::from_secs(30);
const CLOSING_RETRY: Duration = Duration::from_mins(1);
/// "Service not available, closing transmission channel" (RFC 5321 3.8): said to whoever comes, not
/// about this recipient.
const CLOSING: u16 = 421;

/// Where a conversation ended in which the relay refused the sender of a message for good (5xx at `MAIL`).
pub const SENDER_REFUSED: &str = "sender";

/// Whether a conversation that ended at this stage had begun with a message: what broke it may be that
/// message, and says nothing of the way to the relay.
#[must_use]
pub fn is_in_transaction(stage: &str) -> bool {
    matches!(stage, "mail" | SENDER_REFUSED | "rcpt" | "data" | "body")
}

/// Retry or fail, decided once (`reliability.md` 2.4): 4xx waits 15 minutes times 2 to the power of
/// the attempts before, at most 4 hours, spread by `jitter` (0.0 to 1.0 gives half to the whole of
/// it); a relay that says 421 and closes is tried again after 30 to 90 seconds, and one that was not
/// reached after 15 to 30 seconds, at the cost of no attempt; one that breaks off within the
/// transaction is tried again after 15 to 30 seconds once, then like a 4xx; past `deadline` a delivery
/// expires.
#[must_use]
pub fn decide(
    outcome: &Outcome,
    attempts_before: u16,
    now: Timestamp,
    deadline: Timestamp,
    jitter: f64,
) -> Decision {
    let last = |state| Decision {
        state,
        not_before: None,
        counts: true,
    };
    let jitter = jitter.clamp(0.0, 1.0);
    let half_to_whole = |wait: Duration| wait.mul_f64(0.5 + jitter / 2.0);
    let later = |wait: Duration, counts: bool| {
        let not_before = now.plus(wait);
        if not_before >= deadline {
            Decision {
                state: DeliveryState::Expired,
                not_before: None,
                counts,
            }
        } else {
            Decision {
                state: DeliveryState::Deferred,
                not_before: Some(not_before),
                counts,
            }
        }
    };
    match outcome {
        Outcome::Accepted => last(DeliveryState::Accepted),
        Outcome::Rejected(_) | Outcome::CannotDeliver(_) => last(DeliveryState::Bounced),
        Outcome::InDoubt => last(DeliveryState::InDoubt),
        Outcome::Deferred(reply) if reply.code == CLOSING => {
            later(CLOSING_RETRY.mul_f64(0.5 + jitter), true)
        }
        Outcome::Deferred(_) => {
            let doublings = u32::from(attempts_before.min(8));
            let wait = LONGEST_RETRY.min(FIRST_RETRY * 2u32.pow(doublings));
            later(half_to_whole(wait), true)
        }
        // It may be this mail that the relay does not bear: it must not come back for ever.
        Outcome::NotSent(stage) if is_in_transaction(stage) => {
            let wait = match attempts_before {
                0 => ROUTE_RETRY,
                more => {
                    let doublings = u32::from(more - 1).min(8);
                    LONGEST_RETRY.min(FIRST_RETRY * 2u32.pow(doublings))
                }
            };
            later(half_to_whole(wait), true)
        }
        Outcome::NotSent(_) => later(half_to_whole(ROUTE_RETRY), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const FAR: Timestamp = Timestamp::from_millis(u64::MAX);

    #[test]
    fn numbers_go_both_ways() {
        for state in DeliveryState::ALL {
            assert_eq!(DeliveryState::from_number(state.number()), Some(state));
        }
        assert_eq!(DeliveryState::from_number(11), None);
        assert_eq!(DeliveryState::from_number(-1), None);
    }

    #[test]
    fn every_state_is_in_the_equation_once() {
        let mut counts = IssueCounts::default();
        for state in DeliveryState::ALL {
            counts.add(state, 2);
            assert!(!counts.balances(), "{state:?}: nobody was written down");
            counts.audience += 2;
            assert!(counts.balances(), "{state:?}");
        }
        counts.audience += 1;
        assert!(!counts.balances(), "somebody got lost");
    }

    #[test]
    fn waits_double_up_to_four_hours() {
        let refused = Outcome::Deferred(Reply {
            code: 450,
            enhanced: None,
        });
        let wait = |before| {
            let decision = decide(&refused, before, NOW, FAR, 1.0);
            decision.not_before.unwrap().since(NOW).as_secs() / 60
        };
        assert_eq!(
            [wait(0), wait(1), wait(2), wait(4), wait(60)],
            [15, 30, 60, 240, 240]
        );
    }

    #[test]
    fn a_relay_that_closes_is_tried_again_in_about_a_minute_however_often() {
        let closing = Outcome::Deferred(Reply {
            code: 421,
            enhanced: Some([4, 3, 2]),
        });
        for before in [0, 1, 60] {
            let waits = [0.0, 0.5, 1.0].map(|jitter| {
                let decision = decide(&closing, before, NOW, FAR, jitter);
                assert_eq!(decision.state, DeliveryState::Deferred);
                decision.not_before.unwrap().since(NOW).as_secs()
            });
            assert_eq!(waits, [30, 60, 90]);
        }
    }

    #[test]
    fn a_delivery_that_would_wait_past_its_deadline_expires() {
        let refused = Outcome::Deferred(Reply {
            code: 450,
            enhanced: None,
        });
        let decision = decide(&refused, 0, NOW, NOW.plus(Duration::from_mins(1)), 0.0);
        assert_eq!(decision.state, DeliveryState::Expired);
    }

    #[test]
    fn an_unreachable_relay_costs_no_attempt() {
        let decision = decide(&Outcome::NotSent("connect"), 3, NOW, FAR, 0.0);
        assert_eq!(decision.state, DeliveryState::Deferred);
        assert!(!decision.counts);
        assert_eq!(decision.not_before, Some(NOW.plus(Duration::from_secs(15))));
    }

    #[test]
    fn a_mail_that_breaks_the_conversation_does_not_come_back_for_ever() {
        for stage in ["mail", "sender", "rcpt", "data", "body"] {
            let wait = |before| {
                let decision = decide(&Outcome::NotSent(stage), before, NOW, FAR, 1.0);
                assert!(decision.counts, "{stage}");
                decision.not_before.unwrap().since(NOW).as_secs()
            };
            let waits: Vec<u64> = [0, 1, 2, 5, 99].map(wait).to_vec();
            assert_eq!(waits, [30, 900, 1_800, 14_400, 14_400], "{stage}");
        }
        assert!(!is_in_transaction("dot") && !is_in_transaction("auth"));
    }

    #[test]
    fn final_outcomes_are_final() {
        let reply = Reply {
            code: 550,
            enhanced: Some([5, 1, 1]),
        };
        let state = |outcome| decide(&outcome, 0, NOW, FAR, 0.5).state;
        assert_eq!(state(Outcome::Accepted), DeliveryState::Accepted);
        assert_eq!(state(Outcome::Rejected(reply)), DeliveryState::Bounced);
        assert_eq!(
            state(Outcome::CannotDeliver("smtputf8")),
            DeliveryState::Bounced
        );
        assert_eq!(state(Outcome::InDoubt), DeliveryState::InDoubt);
    }
}
