//! Any order of requests, crashes, sick disks and finished segments, against a list in memory.

use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::Timestamp;
use proptest::prelude::*;

use super::{Faults, Room, event, numbers, record_bytes, segment, unsubscribe};
use crate::{Spool, record};

#[derive(Debug, Clone)]
enum Step {
    Accept(u8),
    Reopen,
    /// A crash in the middle of a write: this much of the next record arrived.
    Torn(prop::sample::Index),
    /// One request each while writes, syncs or new segments fail.
    Sick(bool, bool, bool),
    /// So much of all is applied.
    Finish(prop::sample::Index),
    /// Seconds, back as well as forward.
    Clock(i16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..6u8).prop_map(Step::Accept),
        1 => Just(Step::Reopen),
        1 => any::<prop::sample::Index>().prop_map(Step::Torn),
        2 => any::<(bool, bool, bool)>().prop_map(|(a, b, c)| Step::Sick(a, b, c)),
        1 => any::<prop::sample::Index>().prop_map(Step::Finish),
        1 => any::<i16>().prop_map(Step::Clock),
    ]
}

struct Model {
    room: Room,
    spool: Option<(Spool, Arc<Faults>)>,
    /// What was answered: the request's number and the time, by seq.
    accepted: Vec<(u64, Timestamp)>,
    applied: u64,
    next_number: u64,
    /// Refused, and perhaps on disk all the same: whole until a new segment takes its place.
    in_doubt: Vec<u64>,
}

impl Model {
    fn spool(&self) -> &Spool {
        &self.spool.as_ref().unwrap().0
    }

    async fn accept(&mut self) {
        let number = self.next_number;
        self.next_number += 1;
        let answer = self
            .spool()
            .accept(event(number), &unsubscribe(number))
            .await;
        if let Ok(accepted) = answer {
            self.accepted.push((number, accepted.accepted_at));
            assert_eq!(accepted.seq, self.accepted.len() as u64);
            self.in_doubt.clear();
        } else {
            self.in_doubt.push(number);
        }
    }

    fn reopen(&mut self) {
        self.spool = None;
        self.spool = Some(self.room.try_open().unwrap());
        // A 503 promised nothing: the next start may find such a request whole and take it.
        let known = self.accepted.len() as u64;
        let more = self.spool().read_after(known, usize::MAX).unwrap();
        for (envelope, (_, number)) in more.iter().zip(numbers(&more)) {
            let number = number.unwrap();
            assert!(self.in_doubt.contains(&number), "{number} out of nowhere");
            self.accepted.push((number, envelope.accepted_at));
        }
        self.in_doubt.clear();
    }

    /// A crash that left a part of the next record.
    fn tear(&mut self, part: prop::sample::Index) {
        let (first, end) = {
            let state = self.spool().inner_state();
            (state.active_first(), state.active_bytes)
        };
        self.spool = None;
        let seq = self.accepted.len() as u64 + 1;
        let body = record::encode_body(seq, event(777), super::START, &unsubscribe(777));
        let whole = record::frame(&body).unwrap();
        // At least the zeros at its end are missing, or it would be whole. The spool writes over
        // nothing but zeros: over what a failed sync left behind, a part could be whole by chance.
        let mut written = vec![0; whole.len()];
        let part = part.index(whole.len() - 16);
        written[..part].copy_from_slice(&whole[..part]);
        let mut file = OpenOptions::new()
            .write(true)
            .open(segment(&self.room, first))
            .unwrap();
        file.seek(SeekFrom::Start(end)).unwrap();
        file.write_all(&written).unwrap();
        self.reopen();
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Accept(count) => {
                let before = self.accepted.len();
                for _ in 0..count {
                    self.accept().await;
                }
                assert_eq!(self.accepted.len(), before + usize::from(count));
            }
            Step::Reopen => self.reopen(),
            Step::Torn(part) => self.tear(part),
            Step::Sick(write, sync, create) => {
                let faults = Arc::clone(&self.spool.as_ref().unwrap().1);
                faults.write.store(write, Ordering::SeqCst);
                faults.sync.store(sync, Ordering::SeqCst);
                faults.created.store(create, Ordering::SeqCst);
                self.accept().await;
                self.accept().await;
                for fault in [&faults.write, &faults.sync, &faults.created] {
                    fault.store(false, Ordering::SeqCst);
                }
            }
            Step::Finish(part) => {
                let upto = part.index(self.accepted.len() + 1) as u64;
                self.applied = self.applied.max(upto);
                self.spool().finish_upto(self.applied).unwrap();
            }
            Step::Clock(seconds) => {
                let duration = Duration::from_secs(seconds.unsigned_abs().into());
                let now = domain::Clock::now(&*self.room.clock);
                let now = if seconds < 0 {
                    now.minus(duration)
                } else {
                    now.plus(duration)
                };
                self.room.clock.set(now);
            }
        }
    }

    /// What is not applied is all there; of stops, what is applied too.
    fn check(&self) {
        let from = if self.room.keep_archive.is_some() {
            0
        } else {
            self.applied
        };
        let envelopes = self.spool().read_after(from, usize::MAX).unwrap();
        let read: Vec<_> = numbers(&envelopes)
            .into_iter()
            .zip(envelopes.iter().map(|envelope| envelope.accepted_at))
            .collect();
        let expected: Vec<_> = (1..)
            .zip(&self.accepted)
            .map(|(seq, (number, at))| ((seq, Some(*number)), *at))
            .skip(usize::try_from(from).unwrap())
            .collect();
        assert_eq!(read, expected);
        assert!(self.accepted.is_sorted_by_key(|(_, at)| *at));
        assert_eq!(self.spool().last_seq(), self.accepted.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_the_answered_requests_are_there(
        steps in proptest::collection::vec(step(), 1..40),
        stops: bool,
    ) {
        let mut room = if stops { Room::of_stops() } else { Room::new() };
        room.segment_bytes = 4 * record_bytes() as u64 + 50;
        let spool = Some(room.try_open().unwrap());
        let mut model = Model { room, spool, accepted: Vec::new(), applied: 0, next_number: 1, in_doubt: Vec::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for step in steps {
                model.take(step).await;
                model.check();
            }
            model.reopen();
            model.check();
        });
    }
}
