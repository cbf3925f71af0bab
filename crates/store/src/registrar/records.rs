//! The records that pass between the registrar and the tables.

mod suppression;

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    AddressIndex, BoxId, Channel, EventId, KeyId, Language, LawfulBasis, LedgerEntry, MailKind,
    MailboxCode, NewsletterNumber, NoticeHash, RowMac, SealedAddress, SpoolId, SubscriptionId,
    SuppressionCode, Timestamp, TokenKey,
};

pub use suppression::{SuppressedCode, Suppression, SuppressionLevel};

use super::Place;

/// The keyed codes of an address, and the generation of the keys that made them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codes {
    /// Tells a subscriber.
    pub index: AddressIndex,
    /// Recognises the address after erasure.
    pub suppression: SuppressionCode,
    /// The same for the mailbox.
    pub mailbox: MailboxCode,
    /// Key generation.
    pub generation: u16,
}

/// A sign-up that waits for its confirmation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingSignUp {
    /// Its box.
    pub box_id: BoxId,
    /// The address in it.
    pub sealed: SealedAddress,
    /// The address's codes.
    pub codes: Codes,
    /// For mails.
    pub language: Language,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it is deleted, unless it is confirmed.
    pub expires_at: Timestamp,
}

/// That a sign-up was confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Confirmation {
    /// When the press of the button was accepted.
    pub at: Timestamp,
    /// That request.
    pub event_id: EventId,
    /// Key generation of the link.
    pub kid: KeyId,
    /// Layout version of the link.
    pub token_version: u8,
}

/// That a consent was withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withdrawal {
    /// When that was accepted.
    pub at: Timestamp,
    /// Its ledger entry.
    pub seq: Option<u64>,
}

/// What may change of a consent record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentFact {
    /// Which record.
    pub consent_id: [u8; 16],
    /// The sign-up.
    pub box_id: BoxId,
    /// Its newsletter.
    pub newsletter: NewsletterNumber,
    /// The subscription that it starts.
    pub subscription_id: SubscriptionId,
    /// For mails.
    pub language: Language,
    /// When the sign-up was accepted.
    pub requested_at: Timestamp,
    /// Whether and how it was confirmed.
    pub confirmed: Option<Confirmation>,
    /// Since when it is disowned.
    pub disowned_at: Option<Timestamp>,
    /// Whether it was withdrawn.
    pub withdrawn: Option<Withdrawal>,
    /// The sign-up's sealed address, from its confirmation until it is deleted. The table keeps it
    /// in one place: in the subscription while that uses it, else here.
    pub sealed: Option<SealedAddress>,
}

/// A consent record, new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConsent {
    /// Sixteen random bytes.
    pub consent_id: [u8; 16],
    /// The sign-up.
    pub box_id: BoxId,
    /// Its newsletter.
    pub newsletter: NewsletterNumber,
    /// The subscription that it starts.
    pub subscription_id: SubscriptionId,
    /// The notice that was on screen, and why the address may be kept.
    pub notice: NoticeRef,
    /// For mails.
    pub language: Language,
    /// SHA-256 of the words on the form.
    pub wording: Option<[u8; 32]>,
    /// The page it came from.
    pub origin: Option<String>,
    /// The door.
    pub channel: Channel,
    /// When it was accepted.
    pub requested_at: Timestamp,
}

/// A notice in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeRef {
    pub(super) id: i64,
    pub(super) lawful_basis: i16,
}

impl NoticeRef {
    /// A notice for tests of the registrar's rules, which never reach a database.
    #[must_use]
    pub const fn for_tests(basis: LawfulBasis) -> Self {
        Self {
            id: 0,
            lawful_basis: crate::catalogue::lawful_basis_number(basis),
        }
    }
}

/// A subscription, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Its id.
    pub subscription_id: SubscriptionId,
    /// Its newsletter.
    pub newsletter: NewsletterNumber,
    /// Whose it is.
    pub owner: Codes,
    /// 0 pending, 1 active, 2 stopped.
    pub state: u8,
    /// For mails.
    pub language: Language,
    /// The box of the latest confirmed sign-up that is not disowned.
    pub box_id: BoxId,
    /// When that sign-up was accepted.
    pub box_accepted_at: Timestamp,
    /// The address in that box; none once it is deleted.
    pub sealed: Option<SealedAddress>,
    /// The confirmation of that sign-up.
    pub consent_event_id: EventId,
    /// Binds the above together.
    pub row_mac: RowMac,
    /// Since when it is stopped, by acceptance.
    pub stopped_at: Option<Timestamp>,
}

/// An unsubscribe that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// What it ends.
    pub subscription_id: SubscriptionId,
    /// When.
    pub accepted_at: Timestamp,
    /// Its ledger entry.
    pub ledger_seq: Option<u64>,
    /// Whose: there where all that the person gets is ended.
    pub everything_of: Option<AddressIndex>,
}

/// An undo that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undone {
    /// The undo.
    pub event_id: EventId,
    /// When.
    pub accepted_at: Timestamp,
}

/// An unsubscribe and its undo, of which either may come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnsubscribeRow {
    /// The unsubscribe's id.
    pub event_id: EventId,
    /// The unsubscribe; none while only its undo came.
    pub left: Option<Left>,
    /// The undo.
    pub undone: Option<Undone>,
}

/// What came before its sign-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyKind {
    /// A confirm.
    Confirm,
    /// A "not me".
    NotMe,
    /// A "not me" of somebody who wants no mail at all.
    NeverEmail,
}

/// A confirm or "not me" that waits for its sign-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlyEvent {
    /// Which.
    pub event_id: EventId,
    /// The sign-up.
    pub box_id: BoxId,
    /// What.
    pub kind: EarlyKind,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// The link's key.
    pub token: TokenKey,
    /// Who accepted it.
    pub spool_id: SpoolId,
}

/// A mail to write and send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMail {
    /// What for.
    pub kind: MailKind,
    /// In which language.
    pub language: Language,
    /// About these newsletters, at least one.
    pub newsletters: Vec<NewsletterNumber>,
    /// The box.
    pub box_id: BoxId,
    /// The address in it.
    pub sealed: SealedAddress,
    /// Its code.
    pub address_index: AddressIndex,
    /// Its mailbox's code.
    pub mailbox_code: MailboxCode,
    /// The subscription to the first newsletter; proposed, for a confirmation.
    pub subscription_id: SubscriptionId,
    /// Over the above, for the first newsletter.
    pub row_mac: RowMac,
    /// The state that the MAC covers.
    pub mac_state: u8,
    /// The consent that the MAC covers; none stands for 16 zero bytes.
    pub mac_consent: Option<EventId>,
    /// Not sent later than this.
    pub deadline: Timestamp,
}

/// What a batch is about.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Sign-ups, and those that are confirmed or disowned.
    pub boxes: BTreeSet<BoxId>,
    /// Addresses of sign-ups.
    pub addresses: BTreeSet<AddressIndex>,
    /// Codes that may be suppressed.
    pub codes: BTreeSet<[u8; 32]>,
    /// Unsubscribes, and those that are undone.
    pub unsubscribes: BTreeSet<EventId>,
    /// Subscriptions that are named.
    pub subscriptions: BTreeSet<SubscriptionId>,
    /// Subscriptions whose owner is meant, with all that they get.
    pub owners: BTreeSet<SubscriptionId>,
    /// Sign-ups whose owner is meant.
    pub box_owners: BTreeSet<BoxId>,
    /// Mailboxes that a question is to be answered to.
    pub asking: BTreeSet<MailboxCode>,
    /// Requests that get a ledger entry.
    pub recorded: BTreeSet<EventId>,
    /// Notices that were on screen.
    pub notices: BTreeSet<(NewsletterNumber, NoticeHash)>,
}

/// What is known about it.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Sign-ups that wait, of the wanted boxes.
    pub sign_ups: Vec<PendingSignUp>,
    /// All consents of every subscription that is touched.
    pub consents: Vec<ConsentFact>,
    /// Those subscriptions, where they exist.
    pub subscriptions: Vec<SubscriptionRow>,
    /// All their unsubscribes, and the wanted ones.
    pub unsubscribes: Vec<UnsubscribeRow>,
    /// What waits for a wanted box.
    pub early: Vec<EarlyEvent>,
    /// The id of an address's subscription to a newsletter, where it has one, pending or not.
    pub identities: BTreeMap<(AddressIndex, NewsletterNumber), SubscriptionId>,
    /// Those of the wanted codes that get no confirmation (levels 3 and 4).
    pub suppressed: BTreeSet<[u8; 32]>,
    /// Those that were erased, and when the last erasure was accepted: what is older never was.
    pub erased: BTreeMap<[u8; 32], Timestamp>,
    /// Those of the wanted codes that get no mail at all (level 3).
    pub silenced: BTreeSet<[u8; 32]>,
    /// How many answers went, or will go, to each mailbox that asks.
    pub answered: BTreeMap<MailboxCode, Answered>,
    /// The first newsletter: its mailbox answers those who get none.
    pub first_newsletter: Option<NewsletterNumber>,
    /// Addresses that were told in the last day that they get the newsletter already.
    pub told: BTreeSet<AddressIndex>,
    /// Requests that the ledger has already.
    pub recorded: BTreeSet<EventId>,
    /// The notices that exist.
    pub notices: BTreeMap<(NewsletterNumber, NoticeHash), NoticeRef>,
}

/// Answers to one mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answered {
    /// In the last 24 hours.
    pub day: u32,
    /// In the last seven days.
    pub week: u32,
}

/// A request that cannot be applied, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// Which.
    pub place: Place,
    /// Whether it keeps the barrier closed until somebody has looked.
    pub stop: bool,
    /// Why; nothing of the request itself.
    pub reason: &'static str,
    /// What came, as it came.
    pub envelope: Vec<u8>,
}

/// What a batch changes.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Applied, with or without effect.
    pub applied: Vec<Place>,
    /// Not applicable, ever.
    pub dead: Vec<Dead>,
    /// To be read by a newer version: where they wait in the inbox, they are not looked at again
    /// before this moment.
    pub later: Vec<(Place, Timestamp)>,
    /// New pending sign-ups.
    pub new_sign_ups: Vec<PendingSignUp>,
    /// Sign-ups that wait no longer.
    pub ended_sign_ups: Vec<BoxId>,
    /// New consent records.
    pub new_consents: Vec<NewConsent>,
    /// Consents that changed, new ones among them.
    pub consents: Vec<ConsentFact>,
    /// Unsubscribes that are new or changed.
    pub unsubscribes: Vec<UnsubscribeRow>,
    /// What came before its sign-up.
    pub new_early: Vec<EarlyEvent>,
    /// Early events that found it.
    pub ended_early: Vec<EventId>,
    /// Subscriptions that are new or changed; their owners are added where they are new.
    pub subscriptions: Vec<SubscriptionRow>,
    /// Whom not to ask again.
    pub suppressions: Vec<Suppression>,
    /// What to send.
    pub mails: Vec<NewMail>,
    /// A new mark, where somebody who had left may come back.
    pub resumption: Option<[u8; 16]>,
    /// What to append to the ledger, in this order.
    pub ledger: Vec<LedgerEntry>,
}
