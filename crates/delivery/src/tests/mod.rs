//! The worker against a real PostgreSQL: with caught mail, and with a relay that does as it is told.

mod barrier;
mod house;
mod mails;
mod recovery;
mod relay;
mod sending;
mod tampering;
