//! The small parts against a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod addresses;
mod after_stop;
mod audience;
mod balance;
mod bounces;
mod catalogue;
mod claims;
mod connecting;
mod doubts;
mod ledger;
mod ledger_tampered;
mod lifecycle;
mod marks;
mod outbox;
mod plans;
mod private_server;
mod rates;
mod rights;
mod rights_table;
mod servers;
mod spools;
mod statements;
mod upgrade;
