//! Our SMTP client against a scripted relay: `server` is the relay, `faults` what it does wrong,
//! `envelopes` what is asked of it,
//! `protection` TLS and logins.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod envelopes;
mod faults;
mod protection;
mod server;
