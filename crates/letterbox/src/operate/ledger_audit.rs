//! `letterbox ledger audit`: whether any mail went out later than two seconds after its recipient's stop.

use anyhow::{Context, bail};

use super::installation::{self, Place};
use super::spool::moment;
use crate::up::print_line;

/// Says what is known; a broken promise ends with exit code 1.
pub(super) async fn run(place: Place) -> anyhow::Result<()> {
    let open = installation::open(place).await?;
    let audit = open
        .database
        .mail_after_stop()
        .audit()
        .await
        .context("the audit cannot be read")?;
    print_line(&format!(
        "Mails whose DATA crossed a stop on its way, within two seconds: {}, the longest {} ms after it.",
        audit.within,
        audit.longest_within.as_millis()
    ));
    print_line(&format!(
        "Mails later than two seconds after the stop was applied: {}.",
        audit.late
    ));
    for late in &audit.newest_late {
        print_line(&format!(
            "  issue {}: stopped {}, DATA {}, {} ms later",
            late.issue.0,
            moment(late.stopped_at),
            moment(late.data_at),
            late.data_at.since(late.stopped_at).as_millis()
        ));
    }
    if audit.late > 0 {
        bail!(
            "{} mails went to people who had left: keep this list, and look at what the workers logged at these times",
            audit.late
        );
    }
    Ok(())
}
