//! Two clicks to leave: the pages and the one-click door behind the links of our mails, working
//! without the database (`privacy.md` 3.1, 4.2 and 4.4; RFC 8058).
//!
//! | file | what is in it |
//! | --- | --- |
//! | `routes` | `/u/` and `/undo/`: GET shows a page and changes nothing, POST is final |
//! | `posted` | how much of a body is read, and whose button it came from |
//! | `link` | what a request's link says: the checked token and the hints beside it |
//! | `recent` | what was made durable in the last hour: a repeat of it is not written again |
//! | `pages` | the ask and done pages |
//! | `words` | English and Welsh of those pages |
//! | `moment` | a date and time for people |
//! | `counts` | the metrics |
//!
//! A walk: a mail program POSTs `List-Unsubscribe=One-Click` to `/u/{token}`. `link` checks the token
//! without any look-up, `posted` sees that no button of ours was pressed, `routes` gives the request
//! to the spool and answers 200 with the receipt once it is on disk. The shipper and the registrar do
//! the rest, whenever they can.

mod counts;
mod link;
mod moment;
mod pages;
mod posted;
mod recent;
mod routes;
mod words;

use std::sync::Arc;

use domain::{Clock, Entropy};
use link_token::LinkKeys;
use service_runtime::admin::Check;
use shipper::{CatalogueCopy, Resumptions};
use spool::Spool;

pub use routes::router;

/// What the role holds; nothing else of the installation is within its reach.
#[derive(Clone)]
pub struct Doors {
    /// The link keys of class leave.
    pub leave: LinkKeys,
    /// The spool of stops.
    pub spool: Spool,
    /// For names on pages; empty is fine.
    pub catalogue: CatalogueCopy,
    /// Whether somebody who had left may have come back.
    pub resumptions: Resumptions,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For event ids.
    pub entropy: Arc<dyn Entropy>,
}

/// What the role needs to be ready (`reliability.md` 7.2): a spool with room in it. Nothing else: it
/// works without the catalogue, the database and the broker.
#[must_use]
pub fn readiness(doors: &Doors) -> Vec<Check> {
    let spool = doors.spool.clone();
    vec![Check::new("unsubscribe_spool", move || {
        if spool.free_bytes() >= ROOM_FOR_ONE_REQUEST {
            Ok(())
        } else {
            Err("the spool of stops is full".to_owned())
        }
    })]
}

/// Bytes that the largest request takes in the spool, generously.
const ROOM_FOR_ONE_REQUEST: u64 = 1024;
