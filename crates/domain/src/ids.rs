//! Identifiers: 16 random bytes or a number, each a type of its own (`FORMATS.md`, Identifiers).
//!
//! None of them is derived from a person or from a time, so all may stand in logs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A byte string of the wrong length where an id of 16 bytes was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 16 bytes, not {0}")]
pub struct WrongIdLength(pub usize);

macro_rules! id_of_16_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id with these bytes.
            #[must_use]
            pub const fn new(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes, as they enter every layout.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = WrongIdLength;

            fn try_from(bytes: &[u8]) -> Result<Self, WrongIdLength> {
                bytes.try_into().map(Self).map_err(|_| WrongIdLength(bytes.len()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

id_of_16_bytes!(
    /// The installation's public body: separates the keys and codes of one body from another's.
    BodyId
);
id_of_16_bytes!(
    /// One accepted request: the receipt, the ledger and exactly-once hang on it.
    EventId
);
id_of_16_bytes!(
    /// One sealed address: the `event_id` of the request that brought it.
    BoxId
);
id_of_16_bytes!(
    /// One person's subscription to one newsletter: 16 random bytes, in links, return paths and
    /// the ledger.
    SubscriptionId
);
id_of_16_bytes!(
    /// One spool folder.
    SpoolId
);
id_of_16_bytes!(
    /// One worker's `state_dir`: the owner of claimed deliveries.
    WorkerId
);

impl From<EventId> for BoxId {
    fn from(event: EventId) -> Self {
        Self(event.0)
    }
}

/// A key generation: in tokens, return paths and sealed addresses (u16, big-endian).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId(pub u16);

/// A newsletter's number: the database's identity, 8 bytes in the row MAC, an unsigned integer in
/// the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NewsletterNumber(pub u64);

/// An issue's number: 4 bytes in tokens, return paths and Message-IDs; 0 stands for none there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IssueNumber(pub u32);

impl IssueNumber {
    /// What stands in a token that no issue carried.
    pub const NONE: Self = Self(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_from_16_bytes_only() {
        assert_eq!(EventId::try_from(&[7u8; 16][..]), Ok(EventId::new([7; 16])));
        assert_eq!(EventId::try_from(&[7u8; 15][..]), Err(WrongIdLength(15)));
    }

    #[test]
    fn an_id_is_shown_in_lower_case_hex() {
        let id = BoxId::from(EventId::new([0xab; 16]));
        assert_eq!(id.to_string(), "ab".repeat(16));
        assert_eq!(format!("{id:?}"), format!("BoxId({})", "ab".repeat(16)));
    }
}
