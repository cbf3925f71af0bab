//! The command lines about spools, the barrier, and people who want to be forgotten.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::target::Target;

#[derive(Subcommand)]
pub(crate) enum SpoolCommand {
    /// List the spools of the web roles: how far each is applied, and whether it reports
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Say that a spool is gone for good: nothing waits for it any more
    ///
    /// Bulk mail waits for every spool of stops that does not report, since it may hold unsubscribes. Where
    /// its machine comes back, start its role instead. Where its disk or a copy of its folder is left, play
    /// that first: `letterbox replay DIR`. What was in it and nowhere else is lost with it. The ledger says
    /// that it was retired. A role that reports again is waited for again.
    Retire {
        /// Its id, as `letterbox spool list` shows it
        id: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Subcommand)]
pub(crate) enum BarrierCommand {
    /// Let bulk mail go out for a while although an unsubscribe may be waiting unapplied
    ///
    /// People who have unsubscribed may then be mailed. Use it where the law makes a mail more urgent than
    /// that. The ledger says that you did, and /metrics shows `letterbox_barrier_overridden`. It does not
    /// unlock a database that was restored: play or retire the spools that `letterbox status` names.
    Override {
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// For how long, at most a day
        #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = override_time)]
        time: Duration,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Subcommand)]
pub(crate) enum RightsCommand {
    /// Erase everything about an address; it is read from a file or standard input
    ///
    /// The subscriber, every subscription and consent, waiting sign-ups and mails are deleted. What is kept
    /// is a code from which nobody can read the address: it keeps the address from being mailed, and lets
    /// the erasure be done again after a backup is restored. The ledger says when, and not who.
    Erase {
        /// The file with the address [default: standard input]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// With --database: the key folder of `letterbox intake`, whose public key seals the address
        #[arg(long, value_name = "DIR", env = "LETTERBOX_KEYS")]
        keys: Option<PathBuf>,
        #[command(flatten)]
        target: Target,
    },
}

/// `letterbox replay`
#[derive(Args)]
pub(crate) struct ReplayOptions {
    /// A spool's folder (the one with the file `spool-id`), or the --data folder of a role
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) target: Target,
}

fn override_time(text: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_hours(24);
    let wrong = || "a number and s, m or h, as 30m; at most 24h".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let time = number.checked_mul(seconds).map(Duration::from_secs);
    time.filter(|time| !time.is_zero() && *time <= DAY)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_lasts_a_day_at_most() {
        assert_eq!(override_time("30m"), Ok(Duration::from_mins(30)));
        assert_eq!(override_time("24h"), Ok(Duration::from_hours(24)));
        assert_eq!(override_time("90s"), Ok(Duration::from_secs(90)));
        for wrong in [
            "",
            "h",
            "0h",
            "25h",
            "1d",
            "-1h",
            "1.5h",
            "1£",
            "99999999999999999999h",
        ] {
            assert!(override_time(wrong).is_err(), "{wrong}");
        }
    }
}
