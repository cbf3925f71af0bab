//! The folder of a machine that is gone: everything in it is read, what is wrong is named, and nothing is
//! changed.

use std::fs;
use std::time::Duration;

use super::{Room, accept, numbers, record_bytes, segment, whole};
use crate::{LeftBehind, OpenError, Spool};

/// Three records a segment, nine records, the first six of them archived.
async fn nine() -> (Room, Spool) {
    let mut room = Room::of_stops();
    room.segment_bytes = 3 * record_bytes() as u64 + 20;
    let spool = room.open();
    for number in 1..=9 {
        room.clock.advance(Duration::from_secs(1));
        accept(&spool, number).await;
    }
    spool.finish_upto(6).unwrap();
    (room, spool)
}

#[tokio::test]
async fn all_of_it_is_read_archive_and_rest_and_nothing_is_changed() {
    let (room, spool) = nine().await;
    let id = spool.spool_id();
    let refused = LeftBehind::open(room.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    drop(spool);
    let files = || {
        let mut files: Vec<_> = fs::read_dir(room.path())
            .unwrap()
            .chain(fs::read_dir(room.path().join("archive")).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = files();
    let left = LeftBehind::open(room.path()).unwrap();
    assert_eq!(left.spool_id(), id);
    assert!(left.holds_stops());
    let mut read = Vec::new();
    for first in left.segments() {
        let segment = left.read(first).unwrap();
        assert!(segment.damaged.is_empty() && !segment.torn);
        assert!(segment.envelopes.iter().all(|envelope| envelope.stop));
        read.extend(numbers(&segment.envelopes));
    }
    assert_eq!(read, whole(9));
    assert_eq!(files(), before);
    let taken = room.try_open();
    assert!(matches!(taken, Err(OpenError::Locked { .. })), "it is held");
    drop(left);
    assert_eq!(room.open().last_seq(), 9, "and let go");
}

#[tokio::test]
async fn what_is_damaged_is_named_and_a_torn_end_is_no_damage() {
    let (room, spool) = nine().await;
    drop(spool);
    let middle = room.path().join(format!("archive/{:020}", 4));
    let mut bytes = fs::read(&middle).unwrap();
    bytes[record_bytes() + 12] ^= 1;
    fs::write(&middle, bytes).unwrap();
    let last = segment(&room, 7);
    let mut bytes = fs::read(&last).unwrap();
    bytes[2 * record_bytes() + 12] ^= 1;
    fs::write(&last, bytes).unwrap();

    let left = LeftBehind::open(room.path()).unwrap();
    let segment = left.read(4).unwrap();
    assert_eq!(segment.damaged.len(), 1);
    assert_eq!(segment.damaged[0], 5..6);
    assert!(!segment.torn);
    let read = numbers(&segment.envelopes);
    assert_eq!(read, [(4, Some(4)), (5, None), (6, Some(6))]);
    assert!(segment.envelopes[1].stop, "whatever it was, it was a stop");
    let segment = left.read(7).unwrap();
    assert!(segment.torn && segment.damaged.is_empty());
    assert_eq!(numbers(&segment.envelopes), &whole(9)[6..8]);
}

#[test]
fn a_folder_without_an_id_is_no_spool() {
    let room = Room::new();
    let none = LeftBehind::open(room.path());
    assert!(matches!(none, Err(OpenError::Id { .. })));
    assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0);
}
