//! From and to the types of columns. A value that no code of ours wrote is
//! [`StoreError::Inconsistent`], with its table.

use domain::{Language, Timestamp};
use time::OffsetDateTime;

use crate::StoreError;

/// A moment for a `timestamptz`. Moments after the year 9999 become the last one there is, which no
/// clock shows.
pub(crate) fn moment(at: Timestamp) -> OffsetDateTime {
    const LAST: OffsetDateTime = time::macros::datetime!(9999-12-31 23:59:59.999 UTC);
    at.to_date_time().unwrap_or(LAST)
}

/// An id or code of a fixed number of bytes.
pub(crate) fn bytes<const N: usize>(
    column: &[u8],
    table: &'static str,
) -> Result<[u8; N], StoreError> {
    column
        .try_into()
        .map_err(|_| StoreError::Inconsistent(table))
}

/// An id of 16 bytes.
pub(crate) fn id<'a, I: TryFrom<&'a [u8]>>(
    column: &'a [u8],
    table: &'static str,
) -> Result<I, StoreError> {
    I::try_from(column).map_err(|_| StoreError::Inconsistent(table))
}

/// A number of another integer type.
pub(crate) fn number<T, U: TryFrom<T>>(column: T, table: &'static str) -> Result<U, StoreError> {
    U::try_from(column).map_err(|_| StoreError::Inconsistent(table))
}

/// A number for a `bigint`. Ours start at 1 and count up: none reaches the end.
pub(crate) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A language by its number.
pub(crate) fn language(number: i16, table: &'static str) -> Result<Language, StoreError> {
    Language::from_number(number).ok_or(StoreError::Inconsistent(table))
}
