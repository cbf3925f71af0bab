//! The way to the database, and which failures are worth another try.

use std::path::PathBuf;

use domain::{BodyId, Timestamp};
use sqlx::PgPool;
use store::{ConnectSettings, Database, Host, StoreError, Tls};
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn settings(host: Host, port: u16) -> ConnectSettings {
    ConnectSettings {
        hosts: vec![(host, port)],
        user: "postgres".into(),
        password: Some(Zeroizing::new("hidden".into())),
        database: "letterbox".into(),
        max_connections: 2,
        tls: Tls::Off,
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_settings_reach_a_server(pool: PgPool) {
    let options = pool.connect_options();
    let mut settings = settings(Host::Name(options.get_host().into()), options.get_port());
    settings.user = options.get_username().into();
    settings.database = options.get_database().unwrap().into();
    let database = Database::connect(&settings).await.unwrap();
    database.migrate(BodyId::new([1; 16]), NOW).await.unwrap();
    database.close().await;
    let closed = database.ping().await;
    assert!(matches!(closed, Err(StoreError::Unavailable(_))));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_database_belongs_to_one_body(pool: PgPool) {
    let database = Database::from_pool(pool);
    let first = BodyId::new([1; 16]);
    database.migrate(first, NOW).await.unwrap();
    database.migrate(first, NOW).await.unwrap();
    let other = database.migrate(BodyId::new([2; 16]), NOW).await;
    assert!(matches!(other, Err(StoreError::OtherBody { found, .. }) if found == first));
}

#[tokio::test]
async fn nobody_there_is_a_matter_of_time() {
    for host in [
        Host::Socket(PathBuf::from("/nowhere/at/all")),
        Host::Name("127.0.0.1".into()),
    ] {
        let error = Database::connect(&settings(host, 1)).await.unwrap_err();
        assert!(error.is_temporary(), "{error:?}");
    }
}

#[test]
fn a_password_is_not_printed() {
    let printed = format!("{:?}", settings(Host::Name("db".into()), 5432));
    assert!(printed.contains("letterbox") && !printed.contains("hidden"));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
#[expect(clippy::disallowed_methods, reason = "tests cause what no room does")]
async fn failures_are_told_apart_by_what_to_do(pool: PgPool) {
    type Check = fn(&StoreError) -> bool;
    let cases: [(&str, Check); 5] = [
        ("SELECT pg_terminate_backend(pg_backend_pid())", |error| {
            matches!(error, StoreError::Unavailable(_))
        }),
        ("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$", |error| {
            matches!(error, StoreError::Conflict(_))
        }),
        ("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$", |error| {
            matches!(error, StoreError::Unavailable(_))
        }),
        (
            "INSERT INTO ledger_head (one, seq) VALUES (true, 1)",
            |error| matches!(error, StoreError::Refused(_)),
        ),
        ("SELECT * FROM no_such_table", |error| {
            matches!(error, StoreError::Unexpected(_)) && !error.is_temporary()
        }),
    ];
    for (sql, is_right) in cases {
        let error = sqlx::query(sql).execute(&pool).await.unwrap_err();
        let error = StoreError::from(error);
        assert!(is_right(&error), "{sql}: {error:?}");
    }
}
