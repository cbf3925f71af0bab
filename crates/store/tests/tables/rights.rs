//! What each database role may do: compared with the table of `deploy/postgres/README.md`, tried, and
//! taken away right by right to see that nothing is granted that no statement needs.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look where no room needs to look"
)]

use std::collections::BTreeMap;

use sqlx::{Connection, PgConnection, PgPool};

use super::rights_table::{Right, granted, written};
use super::statements::{self, Statement};

pub(crate) const ROLES: [&str; 4] = [
    "letterbox_intake",
    "letterbox_unsubscribe",
    "letterbox_deliver",
    "letterbox_operator",
];
/// `SQLSTATE` of a missing right.
pub(crate) const FORBIDDEN: &str = "42501";

/// Becomes the role for the session, as if it had logged in.
pub(crate) async fn become_role(connection: &mut PgConnection, role: &'static str) {
    reset(connection).await;
    let sql = match role {
        "letterbox_intake" => "SET SESSION AUTHORIZATION letterbox_intake",
        "letterbox_unsubscribe" => "SET SESSION AUTHORIZATION letterbox_unsubscribe",
        "letterbox_deliver" => "SET SESSION AUTHORIZATION letterbox_deliver",
        _ => "SET SESSION AUTHORIZATION letterbox_operator",
    };
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

pub(crate) async fn reset(connection: &mut PgConnection) {
    sqlx::raw_sql("RESET SESSION AUTHORIZATION")
        .execute(connection)
        .await
        .unwrap();
}

/// The `SQLSTATE` with which a statement fails.
pub(crate) async fn code(connection: &mut PgConnection, sql: &str) -> Option<String> {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    match sqlx::raw_sql(sql).execute(connection).await {
        Ok(_) => None,
        Err(sqlx::Error::Database(refusal)) => Some(refusal.code().unwrap().into_owned()),
        Err(other) => panic!("{other:?}"),
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_database_grants_what_the_readme_says(pool: PgPool) {
    let (written, granted) = (written(), granted(&pool).await);
    let only_written: Vec<_> = written.difference(&granted).collect();
    let only_granted: Vec<_> = granted.difference(&written).collect();
    assert!(
        only_written.is_empty() && only_granted.is_empty(),
        "only in the README: {only_written:#?}\nonly in the database: {only_granted:#?}"
    );
    assert!(granted.len() > 50);
}

/// Names each statement for the session, so that it is parsed once.
async fn prepare(connection: &mut PgConnection, statements: &[Statement]) -> Vec<String> {
    let mut explains = Vec::new();
    for (number, statement) in statements.iter().enumerate() {
        let prepare = format!("PREPARE s{number} AS {}", statement.sql);
        assert_eq!(code(connection, &prepare).await, None, "{}", statement.sql);
        let arguments = vec!["NULL"; statement.parameters].join(", ");
        let arguments = if arguments.is_empty() {
            arguments
        } else {
            format!("({arguments})")
        };
        // Explaining checks the rights and runs nothing.
        explains.push(format!("EXPLAIN EXECUTE s{number} {arguments}"));
    }
    explains
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn each_role_can_do_its_work_and_needs_all_its_rights(pool: PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    let statements = statements::all();
    let granted = granted(&pool).await;
    for role in ROLES {
        let own: Vec<Statement> = statements
            .iter()
            .filter(|statement| statement.is_of(role))
            .cloned()
            .collect();
        assert!(own.len() > 5, "{role}");
        let explains = prepare(&mut connection, &own).await;
        become_role(&mut connection, role).await;
        for (explain, statement) in explains.iter().zip(&own) {
            let refused = code(&mut connection, explain).await;
            assert_eq!(refused, None, "{role} may not run: {}", statement.sql);
        }
        let mut idle = Vec::new();
        for right in granted.iter().filter(|(grantee, ..)| grantee == role) {
            if !is_needed(&mut connection, role, right, &explains).await {
                idle.push(right);
            }
        }
        assert!(idle.is_empty(), "no statement needs these: {idle:#?}");
        reset(&mut connection).await;
        assert_eq!(code(&mut connection, "DEALLOCATE ALL").await, None);
    }
}

/// Whether one of the statements fails without the right.
async fn is_needed(
    connection: &mut PgConnection,
    role: &'static str,
    (_, object, privilege, column): &Right,
    explains: &[String],
) -> bool {
    let what = match (privilege.as_str(), column.as_str()) {
        ("EXECUTE", _) => format!("EXECUTE ON FUNCTION {object}"),
        (_, "*") => format!("{privilege} ON {object}"),
        _ => format!("{privilege} ({column}) ON {object}"),
    };
    reset(connection).await;
    assert_eq!(code(connection, "BEGIN").await, None);
    let revoke = format!("REVOKE {what} FROM {role}");
    assert_eq!(code(connection, &revoke).await, None, "{revoke}");
    become_role(connection, role).await;
    let mut needed = false;
    for explain in explains {
        if let Some(refused) = code(connection, explain).await {
            needed = refused == FORBIDDEN;
            break;
        }
    }
    assert_eq!(code(connection, "ROLLBACK").await, None);
    needed
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_web_role_reads_no_table_at_all(pool: PgPool) {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(tables.len() > 20 && tables.contains(&"subscriber".to_owned()));
    let mut connection = pool.acquire().await.unwrap();
    for role in ["letterbox_intake", "letterbox_unsubscribe"] {
        become_role(&mut connection, role).await;
        for table in &tables {
            for sql in [
                format!("SELECT 1 FROM {table}"),
                format!("TABLE {table}"),
                format!("DELETE FROM {table}"),
                format!("TRUNCATE {table}"),
                format!("COPY {table} TO STDOUT"),
            ] {
                let refused = code(&mut connection, &sql).await;
                assert_eq!(refused.as_deref(), Some(FORBIDDEN), "{role}: {sql}");
            }
        }
    }
    reset(&mut connection).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_forbidden_is_refused(pool: PgPool) {
    let everybody = [
        "CREATE TABLE mine (n int)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "UPDATE installation SET body_id = sha256('x')",
        "SELECT refuse_other_role('intake')",
        "SET session_replication_role = replica",
        "SET ROLE postgres",
        "CREATE ROLE mine",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT * FROM _sqlx_migrations",
    ];
    let mut own: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    own.insert(
        "letterbox_intake",
        vec![
            "SET ROLE letterbox_deliver",
            "UPDATE request_inbox SET not_before = now()",
            "INSERT INTO request_inbox (id, spool_id) OVERRIDING SYSTEM VALUE VALUES (1, 'x')",
            "INSERT INTO spool (spool_id) VALUES ('x')",
            "INSERT INTO request_inbox (spool_id, seq, stop, envelope, received_at)
             VALUES (substr(sha256('x'), 1, 16), 1, true, 'x', now())",
            "SELECT spool_register(sha256('x'), 'unsubscribe', true, now())",
            "SELECT spool_register(substr(sha256('x'), 1, 16), 'intake', true, now())",
            "SELECT spool_register(substr(sha256('x'), 1, 16), 'deliver', false, now())",
        ],
    );
    own.insert(
        "letterbox_unsubscribe",
        vec![
            "SET ROLE letterbox_deliver",
            "SELECT spool_register(substr(sha256('x'), 1, 16), 'intake', false, now())",
        ],
    );
    own.insert(
        "letterbox_deliver",
        vec![
            "SET ROLE letterbox_operator",
            "UPDATE issue_content SET markdown = ''",
            "UPDATE issue SET deadline = now()",
            "INSERT INTO issue (newsletter_id) VALUES (1)",
            "UPDATE newsletter SET open = false",
            "UPDATE notice SET superseded_at = now()",
            "UPDATE body SET colour = ''",
            "INSERT INTO spool (spool_id, applied_upto) VALUES ('x', 9)",
            "UPDATE spool SET oldest_stop_at = NULL",
            "UPDATE spool SET moved_at = now()",
            "DELETE FROM spool",
            "UPDATE restore SET detected_at = now()",
            "DELETE FROM restore_spool",
            "UPDATE barrier_act SET until = now()",
            "INSERT INTO barrier_act (event_id) VALUES ('x')",
            "UPDATE dead_request SET seen_at = now()",
            "INSERT INTO request_inbox (not_before) VALUES (now())",
            "DELETE FROM ledger_head",
            "SELECT spool_beat('x', now(), now())",
            "DELETE FROM issue",
        ],
    );
    own.insert(
        "letterbox_operator",
        vec![
            "SET ROLE letterbox_deliver",
            "SELECT 1 FROM subscriber",
            "SELECT 1 FROM sign_up",
            "SELECT 1 FROM subscription",
            "SELECT 1 FROM consent",
            "SELECT 1 FROM suppression",
            "SELECT 1 FROM mail",
            "INSERT INTO ledger_entry (seq) VALUES (1)",
            "INSERT INTO ledger_checkpoint (seq) VALUES (1)",
            "UPDATE ledger_head SET seq = 0",
            "SELECT subscriber_id FROM delivery",
            "SELECT envelope FROM dead_request",
            "SELECT envelope FROM request_inbox",
            "DELETE FROM request_inbox",
            "SELECT code FROM restore_erasure",
            "UPDATE restore SET ended_at = now()",
            "UPDATE barrier_act SET recorded_seq = 1",
            "UPDATE spool SET retired_at = now()",
            "DELETE FROM dead_request",
            "UPDATE issue SET message_date = now()",
            "UPDATE issue_content SET markdown = ''",
            "DELETE FROM notice",
        ],
    );
    let mut connection = pool.acquire().await.unwrap();
    for role in ROLES {
        become_role(&mut connection, role).await;
        for sql in everybody.iter().chain(&own[role]) {
            let refused = code(&mut connection, sql).await;
            assert_eq!(refused.as_deref(), Some(FORBIDDEN), "{role}: {sql}");
        }
    }
    reset(&mut connection).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_groups_hold_nothing_beside_their_rights(pool: PgPool) {
    let plain: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_roles r WHERE rolname = ANY($1) AND NOT rolcanlogin
            AND NOT rolsuper AND NOT rolcreaterole AND NOT rolcreatedb AND NOT rolbypassrls
            AND NOT rolreplication
            AND NOT EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid)",
    )
    .bind(ROLES.map(str::to_owned))
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(plain, 4);
    let definers: Vec<(String, bool)> = sqlx::query_as(
        "SELECT proname::text, coalesce(proconfig[1] = 'search_path=pg_catalog, public, pg_temp', false)
         FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let expected = ["spool_beat", "spool_register"].map(|name| (name.to_owned(), true));
    assert_eq!(definers, expected, "with a search_path of their own");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_spool_row_is_moved_by_its_own_role_alone(pool: PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    let register =
        "SELECT spool_register('\\x00112233445566778899aabbccddeeff', 'unsubscribe', true,
                                          now())";
    let beat = "SELECT spool_beat('\\x00112233445566778899aabbccddeeff', NULL, now())";
    become_role(&mut connection, "letterbox_unsubscribe").await;
    assert_eq!(code(&mut connection, register).await, None);
    assert_eq!(code(&mut connection, beat).await, None);
    become_role(&mut connection, "letterbox_intake").await;
    let refused = code(&mut connection, beat).await;
    assert_eq!(refused.as_deref(), Some(FORBIDDEN));
    let stolen = register.replace("'unsubscribe', true", "'intake', false");
    let refused = code(&mut connection, &stolen).await;
    assert_eq!(refused.as_deref(), Some(FORBIDDEN));
    // What a caller puts in the way of the function's names is not looked at.
    become_role(&mut connection, "letterbox_unsubscribe").await;
    let decoy = "CREATE TEMPORARY TABLE spool (LIKE catalogue_notice);
                 CREATE TEMPORARY TABLE installation (tick bigint)";
    assert_eq!(code(&mut connection, decoy).await, None);
    assert_eq!(code(&mut connection, beat).await, None);
    reset(&mut connection).await;
    let moved: (i64, bool, i64) = sqlx::query_as(
        "SELECT counter, holds_stops, (SELECT count(*) FROM public.spool) FROM public.spool",
    )
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    assert_eq!(moved, (2, true, 1));
    connection.detach().close().await.unwrap();
}
