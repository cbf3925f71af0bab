//! Broker addresses, good and bad.

use zeroize::Zeroizing;

use crate::{BrokerSettings, SettingsProblem};

fn parse(addresses: &[&str], password: Option<&str>) -> Result<BrokerSettings, SettingsProblem> {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let password = password.map(|password| Zeroizing::new(password.to_owned()));
    BrokerSettings::parse(&addresses, password, None, false)
}

#[test]
fn addresses_are_listed_in_their_order_with_their_ports() {
    let settings = parse(
        &[
            "amqps://box@one.example,amqps://box@two.example:15671/letters",
            "amqp://box@[::1]/, amqp://box@127.0.0.1:5673",
        ],
        Some("secret"),
    )
    .unwrap();
    assert_eq!(
        settings.described(),
        "one.example:5671, two.example:15671, ::1:5672, 127.0.0.1:5673"
    );
}

#[test]
fn user_password_and_virtual_host_are_decoded() {
    let settings = parse(&["amqp://b%40x:p%2Fw%3A@localhost/a%2Fb"], None).unwrap();
    let uri = settings.addresses()[0].to_uri();
    assert_eq!(uri.authority.userinfo.username, "b@x");
    assert_eq!(uri.authority.userinfo.password, "p/w:");
    assert_eq!(uri.vhost, "a/b");
    assert_eq!(uri.query.heartbeat, Some(10));
}

#[test]
fn no_virtual_host_is_the_usual_one() {
    for address in [
        "amqp://b:p@localhost",
        "amqp://b:p@localhost/",
        "amqp://b:p@localhost/%2f",
    ] {
        let settings = parse(&[address], None).unwrap();
        assert_eq!(settings.addresses()[0].to_uri().vhost, "/", "{address}");
    }
}

#[test]
fn an_ipv6_address_is_not_taken_for_localhost() {
    let settings = parse(&["amqps://b@[2001:db8::7]:5671"], Some("p")).unwrap();
    assert_eq!(
        settings.addresses()[0].to_uri().authority.host,
        "2001:db8::7"
    );
}

#[test]
fn what_is_wrong_is_said_with_a_remedy() {
    let long_host = format!("amqps://b@h/{}", "v".repeat(256));
    for (address, password, expected) in [
        ("", Some("p"), "no broker address was given"),
        ("broker.example", Some("p"), "address 1 cannot be read"),
        (
            "http://b@broker.example",
            Some("p"),
            "address 1 cannot be read",
        ),
        ("amqps://b@", Some("p"), "address 1 cannot be read"),
        ("amqps://b@h:0", Some("p"), "address 1 cannot be read"),
        ("amqps://b@h:65536", Some("p"), "address 1 cannot be read"),
        ("amqps://b@h:port", Some("p"), "address 1 cannot be read"),
        ("amqps://b@[::1", Some("p"), "address 1 cannot be read"),
        ("amqps://b@[::1]5671", Some("p"), "address 1 cannot be read"),
        (
            "amqps://b@2001:db8::7",
            Some("p"),
            "address 1 cannot be read",
        ),
        ("amqps://b@h o", Some("p"), "address 1 cannot be read"),
        ("amqps://%ff@h", Some("p"), "address 1 cannot be read"),
        (&long_host, Some("p"), "address 1 cannot be read"),
        (
            "amqps://b@h,amqps://b@h/v?heartbeat=0",
            Some("p"),
            "address 2 has settings after `?`",
        ),
        (
            "amqps://h.example",
            Some("p"),
            "write amqps://USER@h.example",
        ),
        ("amqps://:p@h.example", None, "write amqps://USER@h.example"),
        (
            "amqps://b@h",
            None,
            "h:5671: name a file of it with --broker-password-file",
        ),
        ("amqps://b:q@h", Some("p"), "h:5671 has two passwords"),
        ("amqp://b@broker.example", Some("p"), "--broker-plain-text"),
        ("amqp://b@192.0.2.1", Some("p"), "--broker-plain-text"),
    ] {
        let problem = parse(&[address], password).unwrap_err().to_string();
        assert!(problem.contains(expected), "{address}: {problem}");
    }
}

#[test]
fn plain_text_is_taken_for_this_machine_and_where_it_is_allowed() {
    for host in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
        assert!(
            parse(&[&format!("amqp://b@{host}")], Some("p")).is_ok(),
            "{host}"
        );
    }
    let elsewhere = ["amqp://b:p@broker.example".to_owned()];
    assert!(BrokerSettings::parse(&elsewhere, None, None, true).is_ok());
}

#[test]
fn certificate_authorities_must_be_there_and_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authorities.pem");
    std::fs::write(&file, "nothing of the kind").unwrap();
    let problem = |address: &str, file: &std::path::Path| {
        let addresses = [address.to_owned()];
        let parsed = BrokerSettings::parse(&addresses, None, Some(file.to_owned()), false);
        parsed.unwrap_err()
    };
    assert_eq!(
        problem("amqps://b:p@h", &file),
        SettingsProblem::NoAuthoritiesInFile(file.clone())
    );
    let missing = folder.path().join("missing.pem");
    assert_eq!(
        problem("amqps://b:p@h", &missing),
        SettingsProblem::NoAuthoritiesInFile(missing.clone())
    );
    assert_eq!(
        problem("amqp://b:p@localhost", &file),
        SettingsProblem::AuthoritiesUnused
    );
}

#[test]
fn no_secret_is_shown() {
    let settings = parse(&["amqps://b:hush1@one.example"], None).unwrap();
    assert_eq!(format!("{settings:?}"), "BrokerSettings(one.example:5671)");
    for address in [
        "amqps:/b:hush1@h",
        "amqps://b:hush1@h:x",
        "amqps://b:hush1%ff@h",
        "amqps://b:hush1@h?a=hush1",
    ] {
        let problem = parse(&[address], None).unwrap_err();
        assert!(
            !format!("{problem} {problem:?}").contains("hush1"),
            "{address}"
        );
    }
    let two = parse(&["amqps://b:hush1@h"], Some("hush2")).unwrap_err();
    assert!(!format!("{two} {two:?}").contains("hush"));
}
