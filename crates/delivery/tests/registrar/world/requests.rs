//! What residents ask, with the ids and times that a role gave it.

use address_seal::Purpose;
use domain::{
    Channel, Choice, Confirm, EmailAddress, Erasure, EventId, IssueNumber, Language, LookUp,
    Method, NotMe, Request, SignUp, SubscriptionId, Timestamp, Undo, Unsubscribe,
};

use super::{Accepted, TOKEN, World};

impl World {
    /// A sign-up of this address for newsletters by their place in `newsletters`.
    pub(crate) fn sign_up(
        &mut self,
        address: &str,
        newsletters: &[usize],
        at: Timestamp,
    ) -> Accepted {
        let event_id = self.event_id();
        let address = EmailAddress::parse(address).unwrap();
        let sealed = self
            .sealer
            .seal(&address, Purpose::Subscriber, event_id.into())
            .unwrap();
        let choices = newsletters
            .iter()
            .map(|place| Choice {
                newsletter: self.newsletters[*place].0.number,
                notice: self.newsletters[*place].1,
            })
            .collect();
        Accepted {
            event_id,
            at,
            request: Request::SignUp(SignUp {
                sealed,
                choices,
                language: Language::En,
                origin: Some("https://www.example.gov.uk".into()),
                channel: Channel::Web,
                wording: Some([3; 32]),
            }),
        }
    }

    fn accepted(&mut self, at: Timestamp, request: Request) -> Accepted {
        Accepted {
            event_id: self.event_id(),
            at,
            request,
        }
    }

    pub(crate) fn confirm(&mut self, sign_up: EventId, at: Timestamp) -> Accepted {
        let box_id = sign_up.into();
        self.accepted(
            at,
            Request::Confirm(Confirm {
                box_id,
                token: TOKEN,
            }),
        )
    }

    pub(crate) fn not_me(&mut self, sign_up: EventId, at: Timestamp) -> Accepted {
        let box_id = sign_up.into();
        self.accepted(
            at,
            Request::NotMe(NotMe {
                box_id,
                token: TOKEN,
            }),
        )
    }

    pub(crate) fn leave(&mut self, subscription_id: SubscriptionId, at: Timestamp) -> Accepted {
        self.accepted(
            at,
            Request::Unsubscribe(Unsubscribe {
                subscription_id,
                issue: IssueNumber(4),
                method: Method::OneClick,
                token: TOKEN,
            }),
        )
    }

    /// Leaves everything by the link of this subscription.
    pub(crate) fn leave_all(&mut self, subscription_id: SubscriptionId, at: Timestamp) -> Accepted {
        self.accepted(
            at,
            Request::UnsubscribeAll(Unsubscribe {
                subscription_id,
                issue: IssueNumber(4),
                method: Method::PageButton,
                token: TOKEN,
            }),
        )
    }

    pub(crate) fn never_email(&mut self, sign_up: EventId, at: Timestamp) -> Accepted {
        let box_id = sign_up.into();
        self.accepted(
            at,
            Request::NeverEmail(NotMe {
                box_id,
                token: TOKEN,
            }),
        )
    }

    /// A question how to stop mail to this address.
    pub(crate) fn look_up(&mut self, address: &str, at: Timestamp) -> Accepted {
        let event_id = self.event_id();
        let address = EmailAddress::parse(address).unwrap();
        let sealed = self
            .sealer
            .seal(&address, Purpose::LookUp, event_id.into())
            .unwrap();
        let language = Language::Cy;
        Accepted {
            event_id,
            at,
            request: Request::LookUp(LookUp { sealed, language }),
        }
    }

    pub(crate) fn undo(&mut self, unsubscribe: EventId, at: Timestamp) -> Accepted {
        self.accepted(
            at,
            Request::Undo(Undo {
                unsubscribe,
                token: TOKEN,
            }),
        )
    }

    /// The erasure of everything about this address.
    pub(crate) fn erase(&mut self, address: &str, at: Timestamp) -> Accepted {
        let event_id = self.event_id();
        let address = EmailAddress::parse(address).unwrap();
        let sealed = self
            .sealer
            .seal(&address, Purpose::LookUp, event_id.into())
            .unwrap();
        Accepted {
            event_id,
            at,
            request: Request::Erasure(Erasure { sealed }),
        }
    }
}
