//! The issue equation, where it is wrong.

use domain::DeliveryState::{Accepted, Bounced};
use sqlx::{Executor, PgPool};
use store::InDoubtPolicy;

use super::audience::{NOW, claim, issue, readers, take, work_off};

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_equation_that_does_not_balance_is_seen(pool: PgPool) {
    let database = readers(&pool, 450).await;
    let issue = issue(&database, InDoubtPolicy::Skip).await;
    work_off(&database, &[Accepted, Bounced]).await;
    let chunk = take(&database).await;
    claim(&database, &chunk, 50).await;
    let upkeep = database.issue_upkeep();
    let unbalanced = async || upkeep.unbalanced(NOW).await.unwrap();
    assert_eq!(unbalanced().await, []);
    let loses = async |how: &'static str| {
        let mut change = pool.begin().await.unwrap();
        change.execute(how).await.unwrap();
        change.commit().await.unwrap();
        let stands = database.issues().progress(issue).await.unwrap().unwrap();
        assert!(!stands.counts.balances(), "{how}: {stands:?}");
        assert_eq!(stands.counts.audience, 450);
        assert_eq!(unbalanced().await, [issue], "{how}");
    };
    // a row of a chunk in hand, and the numbers of one that is done
    loses("DELETE FROM delivery WHERE subscriber_id = 210").await;
    pool.execute(
        "INSERT INTO delivery (issue_id, subscriber_id, subscription, chunk_no, updated_at)
         SELECT 1, 210, 210, chunk_no, now() FROM chunk WHERE state = 1",
    )
    .await
    .unwrap();
    assert_eq!(unbalanced().await, []);
    loses("UPDATE chunk SET accepted = accepted - 1 WHERE state = 3").await;
}
