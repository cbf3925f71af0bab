//! The small parts against a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod catalogue;
mod connecting;
mod outbox;
mod rights;
mod rights_table;
mod spools;
mod statements;
