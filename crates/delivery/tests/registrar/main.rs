//! The registrar against a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod any_order;
mod deletion;
mod erasure;
mod everything;
mod exactly_once;
mod from_queue;
mod post_office;
mod restored;
mod rules;
mod together;
mod virtual_host;
mod world;
