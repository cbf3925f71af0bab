//! What a web role accepts and the registrar applies (`FORMATS.md`, Requests). The bytes of the
//! payloads are in the `spool` crate.

use crate::{
    BoxId, EventId, IssueNumber, Language, Method, NewsletterNumber, NoticeHash, SealedAddress,
    SubscriptionId, Timestamp, TokenKey,
};

/// One accepted request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedRequest {
    /// Its id: the receipt, exactly-once, the ledger.
    pub event_id: EventId,
    /// When the role accepted it.
    pub accepted_at: Timestamp,
    /// What was asked.
    pub request: Request,
}

/// What a resident asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To get newsletters.
    SignUp(SignUp),
    /// To make a sign-up count.
    Confirm(Confirm),
    /// To leave a newsletter.
    Unsubscribe(Unsubscribe),
    /// To leave every newsletter of the body: the one that the link is about, and all others that the
    /// same person gets.
    UnsubscribeAll(Unsubscribe),
    /// To take an unsubscribe back.
    Undo(Undo),
    /// To disown a sign-up made by somebody else.
    NotMe(NotMe),
    /// The same, and never to get any mail again.
    NeverEmail(NotMe),
    /// To be told by mail what an address gets, with the links to leave it.
    LookUp(LookUp),
    /// To mail nobody who is not there: said by a relay, not by a resident.
    Bounce(Bounce),
    /// To have everything about an address deleted.
    Erasure(Erasure),
}

impl Request {
    /// Its name in records and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SignUp(_) => "sign_up",
            Self::Confirm(_) => "confirm",
            Self::Unsubscribe(_) | Self::UnsubscribeAll(_) => "unsubscribe",
            Self::Undo(_) => "undo",
            Self::NotMe(_) => "not_me",
            Self::NeverEmail(_) => "never_email",
            Self::LookUp(_) => "look_up",
            Self::Bounce(_) => "bounce",
            Self::Erasure(_) => "erasure",
        }
    }

    /// Whether it is served first and closes the barrier while it waits.
    #[must_use]
    pub const fn is_stop(&self) -> bool {
        matches!(
            self,
            Self::Unsubscribe(_)
                | Self::UnsubscribeAll(_)
                | Self::Undo(_)
                | Self::NotMe(_)
                | Self::NeverEmail(_)
                | Self::Bounce(_)
                | Self::Erasure(_)
        )
    }
}

/// The door a sign-up came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// An HTML form.
    Web,
    /// The JSON API.
    Api,
}

impl Channel {
    /// Its number in records and the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Web => 0,
            Self::Api => 1,
        }
    }

    /// The channel with this number.
    #[must_use]
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Web),
            1 => Some(Self::Api),
            _ => None,
        }
    }
}

/// One newsletter of a sign-up, with the notice that was on screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    /// The newsletter.
    pub newsletter: NewsletterNumber,
    /// The notice.
    pub notice: NoticeHash,
}

/// A sign-up: its `box_id` is its `event_id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignUp {
    /// The address, sealed under purpose 01 and this request's id.
    pub sealed: SealedAddress,
    /// At least one; no newsletter twice.
    pub choices: Vec<Choice>,
    /// The language for mails.
    pub language: Language,
    /// The page it came from: the `Origin` header, if it was sent and is at most 255 bytes.
    pub origin: Option<String>,
    /// The door.
    pub channel: Channel,
    /// SHA-256 of the label and button text on screen, where the form was ours.
    pub wording: Option<[u8; 32]>,
}

/// The press of the confirm button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirm {
    /// The sign-up.
    pub box_id: BoxId,
    /// The link's key.
    pub token: TokenKey,
}

/// An unsubscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe {
    /// What to end.
    pub subscription_id: SubscriptionId,
    /// The issue whose link was used.
    pub issue: IssueNumber,
    /// [`Method::OneClick`] or [`Method::PageButton`]; later issues add the inbound ones.
    pub method: Method,
    /// The link's key.
    pub token: TokenKey,
}

/// The undo of an unsubscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undo {
    /// The unsubscribe's id.
    pub unsubscribe: EventId,
    /// The link's key.
    pub token: TokenKey,
}

/// The end of a subscription whose mail comes back (`privacy.md` EML-44). The worker writes it itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounce {
    /// What to end.
    pub subscription_id: SubscriptionId,
    /// The issue that came back last.
    pub issue: IssueNumber,
    /// The automated decision that it follows from.
    pub decision_id: EventId,
}

/// A question about an address, by whoever typed it; answered to that address only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookUp {
    /// The address, sealed under purpose 03 and this request's id.
    pub sealed: SealedAddress,
    /// The language for the answer.
    pub language: Language,
}

/// "This wasn't me".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotMe {
    /// The sign-up.
    pub box_id: BoxId,
    /// The link's key.
    pub token: TokenKey,
}

/// The erasure of everything about an address, but for a keyed code that keeps it from being mailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The address, sealed under purpose 03 and this request's id.
    pub sealed: SealedAddress,
}
