//! The role as a browser, a website's form and a program meet it: through its router, with a real
//! spool in a folder of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, in its helpers too"
)]

mod confirm;
mod leave;
mod observed;
mod pages;
mod refusals;
mod sign_up;
mod statuses;
mod support;
