//! What things are called on the broker. The names are part of the installation: another version of a
//! queue's arguments is a new name, since a queue keeps the arguments it was declared with.

/// A queue that messages go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Requests that stop something; served first.
    Stops,
    /// All other requests.
    Requests,
    /// Hints that a chunk of an issue can be sent.
    Bulk,
    /// Hints that a confirmation or reply can be sent.
    Confirm,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stops, Self::Requests, Self::Bulk, Self::Confirm];

    /// Its name on the broker, which is its routing key too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stops => "letterbox.stops.v1",
            Self::Requests => "letterbox.requests.v1",
            Self::Bulk => "letterbox.bulk.v1",
            Self::Confirm => "letterbox.confirm.v1",
        }
    }

    /// Its short name, in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stops => "stops",
            Self::Requests => "requests",
            Self::Bulk => "bulk",
            Self::Confirm => "confirm",
        }
    }
}
