//! What a worker has seen of the database, on its own disk: a database that has less went back in time
//! (`DESIGN.md` 2).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use domain::SpoolId;
use store::{Present, SpoolMark};

use crate::state_dir;

/// The newest that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Memory {
    /// The installation's tick.
    pub(crate) tick: u64,
    /// This worker's own heartbeat. Others may have raised the tick beyond the one seen; nobody else
    /// raises this.
    pub(crate) heartbeat: u64,
    /// The ledger's last entry.
    pub(crate) ledger_head: u64,
    /// Erasures up to this entry of the ledger are in the journal.
    pub(crate) erasures_upto: u64,
    /// How far each spool of stops was applied.
    pub(crate) spools: BTreeMap<SpoolId, u64>,
}

/// What a database has less of than was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forgotten {
    Tick,
    Heartbeat,
    Ledger,
    Spool(SpoolId),
}

impl std::fmt::Display for Forgotten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tick => f.write_str("its tick is lower than one seen before"),
            Self::Heartbeat => f.write_str("it has fewer of this worker's heartbeats"),
            Self::Ledger => f.write_str("its ledger is shorter"),
            Self::Spool(id) => write!(f, "it has applied less of spool {id}"),
        }
    }
}

impl Memory {
    /// What this database has forgotten, if it has.
    pub(crate) fn forgotten_by(&self, present: &Present) -> Option<Forgotten> {
        if present.tick < self.tick {
            return Some(Forgotten::Tick);
        }
        if present.heartbeat < self.heartbeat {
            return Some(Forgotten::Heartbeat);
        }
        if present.ledger_head < self.ledger_head.max(self.erasures_upto) {
            return Some(Forgotten::Ledger);
        }
        let now: BTreeMap<SpoolId, u64> = marks(present);
        let less = self
            .spools
            .iter()
            .find(|(id, upto)| now.get(id).is_none_or(|now| now < *upto));
        less.map(|(id, _)| Forgotten::Spool(*id))
    }

    /// From now on this is what was seen.
    pub(crate) fn see(&mut self, present: &Present) {
        self.tick = present.tick;
        self.heartbeat = present.heartbeat;
        self.ledger_head = present.ledger_head;
        self.spools = marks(present);
    }

    /// The spools as a restore is told of them.
    pub(crate) fn marks(&self) -> Vec<SpoolMark> {
        let marks = self.spools.iter();
        marks
            .map(|(spool_id, upto)| SpoolMark {
                spool_id: *spool_id,
                applied_upto: *upto,
            })
            .collect()
    }

    fn to_text(&self) -> String {
        let mut text = format!(
            "tick {}\nheartbeat {}\nledger {}\nerasures {}\n",
            self.tick, self.heartbeat, self.ledger_head, self.erasures_upto
        );
        for (id, upto) in &self.spools {
            text.extend(["spool ", &id.to_string(), " ", &upto.to_string(), "\n"]);
        }
        text
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut memory = Self::default();
        for line in text.lines() {
            let (what, rest) = line.split_once(' ')?;
            match what {
                "tick" => memory.tick = rest.parse().ok()?,
                "heartbeat" => memory.heartbeat = rest.parse().ok()?,
                "ledger" => memory.ledger_head = rest.parse().ok()?,
                "erasures" => memory.erasures_upto = rest.parse().ok()?,
                "spool" => {
                    let (id, upto) = rest.split_once(' ')?;
                    let id = HEXLOWER.decode(id.as_bytes()).ok()?;
                    let id = SpoolId::try_from(id.as_slice()).ok()?;
                    memory.spools.insert(id, upto.parse().ok()?);
                }
                _ => return None,
            }
        }
        Some(memory)
    }
}

fn marks(present: &Present) -> BTreeMap<SpoolId, u64> {
    let marks = present.spools.iter();
    marks
        .map(|mark| (mark.spool_id, mark.applied_upto))
        .collect()
}

/// The file `seen` of a worker's folder.
#[derive(Debug)]
pub(crate) struct MemoryFile {
    path: PathBuf,
}

impl MemoryFile {
    /// The file of this folder, and what it holds: nothing in a new folder.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, Memory)> {
        let file = Self {
            path: folder.join("seen"),
        };
        let memory = match fs::read_to_string(&file.path) {
            Ok(text) => Memory::from_text(&text).ok_or_else(|| {
                let why = "the file seen cannot be read: without it nobody can tell whether the database \
                           was restored";
                io::Error::new(io::ErrorKind::InvalidData, why)
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Memory {
                // As versions before this one left it.
                tick: fs::read_to_string(folder.join("tick"))
                    .ok()
                    .and_then(|text| text.trim().parse().ok())
                    .unwrap_or(0),
                ..Memory::default()
            },
            Err(error) => return Err(error),
        };
        Ok((file, memory))
    }

    /// Keeps it, also if the machine loses its power now.
    pub(crate) fn keep(&self, memory: &Memory) -> io::Result<()> {
        state_dir::replace(&self.path, &memory.to_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOOL: SpoolId = SpoolId::new([7; 16]);

    fn present(tick: u64, heartbeat: u64, spools: &[(SpoolId, u64)]) -> Present {
        Present {
            tick,
            heartbeat,
            spools: spools
                .iter()
                .map(|(spool_id, applied_upto)| SpoolMark {
                    spool_id: *spool_id,
                    applied_upto: *applied_upto,
                })
                .collect(),
            ..Present::default()
        }
    }

    #[test]
    fn a_database_with_less_of_anything_went_back() {
        let mut memory = Memory::default();
        memory.see(&present(10, 5, &[(SPOOL, 3)]));
        let other = SpoolId::new([8; 16]);
        for (now, expected) in [
            (present(10, 5, &[(SPOOL, 3)]), None),
            (present(11, 6, &[(SPOOL, 4), (other, 0)]), None),
            (present(9, 5, &[(SPOOL, 3)]), Some(Forgotten::Tick)),
            // Web roles went on beating while no worker ran.
            (present(99, 4, &[(SPOOL, 3)]), Some(Forgotten::Heartbeat)),
            (present(99, 9, &[(SPOOL, 2)]), Some(Forgotten::Spool(SPOOL))),
            (present(99, 9, &[]), Some(Forgotten::Spool(SPOOL))),
        ] {
            assert_eq!(memory.forgotten_by(&now), expected, "{now:?}");
        }
    }

    #[test]
    fn it_is_kept_and_a_damaged_one_is_no_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let (file, mut memory) = MemoryFile::open(folder.path()).unwrap();
        assert_eq!(memory, Memory::default());
        memory.see(&present(10, 5, &[(SPOOL, 3)]));
        memory.erasures_upto = 4;
        file.keep(&memory).unwrap();
        assert_eq!(MemoryFile::open(folder.path()).unwrap().1, memory);
        fs::write(folder.path().join("seen"), "tick ten\n").unwrap();
        assert!(MemoryFile::open(folder.path()).is_err());
    }

    #[test]
    fn the_tick_of_an_older_version_counts() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tick"), "41\n").unwrap();
        assert_eq!(MemoryFile::open(folder.path()).unwrap().1.tick, 41);
    }
}
