//! Our SMTP client against a scripted relay: `server` is the relay, `faults` what it does wrong,
//! `together` commands in one write, `envelopes` what is asked of it, `connections` how long one is
//! used, `meters` what is counted, `protection` TLS and logins. `desync` plays ten thousand messages
//! against `desync_relay`, which answers by dice.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod connections;
mod desync;
mod desync_relay;
mod envelopes;
mod faults;
mod meters;
mod protection;
mod server;
mod together;
