//! Segments that are applied, the archive, and marks that went back or ahead.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Room, START, accept, all, numbers, record_bytes, segment, whole};

/// Three records a segment, nine records.
async fn nine(mut room: Room) -> (Room, crate::Spool) {
    room.segment_bytes = 3 * record_bytes() as u64 + 20;
    let spool = room.open();
    for number in 1..=9 {
        room.clock.advance(Duration::from_secs(1));
        accept(&spool, number).await;
    }
    (room, spool)
}

#[tokio::test]
async fn a_segment_goes_when_its_last_record_is_applied() {
    let (room, spool) = nine(Room::new()).await;
    let there = |first| segment(&room, first).exists();
    let before = spool.used_bytes();
    spool.finish_upto(2).unwrap();
    assert!(there(1) && there(4) && there(7));
    assert_eq!(spool.finished_upto(), 0);
    spool.finish_upto(3).unwrap();
    assert!(!there(1) && there(4) && there(7));
    assert_eq!(spool.finished_upto(), 3);
    assert!(spool.used_bytes() < before);
    // The active one stays: its name says which seq is next.
    spool.finish_upto(9).unwrap();
    assert!(!there(4) && there(7));
    assert_eq!(numbers(&spool.read_after(6, 10).unwrap()), &whole(9)[6..]);
}

#[tokio::test]
async fn what_is_deleted_reads_as_tombstones_when_the_mark_goes_back() {
    let (room, spool) = nine(Room::new()).await;
    spool.finish_upto(6).unwrap();
    let mut expected = whole(9);
    for (_, number) in &mut expected[..6] {
        *number = None;
    }
    assert_eq!(all(&spool), expected);
    assert_eq!(numbers(&spool.read_after(4, 3).unwrap()), &expected[4..7]);
    drop(spool);
    assert_eq!(all(&room.open()), expected);
}

#[tokio::test]
async fn stops_go_to_the_archive_and_are_read_from_there() {
    let (room, spool) = nine(Room::of_stops()).await;
    spool.finish_upto(6).unwrap();
    let archived = |first: u64| room.path().join(format!("archive/{first:020}")).exists();
    assert!(archived(1) && archived(4) && !archived(7));
    assert_eq!(all(&spool), whole(9));
    drop(spool);
    let spool = room.open();
    assert_eq!(all(&spool), whole(9));
    assert_eq!(spool.finished_upto(), 6);
    assert!(
        spool
            .read_after(0, 9)
            .unwrap()
            .iter()
            .all(|envelope| envelope.stop)
    );

    let days = |days: u64| Duration::from_hours(24 * days);
    room.clock.advance(days(34));
    spool.finish_upto(6).unwrap();
    assert!(archived(1) && archived(4));
    room.clock.advance(days(1));
    spool.finish_upto(6).unwrap();
    assert!(!archived(1) && !archived(4));
    assert_eq!(numbers(&spool.read_after(6, 9).unwrap()), &whole(9)[6..]);
    assert_eq!(spool.read_after(0, 9).unwrap().len(), 9);
}

#[tokio::test]
async fn a_segment_that_is_not_full_ends_when_it_is_applied_and_a_day_old() {
    let room = Room::new();
    let spool = room.open();
    accept(&spool, 1).await;
    spool.finish_upto(1).unwrap();
    assert!(segment(&room, 1).exists());
    room.clock.advance(Duration::from_hours(24));
    spool.finish_upto(0).unwrap();
    assert!(segment(&room, 1).exists(), "not applied yet");
    spool.finish_upto(1).unwrap();
    assert!(!segment(&room, 1).exists());
    assert!(segment(&room, 2).exists());
    assert_eq!(accept(&spool, 2).await.seq, 2);
    assert_eq!(all(&spool), [(1, None), (2, Some(2))]);
}

#[tokio::test]
async fn the_oldest_record_behind_the_mark_is_known_everywhere() {
    let (_room, spool) = nine(Room::of_stops()).await;
    spool.finish_upto(3).unwrap();
    for applied in 0..9 {
        let second = Duration::from_secs(applied + 1);
        assert_eq!(
            spool.oldest_accepted_after(applied),
            Some(START.plus(second))
        );
    }
    assert_eq!(spool.oldest_accepted_after(9), None);
    assert_eq!(spool.oldest_accepted_after(99), None);
}

#[tokio::test]
async fn a_folder_that_went_back_does_not_give_a_seq_twice() {
    let room = Room::new();
    let spool = room.open();
    accept(&spool, 1).await;
    spool.skip_beyond(1).await.unwrap();
    assert_eq!(spool.last_seq(), 1);
    spool.skip_beyond(7).await.unwrap();
    assert_eq!(spool.last_seq(), 7);
    assert_eq!(accept(&spool, 8).await.seq, 8);
    let expected: Vec<_> = (1..=8)
        .map(|seq| (seq, (seq == 1 || seq == 8).then_some(seq)))
        .collect();
    assert_eq!(all(&spool), expected);
    drop(spool);
    assert_eq!(all(&room.open()), expected);
}

#[tokio::test]
async fn a_skip_that_fails_is_made_up_for_by_the_next_record() {
    let room = Room::new();
    let (spool, faults) = room.try_open().unwrap();
    accept(&spool, 1).await;
    faults.created.store(true, Ordering::SeqCst);
    assert!(spool.skip_beyond(7).await.is_err());
    assert_eq!(spool.last_seq(), 1);
    faults.created.store(false, Ordering::SeqCst);
    assert_eq!(accept(&spool, 8).await.seq, 8);
    spool.skip_beyond(7).await.unwrap();
    assert_eq!(spool.last_seq(), 8);
    drop(spool);
    assert_eq!(room.open().last_seq(), 8);
}

#[tokio::test]
async fn an_emptied_folder_goes_on_behind_its_archive() {
    let (room, spool) = nine(Room::of_stops()).await;
    spool.finish_upto(6).unwrap();
    drop(spool);
    fs::remove_file(segment(&room, 7)).unwrap();
    let spool = room.open();
    assert_eq!(all(&spool), whole(6));
    assert_eq!(accept(&spool, 7).await.seq, 7);
}
