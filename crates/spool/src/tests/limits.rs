//! Full, sick and busy disks.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{Room, accept, all, event, record_bytes, unsubscribe, whole};
use crate::{AcceptError, Spool};

async fn refused(spool: &Spool, number: u64) -> AcceptError {
    let answer = spool.accept(event(number), &unsubscribe(number)).await;
    answer.unwrap_err()
}

#[tokio::test]
async fn a_full_spool_says_so_and_takes_more_once_some_is_applied() {
    let mut room = Room::new();
    room.segment_bytes = 3 * record_bytes() as u64;
    room.limit_bytes = 2 * room.segment_bytes;
    let spool = room.open();
    for number in 1..=6 {
        accept(&spool, number).await;
    }
    assert_eq!(spool.free_bytes(), 0);
    assert_eq!(refused(&spool, 7).await, AcceptError::Full);
    assert_eq!(all(&spool), whole(6));
    spool.finish_upto(3).unwrap();
    assert_eq!(spool.free_bytes(), room.segment_bytes);
    assert_eq!(accept(&spool, 7).await.seq, 7);
}

#[tokio::test]
async fn a_limit_below_one_record_refuses_all() {
    let mut room = Room::new();
    room.limit_bytes = 100;
    let spool = room.open();
    assert_eq!(refused(&spool, 1).await, AcceptError::Full);
    assert_eq!(spool.last_seq(), 0);
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_promised_and_no_seq_is_given_twice() {
    let mut room = Room::new();
    room.segment_bytes = 10 * record_bytes() as u64;
    let (spool, faults) = room.try_open().unwrap();
    for fault in [&faults.write, &faults.sync] {
        let last = spool.last_seq();
        accept(&spool, last + 1).await;
        fault.store(true, Ordering::SeqCst);
        faults.create.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            assert_eq!(refused(&spool, 999).await, AcceptError::Unavailable);
        }
        // The disk takes writes again, but where the sync failed nothing can be trusted.
        fault.store(false, Ordering::SeqCst);
        assert_eq!(refused(&spool, 999).await, AcceptError::Unavailable);
        faults.create.store(false, Ordering::SeqCst);
        assert_eq!(accept(&spool, last + 2).await.seq, last + 2);
    }
    assert_eq!(all(&spool), whole(4));
    drop(spool);
    assert_eq!(all(&room.open()), whole(4));
}

#[tokio::test]
async fn a_first_record_that_failed_leaves_an_empty_segment_in_its_place() {
    let room = Room::new();
    let (spool, faults) = room.try_open().unwrap();
    faults.sync.store(true, Ordering::SeqCst);
    assert_eq!(refused(&spool, 999).await, AcceptError::Unavailable);
    assert_eq!(refused(&spool, 999).await, AcceptError::Unavailable);
    faults.sync.store(false, Ordering::SeqCst);
    assert_eq!(accept(&spool, 1).await.seq, 1);
    drop(spool);
    assert_eq!(all(&room.open()), whole(1));
}

#[tokio::test]
async fn no_room_for_a_new_segment_is_unavailable_until_there_is() {
    let mut room = Room::new();
    room.segment_bytes = 2 * record_bytes() as u64;
    let (spool, faults) = room.try_open().unwrap();
    accept(&spool, 1).await;
    accept(&spool, 2).await;
    faults.create.store(true, Ordering::SeqCst);
    assert_eq!(refused(&spool, 3).await, AcceptError::Unavailable);
    faults.create.store(false, Ordering::SeqCst);
    assert_eq!(accept(&spool, 3).await.seq, 3);
    assert_eq!(all(&spool), whole(3));
}

/// A segment that has its name already hides what the one before it holds from there on.
#[tokio::test]
async fn a_segment_that_was_perhaps_made_takes_no_record_from_the_one_before() {
    let mut room = Room::new();
    room.segment_bytes = 3 * record_bytes() as u64 - 10;
    let (spool, faults) = room.try_open().unwrap();
    accept(&spool, 1).await;
    accept(&spool, 2).await;
    faults.created.store(true, Ordering::SeqCst);
    assert_eq!(refused(&spool, 3).await, AcceptError::Unavailable);
    // This one is shorter and would fit where the other did not.
    let not_me = domain::Request::NotMe(domain::NotMe {
        box_id: domain::BoxId::new([3; 16]),
        token: domain::TokenKey {
            version: 1,
            kid: domain::KeyId(1),
            state: domain::KeyState::Current,
        },
    });
    let answer = spool.accept(event(3), &not_me).await;
    assert_eq!(answer.unwrap_err(), AcceptError::Unavailable);
    faults.created.store(false, Ordering::SeqCst);
    assert_eq!(spool.accept(event(3), &not_me).await.unwrap().seq, 3);
    drop(spool);
    let envelopes = room.open().read_after(0, 9).unwrap();
    let events: Vec<_> = envelopes.iter().map(|envelope| envelope.event_id).collect();
    assert_eq!(events, [event(1), event(2), event(3)]);
}

#[tokio::test]
async fn requests_that_queue_during_a_sync_share_the_next_one() {
    let mut room = Room::new();
    room.segment_bytes = 1 << 20;
    let (spool, faults) = room.try_open().unwrap();
    let mut callers = tokio::task::JoinSet::new();
    let holding = Arc::clone(&faults);
    let (open, opened) = std::sync::mpsc::channel::<()>();
    let (held, is_held) = std::sync::mpsc::channel();
    let gate = std::thread::spawn(move || {
        let _gate = holding.gate.lock().unwrap();
        held.send(()).unwrap();
        opened.recv().unwrap();
    });
    is_held.recv().unwrap();
    for number in 1..=200 {
        let spool = spool.clone();
        callers.spawn(async move { accept(&spool, number).await });
    }
    // On this one-threaded runtime each caller has had its turn after as many turns of ours.
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    open.send(()).unwrap();
    gate.join().unwrap();
    let mut seqs = Vec::new();
    while let Some(accepted) = callers.join_next().await {
        seqs.push(accepted.unwrap().seq);
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
    let syncs = faults.syncs.load(Ordering::SeqCst);
    assert!(syncs <= 2, "{syncs} syncs");
}

#[tokio::test]
async fn a_caller_that_goes_away_disturbs_nobody() {
    let room = Room::new();
    let spool = room.open();
    for number in 1..=20 {
        let (id, request) = (event(number), unsubscribe(number));
        let asking = spool.accept(id, &request);
        // Polled once, which queues it, then dropped.
        tokio::select! { biased; _ = asking => {}, () = std::future::ready(()) => {} }
    }
    assert_eq!(accept(&spool, 21).await.seq, 21);
    assert_eq!(all(&spool), whole(21));
}

#[tokio::test]
async fn a_request_that_would_not_read_back_is_not_accepted() {
    let room = Room::new();
    let spool = room.open();
    let request = domain::Request::SignUp(domain::SignUp {
        sealed: domain::SealedAddress::from_bytes(vec![1; 115]).unwrap(),
        choices: vec![],
        language: domain::Language::En,
        origin: None,
        channel: domain::Channel::Web,
        wording: None,
    });
    let answer = spool.accept(event(1), &request).await;
    assert_eq!(answer.unwrap_err(), AcceptError::Unavailable);
    assert_eq!(spool.last_seq(), 0);
}

/// The system refuses to let a file grow: a real error of a real disk. A process of its own, since the
/// limit is a process's, and a shell in between that ignores the signal that comes with it. That
/// process is this very test again, which knows its part by a file in the folder it starts in.
#[tokio::test]
async fn a_disk_that_really_refuses_is_unavailable_and_loses_nothing() {
    if Path::new(CHILD).exists() {
        fill_up_to_the_limit().await;
        return;
    }
    let room = Room::new();
    std::fs::write(room.path().join(CHILD), "").unwrap();
    let child = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "trap '' XFSZ; exec \"$0\" --exact {}::a_disk_that_really_refuses_is_unavailable_and_loses_nothing",
            module_path!().split_once("::").unwrap().1
        ))
        .arg(std::env::current_exe().unwrap())
        .current_dir(room.path())
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stdout)
    );
    let spool_folder = room.path().join("spool");
    assert!(
        spool_folder.join("spool-id").exists(),
        "the child did not run"
    );
    let mut reopened = Room::new();
    for entry in std::fs::read_dir(spool_folder).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), reopened.path().join(entry.file_name())).unwrap();
    }
    reopened.segment_bytes = 4096;
    assert_eq!(all(&reopened.open()), whole(6));
}

const CHILD: &str = "this-is-the-child";

async fn fill_up_to_the_limit() {
    let clock = Arc::new(domain::ManualClock::new(super::START));
    let settings = crate::SpoolSettings {
        folder: "spool".into(),
        limit_bytes: 1 << 20,
        keep_archive: None,
    };
    let disk = crate::disk::Disk::new(settings.folder.clone(), 4096);
    let entropy = domain::CountingEntropy::default();
    let spool = Spool::open_on(disk, settings, clock, &entropy).unwrap();
    for number in 1..=5 {
        accept(&spool, number).await;
    }
    let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 5 * record_bytes() as u64 + 40, hard).unwrap();
    for _ in 0..3 {
        assert_eq!(refused(&spool, 999).await, AcceptError::Unavailable);
    }
    setrlimit(Resource::RLIMIT_FSIZE, soft, hard).unwrap();
    assert_eq!(accept(&spool, 6).await.seq, 6);
    assert_eq!(all(&spool), whole(6));
}
