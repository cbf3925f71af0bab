//! The small parts against a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod addresses;
mod catalogue;
mod connecting;
mod marks;
mod outbox;
mod private_server;
mod rights;
mod rights_table;
mod servers;
mod spools;
mod statements;
mod upgrade;
