//! An installation of the first release, with people in it, is brought up to date.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look where no room needs to look"
)]

use domain::{BodyId, SpoolId, Timestamp};
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use store::{Changes, Database};

/// The last file of the first release.
const FIRST_RELEASE: i64 = 202_611_240_940;
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const BODY: BodyId = BodyId::new([0xaa; 16]);

/// What the first release wrote: one of everything that the new files touch.
const ROWS: &str = "
    INSERT INTO installation (body_id, created_at)
    VALUES (decode(repeat('aa', 16), 'hex'), now());
    INSERT INTO body VALUES (true, 'Council', null, 'dpo@c.example', '{Hall}', 'Regulator', null,
                             'https://r.example', '#00563f', 'hello@c.example', now());
    INSERT INTO newsletter (slug, name_en, summary_en, frequency_en, sender_address, languages,
                            retention_days, lawful_basis, open, created_at, changed_at)
    VALUES ('news', 'News', 'About.', 'weekly', 'n@c.example', '{0}', 30, 0, true, now(), now());
    INSERT INTO notice (newsletter_id, language, version, hash, text, published_at)
    VALUES (1, 0, 1, sha256('a notice'), 'a notice', now());
    INSERT INTO consent (consent_id, box_id, newsletter_id, subscription_id, lawful_basis,
                         notice_id, language, channel, requested_at)
    VALUES (substr(sha256('c'), 1, 16), substr(sha256('b'), 1, 16), 1, substr(sha256('s'), 1, 16),
            0, 1, 0, 0, now());
    INSERT INTO spool (spool_id, role, holds_stops, moved_at)
    VALUES (decode(repeat('bb', 16), 'hex'), 'unsubscribe', true, now());
    INSERT INTO request_inbox (spool_id, seq, stop, envelope, received_at)
    VALUES (decode(repeat('bb', 16), 'hex'), 1, true, '\\x01', now());
    INSERT INTO dead_request (spool_id, seq, stop, reason, envelope, died_at)
    VALUES (decode(repeat('cc', 16), 'hex'), 1, false, 'it is no CBOR', '\\x010203', now());
    INSERT INTO outbox (topic, body, created_at) VALUES (2, '{\"v\":1,\"mail\":1}', now());
    INSERT INTO ledger_entry (seq, event_id, occurred_ms, recorded_ms, method, effect, actor)
    VALUES (1, substr(sha256('e'), 1, 16), 1, 1, 0, 0, 0);
    UPDATE ledger_head SET seq = 1;";

#[sqlx::test(migrations = false)]
async fn an_installation_with_people_in_it_goes_on(pool: PgPool) {
    let first = store::MIGRATOR
        .iter()
        .filter(|migration| migration.version <= FIRST_RELEASE)
        .cloned()
        .collect::<Vec<_>>();
    assert_eq!(first.len(), 5);
    Migrator::with_migrations(first).run(&pool).await.unwrap();
    sqlx::raw_sql(ROWS).execute(&pool).await.unwrap();

    let database = Database::from_pool(pool.clone());
    database.migrate(BODY, NOW).await.unwrap();
    let catalogue = database.catalogue().read().await.unwrap();
    assert_eq!(catalogue.notices.len(), 1);
    let spool = SpoolId::new([0xbb; 16]);
    let beat = database.spools().beat(spool, None, NOW).await.unwrap();
    assert_eq!(beat, Some(0));
    let letters = database.dead_letters().list().await.unwrap();
    assert_eq!(letters[0].bytes, 3);
    let hints = database.outbox().backlog(NOW).await.unwrap();
    assert_eq!(hints.rows, 1);
    let registrar = database.registrar();
    let waiting = registrar.waiting(9, NOW).await.unwrap();
    let places = waiting.iter().map(store::InboxRow::place);
    let turn = registrar.take_turn(places).await.unwrap();
    assert_eq!(turn.ledger_head(), 1);
    crate::ledger::assert_chained(&database, 1).await;
    let changes = Changes {
        applied: turn.fresh().iter().copied().collect(),
        ..Changes::default()
    };
    turn.finish(&changes, NOW).await.unwrap();
    let beat = database.spools().beat(spool, None, NOW).await.unwrap();
    assert_eq!(beat, Some(1));
    let consents: i64 = sqlx::query_scalar("SELECT count(*) FROM consent")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(consents, 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_consent_names_a_notice_of_its_newsletter(pool: PgPool) {
    sqlx::raw_sql(ROWS).execute(&pool).await.unwrap();
    let other = "INSERT INTO newsletter (slug, name_en, summary_en, frequency_en, sender_address,
            languages, retention_days, lawful_basis, open, created_at, changed_at)
        VALUES ('bins', 'Bins', 'About.', 'weekly', 'b@c.example', '{0}', 30, 0, true, now(), now())";
    sqlx::raw_sql(other).execute(&pool).await.unwrap();
    for (newsletter, notice) in [(1_i64, 2_i64), (2, 1), (3, 1)] {
        let refused = sqlx::query(
            "INSERT INTO consent (consent_id, box_id, newsletter_id, subscription_id,
                 lawful_basis, notice_id, language, channel, requested_at)
             VALUES (substr(sha256('d'), 1, 16), substr(sha256('d'), 1, 16), $1,
                     substr(sha256('d'), 1, 16), 0, $2, 0, 0, now())",
        )
        .bind(newsletter)
        .bind(notice)
        .execute(&pool)
        .await;
        let refused = store::StoreError::from(refused.unwrap_err());
        assert!(
            matches!(refused, store::StoreError::Refused(_)),
            "{refused:?}"
        );
    }
}
