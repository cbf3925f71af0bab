//! Database addresses: what is read from them, and what is said about a wrong one.

use store::{ConnectProblem, ConnectSettings, Host, Tls};
use zeroize::Zeroizing;

fn parse(address: &str) -> Result<ConnectSettings, ConnectProblem> {
    ConnectSettings::parse(address, None, 5)
}

fn name(host: &str, port: u16) -> (Host, u16) {
    (Host::Name(host.into()), port)
}

#[test]
fn all_of_an_address_is_read() {
    let settings = parse("postgres://app%40x:p%2Fw%25@db1,db2:6000,[2001:db8::1]:7000/let%2Fter");
    let settings = settings.unwrap();
    let hosts = [
        name("db1", 5432),
        name("db2", 6000),
        name("2001:db8::1", 7000),
    ];
    assert_eq!(settings.hosts, hosts);
    assert_eq!(settings.user, "app@x");
    assert_eq!(settings.password.unwrap().as_str(), "p/w%");
    assert_eq!(settings.database, "let/ter");
    assert_eq!(settings.max_connections, 5);
    let other = parse("postgresql://u@db1,db2/n?port=6000&").unwrap();
    assert_eq!(other.hosts, [name("db1", 6000), name("db2", 6000)]);
}

#[test]
fn a_password_may_come_beside_the_address() {
    let beside = || Some(Zeroizing::new("secret".to_owned()));
    let settings = ConnectSettings::parse("postgres://u@h/n", beside(), 1).unwrap();
    assert_eq!(settings.password, beside());
    let twice = ConnectSettings::parse("postgres://u:other@h/n", beside(), 1);
    assert_eq!(twice.unwrap_err(), ConnectProblem::TwoPasswords);
}

#[test]
fn other_machines_are_reached_over_tls_unless_it_is_ruled_out() {
    let full = Tls::VerifyFull { authorities: None };
    for (address, tls) in [
        ("postgres://u@localhost/n", Tls::Off),
        ("postgres://u@127.0.0.1,[::1]:9/n", Tls::Off),
        ("postgres://u@/n?host=/run", Tls::Off),
        ("postgres://u@/n?host=/run&sslmode=verify-full", Tls::Off),
        ("postgres://u@db.example/n", full.clone()),
        ("postgres://u@localhost,db.example/n", full.clone()),
        ("postgres://u@10.0.0.1/n", full.clone()),
        ("postgres://u@localhost/n?sslmode=verify-full", full),
        ("postgres://u@db.example/n?sslmode=disable", Tls::Off),
    ] {
        assert_eq!(parse(address).unwrap().tls, tls, "{address}");
    }
}

#[test]
fn what_is_wrong_is_said_without_the_secret() {
    use ConnectProblem as P;
    for (address, problem) in [
        ("", P::Form),
        ("mysql://u:hidden@h/n", P::Form),
        ("postgres://u:hidden @h/n", P::Form),
        ("postgres://u:hidden@h", P::NoDatabase),
        ("postgres://u:hidden@h/", P::NoDatabase),
        ("postgres://h/hidden", P::NoUser),
        ("postgres://:hidden@h/n", P::NoUser),
        ("postgres://u:hidden@/n", P::NoHost),
        ("postgres://u:hidden@h,/n", P::NoHost),
        ("postgres://u:hidden@[::1/n", P::Form),
        ("postgres://u:hidden@[::1]9/n", P::Form),
        ("postgres://u:hidden@h:0/n", P::Port),
        ("postgres://u:hidden@h:70000/n", P::Port),
        ("postgres://u:hidden@h:/n", P::Port),
        ("postgres://u:hidden@h/n?port=x", P::Port),
        ("postgres://u:hidden%ff@h/n", P::Encoding),
        ("postgres://u:hidden@h/n?host=/run", P::SocketFolder),
        ("postgres://u:hidden@/n?host=db", P::SocketFolder),
        ("postgres://u:hidden@h/n?sslmode=require", P::SslMode),
        ("postgres://u:hidden@h/n?sslmode=verify-ca", P::SslMode),
        (
            "postgres://u:hidden@h/n?passw%6Frd=hidden",
            P::UnknownOption("passw6Frd".into()),
        ),
        (
            "postgres://u:hidden@h/n?sslmode=disable&sslrootcert=/x",
            P::AuthoritiesUnused,
        ),
        (
            "postgres://u:hidden@localhost/n?sslrootcert=/x",
            P::AuthoritiesUnused,
        ),
        (
            "postgres://u:hidden@h/n?sslrootcert=/no/such",
            P::Authorities("/no/such".into()),
        ),
    ] {
        let found = parse(address).unwrap_err();
        assert_eq!(found, problem, "{address}");
        assert!(!found.to_string().contains("hidden"), "{found}");
        assert!(!format!("{found:?}").contains("hidden"), "{found:?}");
    }
}

#[test]
fn a_file_without_a_certificate_is_told_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display();
    let address = format!("postgres://u@db.example/n?sslrootcert={path}");
    let found = parse(&address).unwrap_err();
    assert_eq!(found, ConnectProblem::Authorities(file.path().into()));
    std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----\n").unwrap();
    let authorities = Some(file.path().into());
    assert_eq!(
        parse(&address).unwrap().tls,
        Tls::VerifyFull { authorities }
    );
}
