//! The shipper: brings what a web role's spool holds to the registrar, and the catalogue to the role.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `shipper` | batches from the spool, with pauses while nothing takes them |
//! | `route` | the two ways: the broker's queues, or the database's inbox |
//! | `way` | which of them it is now, and when that changes |
//! | `broker` | publishing, watching the connection, trying a broker that was given up |
//! | `report` | the heartbeat: the age of the oldest stop goes out, the registrar's mark comes back |
//! | `older_folder` | what to do where the registrar knows more of a spool than its folder |
//! | `marks` | how far a spool is shipped and applied |
//! | `catalogue_copy` | the catalogue on the role's own disk |
//! | `resumptions` | whether somebody who had left may have come back |
//!
//! A walk: a role accepts a request into its spool. The shipper wakes, reads up to 500 records behind
//! its mark, publishes them to the stops or the requests queue and awaits each confirm; the database is
//! not needed for that. After a minute in which the broker took nothing the batches are inserted into
//! the database's inbox instead, and a first confirmed message brings them back to the queue. Whether a
//! batch whose answer was lost arrived does not matter, since the registrar applies each
//! `(spool_id, seq)` once.
//!
//! Every 2 s the heartbeat brings back `applied_upto`, which alone says that a record is safe. Segments
//! behind it are finished. Where it went back, the database was restored, and the shipper ships again
//! from there. Where it stands still, what a queue confirmed may be lost: then the batch behind it goes
//! again, and the rest if that helped. A spool of stops does not wait for that: it ships again from the
//! mark on each new connection.

mod broker;
mod catalogue_copy;
mod marks;
mod older_folder;
mod report;
mod resumptions;
mod route;
mod shipper;
#[cfg(test)]
mod tests;
mod way;

pub use catalogue_copy::CatalogueCopy;
pub use resumptions::Resumptions;
pub use route::Route;
pub use shipper::Shipper;
