//! What the lanes for issues share: recipients from their claim to the commit of their result.
//!
//! A recipient is `claimed`, then prepared, then `ready`, then in a lane, then in the tray; the database
//! has its result when the flusher says so, and only then is there room for another. So at most a window
//! of rows is ever being attempted, whatever a lane, the relay or the database does.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::MailKind;
use store::{AttemptResult, ClaimedDelivery, DeliveryAttempt, OwnedChunk};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::IssueInHand;
use super::prepare::Ready;
use super::settlement::count;
use super::window::Window;
use crate::boot_clock::{BootClock, Moment};

/// So many results are worth a statement, however large the window.
const TOGETHER: usize = 256;
/// A result waits this long for company, at most.
const PATIENCE: Duration = Duration::from_millis(100);

/// A recipient who was claimed, still sealed.
pub(super) struct Claimed {
    pub(super) chunk: OwnedChunk,
    pub(super) issue: Arc<IssueInHand>,
    pub(super) row: ClaimedDelivery,
    /// When the reasons to mail them were read.
    pub(super) looked_at: Moment,
}

/// A recipient whose mail can go.
pub(super) struct Letter {
    pub(super) chunk: OwnedChunk,
    pub(super) key: DeliveryAttempt,
    pub(super) ready: Ready,
    pub(super) looked_at: Moment,
}

/// What the database has to be told.
#[derive(Default)]
pub(super) struct Tray {
    pub(super) results: Vec<(DeliveryAttempt, AttemptResult)>,
    pub(super) released: Vec<DeliveryAttempt>,
    /// The chunks of all of these.
    chunks: Vec<OwnedChunk>,
    since: Option<Instant>,
}

/// A chunk that this worker has.
#[derive(Debug, Default)]
struct Hand {
    /// Recipients whose result the database does not have.
    out: usize,
    /// Nobody else will be claimed from it.
    is_over: bool,
    /// The answer to a claim was lost: there may be rows that nobody here knows.
    has_unknown: bool,
}

/// A chunk to hand back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) chunk: OwnedChunk,
    pub(super) has_unknown: bool,
}

/// The desk.
pub(super) struct Desk {
    state: Mutex<State>,
    claimed: Notify,
    ready: Notify,
    room: Notify,
    tray: Notify,
}

struct State {
    window: Window,
    claimed: VecDeque<Claimed>,
    ready: VecDeque<Letter>,
    /// In the hands of preparers.
    preparing: usize,
    /// Claimed, and without a result in the database.
    held: usize,
    tray: Tray,
    hands: HashMap<OwnedChunk, Hand>,
    is_closed: bool,
}

impl Desk {
    pub(super) fn new(lanes: usize, window: u16) -> Self {
        Self {
            state: Mutex::new(State {
                window: Window::new(lanes, window.into()),
                claimed: VecDeque::new(),
                ready: VecDeque::new(),
                preparing: 0,
                held: 0,
                tray: Tray::default(),
                hands: HashMap::new(),
                is_closed: false,
            }),
            claimed: Notify::new(),
            ready: Notify::new(),
            room: Notify::new(),
            tray: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- the claimer's side

    /// How many recipients may be claimed now, if the way to the relay takes `way` in a second; 0 where
    /// it is not worth a statement.
    pub(super) fn room(&self, way: usize) -> usize {
        let state = self.state();
        state.window.room(state.held, way)
    }

    /// Waits until there may be room.
    pub(super) async fn until_room(&self) {
        self.room.notified().await;
    }

    /// These are being attempted, by the database.
    pub(super) fn add(&self, chunk: OwnedChunk, claimed: Vec<Claimed>) {
        let number = claimed.len();
        {
            let mut state = self.state();
            state.held += number;
            state.hands.entry(chunk).or_default().out += number;
            state.claimed.extend(claimed);
        }
        // more than one preparer, and each takes several
        self.claimed.notify_waiters();
    }

    /// Nobody else is claimed from this chunk: it is handed back with its last result.
    pub(super) fn finish(&self, chunk: OwnedChunk, has_unknown: bool) {
        let mut state = self.state();
        let hand = state.hands.entry(chunk).or_default();
        hand.is_over = true;
        hand.has_unknown |= has_unknown;
        drop(state);
        self.tray.notify_one();
    }

    /// Gives back all recipients whose mail has not begun.
    pub(super) fn give_back_unsent(&self) {
        let mut state = self.state();
        let claimed = std::mem::take(&mut state.claimed);
        for claimed in claimed {
            state.tray.release(claimed.chunk, claimed.row.key);
        }
        let ready = std::mem::take(&mut state.ready);
        for letter in ready {
            state.tray.release(letter.chunk, letter.key);
        }
        drop(state);
        self.tray.notify_one();
    }

    /// Nothing else is sent: what comes to the desk from now on goes back.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.give_back_unsent();
    }

    // --- the preparers' side

    /// Waits for recipients to prepare and takes some of one chunk.
    pub(super) async fn next_claimed(&self, most: usize) -> Vec<Claimed> {
        loop {
            let claimed = self.claimed.notified();
            tokio::pin!(claimed);
            claimed.as_mut().enable();
            {
                let mut state = self.state();
                if let Some(chunk) = state.claimed.front().map(|first| first.chunk) {
                    let of_it = |claimed: &&Claimed| claimed.chunk == chunk;
                    let number = state.claimed.iter().take(most).take_while(of_it).count();
                    state.preparing += number;
                    return state.claimed.drain(..number).collect();
                }
            }
            claimed.await;
        }
    }

    /// These can go, and of these there is a result already.
    pub(super) fn prepared(
        &self,
        letters: Vec<Letter>,
        failed: Vec<(OwnedChunk, DeliveryAttempt, AttemptResult)>,
    ) {
        let number = letters.len();
        let mut state = self.state();
        let is_first = state.tray.is_empty();
        state.preparing -= number + failed.len();
        for (chunk, key, result) in failed {
            state.tray.settle(chunk, key, result);
        }
        if state.is_closed {
            for letter in letters {
                state.tray.release(letter.chunk, letter.key);
            }
        } else {
            state.ready.extend(letters);
        }
        let is_due = state.is_due(Instant::now());
        drop(state);
        for _ in 0..number {
            self.ready.notify_one();
        }
        if is_first || is_due {
            self.tray.notify_one();
        }
    }

    /// These could not be prepared and go back.
    pub(super) fn unprepared(&self, rows: &[(OwnedChunk, DeliveryAttempt)]) {
        let mut state = self.state();
        state.preparing -= rows.len();
        for (chunk, key) in rows {
            state.tray.release(*chunk, *key);
        }
        drop(state);
        self.tray.notify_one();
    }

    // --- the lanes' side

    /// Waits for a letter.
    pub(super) async fn next_letter(&self, clock: &dyn BootClock) -> Letter {
        loop {
            let ready = self.ready.notified();
            tokio::pin!(ready);
            ready.as_mut().enable();
            {
                let mut state = self.state();
                if let Some(letter) = state.ready.pop_front() {
                    state.window.waited(letter.looked_at, clock.now());
                    return letter;
                }
            }
            ready.await;
        }
    }

    /// The letter's attempt is over.
    pub(super) fn settle(&self, chunk: OwnedChunk, key: DeliveryAttempt, result: AttemptResult) {
        let mut state = self.state();
        let is_first = state.tray.is_empty();
        state.tray.settle(chunk, key, result);
        let is_due = state.is_due(Instant::now());
        drop(state);
        // the flusher looks at its watch from the first one on
        if is_first || is_due {
            self.tray.notify_one();
        }
    }

    /// The letter was not sent.
    pub(super) fn give_back(&self, letter: &Letter) {
        self.state().tray.release(letter.chunk, letter.key);
        self.tray.notify_one();
    }

    // --- the flusher's side

    /// Waits until there is something to write down; none once the desk is closed and cleared.
    pub(super) async fn next_tray(&self) -> Option<Tray> {
        loop {
            let wait = {
                let mut state = self.state();
                let now = Instant::now();
                if state.is_due(now) {
                    return Some(std::mem::take(&mut state.tray));
                }
                if state.hands.values().any(Hand::is_finished) {
                    return Some(Tray::default());
                }
                if state.is_closed && state.held == 0 {
                    return None;
                }
                state.tray.since.map(|since| since + PATIENCE - now)
            };
            if let Some(wait) = wait {
                // a notification only makes it earlier
                let _ = tokio::time::timeout(wait, self.tray.notified()).await;
            } else {
                self.tray.notified().await;
            }
        }
    }

    /// The database has all of this, or the journal keeps it for the next start. Gives the chunks that
    /// are to be handed back.
    pub(super) fn written(&self, tray: &Tray) -> Vec<Finished> {
        let mut state = self.state();
        state.held -= tray.chunks.len();
        for chunk in &tray.chunks {
            if let Some(hand) = state.hands.get_mut(chunk) {
                hand.out -= 1;
            }
        }
        let finished: Vec<Finished> = state
            .hands
            .iter()
            .filter(|(_, hand)| hand.is_finished())
            .map(|(chunk, hand)| Finished {
                chunk: *chunk,
                has_unknown: hand.has_unknown,
            })
            .collect();
        for finished in &finished {
            state.hands.remove(&finished.chunk);
        }
        drop(state);
        self.room.notify_one();
        finished
    }
}

impl State {
    fn is_due(&self, now: Instant) -> bool {
        let tray = &self.tray;
        if tray.is_empty() {
            return false;
        }
        let results = tray.results.len();
        results >= TOGETHER
            || !tray.released.is_empty()
            || self.is_closed
            || tray.since.is_some_and(|since| now - since >= PATIENCE)
            // the lanes have nothing until this is written down
            || (self.claimed.is_empty()
                && self.ready.is_empty()
                && self.preparing == 0
                && self.window.room(self.held, usize::MAX) == 0)
            || self.window.is_large_part(results)
    }
}

impl Hand {
    const fn is_finished(&self) -> bool {
        self.is_over && self.out == 0
    }
}

impl Tray {
    fn settle(&mut self, chunk: OwnedChunk, key: DeliveryAttempt, result: AttemptResult) {
        count(MailKind::Issue, result.state, 1);
        self.results.push((key, result));
        self.note(chunk);
    }

    fn release(&mut self, chunk: OwnedChunk, key: DeliveryAttempt) {
        self.released.push(key);
        self.note(chunk);
    }

    const fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    fn note(&mut self, chunk: OwnedChunk) {
        self.chunks.push(chunk);
        self.since.get_or_insert_with(Instant::now);
    }
}
