//! How soon an unsubscribe took effect, as the workers measured it, and whether they found mail that went
//! out too late.

use anyhow::{Context as _, Result, ensure};

use crate::Roles;

/// What the workers of an installation say, together.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// Stops that they saw take effect, counted once for each worker.
    pub seen: f64,
    /// The end of the bucket in which the slowest of 99 in 100 lies, in seconds.
    pub p99_at_most: f64,
    /// The mean, in seconds.
    pub mean: f64,
    /// Mails whose `DATA` came after their recipient's stop was applied.
    pub crossed: u64,
    /// The longest time of these between the two, in milliseconds.
    pub longest_ms: u64,
}

impl Effect {
    /// Reads metrics and the audit.
    ///
    /// # Errors
    /// A mail went out more than two seconds after a stop, or some mails were not looked at.
    pub fn of(roles: &Roles) -> Result<Self> {
        const SECONDS: &str = "letterbox_unsubscribe_effect_seconds";
        let (mut buckets, mut seen, mut sum) = (Vec::<(f64, f64)>::new(), 0.0, 0.0);
        for worker in &roles.delivers {
            for alarm in [
                "letterbox_mail_after_unsubscribe_total",
                "letterbox_mail_after_unsubscribe_unchecked_total",
            ] {
                let value = worker.metric(alarm, "")?;
                ensure!(value < 0.5, "{alarm} is {value}");
            }
            seen += worker.metric(&format!("{SECONDS}_count"), "")?;
            sum += worker.metric(&format!("{SECONDS}_sum"), "")?;
            let page = worker.admin().get("/metrics")?.body;
            let prefix = format!("{SECONDS}_bucket{{le=\"");
            for line in page.lines().filter_map(|line| line.strip_prefix(&prefix)) {
                let (end, number) = line.split_once("\"} ").context("a bucket")?;
                let end = end.replace("+Inf", "inf").parse::<f64>()?;
                let number = number.parse::<f64>()?;
                match buckets
                    .iter_mut()
                    .find(|(other, _)| other.to_bits() == end.to_bits())
                {
                    Some((_, total)) => *total += number,
                    None => buckets.push((end, number)),
                }
            }
        }
        buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let p99 = buckets
            .iter()
            .find(|(_, number)| *number >= 0.99 * seen)
            .map_or(f64::INFINITY, |(end, _)| *end);
        let table = roles.sql(
            "SELECT count(*), coalesce(max(late_ms), 0), count(*) FILTER (WHERE late_ms > 2000)
             FROM mail_after_stop",
        )?;
        let numbers = table
            .split('|')
            .map(|number| Ok(number.trim().parse()?))
            .collect::<Result<Vec<u64>>>()?;
        let [crossed, longest_ms, late] = numbers[..] else {
            anyhow::bail!("no three numbers: {table}");
        };
        ensure!(
            late == 0,
            "{late} mails went out more than two seconds after a stop"
        );
        Ok(Self {
            seen,
            p99_at_most: p99,
            mean: sum / seen.max(1.0),
            crossed,
            longest_ms,
        })
    }
}

impl std::fmt::Display for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} effects seen by senders, p99 at most {} s, mean {:.3} s; {} mails crossed a stop, \
             the latest {} ms after it, none more than 2 s",
            self.seen, self.p99_at_most, self.mean, self.crossed, self.longest_ms
        )
    }
}
