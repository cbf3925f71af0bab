//! Two registrars over the queues and the inbox, one of them killed again and again: the same end as
//! by one alone, and nobody waits for another in a circle.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use sqlx::PgPool;
use store::InboxRow;

use crate::any_order::{check, scenario, tell};
use crate::post_office::{PostOffice, chance, until, until_applied};
use crate::world::{SPOOL, World, at};

/// People, each with a story of their own.
const PEOPLE: usize = 60;

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn two_registrars_come_to_the_same_end_as_one(pool: PgPool) {
    let mut world = World::new(pool).await;
    let spools = world.database.spools();
    spools
        .register(SPOOL, "unsubscribe", true, world.now())
        .await
        .unwrap();
    let office = PostOffice::open().await;
    let mut runner = TestRunner::deterministic();
    let mut chance = chance();

    let mut people = Vec::new();
    for person in 0..PEOPLE {
        let address = format!("Person{person}@example.org");
        let base = world.sign_up(&address, &[0, 1], at(0));
        let confirm = world.confirm(base.event_id, at(0));
        let base_id = base.event_id;
        world.apply(&[base, confirm]).await;
        let ids = [
            world.subscription_id(&address, 0).await,
            world.subscription_id(&address, 1).await,
        ];
        let scenario = scenario().new_tree(&mut runner).unwrap().current();
        let told = tell(&mut world, &scenario, &address, base_id, ids);
        people.push((address, ids, told, scenario));
    }
    // Everybody's requests in one heap; some come twice, some by both ways.
    let requests: Vec<_> = people
        .iter()
        .flat_map(|(_, _, told, _)| told.requests.clone())
        .collect();
    let mut heap = world.rows(&requests);
    let last = heap.last().unwrap().seq;
    for nth in 0..heap.len() / 3 {
        heap.push(heap[nth * 2].clone());
    }
    for place in (1..heap.len()).rev() {
        heap.swap(place, chance(place + 1));
    }

    let steady = office.employ(&world).await;
    let mut shaky = office.employ(&world).await;
    for part in heap.chunks(heap.len().div_ceil(12)) {
        let (queued, boxed): (Vec<InboxRow>, Vec<InboxRow>) =
            part.iter().cloned().partition(|_| chance(3) > 0);
        office.ship(&queued).await;
        world.ship_rows(&boxed).await;
        tokio::time::sleep(std::time::Duration::from_millis(chance(60) as u64)).await;
        shaky.kill();
        shaky = office.employ(&world).await;
    }
    until_applied(&world, last).await;
    until("the inbox is empty", async || {
        world.number("SELECT count(*) FROM request_inbox").await == 0
    })
    .await;
    steady.stop().await;
    shaky.stop().await;

    for (address, ids, told, scenario) in &people {
        check(
            &world,
            address,
            told,
            *ids,
            &format!("{:?}", scenario.steps),
        )
        .await;
    }
    assert_eq!(world.number("SELECT count(*) FROM dead_request").await, 0);
    // The ledger has no gap, which `ledger` checks, and each stop once.
    let stops = requests
        .iter()
        .filter(|accepted| accepted.request.is_stop());
    assert_eq!(world.ledger().await.len(), stops.count());
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(world.number(deadlocks).await, 0);
}
