//! The roles as processes of their own. Each has settings with no field for what it may not hold.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `process` | what every role does: listen, drop root's rights, run, stop |
//! | `same_body` | keys and database of one installation |
//! | `web_role` | what both web roles do: catalogue copy, shipping, pages |
//! | `intake`, `unsubscribe`, `deliver` | the roles |
//! | `migrate` | tables and rights |
//!
//! A walk: `intake::run` checks its settings and reads its keys with the rights of whoever started
//! it, `process` takes the ports and drops root's rights, `web_role` opens the spool and starts what
//! ships it, and `process` waits for a signal.

mod deliver;
mod intake;
mod migrate;
mod process;
mod same_body;
mod unsubscribe;
mod web_role;

pub(crate) use deliver::run as deliver;
pub(crate) use intake::run as intake;
pub(crate) use migrate::run as migrate;
pub(crate) use unsubscribe::run as unsubscribe;
