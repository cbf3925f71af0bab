//! Encrypted connections, to a broker behind a certificate of an authority that the test made.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::tests::yard::{Yard, eventually, messages, up};
use crate::{Broker, BrokerSettings, Link, Queue};

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn write_to(&self, folder: &Path) -> PathBuf {
        let file = folder.join("authority.pem");
        std::fs::write(&file, self.0.pem()).unwrap();
        file
    }

    /// A server named `localhost`, in front of `broker`.
    async fn server(&self, broker: String) -> (SocketAddr, JoinSet<()>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (acceptor, broker) = (acceptor.clone(), broker.clone());
                connections.spawn(async move {
                    let Ok(mut client) = acceptor.accept(client).await else {
                        return;
                    };
                    let mut server = TcpStream::connect(broker).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        (address, tasks)
    }
}

fn broker(yard: &Yard, host: &str, port: u16, authorities: PathBuf) -> Broker {
    let address = yard.address_through(&format!("{host}:{port}"));
    let address = address.replace("amqp://", "amqps://");
    let settings = BrokerSettings::parse(&[address], None, Some(authorities), false).unwrap();
    yard.broker_with(settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_the_named_authority_is_spoken_to() {
    let mut yard = Yard::open().await;
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (address, _server) = authority.server(yard.listens_on().to_owned()).await;
    let file = authority.write_to(folder.path());
    let publisher = yard.publisher_of(&broker(&yard, "localhost", address.port(), file));
    up(&mut publisher.link()).await;
    let sent = publisher.publish(Queue::Stops, messages("m", 200)).await;
    assert_eq!(sent, Ok(()));
    assert_eq!(yard.waiting(Queue::Stops.name()).await, 200);
    yard.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_another_authority_or_name_is_not() {
    let mut yard = Yard::open().await;
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let file = ours.write_to(folder.path());
    let (foreign, _server) = theirs.server(yard.listens_on().to_owned()).await;
    let (named, _named) = ours.server(yard.listens_on().to_owned()).await;
    let refused = [
        broker(&yard, "localhost", foreign.port(), file.clone()),
        broker(&yard, "127.0.0.1", named.port(), file),
    ];
    let links: Vec<_> = refused
        .iter()
        .map(|broker| yard.publisher_of(broker).link())
        .collect();
    for link in links {
        let seen = std::cell::Cell::new(0);
        eventually("time passes", async || seen.replace(seen.get() + 1) > 40).await;
        assert!(matches!(*link.borrow(), Link::Down { .. }));
    }
    yard.stopped().await;
}
