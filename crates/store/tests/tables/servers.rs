//! Servers of other kinds: one with TLS, a pair of which one fails, one without our roles.

use std::error::Error;
use std::time::Duration;

use domain::{BodyId, SpoolId, Timestamp};
use store::{ConnectSettings, Database, Host, InboxRow, StoreError, Tls};

use super::private_server::PrivateServer;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const BODY: BodyId = BodyId::new([1; 16]);
/// Nothing here takes so long, even on a busy machine.
const DEADLINE: Duration = Duration::from_mins(2);

fn parse(address: &str) -> ConnectSettings {
    ConnectSettings::parse(address, None, 4).unwrap()
}

/// A certificate authority, in files of its name.
fn make_authority(server: &PrivateServer, name: &str) {
    server.run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            &format!("/CN={name}"),
            "-config",
            "openssl.cnf",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.pem"),
        ],
    );
}

#[tokio::test]
async fn only_the_right_server_is_talked_to_over_tls() {
    let server = PrivateServer::start();
    let nothing = "[req]\ndistinguished_name=dn\n[dn]\n";
    std::fs::write(server.path("openssl.cnf"), nothing).unwrap();
    make_authority(&server, "ours");
    make_authority(&server, "stranger");
    server.run(
        "openssl",
        &[
            "req",
            "-x509",
            "-CA",
            "ours.pem",
            "-CAkey",
            "ours.key",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=db",
            "-config",
            "openssl.cnf",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            "data/server.key",
            "-out",
            "data/server.crt",
        ],
    );
    server.kill();
    server.write("postgresql.conf", "\nssl = on\n");
    server.write("pg_hba.conf", "hostssl all all 127.0.0.1/32 trust\n");
    server.up();

    let port = server.port;
    let address = |host: &str, file: &str| {
        let file = server.path(file);
        let options = format!("sslmode=verify-full&sslrootcert={file}");
        format!("postgres://postgres@{host}:{port}/postgres?{options}")
    };
    let right = parse(&address("localhost", "ours.pem"));
    let database = Database::connect(&right).await.unwrap();
    database.migrate(BODY, NOW).await.unwrap();

    let plain = parse(&format!("postgres://postgres@localhost:{port}/postgres"));
    assert_eq!(plain.tls, Tls::Off);
    let refused = Database::connect(&plain).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::NotAdmitted(_)),
        "so it was TLS: {refused:?}"
    );

    for (host, file) in [("localhost", "stranger.pem"), ("127.0.0.1", "ours.pem")] {
        let stranger = parse(&address(host, file));
        let refused = Database::connect(&stranger).await.unwrap_err();
        let source = refused.source().unwrap().to_string();
        assert!(source.contains("certificate"), "{host}: {source}");
    }
    // without a file, the public authorities: none of them signed it
    let public = format!("postgres://postgres@localhost:{port}/postgres?sslmode=verify-full");
    let refused = Database::connect(&parse(&public)).await.unwrap_err();
    assert!(
        refused
            .source()
            .unwrap()
            .to_string()
            .contains("certificate"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn of_two_servers_the_one_that_takes_writes_is_found_and_found_again() {
    let first = PrivateServer::start();
    let second = PrivateServer::start_standby_of(&first);
    let address = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres",
        second.port, first.port
    );
    let database = Database::connect(&parse(&address)).await.unwrap();
    database.migrate(BODY, NOW).await.unwrap();

    // What is committed may not have arrived: wait for it, the servers are not synchronous.
    let standby = format!("postgres://postgres@127.0.0.1:{}/postgres", second.port);
    let standby = sqlx::PgPool::connect(&standby).await.unwrap();
    until(async || {
        let arrived = "SELECT 1 / count(*) FROM installation";
        sqlx::Executor::execute(&standby, arrived).await.is_ok()
    })
    .await;

    first.kill();
    second.promote();
    let inbox = database.sign_up_inbox();
    let row = InboxRow {
        spool_id: SpoolId::new([1; 16]),
        seq: 1,
        stop: false,
        envelope: vec![1],
    };
    until(async || {
        let rows = std::slice::from_ref(&row);
        match inbox.ship(rows, NOW).await {
            Ok(()) => true,
            Err(error) => {
                assert!(error.is_temporary(), "{error:?}");
                false
            }
        }
    })
    .await;
    // The first is dead: this is what the second has.
    assert_eq!(database.registrar().waiting(9, NOW).await.unwrap(), [row]);
}

/// A server with an empty database `letterbox`, owned by the user `owner`.
fn server_with_an_owner() -> PrivateServer {
    let server = PrivateServer::start();
    let owner = ["-c", "CREATE ROLE owner LOGIN"];
    server.psql("postgres", &owner);
    let database = ["-c", "CREATE DATABASE letterbox OWNER owner"];
    server.psql("postgres", &database);
    server
}

async fn login(server: &PrivateServer, user: &str) -> Result<Database, StoreError> {
    let port = server.port;
    let address = format!("postgres://{user}@127.0.0.1:{port}/letterbox");
    Database::connect(&parse(&address)).await
}

/// As an administrator does, by what is in the repository.
fn run_roles_sql(server: &PrivateServer) {
    let roles = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/postgres/roles.sql"
    );
    let roles = std::fs::read_to_string(roles).unwrap();
    std::fs::write(server.path("roles.sql"), roles).unwrap();
    server.psql("postgres", &["-f", "roles.sql"]);
}

#[tokio::test]
async fn a_cluster_without_our_roles_is_told_apart() {
    let server = server_with_an_owner();
    let stranger = login(&server, "nobody").await;
    assert!(
        matches!(stranger, Err(StoreError::NotAdmitted(_))),
        "{stranger:?}"
    );
    let owner = login(&server, "owner").await.unwrap();
    let refused = owner.migrate(BODY, NOW).await.unwrap_err();
    assert!(matches!(refused, StoreError::RolesMissing), "{refused:?}");
    assert!(refused.to_string().contains("deploy/postgres/roles.sql"));
    run_roles_sql(&server);
    run_roles_sql(&server);
    owner.migrate(BODY, NOW).await.unwrap();
    owner.migrate(BODY, NOW).await.unwrap();
}

#[tokio::test]
async fn a_login_user_has_the_rights_of_its_group_and_no_more() {
    let server = server_with_an_owner();
    run_roles_sql(&server);
    let owner = login(&server, "owner").await.unwrap();
    owner.migrate(BODY, NOW).await.unwrap();
    let user = ["-c", "CREATE ROLE intake_1 LOGIN IN ROLE letterbox_intake"];
    server.psql("postgres", &user);

    let intake = login(&server, "intake_1").await.unwrap();
    intake.belongs_to(BODY).await.unwrap();
    intake.catalogue().read().await.unwrap();
    let spool_id = SpoolId::new([7; 16]);
    let spools = intake.spools();
    let mark = spools.register(spool_id, "intake", false, NOW).await;
    assert_eq!(mark.unwrap(), 0);
    assert_eq!(spools.beat(spool_id, None, NOW).await.unwrap(), Some(0));
    let rows = [1, 2].map(|seq| InboxRow {
        spool_id,
        seq,
        stop: false,
        envelope: vec![1],
    });
    let inbox = intake.sign_up_inbox();
    inbox.ship(&rows[..1], NOW).await.unwrap();
    inbox.ship(&rows, NOW).await.unwrap();
    let refused = [
        spools
            .register(spool_id, "unsubscribe", true, NOW)
            .await
            .err(),
        intake.registrar().waiting(1, NOW).await.err(),
        intake.ledger().entries_after(0, 1).await.err(),
        intake.dead_letters().list().await.err(),
        intake.purge().run(NOW).await.err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(StoreError::Forbidden(_))), "{error:?}");
    }
    let waiting = owner.registrar().waiting(9, NOW).await.unwrap();
    assert_eq!(waiting, rows);
}

/// Waits until a question is answered with yes.
async fn until(mut ask: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.unwrap();
}

#[test]
fn a_host_is_a_name_or_a_folder() {
    let settings = parse("postgres://u@/db?host=/run/pg&port=6543");
    assert_eq!(settings.hosts, [(Host::Socket("/run/pg".into()), 6543)]);
}
