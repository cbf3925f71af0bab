//! The rules of Letterbox: what an address, a subscription, a delivery and a request are. No I/O, no
//! async, no cryptography; every other room may import this one, and it imports none.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `email_address` | which addresses are taken, and what they look like on the wire |
//! | `address_compare` | when two spellings are one address or one mailbox |
//! | `sealed` | a locked address and its codes, as opaque bytes |
//! | `ids`, `slug`, `language`, `clock` | the small words everything else is said in |
//! | `catalogue` | the body, its newsletters and notices: all that a public page shows |
//! | `notice_text` | the words of a notice, from the settings that the purge obeys |
//! | `notice_lint` | what the settings of a body or newsletter lack |
//! | `request` | what a web role accepts and the registrar applies |
//! | `subscription` | active or not, from the set of accepted events |
//! | `delivery` | states of a delivery, the issue equation, retry or fail |
//! | `bounce` | when mail to somebody is in vain |
//! | `mail_kind` | the closed list of mails |
//! | `warm_up` | how many mails a relay gets on its first days |
//! | `ledger` | the vocabulary of a ledger entry |
//!
//! A walk: a form posts an address; `email_address` takes it or says why not; it is sealed, and from
//! there on only `sealed` bytes travel, inside a `request`. The registrar adds the request to the set
//! of a subscription's events and asks `subscription::state_of` what follows.

mod address_compare;
mod bounce;
mod catalogue;
mod clock;
mod delivery;
mod email_address;
mod ids;
mod language;
mod ledger;
mod mail_kind;
mod notice_lint;
mod notice_text;
mod request;
mod sealed;
mod slug;
mod subscription;
mod warm_up;

pub use address_compare::{
    comparison_form, comparison_form_of_text, mailbox_form, mailbox_form_of,
};
pub use bounce::{BounceKind, BounceRule, REFUSED_WITHIN, is_burst};
pub use catalogue::{
    Body, CONFIRMATION_DAYS, Catalogue, LawfulBasis, Newsletter, Notice, NoticeHash,
    NoticeStanding, SUPERSEDED_NOTICE_DAYS,
};
pub use clock::{Clock, CountingEntropy, Entropy, ManualClock, Timestamp};
pub use delivery::{
    Decision, DeliveryState, IssueCounts, Outcome, Reply, SENDER_REFUSED, decide, is_in_transaction,
};
pub use email_address::{AddressProblem, EmailAddress};
pub use ids::{
    BodyId, BoxId, EventId, IssueNumber, KeyId, NewsletterNumber, SpoolId, SubscriptionId,
    WorkerId, WrongIdLength,
};
pub use language::{Language, Words};
pub use ledger::{Actor, Effect, KeyState, LedgerEntry, Method, Restored, TokenKey};
pub use mail_kind::MailKind;
pub use notice_lint::{NoticeProblem, SettingsFile, body_problems, notice_problems};
pub use notice_text::{RECORD_YEARS, notice_text};
pub use request::{
    AcceptedRequest, Bounce, Channel, Choice, Confirm, Erasure, LookUp, NotMe, Request, SignUp,
    Undo, Unsubscribe,
};
pub use sealed::{
    AddressIndex, MailboxCode, RowMac, SealedAddress, SuppressionCode, WrongSealedLength,
};
pub use slug::{NotASlug, Slug};
pub use subscription::{SignUpFact, SubscriptionState, UnsubscribeFact, state_of};
pub use warm_up::warm_up_allowance;
