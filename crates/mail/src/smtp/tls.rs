//! TLS to a relay: verified, with the system's certificate authorities or those of a file.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::SettingsError;

/// Makes a connection safe.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({})", self.name.to_str())
    }
}

impl Tls {
    pub(crate) fn new(host: &str, authorities: Option<&Path>) -> Result<Self, SettingsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| SettingsError::NoAuthorities)?
            .with_root_certificates(roots(authorities)?)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).map_err(|_| SettingsError::NoHost)?;
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        })
    }

    pub(crate) async fn secure(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

fn roots(authorities: Option<&Path>) -> Result<RootCertStore, SettingsError> {
    let certificates: Vec<CertificateDer<'static>> = match authorities {
        None => rustls_native_certs::load_native_certs().certs,
        Some(file) => CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect)
            .map_err(|_| SettingsError::UnreadableAuthorities(file.to_owned()))?,
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    match (added, authorities) {
        (0, None) => Err(SettingsError::NoAuthorities),
        (0, Some(file)) => Err(SettingsError::UnreadableAuthorities(file.to_owned())),
        _ => Ok(roots),
    }
}
