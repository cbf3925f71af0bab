//! What a link may do (`FORMATS.md`, Link tokens, second table).

use std::time::Duration;

use domain::Timestamp;

/// Keys that a role is given together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkClass {
    /// Leaving: for `unsubscribe` and `deliver`.
    Leave,
    /// Joining: for `intake` and `deliver`.
    Join,
    /// Rights of the data subject: for `intake` and `deliver`.
    Rights,
}

/// A route that links lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// `/u/`
    Leave,
    /// `/undo/`
    Undo,
    /// `/confirm/`
    Confirm,
    /// `/my-data/`
    MyData,
}

impl Route {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Leave, Self::Undo, Self::Confirm, Self::MyData];

    /// The path in front of the token, with both slashes.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Leave => "/u/",
            Self::Undo => "/undo/",
            Self::Confirm => "/confirm/",
            Self::MyData => "/my-data/",
        }
    }
}

/// What a link does; the second byte of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Ends a subscription; subject: subscription id, aux: issue number or 0.
    Unsubscribe = 1,
    /// Takes an unsubscribe back; subject: its event id, aux: 0.
    Undo = 2,
    /// Confirms a sign-up; subject: its box id, aux: expiry.
    Confirm = 3,
    /// Opens my data; subject: request id, aux: expiry.
    MyData = 4,
    /// Confirms a new address; subject: box id, aux: expiry.
    ConfirmNewAddress = 5,
    /// Disowns a sign-up; subject: its box id, aux: 0.
    NotMe = 6,
    /// Downloads my data; subject: request id, aux: expiry.
    Download = 7,
    /// Asks for a review by a person; subject: request id, aux: expiry.
    ReviewRequest = 8,
}

impl Purpose {
    /// All of them, by number.
    pub const ALL: [Self; 8] = [
        Self::Unsubscribe,
        Self::Undo,
        Self::Confirm,
        Self::MyData,
        Self::ConfirmNewAddress,
        Self::NotMe,
        Self::Download,
        Self::ReviewRequest,
    ];

    /// Its byte in the token.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The purpose with this byte.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.number() == number)
    }

    /// The class of keys that signs it.
    #[must_use]
    pub const fn class(self) -> LinkClass {
        match self {
            Self::Unsubscribe | Self::Undo | Self::NotMe => LinkClass::Leave,
            Self::Confirm | Self::ConfirmNewAddress => LinkClass::Join,
            Self::MyData | Self::Download | Self::ReviewRequest => LinkClass::Rights,
        }
    }

    /// The only route on which it counts.
    #[must_use]
    pub const fn route(self) -> Route {
        match self {
            Self::Unsubscribe | Self::NotMe => Route::Leave,
            Self::Undo => Route::Undo,
            Self::Confirm | Self::ConfirmNewAddress => Route::Confirm,
            Self::MyData | Self::Download | Self::ReviewRequest => Route::MyData,
        }
    }

    /// How long it lives after the mail was sent; none for a link that never expires.
    #[must_use]
    pub const fn life(self) -> Option<Duration> {
        match self {
            Self::Unsubscribe | Self::Undo | Self::NotMe => None,
            Self::Confirm => Some(Duration::from_hours(domain::CONFIRMATION_DAYS * 24)),
            Self::ConfirmNewAddress => Some(Duration::from_hours(72)),
            Self::MyData | Self::Download | Self::ReviewRequest => Some(Duration::from_hours(24)),
        }
    }

    /// Whether it still counts under a key that others know: ids cannot be guessed, and refusing
    /// would break a right.
    pub(crate) const fn counts_under_compromised_key(self) -> bool {
        matches!(self, Self::Unsubscribe | Self::NotMe)
    }
}

/// The aux of an expiring link: minutes since 1970 of (sending time + life), rounded up.
#[must_use]
pub fn expiry_aux(sending: Timestamp, life: Duration) -> u32 {
    // The minutes of a u32 last until the year 10136.
    u32::try_from(sending.plus(life).minutes_rounded_up()).unwrap_or(u32::MAX)
}

/// Whether a request accepted at this moment is too late for a link with this expiry. Only for
/// purposes that have a [`Purpose::life`]; judged after [`LinkKeys::check`](crate::LinkKeys::check).
#[must_use]
pub fn is_expired(aux: u32, accepted_at: Timestamp) -> bool {
    accepted_at.as_millis() >= u64::from(aux) * 60_000
}
