//! The two ways from a spool to the registrar.

use queue::Publisher;
use store::RequestInbox;

/// Where a [`crate::Shipper`] takes its records.
#[derive(Debug, Clone)]
pub struct Route {
    /// A publishing connection of this shipper's own; none in embedded mode.
    pub broker: Option<Publisher>,
    /// The database's inbox: all there is without a broker, and the way out while it is away.
    pub inbox: RequestInbox,
}
