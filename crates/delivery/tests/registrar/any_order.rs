//! Whatever the order in which events arrive and however they are cut into batches, the same set
//! gives the same subscriptions, and they are what `domain::state_of` says.

use std::collections::BTreeMap;

use address_open::RowFields;
use domain::{
    BoxId, EventId, SignUpFact, SubscriptionId, SubscriptionState, UnsubscribeFact, state_of,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sqlx::PgPool;

use crate::world::{Accepted, World, at};

/// An event of a scenario; places name earlier ones.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    SignUp { both: bool },
    Confirm { sign_up: usize },
    NotMe { sign_up: usize },
    Leave { newsletter: usize },
    Undo { leave: usize },
}

#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// Each with seconds after the start; few, so that some fall together.
    pub(crate) steps: Vec<(Step, u64)>,
    /// Arrival orders to try: how each step sorts, and after which a batch ends.
    orders: Vec<Vec<(u32, bool)>>,
}

pub(crate) fn scenario() -> impl Strategy<Value = Scenario> {
    let step = prop_oneof![
        3 => any::<bool>().prop_map(|both| Step::SignUp { both }),
        3 => (0..7usize).prop_map(|sign_up| Step::Confirm { sign_up }),
        2 => (0..7usize).prop_map(|sign_up| Step::NotMe { sign_up }),
        3 => (0..2usize).prop_map(|newsletter| Step::Leave { newsletter }),
        2 => (0..4usize).prop_map(|leave| Step::Undo { leave }),
    ];
    prop::collection::vec((step, 1..9u64), 3..18).prop_flat_map(|steps| {
        let order = prop::collection::vec((any::<u32>(), any::<bool>()), steps.len());
        let orders = prop::collection::vec(order, 3);
        (Just(steps), orders).prop_map(|(steps, orders)| Scenario { steps, orders })
    })
}

/// The facts of one subscription, by the definition.
#[derive(Debug, Default, Clone)]
struct Facts {
    sign_ups: BTreeMap<EventId, SignUpFact>,
    leaves: BTreeMap<EventId, UnsubscribeFact>,
}

pub(crate) struct Told {
    pub(crate) requests: Vec<Accepted>,
    facts: [Facts; 2],
    boxes: Vec<EventId>,
}

/// One of the sign-ups so far; the first one, whose end would end the story, less often.
fn nth_box(boxes: &[EventId], place: usize) -> EventId {
    match (place, boxes.len()) {
        (0, _) | (_, 1) => boxes[0],
        (place, all) => boxes[1 + (place - 1) % (all - 1)],
    }
}

/// The requests of a scenario for this address, whose subscriptions have these ids, and the facts
/// that they amount to.
pub(crate) fn tell(
    world: &mut World,
    scenario: &Scenario,
    address: &str,
    base: EventId,
    ids: [SubscriptionId; 2],
) -> Told {
    let fact = |id: EventId, accepted_at, confirmed| SignUpFact {
        box_id: BoxId::from(id),
        accepted_at,
        confirmed,
        disowned: false,
    };
    let mut facts = [Facts::default(), Facts::default()];
    for facts in &mut facts {
        facts.sign_ups.insert(base, fact(base, at(0), true));
    }
    let (mut requests, mut boxes, mut leaves) = (Vec::new(), vec![base], Vec::new());
    for (step, seconds) in &scenario.steps {
        let when = at(*seconds);
        let request = match step {
            Step::SignUp { both } => {
                let chosen: &[usize] = if *both { &[0, 1] } else { &[1] };
                let request = world.sign_up(address, chosen, when);
                for newsletter in chosen {
                    facts[*newsletter]
                        .sign_ups
                        .insert(request.event_id, fact(request.event_id, when, false));
                }
                boxes.push(request.event_id);
                request
            }
            Step::Confirm { sign_up } => {
                let id = nth_box(&boxes, *sign_up);
                for facts in &mut facts {
                    facts
                        .sign_ups
                        .entry(id)
                        .and_modify(|fact| fact.confirmed = true);
                }
                world.confirm(id, when)
            }
            Step::NotMe { sign_up } => {
                let id = nth_box(&boxes, *sign_up);
                for facts in &mut facts {
                    facts
                        .sign_ups
                        .entry(id)
                        .and_modify(|fact| fact.disowned = true);
                }
                world.not_me(id, when)
            }
            Step::Leave { newsletter } => {
                let request = world.leave(ids[*newsletter], when);
                facts[*newsletter].leaves.insert(
                    request.event_id,
                    UnsubscribeFact {
                        event_id: request.event_id,
                        accepted_at: when,
                        undone: false,
                    },
                );
                leaves.push(request.event_id);
                request
            }
            Step::Undo { leave } => {
                let Some(id) = leaves.get(leave % leaves.len().max(1)).copied() else {
                    continue;
                };
                for facts in &mut facts {
                    facts.leaves.entry(id).and_modify(|fact| fact.undone = true);
                }
                world.undo(id, when)
            }
        };
        requests.push(request);
    }
    Told {
        requests,
        facts,
        boxes,
    }
}

/// Checks a subscription's row against the facts.
pub(crate) async fn check(
    world: &World,
    address: &str,
    told: &Told,
    ids: [SubscriptionId; 2],
    why: &str,
) {
    let known = world.known(address, &told.boxes).await;
    for (newsletter, facts) in told.facts.iter().enumerate() {
        let sign_ups: Vec<_> = facts.sign_ups.values().copied().collect();
        let leaves: Vec<_> = facts.leaves.values().copied().collect();
        let expected = state_of(&sign_ups, &leaves, false);
        let row = known
            .subscriptions
            .iter()
            .find(|row| row.subscription_id == ids[newsletter])
            .unwrap();
        assert_eq!(row.state, expected.number(), "{why}: {facts:?}");
        if let SubscriptionState::Active(box_id) = expected {
            assert_eq!(row.box_id, box_id, "{why}: {facts:?}");
            assert_eq!(row.stopped_at, None);
        }
        let counting = sign_ups.iter().any(|fact| fact.confirmed && !fact.disowned);
        assert_eq!(
            row.sealed.is_some(),
            counting,
            "{why}: the address is kept iff it may be used"
        );
        if let Some(sealed) = &row.sealed {
            let fields = RowFields {
                subscription_id: row.subscription_id,
                box_id: row.box_id,
                newsletter: row.newsletter,
                sealed,
                state: row.state,
                consent_event_id: Some(row.consent_event_id),
            };
            assert!(world.keys.address.row_mac_holds(&fields, &row.row_mac));
            let purpose = address_seal::Purpose::Subscriber;
            let opened = world.keys.opener.open(sealed, purpose, row.box_id).unwrap();
            assert!(opened.expose().eq_ignore_ascii_case(address));
        }
    }
}

async fn play(world: &mut World, requests: &[Accepted], order: &[(u32, bool)]) {
    let mut arriving: Vec<(u32, bool, Accepted)> = requests
        .iter()
        .zip(order)
        .map(|(request, (key, ends))| (*key, *ends, request.clone()))
        .collect();
    arriving.sort_by_key(|(key, _, _)| *key);
    let mut batch = Vec::new();
    for (_, ends, request) in arriving {
        batch.push(request);
        if ends {
            world.apply(&std::mem::take(&mut batch)).await;
        }
    }
    world.apply(&batch).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_order_of_arrival_does_not_matter(pool: PgPool) {
    let mut world = World::new(pool).await;
    let mut runner = TestRunner::deterministic();
    let mut person = 0;
    for _ in 0..40 {
        let scenario = scenario().new_tree(&mut runner).unwrap().current();
        for order in &scenario.orders {
            person += 1;
            let address = format!("Person{person}@example.org");
            let base = world.sign_up(&address, &[0, 1], at(0));
            let confirm = world.confirm(base.event_id, at(0));
            let base_id = base.event_id;
            world.apply(&[base, confirm]).await;
            let ids = [
                world.subscription_id(&address, 0).await,
                world.subscription_id(&address, 1).await,
            ];
            let told = tell(&mut world, &scenario, &address, base_id, ids);
            play(&mut world, &told.requests, order).await;
            let why = format!("{:?} in the order {order:?}", scenario.steps);
            check(&world, &address, &told, ids, &why).await;

            // Shipped again from another seq: the same events, and nothing changes.
            let before = world.ledger().await.len();
            world.apply(&told.requests).await;
            check(&world, &address, &told, ids, &why).await;
            assert_eq!(world.ledger().await.len(), before);
        }
    }
    assert_eq!(world.number("SELECT count(*) FROM dead_request").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM request_inbox").await, 0);
    let ledger = world.ledger().await;
    assert!(
        ledger.len() > 100,
        "only {} entries: the scenarios are dull",
        ledger.len()
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn everything_may_come_before_the_sign_up(pool: PgPool) {
    let mut world = World::new(pool).await;
    let sign_up = world.sign_up("early@example.org", &[0], at(0));
    let id = sign_up.event_id;
    let confirm = world.confirm(id, at(5));
    world.apply(&[confirm]).await;
    assert_eq!(world.number("SELECT count(*) FROM early_event").await, 1);
    world.apply(&[sign_up]).await;
    let known = world.known("early@example.org", &[id]).await;
    assert_eq!(known.subscriptions[0].state, 1);
    assert_eq!(known.subscriptions[0].box_id, id.into());
    assert!(known.sign_ups.is_empty() && known.early.is_empty());
    assert_eq!(
        world.number("SELECT count(*) FROM mail").await,
        0,
        "it is confirmed already"
    );

    let sign_up = world.sign_up("not-me@example.org", &[0], at(0));
    let not_me = world.not_me(sign_up.event_id, at(9));
    let boxes = [sign_up.event_id];
    world.apply(&[not_me]).await;
    world.apply(&[sign_up]).await;
    let known = world.known("not-me@example.org", &boxes).await;
    assert!(known.sign_ups.is_empty() && known.subscriptions.is_empty());
    assert_eq!(known.consents[0].disowned_at, Some(at(9)));
    assert_eq!(known.suppressed.len(), 1, "its mailbox is not asked again");
    assert_eq!(world.number("SELECT count(*) FROM mail").await, 0);
}

#[test]
fn a_scenario_can_contain_every_kind_of_step() {
    let mut runner = TestRunner::deterministic();
    let mut kinds = [0; 5];
    for _ in 0..40 {
        for (step, _) in scenario().new_tree(&mut runner).unwrap().current().steps {
            kinds[match step {
                Step::SignUp { .. } => 0,
                Step::Confirm { .. } => 1,
                Step::NotMe { .. } => 2,
                Step::Leave { .. } => 3,
                Step::Undo { .. } => 4,
            }] += 1;
        }
    }
    assert!(kinds.iter().all(|count| *count > 5), "{kinds:?}");
}
