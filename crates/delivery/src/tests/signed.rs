//! Signatures and return paths of what a worker sends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::IssueNumber;
use mail::{DkimAlgorithm, DkimKey, DkimSigner, Transport};
use service_runtime::Shutdown;
use sqlx::PgPool;
use store::InDoubtPolicy;

use super::house::{House, stop};
use crate::worker::Worker;
use crate::{Keys, Settings};

const BOUNCES: &str = "bounces.council.example";

/// With a new pair of keys.
fn signer() -> DkimSigner {
    let key = |selector, algorithm| {
        let pem = DkimKey::generate(algorithm).unwrap();
        DkimKey::from_pem(selector, &pem).unwrap()
    };
    DkimSigner::new(vec![
        key("rsa", DkimAlgorithm::Rsa),
        key("ed25519", DkimAlgorithm::Ed25519),
    ])
}

/// A worker that signs, and whose bounces come back one by one.
async fn start(house: &House, signer: &DkimSigner, transport: Transport) -> Shutdown {
    let keys = Keys {
        dkim: Some(signer.clone()),
        ..house.keys()
    };
    let settings = Settings {
        return_path_domain: Some(BOUNCES.into()),
        ..house.settings("state")
    };
    let worker = Worker::open(
        &house.database,
        Arc::new(keys),
        transport,
        settings,
        house.clock.clone(),
        house.boot_clock.clone(),
        house.entropy.clone(),
    )
    .unwrap();
    worker.recover().await.unwrap();
    let shutdown = Shutdown::new();
    worker.spawn(None, &shutdown);
    shutdown
}

/// The local parts of all return paths.
fn return_paths(mails: &[String]) -> Vec<&str> {
    let end = format!("@{BOUNCES}>");
    mails
        .iter()
        .map(|mail| {
            let line = mail.lines().next().unwrap();
            let path = line.strip_prefix("Return-Path: <").unwrap();
            path.strip_suffix(end.as_str()).unwrap()
        })
        .collect()
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_copy_that_is_sent_again_a_day_later_has_the_bytes_of_the_first(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(2).await;
    let signer = signer();
    let worker = start(&house, &signer, house.caught()).await;
    let issue = house.approve(InDoubtPolicy::Skip).await;
    house.finished(issue).await;
    stop(worker).await;
    let first = house.mails();
    assert_eq!(first.len(), 2);

    // As after a database that went back; another worker on another day.
    for reset in [
        "UPDATE delivery SET state = 0, attempt = 0, worker = NULL",
        "UPDATE chunk SET state = 0",
        "UPDATE issue SET state = 3, finished_at = NULL",
    ] {
        house.execute(reset).await;
    }
    let caught = house.folder.path().join("caught");
    std::fs::rename(&caught, house.folder.path().join("first")).unwrap();
    std::fs::remove_dir_all(house.folder.path().join("state")).unwrap();
    let first_day = house.now().utc_day();
    house.clock.advance(Duration::from_hours(30));
    assert!(house.now().utc_day() > first_day);
    let worker = start(&house, &signer, house.caught()).await;
    house.finished(issue).await;
    stop(worker).await;
    let again = house.mails();

    let message = |mail: &String| {
        let start = mail.find("DKIM-Signature:").unwrap();
        mail[start..].to_owned()
    };
    let messages = |mails: &[String]| mails.iter().map(message).collect::<BTreeSet<_>>();
    assert!(messages(&first) == messages(&again));
    assert_eq!(messages(&first).len(), 2);
    for mail in &first {
        assert_eq!(mail.matches("DKIM-Signature:").count(), 2);
        assert!(mail.contains("d=news.council.example;"), "{mail}");
    }
    // Only the envelope says on which day it went.
    let keys = house.keys().return_paths;
    for (mails, day) in [(&first, first_day), (&again, house.now().utc_day())] {
        for local_part in return_paths(mails) {
            let checked = keys.check(local_part).unwrap();
            assert_eq!(checked.issue, issue);
            assert_eq!(checked.day.map(u64::from), Some(day));
        }
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_confirmation_is_signed_and_its_return_path_names_its_box(pool: PgPool) {
    let house = House::open(pool).await;
    let news = house.news.clone();
    let box_id = house.sign_up("jo@residents.example", &news).await;
    house.apply().await;
    let worker = start(&house, &signer(), house.caught()).await;
    house
        .until("the confirmation is there", async || {
            !house.mails().is_empty()
        })
        .await;
    stop(worker).await;
    let mails = house.mails();
    assert_eq!(mails[0].matches("DKIM-Signature:").count(), 2);
    let keys = house.keys().return_paths;
    let checked = keys.check(return_paths(&mails)[0]).unwrap();
    assert_eq!(checked.subject, *box_id.as_bytes());
    assert_eq!(checked.issue, IssueNumber::NONE);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn without_keys_and_a_domain_mail_is_unsigned_and_bounces_go_to_the_sender(pool: PgPool) {
    let house = House::open(pool).await;
    house.readers(1).await;
    let worker = house.start(house.caught()).await;
    let issue = house.approve(InDoubtPolicy::Skip).await;
    house.finished(issue).await;
    stop(worker).await;
    let sender = house.news.sender_address.clone();
    for mail in house.mails() {
        assert!(mail.starts_with(&format!("Return-Path: <{sender}>")));
        assert!(!mail.contains("DKIM-Signature"));
    }
}
