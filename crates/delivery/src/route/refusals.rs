//! Whether the relay refuses an issue as such: content, reputation, policy. Then it is held before more
//! of its readers are lost to it, and nobody is suppressed for it (`reliability.md` 2.4).

use std::collections::VecDeque;

use domain::{IssueNumber, Outcome, Reply, SENDER_REFUSED};

/// The results that are looked at.
const LAST: usize = 1000;
/// One in so many may be refused; from more on the issue is held.
const ONE_IN: usize = 20;
/// Fewer refusals than this are a coincidence.
const FEWEST: usize = 10;
/// Issues that are watched at the same time; the one that began first gives way.
const ISSUES: usize = 64;

/// The last results of each issue that this worker sends.
#[derive(Debug, Default)]
pub(super) struct Refusals(VecDeque<Issue>);

#[derive(Debug)]
struct Issue {
    number: IssueNumber,
    last: VecDeque<bool>,
    refused: usize,
}

impl Refusals {
    /// Takes a result. True where the issue must be held; its results are forgotten then, so that it
    /// gets a fair trial when an operator lets it go on.
    pub(super) fn told(&mut self, issue: IssueNumber, outcome: &Outcome) -> bool {
        let refused = match outcome {
            Outcome::Accepted | Outcome::Deferred(_) => false,
            Outcome::Rejected(reply) => is_policy(*reply),
            // whatever its text, the next recipient's mail has the same sender
            Outcome::NotSent(SENDER_REFUSED) => true,
            Outcome::NotSent(_) | Outcome::InDoubt | Outcome::CannotDeliver(_) => return false,
        };
        let place = self.0.iter().position(|known| known.number == issue);
        let place = place.unwrap_or_else(|| {
            if self.0.len() == ISSUES {
                self.0.pop_front();
            }
            self.0.push_back(Issue {
                number: issue,
                last: VecDeque::new(),
                refused: 0,
            });
            self.0.len() - 1
        });
        let known = &mut self.0[place];
        known.last.push_back(refused);
        known.refused += usize::from(refused);
        if known.last.len() > LAST {
            known.refused -= usize::from(known.last.pop_front() == Some(true));
        }
        let held = known.refused >= FEWEST && known.refused * ONE_IN > known.last.len();
        if held {
            self.0.remove(place);
        }
        held
    }
}

/// 5.7.x, or a 554 that is not about the mailbox.
fn is_policy(reply: Reply) -> bool {
    match reply.enhanced {
        Some([5, 7, _]) => true,
        Some([5, 1 | 2, _]) => false,
        _ => reply.code == 554,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUE: IssueNumber = IssueNumber(7);

    fn refused(code: u16, enhanced: Option<[u8; 3]>) -> Outcome {
        Outcome::Rejected(Reply { code, enhanced })
    }

    /// After how many results the issue is held, where every `nth` one is `outcome`.
    fn held_after(nth: usize, outcome: &Outcome) -> Option<usize> {
        let mut refusals = Refusals::default();
        (1..=10_000).find(|number| {
            let told = if number % nth == 0 {
                outcome
            } else {
                &Outcome::Accepted
            };
            refusals.told(ISSUE, told)
        })
    }

    #[test]
    fn more_than_one_in_twenty_refused_for_policy_holds() {
        let policy = refused(550, Some([5, 7, 1]));
        assert_eq!(held_after(1, &policy), Some(10), "soon where all are");
        assert_eq!(held_after(5, &policy), Some(50));
        assert_eq!(held_after(19, &policy), Some(190));
        assert_eq!(held_after(20, &policy), None, "5 % and not more");
        assert_eq!(held_after(5, &refused(554, None)), Some(50));
        assert_eq!(held_after(5, &Outcome::NotSent(SENDER_REFUSED)), Some(50));
        assert_eq!(held_after(5, &refused(554, Some([5, 0, 0]))), Some(50));
    }

    #[test]
    fn mailboxes_that_do_not_exist_hold_nothing() {
        for about_the_mailbox in [
            refused(550, Some([5, 1, 1])),
            refused(554, Some([5, 1, 1])),
            refused(554, Some([5, 2, 1])),
            refused(550, None),
            Outcome::InDoubt,
            Outcome::NotSent("mail"),
            Outcome::NotSent("body"),
        ] {
            assert_eq!(held_after(2, &about_the_mailbox), None);
        }
    }

    #[test]
    fn only_the_last_thousand_count() {
        let mut refusals = Refusals::default();
        let policy = refused(550, Some([5, 7, 1]));
        for _ in 0..9 {
            assert!(!refusals.told(ISSUE, &policy));
        }
        for _ in 0..1000 {
            assert!(!refusals.told(ISSUE, &Outcome::Accepted));
        }
        for _ in 0..50 {
            assert!(!refusals.told(ISSUE, &policy));
        }
        assert!(refusals.told(ISSUE, &policy), "51 of the last 1,000");
    }

    #[test]
    fn issues_are_told_apart() {
        let mut refusals = Refusals::default();
        let policy = refused(550, Some([5, 7, 1]));
        for number in 1..=200 {
            assert!(!refusals.told(IssueNumber(number), &policy));
        }
        assert!(refusals.0.len() <= ISSUES);
    }
}
