//! How many messages a second go through the broker, at several sizes of call, and what each costs
//! this process.
//!
//! `cargo bench -p queue --bench throughput`, with `LETTERBOX_BENCH_BROKER=amqp://…`: a virtual host
//! whose request queue is empty. Without it nothing is measured.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::CountingEntropy;
use queue::{Broker, BrokerSettings, Message, Queue, Settled};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// About the size of a sign-up with its envelope.
const BODY: usize = 400;

#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench is told by the environment, and its output is a table"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let Ok(address) = std::env::var("LETTERBOX_BENCH_BROKER") else {
        println!("throughput: set LETTERBOX_BENCH_BROKER=amqp://USER:PASSWORD@HOST[:PORT]/VHOST");
        return Ok(());
    };
    let settings = BrokerSettings::parse(&[address], None, None, false)?;
    let broker = Broker::new(settings, "bench", Arc::new(CountingEntropy::default()));
    for line in tokio::runtime::Runtime::new()?.block_on(measure(&broker))? {
        println!("{line}");
    }
    Ok(())
}

async fn measure(broker: &Broker) -> Result<Vec<String>, Box<dyn Error>> {
    let stop = CancellationToken::new();
    let mut connections = JoinSet::new();
    let mut lines = vec![format!("{} KiB resident before connecting", resident()?)];

    let (publisher, connection) = broker.publisher(stop.clone());
    connections.spawn(connection);
    publisher.link().wait_for(|link| link.is_up()).await?;
    for size in [1, 10, 100, 500, 1_000] {
        let calls = (20_000 / size).min(2_000);
        let meter = Meter::start()?;
        for call in 0..calls {
            publisher
                .publish(Queue::Requests, messages(call, size))
                .await?;
        }
        lines.push(meter.read(&format!("published, {size} a call"), calls * size)?);
    }

    let (mut consumer, connection) = broker.consumer(Queue::Requests, 2_000, stop.clone());
    connections.spawn(connection);
    let meter = Meter::start()?;
    let (mut received, mut batches) = (0, 0);
    // The queue is empty once nothing has come for a while; the while is taken off.
    let silence = Duration::from_millis(500);
    while let Ok(Some(batch)) = tokio::time::timeout(silence, consumer.next(500)).await {
        received += batch.messages().len();
        batches += 1;
        if batch.ack().await == Settled::Lost {
            return Err("the connection was lost".into());
        }
    }
    lines.push(
        meter
            .before(silence)
            .read(&format!("received in {batches} batches"), received)?,
    );
    lines.push(format!("{} KiB resident at the end", resident()?));
    stop.cancel();
    while connections.join_next().await.is_some() {}
    Ok(lines)
}

fn messages(call: usize, size: usize) -> Vec<Message> {
    (0..size)
        .map(|nth| Message {
            message_id: format!("{call:032x}:{nth}"),
            body: vec![7; BODY],
        })
        .collect()
}

/// Wall and processor time since a moment.
struct Meter {
    begun: Instant,
    processor: f64,
    idle: Duration,
}

impl Meter {
    fn start() -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            begun: Instant::now(),
            processor: processor_seconds()?,
            idle: Duration::ZERO,
        })
    }

    fn before(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn read(&self, what: &str, number: usize) -> Result<String, Box<dyn Error>> {
        let wall = self.begun.elapsed().saturating_sub(self.idle).as_secs_f64();
        let processor = (processor_seconds()? - self.processor) * 1e6;
        let number = number as f64;
        Ok(format!(
            "{what}: {:.0} a second, {:.1} µs of processor each",
            number / wall,
            processor / number
        ))
    }
}

/// Processor time of this process; a tick of Linux's counter is a hundredth of a second.
fn processor_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u32 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u32>().unwrap_or_default())
        .sum();
    Ok(f64::from(ticks) / 100.0)
}

fn resident() -> Result<String, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .unwrap_or_default()
        .trim()
        .trim_end_matches(" kB")
        .to_owned())
}
