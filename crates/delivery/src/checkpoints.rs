//! Signs the ledger's head: after a minute with a new entry, or 1,000 of them (`FORMATS.md`, Ledger).
//!
//! A checkpoint goes to the worker's own file first, then to the table, then to the log, and once a day to a
//! page for the data protection officer, who is staff and gets no mail of ours (`DESIGN.md` 2 closes the list
//! of mails): somebody prints it or passes it on. What other workers signed is copied into the file too, so
//! each machine holds all of them.
//!
//! Nothing is signed while the ledger is not the one that the file knows: a chain made anew would get a
//! signature that hides it. After a restore the ledger's own entry of it says why it may differ.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::{BodyId, Clock, Restored, Timestamp};
use ledger::{Checkpoint, Head, Line, PublicKey, SignedCheckpoint, SigningKey};
use service_runtime::Shutdown;
use store::{LedgerReader, StoreError};

use crate::checkpoint_file::CheckpointFile;

/// How often the head is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// An entry is covered after this long.
const AFTER: Duration = Duration::from_mins(1);
/// Or by so many that follow it.
const ENTRIES: u64 = 1_000;
/// Checkpoints of others that are read at once.
const PAGE: u32 = 500;
/// How often the same trouble is spoken of.
const REMIND: Duration = Duration::from_mins(10);

/// What signs the ledger of one body.
#[derive(Debug)]
pub struct LedgerSigner {
    /// Whose ledger it is.
    pub body_id: BodyId,
    /// The key, which the database never sees.
    pub key: SigningKey,
}

/// The newest checkpoint outside of the database, in the form of a restore's entry.
pub(crate) fn newest_outside(file: &CheckpointFile, body_id: BodyId) -> Restored {
    let newest = file.newest().map(|signed| signed.checkpoint);
    Restored {
        checkpoint_seq: newest.map_or(0, |checkpoint| checkpoint.seq),
        checkpoint_h: newest.map_or_else(|| ledger::start(body_id), |checkpoint| checkpoint.h),
    }
}

/// Why nothing is signed now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSigned {
    #[error("the database does not answer")]
    Database(#[from] StoreError),
    #[error("the worker's folder cannot be written")]
    Disk(#[from] io::Error),
    /// The newest checkpoint of the file, by its seq.
    #[error("the ledger is not the one that checkpoint {0} was signed for")]
    OffTheChain(u64),
}

/// The task that signs.
pub(crate) struct Checkpoints {
    reader: LedgerReader,
    signer: Arc<LedgerSigner>,
    file: Arc<CheckpointFile>,
    state_dir: PathBuf,
    clock: Arc<dyn Clock>,
    /// The last of the table that is in the file.
    copied: Option<SignedCheckpoint>,
    /// In the file, and perhaps not in the table.
    unkept: Option<SignedCheckpoint>,
    /// The day of the last page.
    page_of: Option<u64>,
    told: Option<(Timestamp, &'static str)>,
}

impl Checkpoints {
    pub(crate) fn new(
        reader: LedgerReader,
        signer: Arc<LedgerSigner>,
        file: Arc<CheckpointFile>,
        state_dir: PathBuf,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let newest = file.newest();
        Self {
            reader,
            signer,
            file,
            state_dir,
            clock,
            copied: newest,
            unkept: newest,
            page_of: None,
            told: None,
        }
    }

    /// Signs until the process stops, and what is not covered yet at the end.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        describe_metrics();
        while !shutdown.is_stopping() {
            if let Err(why) = self.look().await {
                self.tell(&why);
            }
            crate::pause(EVERY, &shutdown).await;
        }
    }

    /// Looks at the ledger once, and signs what is due.
    pub(crate) async fn look(&mut self) -> Result<(), NotSigned> {
        if let Some(signed) = self.unkept {
            self.reader.keep(&signed).await?;
            self.unkept = None;
        }
        let now = self.clock.now();
        let Some(head) = self.reader.head().await? else {
            return Ok(());
        };
        gauge("letterbox_ledger_head_seq", head.seq);
        self.copy_others().await?;
        for restore in self.reader.restores_without_checkpoint().await? {
            self.sign(restore, now).await?;
            tracing::warn!(
                seq = restore.seq,
                "the ledger says that it was restored: checkpoints of what was lost are given up"
            );
        }
        let newest = self.file.newest().map(|signed| signed.checkpoint);
        let covered = newest.map_or(0, |newest| newest.seq);
        gauge("letterbox_ledger_checkpoint_seq", covered);
        let since = newest.map_or(AFTER, |newest| now.since(newest.time));
        let is_due = head.seq > covered && (since >= AFTER || head.seq - covered >= ENTRIES);
        // A head below the newest checkpoint is no less wrong where nothing else is due.
        if is_due || head.seq < covered {
            self.sign(head, now).await?;
        }
        Ok(self.page(now)?)
    }

    /// Copies into the file what other workers have signed since.
    async fn copy_others(&mut self) -> Result<(), NotSigned> {
        loop {
            let last = self.copied;
            let page = self.reader.checkpoints_after(last.as_ref(), PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            for signed in page {
                self.copied = Some(signed);
                if Some(signed) == self.file.newest() {
                    continue;
                }
                let ours = self.signer.key.public_key();
                let is_known = signed.public_key == ours || self.file.knows(&signed.public_key);
                if !is_known || !signed.is_signed(self.signer.body_id) {
                    failure("foreign");
                    tracing::error!(
                        seq = signed.checkpoint.seq,
                        "a checkpoint in the database is not signed by the body's key: run `letterbox ledger verify`"
                    );
                    continue;
                }
                self.file.append(&signed)?;
            }
        }
    }

    /// Signs this place of the chain, if it follows from what was signed before.
    async fn sign(&mut self, place: Head, now: Timestamp) -> Result<(), NotSigned> {
        if let Some(newest) = self.file.newest() {
            self.follows(&newest).await?;
        }
        let checkpoint = Checkpoint {
            seq: place.seq,
            h: place.h,
            time: now,
        };
        let signed = self.signer.key.sign(self.signer.body_id, checkpoint);
        self.file.append(&signed)?;
        self.unkept = Some(signed);
        tracing::info!(
            checkpoint = Line::Checkpoint(signed).write(),
            "the ledger is signed"
        );
        self.reader.keep(&signed).await?;
        self.unkept = None;
        gauge("letterbox_ledger_checkpoint_seq", place.seq);
        Ok(())
    }

    /// Whether the ledger is still the one that `newest` was signed for, or says that it was restored.
    async fn follows(&mut self, newest: &SignedCheckpoint) -> Result<(), NotSigned> {
        let checkpoint = &newest.checkpoint;
        let h = match checkpoint.seq {
            0 => Some(ledger::start(self.signer.body_id)),
            seq => self.reader.hash_at(seq).await?,
        };
        if h == Some(checkpoint.h) {
            return Ok(());
        }
        if self.reader.gives_up(checkpoint).await? {
            return self.copy_after_restore().await;
        }
        Err(NotSigned::OffTheChain(checkpoint.seq))
    }

    /// The table went back too: what is in it now and not in the file was signed after the restore.
    async fn copy_after_restore(&mut self) -> Result<(), NotSigned> {
        let known = self.file.places()?;
        let mut last = None;
        loop {
            let page = self.reader.checkpoints_after(last.as_ref(), PAGE).await?;
            let Some(end) = page.last() else {
                break;
            };
            last = Some(*end);
            for signed in &page {
                let place = (signed.checkpoint.seq, signed.checkpoint.h);
                if !known.contains(&place) && signed.is_signed(self.signer.body_id) {
                    self.file.append(signed)?;
                }
            }
        }
        self.copied = last;
        Ok(())
    }

    /// Once a day, a page for the data protection officer.
    fn page(&mut self, now: Timestamp) -> io::Result<()> {
        let day = now.utc_day();
        let Some(newest) = self.file.newest().filter(|_| self.page_of != Some(day)) else {
            return Ok(());
        };
        let folder = self.state_dir.join("checkpoints");
        if let Some(path) = write_page(&folder, self.signer.body_id, &newest, now)? {
            tracing::info!(
                page = %path.display(),
                seq = newest.checkpoint.seq,
                "today's checkpoint of the ledger: print this page for the data protection officer, or pass it on"
            );
        }
        self.page_of = Some(day);
        Ok(())
    }

    /// The same trouble is spoken of now and then, and counted each time.
    fn tell(&mut self, why: &NotSigned) {
        let reason = match why {
            NotSigned::Database(error) if error.is_temporary() => return,
            NotSigned::Database(_) => "database",
            NotSigned::Disk(_) => "disk",
            NotSigned::OffTheChain(_) => "off_chain",
        };
        failure(reason);
        let now = self.clock.now();
        let is_news = self
            .told
            .is_none_or(|(at, what)| what != reason || now.since(at) >= REMIND);
        if is_news {
            self.told = Some((now, reason));
            tracing::error!(
                error = why as &dyn std::error::Error,
                "no checkpoint of the ledger is signed; where it was changed, `letterbox ledger verify` names the place"
            );
        }
    }
}

/// Writes the page of this day, where there is none yet.
fn write_page(
    folder: &Path,
    body_id: BodyId,
    newest: &SignedCheckpoint,
    now: Timestamp,
) -> io::Result<Option<PathBuf>> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let Some(date) = now.to_date_time().map(|moment| moment.date().to_string()) else {
        return Ok(None);
    };
    let path = folder.join(format!("{date}.txt"));
    let opened = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&path);
    let mut file = match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        opened => opened?,
    };
    let written = file
        .write_all(page_text(body_id, newest, &date).as_bytes())
        .and_then(|()| file.sync_all());
    if let Err(error) = written {
        // it is written again with the next look
        let _ = std::fs::remove_file(&path);
        return Err(error);
    }
    Ok(Some(path))
}

fn page_text(body_id: BodyId, newest: &SignedCheckpoint, date: &str) -> String {
    format!(
        "Checkpoint of the unsubscribe ledger, {date}\n\
         \n\
         For the data protection officer: please keep this page, on paper or where nobody who runs the\n\
         newsletter's database can change it.\n\
         \n\
         By {date} the ledger of body {body_id} had {} entries. The line below is signed by the newsletter's\n\
         worker and names all of them: if one of them is changed, removed or added later,\n\
         `letterbox ledger verify --checkpoints FILE` says so, with a FILE that holds this line.\n\
         \n\
         {}\n",
        newest.checkpoint.seq,
        Line::Checkpoint(*newest).write()
    )
}

/// Keys whose checkpoints this worker believes: its own, and those that signed what it kept.
pub(crate) fn believed(signer: &LedgerSigner, file: &CheckpointFile) -> Vec<PublicKey> {
    let mut keys = file.keys();
    keys.push(signer.key.public_key());
    keys
}

fn failure(reason: &'static str) {
    metrics::counter!("letterbox_ledger_checkpoint_failures_total", "reason" => reason)
        .increment(1);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; no ledger has 2⁵³ entries"
)]
pub(crate) fn gauge(name: &'static str, seq: u64) {
    metrics::gauge!(name).set(seq as f64);
}

fn describe_metrics() {
    metrics::describe_gauge!(
        "letterbox_ledger_head_seq",
        "The last entry of the unsubscribe ledger."
    );
    metrics::describe_gauge!(
        "letterbox_ledger_checkpoint_seq",
        "The last entry that a signed checkpoint covers."
    );
    metrics::describe_counter!(
        "letterbox_ledger_checkpoint_failures_total",
        "Times that no checkpoint could be signed or one was not to be believed, by reason: off_chain and foreign mean that somebody changed the database."
    );
    for reason in ["off_chain", "foreign", "disk", "database"] {
        metrics::counter!("letterbox_ledger_checkpoint_failures_total", "reason" => reason)
            .increment(0);
    }
}
