//! What makes a worker ready: the database, the broker where there is one, and its own heart
//! (`reliability.md` 7.2).

use std::sync::Arc;
use std::time::Duration;

use queue::Link;
use service_runtime::admin::{Check, CheckResult};
use tokio::sync::watch;

use crate::fence::Fence;
use crate::lookout::Lookout;

/// The lookout asks the database several times a second.
const SILENT: Duration = Duration::from_secs(10);

/// The checks; `links` are empty without a broker.
pub(crate) fn checks(
    lookout: Arc<Lookout>,
    fence: Arc<Fence>,
    links: Vec<(&'static str, watch::Receiver<Link>)>,
) -> Vec<Check> {
    let mut checks = vec![
        Check::new("database", move || database(&lookout)),
        Check::new("heartbeat", move || fence.check()),
    ];
    if !links.is_empty() {
        checks.push(Check::new("broker", move || {
            links
                .iter()
                .try_for_each(|(name, link)| broker(name, *link.borrow()))
        }));
    }
    checks
}

fn database(lookout: &Lookout) -> CheckResult {
    match lookout.age() {
        None => Err("it has not answered yet".to_owned()),
        Some(age) if age > SILENT => Err(format!("no answer for {} seconds", age.as_secs())),
        Some(_) => Ok(()),
    }
}

fn broker(name: &str, link: Link) -> CheckResult {
    match link {
        Link::Up { .. } => Ok(()),
        Link::Down { since } => Err(format!(
            "the {name} connection does not work since {} seconds ago",
            since.elapsed().as_secs()
        )),
        Link::Misdeclared { queue, .. } => Err(format!(
            "{queue} was declared with other arguments than ours: once it is empty, delete it, and it is made anew"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot_clock::SleptClock;

    #[test]
    fn a_worker_is_ready_when_database_heart_and_broker_are() {
        let clock = Arc::new(SleptClock::default());
        let lookout = Lookout::new(clock.clone());
        assert!(database(&lookout).is_err(), "never looked");
        lookout.has_looked();
        assert_eq!(database(&lookout), Ok(()));
        clock.sleep(SILENT + Duration::from_secs(1));
        assert!(database(&lookout).is_err());

        let fence = Fence::new(clock, store::Timeline::default(), 0);
        assert!(fence.check().is_err(), "no heartbeat");
        fence.beat(fence.now());
        assert_eq!(fence.check(), Ok(()));

        assert_eq!(broker("bulk", Link::Up { generation: 7 }), Ok(()));
        let since = std::time::Instant::now();
        let down = broker("bulk", Link::Down { since });
        assert!(down.unwrap_err().contains("bulk"));
        let queue = "letterbox.bulk.v1";
        let other = broker("bulk", Link::Misdeclared { since, queue });
        assert!(other.unwrap_err().contains(queue));
    }
}
