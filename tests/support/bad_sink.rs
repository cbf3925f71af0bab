//! `badsink` of `reliability.md` 8.1: a relay that breaks off, resets, keeps silent, answers late, in
//! bytes or in a lump, where a script says so; and that writes down each transaction before it answers.
//!
//! Plain threads, one a connection: no runtime whose own faults could be taken for Letterbox's.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;

use crate::bad_connection::serve;
use crate::{Entry, Fault, Moment, script_of, wait_until};

/// What all connections share.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    planned: Mutex<HashMap<Moment, VecDeque<Fault>>>,
    obeyed: Mutex<HashSet<String>>,
    entries: Mutex<Vec<Entry>>,
    slowness: Mutex<Duration>,
    pub(crate) obeys_names: AtomicBool,
    pub(crate) keeps_messages: AtomicBool,
    pub(crate) lock_step: AtomicBool,
    pub(crate) silent: AtomicBool,
    pub(crate) closing: AtomicBool,
    pub(crate) open: AtomicUsize,
    pub(crate) most_open: AtomicUsize,
    pub(crate) recipients: AtomicUsize,
    connections: AtomicU64,
}

/// The relay; it stops when dropped.
#[derive(Debug)]
pub struct BadSink {
    port: u16,
    desk: Arc<Desk>,
    acceptor: Option<std::thread::JoinHandle<()>>,
}

impl BadSink {
    /// A relay that does nothing bad yet.
    ///
    /// # Errors
    /// There is no port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let desk = Arc::new(Desk::default());
        desk.silent.store(true, Ordering::SeqCst);
        let shared = Arc::clone(&desk);
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.closing.load(Ordering::SeqCst) {
                    break;
                }
                let (desk, number) = (
                    Arc::clone(&shared),
                    shared.connections.fetch_add(1, Ordering::SeqCst),
                );
                std::thread::spawn(move || {
                    let open = desk.open.fetch_add(1, Ordering::SeqCst) + 1;
                    desk.most_open.fetch_max(open, Ordering::SeqCst);
                    // A connection that breaks is what this relay is for.
                    drop(serve(&desk, stream, number));
                    desk.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(Self {
            port,
            desk,
            acceptor: Some(acceptor),
        })
    }

    /// `smtp://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Its port on loopback.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whoever comes to this moment next gets this fault, so many times; behind what was planned before.
    pub fn plan(&self, moment: Moment, fault: &Fault, times: usize) {
        let mut planned = lock(&self.desk.planned);
        let queue = planned.entry(moment).or_default();
        queue.extend(std::iter::repeat_n(fault.clone(), times));
    }

    /// Nothing is planned any more.
    pub fn forget_plans(&self) {
        lock(&self.desk.planned).clear();
    }

    /// How many planned faults wait for somebody to come.
    #[must_use]
    pub fn planned(&self) -> usize {
        lock(&self.desk.planned).values().map(VecDeque::len).sum()
    }

    /// Does to each recipient what the local part says, once (`sink_script`).
    pub fn obey_names(&self, obeys: bool) {
        self.desk.obeys_names.store(obeys, Ordering::SeqCst);
    }

    /// Keeps every byte of each message from now on.
    pub fn keep_messages(&self, keeps: bool) {
        self.desk.keeps_messages.store(keeps, Ordering::SeqCst);
    }

    /// Does not offer `PIPELINING` to connections from now on.
    pub fn lock_step(&self) {
        self.desk.lock_step.store(true, Ordering::SeqCst);
    }

    /// Thinks so long about each message, after its dot.
    pub fn set_slowness(&self, slowness: Duration) {
        *lock(&self.desk.slowness) = slowness;
    }

    /// Ends every silence: those connections are closed, and later ones that would fall silent too.
    pub fn end_silence(&self) {
        self.desk.silent.store(false, Ordering::SeqCst);
    }

    /// What was written down so far.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        lock(&self.desk.entries).clone()
    }

    /// How many messages were taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        let entries = lock(&self.desk.entries);
        entries.iter().filter(|entry| entry.is_taken()).count()
    }

    /// How many messages of this issue were taken.
    #[must_use]
    pub fn taken_of(&self, issue: u32) -> usize {
        let entries = lock(&self.desk.entries);
        let of_it = |entry: &&Entry| entry.is_taken() && entry.subscription(issue).is_some();
        entries.iter().filter(of_it).count()
    }

    /// How often `RCPT TO` was said, answered or not.
    #[must_use]
    pub fn recipients(&self) -> usize {
        self.desk.recipients.load(Ordering::SeqCst)
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.desk.open.load(Ordering::SeqCst)
    }

    /// The most connections that were open at a time since this was asked last.
    #[must_use]
    pub fn most_open(&self) -> usize {
        let now = self.open();
        self.desk.most_open.swap(now, Ordering::SeqCst)
    }

    /// Waits until so many messages of an issue were taken.
    ///
    /// # Errors
    /// They are not, by then.
    pub fn wait_for_taken(&self, issue: u32, number: usize, deadline: Duration) -> Result<()> {
        wait_until(
            &format!("{number} copies of issue {issue}"),
            deadline,
            || Ok(self.taken_of(issue) >= number),
        )
    }
}

impl Drop for BadSink {
    fn drop(&mut self) {
        self.desk.closing.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Desk {
    /// What is to happen here: what was planned, or what the name of the recipient says.
    pub(crate) fn fault(&self, moment: Moment, recipient: Option<&str>) -> Option<Fault> {
        if let Some(fault) = lock(&self.planned)
            .get_mut(&moment)
            .and_then(VecDeque::pop_front)
        {
            return Some(fault);
        }
        let recipient = recipient.filter(|_| self.obeys_names.load(Ordering::SeqCst))?;
        let (at, fault) = script_of(recipient)?;
        (at == moment && lock(&self.obeyed).insert(recipient.to_owned())).then_some(fault)
    }

    /// Writes a transaction down.
    pub(crate) fn write_down(&self, entry: Entry) {
        lock(&self.entries).push(entry);
    }

    pub(crate) fn slowness(&self) -> Duration {
        *lock(&self.slowness)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
