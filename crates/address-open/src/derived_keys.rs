//! Address masters, and the bytes that are derived from them for a role's folder.

use std::fmt;

use domain::BodyId;
use zeroize::Zeroizing;

use crate::derived_key::{self, KeyName};

/// One generation of the address master: 32 random bytes, wiped when dropped. Its number is its
/// place in the list, counted from 1.
#[derive(Clone)]
pub struct AddressMaster(Zeroizing<[u8; 32]>);

impl AddressMaster {
    /// The master with these bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for AddressMaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressMaster(…)")
    }
}

/// There is no generation, or there are more than 65,535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there must be 1 to 65,535 generations of address keys, not {0}")]
pub struct NoAddressMaster(pub usize);

/// The bytes of the derived keys of all generations: what the delivery worker is given instead of the
/// masters. They lead back to no master.
#[derive(Clone)]
pub struct DerivedKeys {
    /// `index` of the newest generation.
    pub index: Zeroizing<[u8; 32]>,
    /// `suppression` of every generation, from the first on: codes are nested through all of them.
    pub suppression: Vec<Zeroizing<[u8; 32]>>,
    /// `row` of the newest generation.
    pub row: Zeroizing<[u8; 32]>,
    /// `message-id` of the newest generation.
    pub message_id: Zeroizing<[u8; 32]>,
}

impl DerivedKeys {
    /// Derives them.
    ///
    /// # Errors
    /// [`NoAddressMaster`] if the list is empty.
    pub fn derive(body: BodyId, masters: &[AddressMaster]) -> Result<Self, NoAddressMaster> {
        let newest = masters
            .last()
            .filter(|_| u16::try_from(masters.len()).is_ok())
            .ok_or(NoAddressMaster(masters.len()))?;
        let key = |master: &AddressMaster, name| derived_key::derive(&master.0, body, name);
        Ok(Self {
            index: key(newest, KeyName::Index),
            suppression: masters
                .iter()
                .map(|master| key(master, KeyName::Suppression))
                .collect(),
            row: key(newest, KeyName::Row),
            message_id: key(newest, KeyName::MessageId),
        })
    }
}

impl fmt::Debug for DerivedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedKeys")
            .field("generation", &self.suppression.len())
            .finish_non_exhaustive()
    }
}
