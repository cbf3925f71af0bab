//! What every role does alike: keep time, serve HTTP, log, count, and stop without losing work.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `clock` | the wall clock and the system's randomness: the only place that reads either |
//! | `shutdown` | one process's stop: signals, background tasks, what is left when time is up |
//! | `http_server` | the accept loop, its limits, and the drain at the end |
//! | `guarded_socket` | a connection that notices a peer which has gone quiet |
//! | `request_guard` | a request that ends: deadlines, and a panic that becomes a 500 |
//! | `access_log` | one line and two metrics for each request; no person in either |
//! | `logs`, `log_lines`, `panics` | which lines are logged; how they are written; what is said of a panic |
//! | `metrics_page`, `process_memory` | the recorder and its text form |
//! | `admin` | `/metrics`, `/livez`, `/readyz` |
//! | `loopback` | routes that only this machine may see |
//! | `secret_file` | key files, and the refusal of those that others can read |
//!
//! A walk: the binary calls [`logs::init`], [`metrics_page::install`] and makes a [`Shutdown`]. It
//! hands a router that went through [`access_log::logged`] to [`http_server::serve`], its background
//! loops to [`Shutdown::spawn`], waits in [`Shutdown::wait_for_signal`] and ends with
//! [`Shutdown::finish`].

pub mod access_log;
pub mod admin;
mod clock;
mod guarded_socket;
pub mod http_server;
mod log_lines;
pub mod logs;
pub mod loopback;
pub mod metrics_page;
mod panics;
mod process_memory;
mod request_guard;
pub mod secret_file;
mod shutdown;

pub use clock::{OsEntropy, SystemClock};
pub use http_server::{PeerAddr, ServerLimits};
pub use shutdown::{Finished, Shutdown};
