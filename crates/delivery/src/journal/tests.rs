//! The ring: what it keeps, what it gives back, what it refuses.

use super::*;
use domain::DeliveryState;
use store::MailAttempt;

const ACCEPTED: AttemptResult = AttemptResult {
    state: DeliveryState::Accepted,
    code: Some(250),
    enhanced: None,
    not_before: None,
    counts: true,
};
const NOW: Timestamp = Timestamp::from_millis(1_795_500_000_000);
const FEW: u64 = 4_096;

fn attempt(mail: i64) -> Attempt {
    Attempt::Mail(MailAttempt {
        mail,
        epoch: 1,
        attempt: 1,
    })
}

fn write_pair(journal: &Journal, mail: i64) -> Result<(), JournalError> {
    journal.dot(attempt(mail), [7; 16], NOW)?;
    journal.result(attempt(mail), [7; 16], ACCEPTED, NOW)
}

fn mails(found: &Recovered) -> Vec<i64> {
    found
        .records
        .iter()
        .map(|record| match record.attempt {
            Attempt::Mail(key) => key.mail,
            Attempt::Delivery(_) => 0,
        })
        .collect()
}

#[test]
fn what_was_written_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (journal, found) = Journal::open(&path).unwrap();
    assert!(found.records.is_empty());
    write_pair(&journal, 5).unwrap();
    // no clean-up runs in a killed process
    std::mem::forget(journal);
    let (journal, found) = Journal::open(&path).unwrap();
    let events: Vec<_> = found.records.iter().map(|record| record.event).collect();
    assert_eq!(events, [Event::Dot, Event::Result(ACCEPTED)]);
    assert_eq!(found.damaged, 0);
    journal.clear().unwrap();
    let (_, found) = Journal::open(&path).unwrap();
    assert!(found.records.is_empty());
}

#[test]
fn only_what_is_not_flushed_is_found_however_often_the_ring_was_full() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (journal, _) = Journal::open_with(&path, FEW).unwrap();
    journal.clear().unwrap();
    for mail in 0..10_000 {
        write_pair(&journal, mail).unwrap();
        if mail % 1_000 != 999 {
            journal.flushed([attempt(mail)]);
        }
    }
    write_pair(&journal, 10_000).unwrap();
    drop(journal);
    let (journal, found) = Journal::open_with(&path, FEW).unwrap();
    assert_eq!(found.damaged, 0);
    let found = mails(&found);
    for mail in (999..10_000).step_by(1_000) {
        let records = found.iter().filter(|found| **found == mail).count();
        assert_eq!(records, 2, "{mail}, however long ago");
    }
    assert!(found.len() as u64 <= FEW / 4 + 2, "{}", found.len());
    assert_eq!(found.last(), Some(&10_000));
    // it goes on behind them
    journal.clear().unwrap();
    write_pair(&journal, 20_000).unwrap();
    let (_, found) = Journal::open_with(&path, FEW).unwrap();
    assert_eq!(mails(&found), [20_000, 20_000]);
}

#[test]
fn what_is_flushed_is_kept_until_the_ring_comes_round() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open_with(&folder.path().join("journal"), FEW).unwrap();
    journal.clear().unwrap();
    let kept = |journal: &Journal| {
        let mut kept = journal.kept().unwrap();
        let mut records = Vec::new();
        while let Some(block) = kept.next_block().unwrap() {
            records.extend(block);
        }
        mails(&Recovered {
            records,
            ..Recovered::default()
        })
    };
    assert!(kept(&journal).is_empty());
    for mail in 0..5_000 {
        write_pair(&journal, mail).unwrap();
        assert!(journal.is_open(attempt(mail)));
        journal.flushed([attempt(mail)]);
        assert!(!journal.is_open(attempt(mail)));
    }
    let found = kept(&journal);
    assert_eq!(found.len() as u64, FEW);
    let oldest = found.iter().min().unwrap();
    assert_eq!(*oldest, 5_000 - i64::try_from(FEW / 2).unwrap());
    // and so they are by the next start
    drop(journal);
    let (journal, found) = Journal::open_with(&folder.path().join("journal"), FEW).unwrap();
    assert!(found.records.is_empty());
    journal.clear().unwrap();
    assert_eq!(kept(&journal).len() as u64, FEW);
}

#[test]
fn a_full_journal_takes_the_results_of_dots_that_went_out() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open_with(&folder.path().join("journal"), FEW).unwrap();
    let dots: Vec<i64> = (0..20_000)
        .take_while(|mail| journal.dot(attempt(*mail), [7; 16], NOW).is_ok())
        .collect();
    assert_eq!(dots.len() as u64, FEW / 2);
    for mail in &dots {
        journal
            .result(attempt(*mail), [7; 16], ACCEPTED, NOW)
            .unwrap();
    }
    let refused = journal.dot(attempt(30_000), [7; 16], NOW);
    assert!(matches!(refused, Err(JournalError::Full)));
    journal.flushed(dots.into_iter().map(attempt));
    journal.dot(attempt(30_000), [7; 16], NOW).unwrap();
}

#[test]
fn the_journal_of_an_earlier_version_is_read_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let record = |mail, event| Record {
        attempt: attempt(mail),
        event,
        at: NOW,
        subject: [7; 16],
    };
    let records = [record(1, Event::Dot), record(2, Event::Result(ACCEPTED))];
    let mut bytes: Vec<u8> = records.iter().flat_map(|r| r.encode(0)).collect();
    bytes.resize(16_384 * RECORD, 0);
    std::fs::write(&path, bytes).unwrap();
    let (journal, found) = Journal::open(&path).unwrap();
    assert_eq!(found.records, records);
    journal.clear().unwrap();
    write_pair(&journal, 3).unwrap();
    let (_, found) = Journal::open(&path).unwrap();
    assert_eq!(mails(&found), [3, 3]);
}
