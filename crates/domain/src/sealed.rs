//! What an address becomes once it is locked: opaque bytes that every room may carry and only the
//! delivery worker can turn back (`FORMATS.md`, Sealed address and Codes of an address).

use std::fmt;

/// A sealed address: `01 ‖ kid(2) ‖ enc(32) ‖ ciphertext ‖ tag(16)`, 115 to 381 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedAddress(Vec<u8>);

/// Bytes that cannot be a sealed address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed address has 115, 179, 243, 307 or 381 bytes, not {0}")]
pub struct WrongSealedLength(pub usize);

impl SealedAddress {
    /// The lengths a sealed address can have: 51 bytes more than its padded plaintext.
    pub const LENGTHS: [usize; 5] = [115, 179, 243, 307, 381];

    /// Takes bytes whose length is one of [`Self::LENGTHS`].
    ///
    /// # Errors
    /// [`WrongSealedLength`] for any other length.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, WrongSealedLength> {
        if Self::LENGTHS.contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(WrongSealedLength(bytes.len()))
        }
    }

    /// The whole string, from the version byte to the tag.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SealedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedAddress({} bytes)", self.0.len())
    }
}

macro_rules! code_of_32_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The code with these bytes.
            #[must_use]
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Its 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        // Pseudonymous, and still personal to whoever holds the key: never shown.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

code_of_32_bytes!(
    /// `address_index`: equal for two spellings of one address, unique for a subscriber.
    AddressIndex
);
code_of_32_bytes!(
    /// `suppression_code`: recognises an address after its owner was erased.
    SuppressionCode
);
code_of_32_bytes!(
    /// `mailbox_code`: the suppression code of the mailbox, without a `+tag`.
    MailboxCode
);
code_of_32_bytes!(
    /// `row_mac`: binds a sealed address to its subscription, newsletter, state and consent.
    RowMac
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_five_lengths_are_sealed_addresses() {
        for length in 0..500 {
            let taken = SealedAddress::from_bytes(vec![1; length]).is_ok();
            assert_eq!(taken, SealedAddress::LENGTHS.contains(&length), "{length}");
        }
    }

    #[test]
    fn codes_and_boxes_do_not_show_their_bytes() {
        assert_eq!(
            format!("{:?}", AddressIndex::new([9; 32])),
            "AddressIndex(…)"
        );
        let sealed = SealedAddress::from_bytes(vec![9; 115]).unwrap();
        assert_eq!(format!("{sealed:?}"), "SealedAddress(115 bytes)");
    }
}
