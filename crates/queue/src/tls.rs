//! TLS to a broker: verified, with the system's certificate authorities or those of a file.

use std::path::PathBuf;
use std::sync::Arc;

use lapin::tcp::RustlsConnector;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::SettingsProblem;

/// Built once and shared: reading the system's authorities takes milliseconds, and a shared connector
/// resumes sessions. It is our own so that the provider is aws-lc-rs whatever else is linked, and a
/// file replaces the system's authorities where lapin would only add to them.
pub(crate) fn connector(authorities: Option<PathBuf>) -> Result<RustlsConnector, SettingsProblem> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| SettingsProblem::NoAuthorities)?
        .with_root_certificates(roots(authorities)?)
        .with_no_client_auth();
    Ok(RustlsConnector::from(config))
}

fn roots(authorities: Option<PathBuf>) -> Result<RootCertStore, SettingsProblem> {
    let (certificates, problem) = match authorities {
        None => (
            rustls_native_certs::load_native_certs().certs,
            SettingsProblem::NoAuthorities,
        ),
        Some(file) => (
            CertificateDer::pem_file_iter(&file)
                .and_then(Iterator::collect)
                .unwrap_or_default(),
            SettingsProblem::NoAuthoritiesInFile(file),
        ),
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(problem);
    }
    Ok(roots)
}
