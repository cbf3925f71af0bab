//! Broker addresses as an operator writes them.

use std::path::PathBuf;

use zeroize::Zeroizing;

/// Where the broker is and how to log in.
#[derive(Clone)]
pub struct BrokerSettings {}

/// What is wrong with an address, in words that name the remedy and never a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsProblem {
    /// No address was given.
    #[error("no broker address was given: write one, such as amqps://letterbox@broker.example")]
    NoAddress,
}

impl BrokerSettings {
    /// Reads `amqps://USER@HOST[:PORT][/VHOST]` addresses, each also as a comma-separated list. The
    /// password is for those that carry none; `authorities` is a file of certificates to check TLS
    /// brokers against, instead of the system's.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn parse(
        addresses: &[String],
        password: Option<Zeroizing<String>>,
        authorities: Option<PathBuf>,
        allow_plain_text: bool,
    ) -> Result<Self, SettingsProblem> {
        let _ = (addresses, password, authorities, allow_plain_text);
        Err(SettingsProblem::NoAddress)
    }

    /// The hosts and ports, for a log line.
    #[must_use]
    pub fn described(&self) -> String {
        String::new()
    }
}

impl std::fmt::Debug for BrokerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BrokerSettings({})", self.described())
    }
}
