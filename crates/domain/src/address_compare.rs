//! When two spellings are one address or one mailbox. Skeleton.

use zeroize::Zeroizing;

use crate::EmailAddress;

/// `norm` of an accepted address.
#[must_use]
pub fn comparison_form(_address: &EmailAddress) -> Zeroizing<String> {
    todo!()
}

/// `mailbox` of an accepted address.
#[must_use]
pub fn mailbox_form(_address: &EmailAddress) -> Zeroizing<String> {
    todo!()
}
