//! How PostgreSQL goes about the statements of which there is one for every few recipients: by index, in a
//! table of many issues.

use sqlx::{Executor, PgConnection, PgPool, Row};
use store::InDoubtPolicy;

use super::audience::{issue, readers};
use super::statements;

/// Of each: the file and function it stands in, and parameters that fit.
const OFTEN: [(&str, &str); 3] = [
    (
        "deliveries::claim",
        "3, 7, 1, '\\x07', 100, '2026-11-24 00:00:00+00', 0",
    ),
    (
        "deliveries::flush_issue",
        "3, '{1}', '{1}', '{1}', '{2}', '{250}', '{2.0.0}', '{now}', '{t}', '\\x07', now()",
    ),
    ("last_look::still_wanted", "3, 1, '\\x07', 1, 1, now()"),
];

/// The table as it is after four issues of 50,000.
async fn many_issues(pool: &PgPool) {
    let database = readers(pool, 1).await;
    for _ in 0..4 {
        issue(&database, InDoubtPolicy::Skip).await;
    }
    pool.execute(
        "INSERT INTO delivery (issue_id, subscriber_id, subscription, chunk_no, updated_at)
         SELECT issue, reader, reader, 1 + reader / 200, now()
         FROM generate_series(1, 4) issue, generate_series(2, 50000) reader;
         INSERT INTO chunk (issue_id, chunk_no, n)
         SELECT issue_id, chunk_no, count(*) FROM delivery WHERE chunk_no > 0 GROUP BY 1, 2;
         ANALYZE",
    )
    .await
    .unwrap();
}

/// The plan that serves every issue and chunk.
async fn plan(connection: &mut PgConnection, place: &str, parameters: &str) -> String {
    let found: Vec<_> = statements::all()
        .into_iter()
        .filter(|statement| statement.stands_in(&[place]))
        .filter(|statement| statement.sql.contains("delivery"))
        .collect();
    let [statement] = found.as_slice() else {
        panic!("{place}: {} statements", found.len());
    };
    let prepare = format!(
        "DEALLOCATE ALL; SET plan_cache_mode = force_generic_plan; PREPARE often AS {}",
        statement.sql
    );
    let prepare = sqlx::raw_sql(sqlx::AssertSqlSafe(prepare));
    prepare.execute(&mut *connection).await.unwrap();
    let explain = format!("EXPLAIN EXECUTE often({parameters})");
    let explain = sqlx::raw_sql(sqlx::AssertSqlSafe(explain));
    let lines = explain.fetch_all(connection).await;
    let lines: Vec<String> = lines.unwrap().iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_done_for_every_few_recipients_reads_no_table(pool: PgPool) {
    many_issues(&pool).await;
    let mut connection = pool.acquire().await.unwrap();
    for (place, parameters) in OFTEN {
        let plan = plan(&mut connection, place, parameters).await;
        for table in ["delivery", "chunk"] {
            let reads = format!("Seq Scan on {table}");
            assert!(!plan.contains(&reads), "{place}: {plan}");
        }
    }
    let (place, parameters) = OFTEN[0];
    let claim = plan(&mut connection, place, parameters).await;
    assert!(
        claim.contains("_issue_id_chunk_no_idx on delivery_"),
        "{claim}"
    );
    assert!(claim.contains("_pkey on delivery_"), "{claim}");
    // and would be seen if it did
    pool.execute("DROP INDEX delivery_by_chunk").await.unwrap();
    let claim = plan(&mut connection, place, parameters).await;
    assert!(!claim.contains("chunk_no_idx"), "{claim}");
}
