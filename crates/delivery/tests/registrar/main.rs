//! The registrar against a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod any_order;
mod deletion;
mod exactly_once;
mod rules;
mod world;
