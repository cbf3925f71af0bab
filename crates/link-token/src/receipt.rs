//! A receipt: an event id as a person can write it down (`FORMATS.md`, Ledger, last line but one).

use data_encoding::BASE32_NOPAD;
use domain::EventId;

/// Characters of a receipt.
pub const CHARACTERS: usize = 26;

/// The receipt of an event: 26 capitals and digits, without padding or grouping.
#[must_use]
pub fn of(event_id: EventId) -> String {
    BASE32_NOPAD.encode(event_id.as_bytes())
}

/// The event of a receipt as a person may type it: small letters, spaces and hyphens are accepted,
/// spare bits that are not 0 refused.
#[must_use]
pub fn read(typed: &str) -> Option<EventId> {
    let mut receipt = [0; CHARACTERS];
    let mut length = 0;
    for byte in typed.bytes().filter(|byte| !matches!(byte, b' ' | b'-')) {
        *receipt.get_mut(length)? = byte.to_ascii_uppercase();
        length += 1;
    }
    let bytes = BASE32_NOPAD.decode(&receipt[..length]).ok()?;
    EventId::try_from(&bytes[..]).ok()
}
