//! Private keys of signatures. None can be printed.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use data_encoding::BASE64;
use zeroize::Zeroizing;

/// Receivers need not check longer keys (RFC 8301), and shorter ones are refused by many.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DkimAlgorithm {
    /// `rsa-sha256`: every receiver checks it; a signature costs most of a millisecond.
    Rsa,
    /// `ed25519-sha256` (RFC 8463): many receivers do not know it yet; costs a twentieth of that.
    Ed25519,
}

impl DkimAlgorithm {
    /// Its name in the `a=` tag.
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::Rsa => "rsa-sha256",
            Self::Ed25519 => "ed25519-sha256",
        }
    }

    /// Its name in the `k=` tag of a DNS record, and in names of key files.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// A private key and the selector under which its public half stands in the DNS. Cheap to clone.
#[derive(Clone)]
pub struct DkimKey {
    selector: String,
    pair: Pair,
}

#[derive(Clone)]
enum Pair {
    Rsa(Arc<RsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
}

/// Why a key cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DkimKeyError {
    /// The selector is no name that can stand in the DNS.
    #[error(
        "the selector may have small letters, digits, and hyphens between them, and at most 63 characters"
    )]
    Selector,
    /// The text is not one PKCS#8 key.
    #[error("it is not one private key in PEM (PKCS#8, \"{PEM_BEGIN}\")")]
    NotPem,
    /// The key is of another kind, or spoilt.
    #[error("it is neither a whole RSA key nor a whole Ed25519 key")]
    Kind,
    /// The RSA key is too short to be trusted or too long to be checked everywhere.
    #[error("the RSA key has {bits} bits, and may have 2048 to 4096")]
    Size {
        /// How many it has.
        bits: usize,
    },
    /// No key could be made.
    #[error("no key could be made")]
    NotMade,
}

impl From<Unspecified> for DkimKeyError {
    fn from(_: Unspecified) -> Self {
        Self::NotMade
    }
}

impl DkimKey {
    /// Reads a PKCS#8 key, RSA of 2048 to 4096 bits or Ed25519.
    ///
    /// # Errors
    /// [`DkimKeyError`] where it cannot sign.
    pub fn from_pem(selector: &str, pem: &str) -> Result<Self, DkimKeyError> {
        let selector = check_selector(selector)?;
        let der = der_of(pem)?;
        let pair = if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
            Pair::Ed25519(Arc::new(pair))
        } else {
            let pair = RsaKeyPair::from_pkcs8(&der).map_err(|_| DkimKeyError::Kind)?;
            let bytes = pair.public_modulus_len();
            if !RSA_BYTES.contains(&bytes) {
                return Err(DkimKeyError::Size { bits: bytes * 8 });
            }
            Pair::Rsa(Arc::new(pair))
        };
        Ok(Self { selector, pair })
    }

    /// A new key as PEM: RSA of 2048 bits, or Ed25519.
    ///
    /// # Errors
    /// [`DkimKeyError::NotMade`] where the system has no randomness.
    pub fn generate(algorithm: DkimAlgorithm) -> Result<Zeroizing<String>, DkimKeyError> {
        match algorithm {
            DkimAlgorithm::Rsa => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
                let der: Pkcs8V1Der<'_> = pair.as_der()?;
                Ok(pem_of(der.as_ref()))
            }
            DkimAlgorithm::Ed25519 => {
                // Version 1, without the public half: OpenSSL reads no other.
                let der = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())?;
                Ok(pem_of(der.as_ref()))
            }
        }
    }

    /// The selector.
    #[must_use]
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> DkimAlgorithm {
        match self.pair {
            Pair::Rsa(_) => DkimAlgorithm::Rsa,
            Pair::Ed25519(_) => DkimAlgorithm::Ed25519,
        }
    }

    /// The text of the DNS record at `SELECTOR._domainkey.DOMAIN`: the public half.
    ///
    /// # Panics
    /// Never: the key was read or made by this library.
    #[must_use]
    pub fn record(&self) -> String {
        let public = match &self.pair {
            Pair::Rsa(pair) => {
                let der: Result<PublicKeyX509Der<'_>, _> = pair.public_key().as_der();
                let der = der.expect("an RSA key has a public half");
                BASE64.encode(der.as_ref())
            }
            Pair::Ed25519(pair) => BASE64.encode(pair.public_key().as_ref()),
        };
        format!("v=DKIM1; k={}; p={public}", self.algorithm().label())
    }

    /// The signature of these bytes: of themselves by RSA, of their SHA-256 by Ed25519 (RFC 8463, 3).
    pub(super) fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                // PKCS#1 v1.5 has no randomness in its result; this one only blinds the key.
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    bytes,
                    &mut signature,
                )?;
                Ok(signature)
            }
            Pair::Ed25519(pair) => {
                let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
                Ok(pair.try_sign(digest.as_ref())?.as_ref().to_vec())
            }
        }
    }
}

impl fmt::Debug for DkimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DkimKey({}, {})",
            self.selector,
            self.algorithm().label()
        )
    }
}

/// A label of the DNS in the one spelling that a file name can have too.
fn check_selector(selector: &str) -> Result<String, DkimKeyError> {
    let fits = (1..=63).contains(&selector.len())
        && !selector.starts_with('-')
        && !selector.ends_with('-')
        && selector
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        Ok(selector.to_owned())
    } else {
        Err(DkimKeyError::Selector)
    }
}

fn der_of(pem: &str) -> Result<Zeroizing<Vec<u8>>, DkimKeyError> {
    let text = pem
        .trim()
        .strip_prefix(PEM_BEGIN)
        .and_then(|rest| rest.strip_suffix(PEM_END))
        .ok_or(DkimKeyError::NotPem)?;
    // Room for all of it at once: a buffer that grows leaves copies of the key behind.
    let mut digits = Zeroizing::new(Vec::with_capacity(text.len()));
    digits.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let room = BASE64
        .decode_len(digits.len())
        .map_err(|_| DkimKeyError::NotPem)?;
    let mut der = Zeroizing::new(vec![0; room]);
    let length = BASE64
        .decode_mut(&digits, &mut der)
        .map_err(|_| DkimKeyError::NotPem)?;
    der.truncate(length);
    Ok(der)
}

fn pem_of(der: &[u8]) -> Zeroizing<String> {
    let mut digits = Zeroizing::new(String::with_capacity(BASE64.encode_len(der.len())));
    BASE64.encode_append(der, &mut digits);
    let mut pem = Zeroizing::new(String::with_capacity(digits.len() * 2 + 100));
    pem.push_str(PEM_BEGIN);
    for (place, digit) in digits.chars().enumerate() {
        if place % 64 == 0 {
            pem.push('\n');
        }
        pem.push(digit);
    }
    pem.push('\n');
    pem.push_str(PEM_END);
    pem.push('\n');
    pem
}
