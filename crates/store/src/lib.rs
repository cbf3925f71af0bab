//! PostgreSQL: the only room with SQL. Each caller gets one small struct for its need, and nobody a
//! pool; all statements are checked against the tables when this crate is built.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `connect_settings` | where the database is and how to show that it is the right one |
//! | `connect`, `primary`, `silent_line` | the way there, its time limits; which of several servers takes writes; what if the line falls silent |
//! | `timeline`, `reassertion` | which history of the database it is; a journal said again to one that forgot |
//! | `migrate` | the tables brought up to date, tied to one body |
//! | `error` | what can go wrong, by what to do about it |
//! | `catalogue`, `operator_desk` | the body, newsletters and notices: read and changed |
//! | `request_inbox`, `spools` | what web roles accepted and shipped, and how far each is applied |
//! | `resumption` | the mark that changes when somebody who had left may come back |
//! | `restore` | a database that went back: what it has forgotten, until that is made up for |
//! | `barrier_acts` | what an operator says to the barrier: a spool that is gone, an override |
//! | `dead_letters` | what could not be read or applied |
//! | `outbox` | hints on their way to the broker |
//! | `purge`, `issue_retention` | deleting what the notices promise to delete |
//! | `registrar` | a batch of requests applied in one transaction, the append to the ledger included |
//! | `ledger_reader`, `ledger_checkpoints`, `ledger_check` | the ledger in order, and its checkpoints; the one held against the others |
//! | `issues`, `issue_states` | issues: approved, read by the sender and as they were sent |
//! | `issue_progress`, `issue_balance` | how they stand: the issue equation; whether it holds |
//! | `issue_changes`, `issue_upkeep` | what an operator says to one under way, and what follows from it |
//! | `fan_out`, `chunks`, `deliveries` | an issue's audience: written down, taken by the chunk, claimed and settled |
//! | `last_look` | whether a claimed row may still be sent |
//! | `rate_grants` | what workers share of the way to the relay: rate, day, hold |
//! | `bounces` | mail that came back, and whose mail is in vain |
//! | `sealed_person` | the person behind either, still sealed |
//! | `mails` | one-to-one mails, claimed and settled alike |
//! | `recovery` | what a worker asks after a crash |
//! | `mail_after_stop` | mail to somebody who had left, found after the fact |
//! | `sweeps` | barrier, doubts, deadlines, dead workers |
//! | `workers` | heartbeats |
//! | `columns` | from and to the types of columns |
//!
//! The checked statements are kept in `.sqlx`, so that a build needs no database; after a change of
//! a statement or of a migration run `crates/store/prepare`.

mod barrier_acts;
mod bounces;
mod catalogue;
mod chunks;
mod columns;
mod connect;
mod connect_settings;
mod dead_letters;
mod deliveries;
mod error;
mod fan_out;
mod issue_balance;
mod issue_changes;
mod issue_progress;
mod issue_retention;
mod issue_states;
mod issue_upkeep;
mod issues;
mod last_look;
mod ledger_check;
mod ledger_checkpoints;
mod ledger_reader;
mod mail_after_stop;
mod mails;
mod migrate;
mod operator_desk;
mod outbox;
mod primary;
mod purge;
mod rate_grants;
mod reassertion;
mod recovery;
mod registrar;
mod request_inbox;
mod restore;
mod resumption;
mod sealed_person;
mod silent_line;
mod spools;
mod sweeps;
mod timeline;
mod workers;

pub use barrier_acts::{BarrierAct, BarrierActs};
pub use bounces::{BounceRequest, BounceTable, BouncedIssues, BouncedOut};
pub use catalogue::CatalogueReader;
pub use chunks::{ChunkTable, OwnedChunk};
pub use connect::Database;
pub use connect_settings::{ConnectProblem, ConnectSettings, Host, Tls};
pub use dead_letters::{DeadLetter, DeadLetters};
pub use deliveries::{
    AttemptResult, Claim, ClaimedDelivery, DeliveryAttempt, DeliveryStore, Resolved,
};
pub use error::StoreError;
pub use fan_out::{CHUNK_SIZE, FAN_OUT_STEP, FanOut, FanOutStep};
pub use issue_changes::{ChangeError, Doubt};
pub use issue_progress::IssueProgress;
pub use issue_states::{DoubtDecision, HoldReason, InDoubtPolicy, IssueState};
pub use issue_upkeep::{IssueUpkeep, NewDoubt};
pub use issues::{
    ApproveError, FrozenText, IssueAsSent, IssueContent, IssueDesk, IssueToSend, NewIssue,
};
pub use ledger_reader::{LedgerReader, LedgerRow};
pub use mail_after_stop::{AfterStopAudit, LateMail, MailAfterStop, STOP_EFFECT_LIMIT, SentMail};
pub use mails::{ClaimedMail, MailAttempt, MailClaim, MailResult, MailStore};
pub use migrate::MIGRATOR;
pub use operator_desk::{NewNewsletter, OperatorDesk};
pub use outbox::{Backlog, Outbox, OutboxRow, Topic};
pub use purge::{Purge, Purged};
pub use rate_grants::{Answers, Ask, DailyCap, Lease, Pace, RateGrants};
pub use reassertion::{PastDelivery, PastMail, Reasserted, Reassertion};
pub use recovery::MailSender;
pub use registrar::{
    Answered, Changes, Codes, Confirmation, ConsentFact, Dead, EarlyEvent, EarlyKind, Erased,
    Known, Lane, Left, NewConsent, NewMail, NoticeRef, PendingSignUp, Place, RegistrarStore,
    SeenTick, SubscriptionRow, SuppressedCode, Suppression, SuppressionLevel, Turn, Undone,
    UnsubscribeRow, Wanted, Whose, Withdrawal,
};
pub use request_inbox::{InboxRow, RequestInbox};
pub use restore::{Joined, Obstacle, PastErasure, Present, Remembered, RestoreTable, SpoolMark};
pub use resumption::{ResumptionMark, ResumptionReader};
pub use sealed_person::SealedPerson;
pub use spools::{SpoolStanding, SpoolTable};
pub use sweeps::{Barrier, RecentStops};
pub use timeline::Timeline;
pub use workers::{Beat, WorkerPulse, WorkerTable};
