//! One record of the journal: 64 bytes, big-endian, each readable by itself.
//!
//! | off | len | field |
//! | --- | --- | --- |
//! | 0 | 1 | 1 dot, 2 result, 3 the mark; 0 for a place never written |
//! | 1 | 1 | 0 delivery of an issue, 1 one-to-one mail |
//! | 2 | 1 | result: the new state's number |
//! | 3 | 1 | result: bit 0 code, 1 enhanced code, 2 not before, 3 the attempt counts |
//! | 4 | 2 | result: the relay's code |
//! | 6 | 3 | result: the enhanced code |
//! | 9 | 1 | 0 |
//! | 10 | 2 | attempt |
//! | 12 | 4 | epoch |
//! | 16 | 8 | issue number, or the mail's row |
//! | 24 | 8 | the subscriber's row; 0 for a mail |
//! | 32 | 2 | how often the ring was full before, modulo 65,536 |
//! | 34 | 6 | time, milliseconds since 1970 |
//! | 40 | 16 | `subscription_id`, or the mail's `box_id`: with the issue it gives the Message-ID |
//! | 56 | 4 | result: seconds from the time to "not before" |
//! | 60 | 4 | CRC-32C of the bytes before |
//!
//! The mark, in the first place of the file, has in bytes 16 to 23 the number of the oldest record that
//! the database may not have; records are numbered from 0, for ever. All else in it is 0.

use std::time::Duration;

use domain::{DeliveryState, IssueNumber, Timestamp};
use store::{AttemptResult, DeliveryAttempt, MailAttempt};

/// Bytes of a record.
pub(crate) const RECORD: usize = 64;

/// What was attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Attempt {
    /// An issue to one recipient.
    Delivery(DeliveryAttempt),
    /// A one-to-one mail.
    Mail(MailAttempt),
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The end of the message is about to be handed to the socket.
    Dot,
    /// The attempt is over.
    Result(AttemptResult),
}

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// What was attempted.
    pub(crate) attempt: Attempt,
    /// What happened.
    pub(crate) event: Event,
    /// When.
    pub(crate) at: Timestamp,
    /// `subscription_id` or `box_id`.
    pub(crate) subject: [u8; 16],
}

/// What a place in the journal holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Never written.
    Empty,
    /// A record, and the lap of the ring that it was written in.
    Written(Record, u16),
    /// Something that no worker wrote in full.
    Damaged,
}

impl Record {
    pub(crate) fn encode(&self, lap: u16) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        if let Event::Result(result) = self.event {
            bytes[0] = 2;
            bytes[2] = u8::try_from(result.state.number()).unwrap_or(u8::MAX);
            bytes[3] = u8::from(result.code.is_some())
                | u8::from(result.enhanced.is_some()) << 1
                | u8::from(result.not_before.is_some()) << 2
                | u8::from(result.counts) << 3;
            bytes[4..6].copy_from_slice(&result.code.unwrap_or(0).to_be_bytes());
            bytes[6..9].copy_from_slice(&result.enhanced.unwrap_or([0; 3]));
            let wait = result
                .not_before
                .map_or(0, |at| at.since(self.at).as_secs());
            let wait = u32::try_from(wait).unwrap_or(u32::MAX);
            bytes[56..60].copy_from_slice(&wait.to_be_bytes());
        } else {
            bytes[0] = 1;
        }
        let (number, epoch, item, subscriber) = match self.attempt {
            Attempt::Delivery(key) => (
                key.attempt,
                key.epoch,
                i64::from(key.issue.0),
                key.subscriber,
            ),
            Attempt::Mail(key) => {
                bytes[1] = 1;
                (key.attempt, key.epoch, key.mail, 0)
            }
        };
        bytes[10..12].copy_from_slice(&number.to_be_bytes());
        bytes[12..16].copy_from_slice(&epoch.to_be_bytes());
        bytes[16..24].copy_from_slice(&item.to_be_bytes());
        bytes[24..32].copy_from_slice(&subscriber.to_be_bytes());
        // six bytes last for eight thousand years
        bytes[32..40].copy_from_slice(&self.at.as_millis().to_be_bytes());
        bytes[32..34].copy_from_slice(&lap.to_be_bytes());
        bytes[40..56].copy_from_slice(&self.subject);
        sealed(bytes)
    }
}

const MARK: u8 = 3;

/// The first place of a journal whose records up to this number are flushed.
pub(super) fn encode_mark(oldest: u64) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    bytes[0] = MARK;
    bytes[16..24].copy_from_slice(&oldest.to_be_bytes());
    sealed(bytes)
}

/// The number in a mark; none where the place holds something else.
pub(super) fn decode_mark(bytes: &[u8; RECORD]) -> Option<u64> {
    let is_mark = bytes[0] == MARK && is_sealed(bytes);
    is_mark.then(|| u64::from_be_bytes(field(bytes, 16)))
}

fn sealed(mut bytes: [u8; RECORD]) -> [u8; RECORD] {
    let checksum = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn is_sealed(bytes: &[u8; RECORD]) -> bool {
    field::<4>(bytes, 60) == crc32c::crc32c(&bytes[..60]).to_be_bytes()
}

impl Place {
    pub(crate) fn decode(bytes: &[u8; RECORD]) -> Self {
        if bytes.iter().all(|byte| *byte == 0) {
            return Self::Empty;
        }
        if !is_sealed(bytes) {
            return Self::Damaged;
        }
        let lap = u16::from_be_bytes(field(bytes, 32));
        decode_checked(bytes).map_or(Self::Damaged, |record| Self::Written(record, lap))
    }
}

fn field<const N: usize>(bytes: &[u8; RECORD], offset: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[offset + index])
}

fn decode_checked(bytes: &[u8; RECORD]) -> Option<Record> {
    let attempt = i16::from_be_bytes(field(bytes, 10));
    let epoch = i32::from_be_bytes(field(bytes, 12));
    let item = i64::from_be_bytes(field(bytes, 16));
    let attempt = match bytes[1] {
        0 => Attempt::Delivery(DeliveryAttempt {
            issue: IssueNumber(u32::try_from(item).ok()?),
            subscriber: i64::from_be_bytes(field(bytes, 24)),
            epoch,
            attempt,
        }),
        1 => Attempt::Mail(MailAttempt {
            mail: item,
            epoch,
            attempt,
        }),
        _ => return None,
    };
    let millis = u64::from_be_bytes(field(bytes, 32)) & (u64::MAX >> 16);
    let at = Timestamp::from_millis(millis);
    let flag = |bit: u8| bytes[3] & (1 << bit) != 0;
    let event = match bytes[0] {
        1 => Event::Dot,
        2 => Event::Result(AttemptResult {
            state: DeliveryState::from_number(i16::from(bytes[2]))?,
            code: flag(0).then(|| u16::from_be_bytes(field(bytes, 4))),
            enhanced: flag(1).then(|| field(bytes, 6)),
            not_before: flag(2).then(|| {
                let wait = u32::from_be_bytes(field(bytes, 56));
                at.plus(Duration::from_secs(u64::from(wait)))
            }),
            counts: flag(3),
        }),
        _ => return None,
    };
    Some(Record {
        attempt,
        event,
        at,
        subject: field(bytes, 40),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_record() -> impl Strategy<Value = Record> {
        let attempt = prop_oneof![
            (any::<u32>(), any::<i64>(), any::<i32>(), any::<i16>()).prop_map(
                |(issue, subscriber, epoch, attempt)| Attempt::Delivery(DeliveryAttempt {
                    issue: IssueNumber(issue),
                    subscriber,
                    epoch,
                    attempt,
                })
            ),
            (any::<i64>(), any::<i32>(), any::<i16>()).prop_map(|(mail, epoch, attempt)| {
                Attempt::Mail(MailAttempt {
                    mail,
                    epoch,
                    attempt,
                })
            }),
        ];
        let at = 0..4_000_000_000_000u64;
        let result = (
            0..11i16,
            proptest::option::of(any::<u16>()),
            proptest::option::of(any::<[u8; 3]>()),
            proptest::option::of(any::<u32>()),
            any::<bool>(),
        );
        (attempt, at, any::<[u8; 16]>(), proptest::option::of(result)).prop_map(
            |(attempt, at, subject, result)| {
                let at = Timestamp::from_millis(at);
                let event = result.map_or(Event::Dot, |(state, code, enhanced, wait, counts)| {
                    Event::Result(AttemptResult {
                        state: DeliveryState::from_number(state).unwrap(),
                        code,
                        enhanced,
                        not_before: wait.map(|wait| at.plus(Duration::from_secs(u64::from(wait)))),
                        counts,
                    })
                });
                Record {
                    attempt,
                    event,
                    at,
                    subject,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(record in any_record(), lap in any::<u16>()) {
            prop_assert_eq!(Place::decode(&record.encode(lap)), Place::Written(record, lap));
        }

        #[test]
        fn a_changed_byte_is_noticed(record in any_record(), at in 0..RECORD, change in 1..=255u8) {
            let mut bytes = record.encode(7);
            bytes[at] ^= change;
            prop_assert_eq!(Place::decode(&bytes), Place::Damaged);
        }

        #[test]
        fn garbage_is_never_a_record(bytes in any::<[u8; 32]>(), more in any::<[u8; 32]>()) {
            let mut place = [0; RECORD];
            place[..32].copy_from_slice(&bytes);
            place[32..].copy_from_slice(&more);
            prop_assert!(!matches!(Place::decode(&place), Place::Written(..)));
        }

        #[test]
        fn a_torn_record_is_not_read_as_whole(record in any_record(), kept in 0..RECORD) {
            let mut bytes = record.encode(7);
            let whole = bytes;
            bytes[kept..].fill(0);
            if bytes != whole {
                prop_assert!(!matches!(Place::decode(&bytes), Place::Written(..)));
            }
        }
    }

    #[test]
    fn a_mark_is_a_mark_and_no_record() {
        let bytes = encode_mark(1 << 40);
        assert_eq!(decode_mark(&bytes), Some(1 << 40));
        assert_eq!(Place::decode(&bytes), Place::Damaged);
        assert_eq!(decode_mark(&[0; RECORD]), None);
    }

    #[test]
    fn a_place_never_written_is_empty() {
        assert_eq!(Place::decode(&[0; RECORD]), Place::Empty);
    }
}
