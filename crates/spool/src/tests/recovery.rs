//! What is left after crashes, and after disks that forget.

use std::fs;
use std::time::Duration;

use super::{Room, START, accept, all, event, record_bytes, segment, unsubscribe, whole};
use crate::scan::{self, Ending};
use crate::{OpenError, record};

fn five() -> Vec<u8> {
    records(1..=5)
}

fn records(seqs: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for seq in seqs {
        let body = record::encode_body(seq, event(seq), START, &unsubscribe(seq));
        bytes.extend(record::frame(&body).unwrap());
    }
    bytes
}

#[tokio::test]
async fn what_was_accepted_is_there_after_a_restart_and_seqs_go_on() {
    let room = Room::new();
    let spool = room.open();
    let id = spool.spool_id();
    for number in 1..=100 {
        assert_eq!(accept(&spool, number).await.seq, number);
    }
    assert_eq!(all(&spool), whole(100));
    drop(spool);
    let spool = room.open();
    assert_eq!(spool.spool_id(), id);
    assert_eq!(spool.last_seq(), 100);
    assert_eq!(accept(&spool, 101).await.seq, 101);
    assert_eq!(all(&spool), whole(101));
    assert!(segment(&room, 1).exists());
    assert!(
        fs::read_dir(room.path()).unwrap().count() > 4,
        "one segment only"
    );
    let some = spool.read_after(20, 30).unwrap();
    assert_eq!(super::numbers(&some), &whole(50)[20..]);
    assert_eq!(spool.read_after(101, 5).unwrap(), []);
}

#[tokio::test]
async fn a_real_segment_has_4_mib_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let settings = crate::SpoolSettings {
        folder: folder.path().join("deep/spool"),
        limit_bytes: crate::STOP_LIMIT_BYTES,
        keep_archive: None,
    };
    let clock = std::sync::Arc::new(domain::ManualClock::new(START));
    let spool = crate::Spool::open(settings, clock, &domain::CountingEntropy::default()).unwrap();
    accept(&spool, 1).await;
    let file = folder.path().join("deep/spool/00000000000000000001");
    assert_eq!(fs::metadata(file).unwrap().len(), 4 << 20);
}

#[test]
fn a_tail_torn_at_any_byte_loses_only_the_unfinished_record() {
    let bytes = five();
    let record = record_bytes();
    for cut in 0..=bytes.len() {
        for zeros in [0, 64] {
            let mut torn = bytes[..cut].to_vec();
            torn.resize(cut + zeros, 0);
            let scan = scan::scan(&torn, 1, START).unwrap();
            // Zeros at the end of a record look like preallocated ones, so it can be whole.
            let last_whole = bytes[cut..cut.next_multiple_of(record).min(bytes.len())]
                .iter()
                .all(|byte| *byte == 0);
            let expected = if last_whole && zeros > 0 {
                cut.div_ceil(record)
            } else {
                cut / record
            };
            assert_eq!(scan.slots.len(), expected, "cut at {cut}");
            assert!(scan.slots.iter().all(|slot| slot.place.is_some()));
            assert_eq!(scan.end, expected * record);
            let clean = scan.end >= cut || bytes[scan.end..cut].iter().all(|byte| *byte == 0);
            assert_eq!(scan.ending == Ending::Clean, clean, "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn a_spool_goes_on_after_a_torn_tail() {
    let record = record_bytes();
    for cut in [0, 1, 7, 8, 9, record / 2, record - 1] {
        let room = Room::new();
        let spool = room.open();
        for number in 1..=3 {
            accept(&spool, number).await;
        }
        drop(spool);
        let path = segment(&room, 1);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..2 * record + cut]).unwrap();
        let spool = room.open();
        assert_eq!(all(&spool), whole(2));
        let repaired = fs::read(&path).unwrap();
        assert_eq!(repaired.len(), bytes.len());
        assert!(repaired[2 * record..].iter().all(|byte| *byte == 0));
        assert_eq!(accept(&spool, 3).await.seq, 3);
        assert_eq!(accept(&spool, 4).await.seq, 4);
        drop(spool);
        assert_eq!(all(&room.open()), whole(4), "cut at {cut}");
    }
}

#[test]
fn a_flipped_byte_anywhere_makes_a_tombstone_of_its_record_alone() {
    let bytes = five();
    let record = record_bytes();
    for offset in 2 * record..3 * record {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[offset] ^= flip;
            let scan = scan::scan(&damaged, 1, START).unwrap();
            let is_there: Vec<bool> = scan.slots.iter().map(|slot| slot.place.is_some()).collect();
            assert_eq!(
                is_there,
                [true, true, false, true, true],
                "at {offset} by {flip}"
            );
            assert_eq!((scan.end, scan.ending), (bytes.len(), Ending::Clean));
            assert_eq!(scan.slots[2].accepted_at, START);
        }
    }
}

#[test]
fn a_seq_that_is_out_of_turn_is_no_record_of_that_place() {
    // Seqs as written; whether a record is found for 1, 2, 3 …; how many are read over.
    let cases: [(&[u64], &[bool], usize); 5] = [
        (&[1, 2, 5], &[true, true, false, false, true], 3),
        (&[1, 2, 2, 4], &[true, true, false, true], 4),
        (&[1, 2, 1], &[true, true], 2),
        (&[1, 2, 2, 3], &[true, true], 2),
        (&[1, 2, 9_999], &[true, true], 2),
    ];
    for (seqs, found, length) in cases {
        let bytes = records(seqs.iter().copied());
        let scan = scan::scan(&bytes, 1, START).unwrap();
        let is_there: Vec<bool> = scan.slots.iter().map(|slot| slot.place.is_some()).collect();
        assert_eq!(is_there, found, "{seqs:?}");
        assert_eq!(scan.end, records(seqs[..length].iter().copied()).len());
        let ending = if length == seqs.len() {
            Ending::Clean
        } else {
            Ending::Torn
        };
        assert_eq!(scan.ending, ending);
    }
}

#[tokio::test]
async fn damage_in_closed_and_active_segments_reads_as_tombstones() {
    let mut room = Room::new();
    let record = record_bytes();
    room.segment_bytes = 3 * record as u64 + 20;
    let spool = room.open();
    for number in 1..=8 {
        room.clock.advance(Duration::from_secs(1));
        accept(&spool, number).await;
    }
    drop(spool);
    // The last of the first segment, the first of the second, the first of the active one.
    for (first, offset) in [(1, 2 * record + 5), (4, 20), (7, 90)] {
        let path = segment(&room, first);
        let mut bytes = fs::read(&path).unwrap();
        bytes[offset] ^= 0x10;
        fs::write(&path, bytes).unwrap();
    }
    for _ in 0..2 {
        let spool = room.open();
        let mut expected = whole(8);
        for seq in [3, 4, 7] {
            expected[seq - 1].1 = None;
        }
        assert_eq!(all(&spool), expected);
        let envelopes = spool.read_after(0, 10).unwrap();
        // accepted_at of the record before
        for seq in [3, 4] {
            assert_eq!(envelopes[seq - 1].accepted_at, envelopes[1].accepted_at);
        }
        assert_eq!(envelopes[6].accepted_at, envelopes[5].accepted_at);
        assert_eq!(spool.last_seq(), 8);
    }
}

#[tokio::test]
async fn damage_while_it_runs_reads_as_a_tombstone_too() {
    let room = Room::of_stops();
    let spool = room.open();
    for number in 1..=3 {
        accept(&spool, number).await;
    }
    let path = segment(&room, 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[2 * record_bytes() + 30] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(all(&spool), [(1, Some(1)), (2, Some(2)), (3, None)]);
    assert!(spool.read_after(2, 1).unwrap()[0].stop, "it was a stop");
}

#[tokio::test]
async fn accepted_at_never_goes_back() {
    let room = Room::new();
    let spool = room.open();
    let first = accept(&spool, 1).await.accepted_at;
    room.clock.set(START.minus(Duration::from_hours(1)));
    assert_eq!(accept(&spool, 2).await.accepted_at, first);
    drop(spool);
    let spool = room.open();
    assert_eq!(accept(&spool, 3).await.accepted_at, first);
    room.clock.set(START.plus(Duration::from_secs(1)));
    assert!(accept(&spool, 4).await.accepted_at > first);
}

#[tokio::test]
async fn accepted_at_does_not_go_back_when_all_records_are_gone() {
    let room = Room::new();
    let spool = room.open();
    let first = accept(&spool, 1).await.accepted_at;
    room.clock.advance(Duration::from_hours(25));
    spool.finish_upto(1).unwrap();
    assert!(!segment(&room, 1).exists());
    drop(spool);
    room.clock.set(START.minus(Duration::from_hours(1)));
    let spool = room.open();
    assert_eq!(spool.last_seq(), 1);
    let second = accept(&spool, 2).await;
    assert_eq!((second.seq, second.accepted_at), (2, first));
}

#[tokio::test]
async fn a_copy_of_the_folder_at_any_moment_holds_all_that_was_answered() {
    let room = Room::new();
    let spool = room.open();
    let writing = spool.clone();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        for number in 1..=200 {
            accept(&writing, number).await;
        }
    });
    for _ in 0..20 {
        let seen = spool.last_seq();
        let copy = Room::new();
        for entry in fs::read_dir(room.path()).unwrap() {
            let entry = entry.unwrap();
            // A file may be renamed meanwhile; a power cut would see one name or the other.
            let _ = fs::copy(entry.path(), copy.path().join(entry.file_name()));
        }
        let copied = copy.open();
        let there = all(&copied);
        assert!(copied.last_seq() >= seen);
        assert_eq!(there, whole(copied.last_seq()));
        spool.wait_beyond(seen.min(150)).await;
    }
    tasks.join_next().await.unwrap().unwrap();
    assert_eq!(all(&spool), whole(200));
}

#[tokio::test]
async fn an_id_is_never_made_up_beside_records() {
    let room = Room::new();
    accept(&room.open(), 1).await;
    let path = room.path().join("spool-id");
    let text = fs::read_to_string(&path).unwrap();
    for bad in ["", "abc", &text.to_uppercase(), &text[1..], "é"] {
        fs::write(&path, bad).unwrap();
        if bad == text {
            continue;
        }
        let refused = room.try_open().err().unwrap();
        assert!(matches!(refused, OpenError::Id { .. }), "{bad:?}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        room.try_open().err().unwrap(),
        OpenError::Id { .. }
    ));
    fs::write(&path, text).unwrap();
    assert_eq!(all(&room.open()), whole(1));
}

#[tokio::test]
async fn a_segment_of_a_newer_version_is_left_alone() {
    let room = Room::new();
    accept(&room.open(), 1).await;
    let newer = record::frame(&[0xa1, 0x61, b'v', 0x02]).unwrap();
    let path = segment(&room, 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[record_bytes()..record_bytes() + newer.len()].copy_from_slice(&newer);
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(
        room.try_open().err().unwrap(),
        OpenError::Newer { .. }
    ));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn a_half_made_segment_is_swept_away() {
    let room = Room::new();
    accept(&room.open(), 1).await;
    let half = room.path().join("00000000000000000002.new");
    fs::write(&half, "half").unwrap();
    assert_eq!(all(&room.open()), whole(1));
    assert!(!half.exists());
}
