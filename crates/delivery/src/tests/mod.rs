//! The worker against a real PostgreSQL: with caught mail, and with a relay that does as it is told.

mod barrier;
mod bounces;
mod broker;
mod checkpoints;
mod clocks;
mod house;
mod issues;
mod lifecycle;
mod mails;
mod rates;
mod reassertion;
mod recovery;
mod relay;
mod restored;
mod sending;
mod signed;
mod tampering;
mod throttling;
mod updates;

#[path = "../../tests/registrar/virtual_host.rs"]
mod virtual_host;
