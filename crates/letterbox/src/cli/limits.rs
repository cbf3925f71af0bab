//! What the mail relay may be sent.

use clap::Args;
use domain::Timestamp;

/// Limits of the way to the relay. Several workers share them: give all of them the same.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Limits of the mail relay")]
pub(crate) struct LimitOptions {
    /// Mails a second at most, over all workers; confirmations go first [default: no limit]
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        env = "LETTERBOX_RATE"
    )]
    pub(crate) rate: Option<u32>,

    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(2..),
        env = "LETTERBOX_DAILY_CAP",
        help = "Mails a day (UTC) at most, over all workers; a twentieth of it is for confirmations only [default: no limit]"
    )]
    pub(crate) daily_cap: Option<u32>,

    #[arg(
        long,
        value_name = "DATE",
        value_parser = day,
        env = "LETTERBOX_WARM_UP",
        help = "First day of a new sending address, 2026-11-24 say: 500 mails on it, then 1000, 2000, 5000, 10000, 20000, 40000 and twice as many each day [default: no limit]",
        long_help = "First day of a new sending address, 2026-11-24 say: 500 mails on it, then 1000, 2000, 5000, 10000, 20000, 40000 and twice as many each day, up to --daily-cap. After a day on which the relay throttled more than 1 % of the mails the number stays as it was"
    )]
    pub(crate) warm_up: Option<Timestamp>,
}

fn day(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::of_day(text).ok_or("a day looks like 2026-11-24")
}
