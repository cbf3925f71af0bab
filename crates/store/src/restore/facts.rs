//! What a database that went back is asked and told.

use domain::{EventId, Restored, SpoolId, SuppressionCode, Timestamp};

/// How far a spool of stops is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolMark {
    /// Which.
    pub spool_id: SpoolId,
    /// Every seq up to this one is applied.
    pub applied_upto: u64,
}

/// The database as a worker compares it with what it remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Present {
    /// The installation's tick.
    pub tick: u64,
    /// The worker's own last heartbeat; 0 where the database does not know it.
    pub heartbeat: u64,
    /// The seq of the ledger's last entry.
    pub ledger_head: u64,
    /// The spools of stops, those that are retired too.
    pub spools: Vec<SpoolMark>,
    /// Whether a restore is open, and whether this worker has joined it.
    pub restore: Option<Joined>,
    /// Whether an operator's override of the barrier is in force.
    pub overridden: bool,
}

/// Whether a worker has handed over what it remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// It has, and what its journal proves to be sent stands in the database again, or not yet.
    Yes {
        /// Whether it does.
        reasserted: bool,
    },
    /// Not yet.
    No,
}

/// An erasure, as a worker's journal keeps it: no address, only the code that keeps it from being mailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastErasure {
    /// The request.
    pub event_id: EventId,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Whose.
    pub code: SuppressionCode,
    /// Key generation of the code.
    pub generation: u16,
    /// The spool that accepted it.
    pub spool_id: SpoolId,
}

/// What a worker remembers of the database that was lost.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// This boot of the worker: the database that came back may know an older one, or none.
    pub boot_id: [u8; 16],
    /// Its program's version.
    pub build: &'static str,
    /// How far each spool of stops was applied.
    pub spools: Vec<SpoolMark>,
    /// All erasures of its journal.
    pub erasures: Vec<PastErasure>,
    /// The newest checkpoint of its own file; 0 and h(0) where there is none.
    pub checkpoint: Restored,
}

/// Why an open restore has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// It is not in the ledger yet; that takes seconds.
    NotRecorded,
    /// So many erasures are to be applied again; that takes seconds.
    Erasures(u64),
    /// So many workers have joined and have not yet said what their journals prove to be sent. One that
    /// does not come to it is waited for a minute.
    Journals(u64),
    /// A spool has not come to where it was.
    Spool {
        /// Which.
        spool_id: SpoolId,
        /// Whose; empty where the database does not know it.
        role: String,
        /// How far it is applied now.
        applied_upto: u64,
        /// How far it was applied.
        seen_upto: u64,
        /// Whether its role has reported since the restore.
        reported: bool,
    },
}
