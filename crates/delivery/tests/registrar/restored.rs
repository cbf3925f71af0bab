//! LED-08: whatever people do, whenever a backup is made and restored, once everything is shipped again the
//! subscriptions are those that the accepted events say, and the ledger has each event once. F33: a
//! re-subscription against an unsubscribe that waited, in thousands of orders: the last word counts.

use std::collections::BTreeSet;

use domain::{
    BoxId, EventId, Restored, SignUpFact, SubscriptionState, Timestamp, UnsubscribeFact, WorkerId,
    state_of,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sqlx::PgPool;
use store::{PastErasure, Remembered, StoreError};

use crate::any_order::{check, scenario, tell};
use crate::world::{SPOOL, World, at};

/// A database that is restored in the middle of a story.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn led_08_the_final_state_is_that_of_the_events_whenever_a_backup_comes_back(pool: PgPool) {
    let mut world = World::new(pool).await;
    let mut runner = TestRunner::deterministic();
    for person in 0..30 {
        let story = scenario().new_tree(&mut runner).unwrap().current();
        let cut = (0..story.steps.len())
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let address = format!("led08-{person}@example.org");
        let base = world.sign_up(&address, &[0, 1], at(0));
        let confirm = world.confirm(base.event_id, at(0));
        let base_id = base.event_id;
        world.apply(&[base, confirm]).await;
        let ids = [
            world.subscription_id(&address, 0).await,
            world.subscription_id(&address, 1).await,
        ];
        let told = tell(&mut world, &story, &address, base_id, ids);
        // What was applied since the backup is lost, and shipped again with the rest.
        let cut = cut.min(told.requests.len());
        back_up(&world).await;
        world.apply(&told.requests[..cut]).await;
        restore(&world).await;
        let (late, early) = told.requests.split_at(cut);
        world.apply(early).await;
        world.apply(late).await;
        let why = format!("{:?} with a backup at {cut}", story.steps);
        check(&world, &address, &told, ids, &why).await;

        // And an erasure that the backup had forgotten comes back from a worker's journal.
        let code = world.codes(&address);
        let past = PastErasure {
            event_id: world.event_id(),
            accepted_at: at(100),
            code: code.suppression,
            generation: code.generation,
            spool_id: SPOOL,
        };
        erase_again(&world, past).await;
        world.apply(&told.requests).await;
        let known = world.known(&address, &[base_id]).await;
        assert!(
            known.subscriptions.is_empty() && known.sign_ups.is_empty(),
            "{why}: erased for good"
        );
    }
    let ledger = world.ledger().await;
    let events: BTreeSet<EventId> = ledger.iter().map(|entry| entry.event_id).collect();
    assert_eq!(events.len(), ledger.len(), "each event once");
    assert!(ledger.len() > 60, "{} entries: a dull story", ledger.len());
}

/// What a backup holds of the registrar's.
const TABLES: [&str; 13] = [
    "subscriber",
    "sign_up",
    "subscription",
    "consent",
    "unsubscribe",
    "early_event",
    "suppression",
    "ledger_head",
    "ledger_entry",
    "applied_request",
    "mail",
    "outbox",
    "spool",
];

/// Runs a statement for each of the tables, in one session that minds no trigger and no reference.
async fn for_each_table(world: &World, statement: impl Fn(&str) -> String) {
    let mut sql = "SET session_replication_role = replica;
                   ALTER TABLE ledger_entry DISABLE TRIGGER USER;"
        .to_owned();
    for table in TABLES {
        sql.push_str(&statement(table));
    }
    sql.push_str(
        "ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_is_append_only;
         ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_is_never_emptied;
         SET session_replication_role = DEFAULT",
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&world.pool)
        .await
        .unwrap();
}

async fn back_up(world: &World) {
    for_each_table(world, |table| {
        format!("DROP TABLE IF EXISTS old_{table}; CREATE TABLE old_{table} AS TABLE {table};")
    })
    .await;
}

async fn restore(world: &World) {
    for_each_table(world, |table| {
        format!(
            "DELETE FROM {table};
             INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM old_{table};"
        )
    })
    .await;
}

/// A worker remembers an erasure of the database that was lost, and a restore is opened and closed for it.
async fn erase_again(world: &World, past: PastErasure) {
    let restores = world.database.restores();
    let worker = WorkerId::new([3; 16]);
    let remembered = Remembered {
        boot_id: [4; 16],
        build: "test",
        spools: Vec::new(),
        erasures: vec![past],
        checkpoint: Restored {
            checkpoint_seq: 0,
            checkpoint_h: [0; 32],
        },
    };
    restores.join(worker, &remembered, at(100)).await.unwrap();
    let refused = world.registrar.erase_again().await;
    assert!(matches!(refused, Err(StoreError::WentBack)));
    let mut id = *past.event_id.as_bytes();
    id[15] ^= 0xff;
    let recorded = restores.record(EventId::new(id), at(110)).await;
    assert!(recorded.unwrap());
    assert!(!restores.end(at(1_000)).await.unwrap(), "one is to come");
    assert_eq!(world.registrar.erase_again().await.unwrap(), 1);
    assert!(restores.end(at(1_000)).await.unwrap());
}

/// One thing that a resident wants, in the order of their wishes.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Join,
    Leave,
    Undo,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]
    #[test]
    fn f33_the_last_word_counts_in_whatever_order_the_words_arrive(
        wishes in prop::collection::vec(prop_oneof![
            Just(Wish::Join), Just(Wish::Leave), Just(Wish::Undo)], 1..12),
        order in any::<prop::sample::Index>(),
    ) {
        let id = |number: usize| [u8::try_from(number).unwrap() + 1; 16];
        let (mut sign_ups, mut leaves) = (Vec::new(), Vec::new());
        let mut wants = false;
        let mut last_join = None;
        for (number, wish) in wishes.iter().enumerate() {
            let accepted_at = Timestamp::from_millis(number as u64 + 1);
            match wish {
                Wish::Join => {
                    let box_id = BoxId::new(id(number));
                    sign_ups.push(SignUpFact {
                        box_id, accepted_at, confirmed: true, disowned: false,
                    });
                    last_join = Some(box_id);
                    wants = true;
                }
                Wish::Leave => {
                    leaves.push(UnsubscribeFact {
                        event_id: EventId::new(id(number)), accepted_at, undone: false,
                    });
                    wants = false;
                }
                // The button on the page of the last unsubscribe; those before it stay.
                Wish::Undo => {
                    let Some(last) = leaves.last_mut() else { continue };
                    last.undone = true;
                    let newest = sign_ups.last().map(|sign_up| sign_up.accepted_at);
                    wants = newest.is_some_and(|joined| {
                        leaves.iter().all(|leave| leave.undone || leave.accepted_at < joined)
                    });
                }
            }
        }
        let turn = |length: usize| if length == 0 { 0 } else { order.index(length) };
        let (joins, goes) = (turn(sign_ups.len()), turn(leaves.len()));
        sign_ups.rotate_left(joins);
        leaves.rotate_left(goes);
        let state = state_of(&sign_ups, &leaves, false);
        let is_active = matches!(state, SubscriptionState::Active(_));
        prop_assert_eq!(is_active, wants, "{:?}", wishes);
        if let SubscriptionState::Active(box_id) = state {
            prop_assert_eq!(Some(box_id), last_join);
        }
    }
}
