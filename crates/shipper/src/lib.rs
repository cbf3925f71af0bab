//! The shipper: brings what a web role's spool holds to the registrar, and the catalogue to the role.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `shipper` | batches from the spool to the inbox, with pauses while the database is away |
//! | `route` | the ways it can go: by the broker's queues, or into the database's inbox |
//! | `report` | the heartbeat: the age of the oldest stop goes out, the registrar's mark comes back |
//! | `marks` | how far a spool is shipped and applied |
//! | `catalogue_copy` | the catalogue on the role's own disk |
//!
//! A walk: a role accepts a request into its spool. The shipper wakes, reads up to 500 records behind
//! its mark and inserts them into the inbox; whether an insert whose answer was lost took effect does
//! not matter, since the registrar applies each `(spool_id, seq)` once. Every 2 s the heartbeat brings
//! back `applied_upto`. Segments behind it are finished; where it went back, the database was restored,
//! and the shipper ships again from there.

mod catalogue_copy;
mod marks;
mod report;
mod route;
mod shipper;
#[cfg(test)]
mod tests;

pub use catalogue_copy::CatalogueCopy;
pub use route::Route;
pub use shipper::Shipper;
