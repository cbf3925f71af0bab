//! Whether the relay refuses an issue as such: content, reputation, policy; or refuses so many, for whatever
//! reason, that it must have lost its directory. Then it is held before more of its readers are lost to
//! it, and nobody is suppressed for it (`reliability.md` 2.4).

use std::collections::VecDeque;

use domain::{IssueNumber, Outcome, Reply, SENDER_REFUSED};

/// The results that are looked at.
const LAST: usize = 1000;
/// One in so many may be refused; from more on the issue is held.
const ONE_IN: usize = 20;
/// Fewer refusals than this are a coincidence.
const FEWEST: usize = 10;
/// One in so many may be refused for any reason, mailboxes that do not exist too.
const ONE_OF_ANY_IN: usize = 5;
/// Of fewer results than this that says nothing.
const ENOUGH: usize = 50;
/// Issues that are watched at the same time; the one that began first gives way.
const ISSUES: usize = 64;

/// The last results of each issue that this worker sends.
#[derive(Debug, Default)]
pub(super) struct Refusals(VecDeque<Issue>);

#[derive(Debug)]
struct Issue {
    number: IssueNumber,
    last: VecDeque<Answer>,
}

/// What a result says of the issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Nothing against it.
    Fine,
    /// It was refused for this recipient.
    Refused,
    /// It was refused as such.
    Policy,
}

impl Refusals {
    /// Takes a result. True where the issue must be held; its results are forgotten then, so that it
    /// gets a fair trial when an operator lets it go on.
    pub(super) fn told(&mut self, issue: IssueNumber, outcome: &Outcome) -> bool {
        let answer = match outcome {
            Outcome::Accepted | Outcome::Deferred(_) => Answer::Fine,
            Outcome::Rejected(reply) if is_policy(*reply) => Answer::Policy,
            Outcome::Rejected(_) => Answer::Refused,
            // whatever its text, the next recipient's mail has the same sender
            Outcome::NotSent(SENDER_REFUSED) => Answer::Policy,
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
            });
            self.0.len() - 1
        });
        let known = &mut self.0[place];
        known.last.push_back(answer);
        if known.last.len() > LAST {
            known.last.pop_front();
        }
        let results = known.last.len();
        let number = |wanted: &[Answer]| {
            let found = known.last.iter().filter(|answer| wanted.contains(answer));
            found.count()
        };
        // counted only where it may matter: most results are fine
        let held = answer != Answer::Fine && {
            let policy = number(&[Answer::Policy]);
            let any = number(&[Answer::Policy, Answer::Refused]);
            (policy >= FEWEST && policy * ONE_IN > results)
                || (results >= ENOUGH && any >= FEWEST && any * ONE_OF_ANY_IN > results)
        };
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
    fn mailboxes_that_do_not_exist_hold_an_issue_only_where_they_are_many() {
        for about_the_mailbox in [
            refused(550, Some([5, 1, 1])),
            refused(554, Some([5, 1, 1])),
            refused(554, Some([5, 2, 1])),
            refused(550, None),
        ] {
            assert_eq!(held_after(5, &about_the_mailbox), None, "20 % and not more");
            assert_eq!(held_after(4, &about_the_mailbox), Some(52));
            assert_eq!(held_after(1, &about_the_mailbox), Some(50), "all of them");
        }
        for about_the_way in [
            Outcome::InDoubt,
            Outcome::NotSent("mail"),
            Outcome::NotSent("body"),
        ] {
            assert_eq!(held_after(1, &about_the_way), None);
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
