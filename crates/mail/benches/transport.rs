//! How many messages a second our SMTP client hands over, beside Postfix' own `smtp-source`: a ready
//! text of 10 KB, ten connections, one thread, into the same `smtp-sink`. Needs both (Debian:
//! `postfix`): `cargo bench -p mail --bench transport`.
//!
//! The sink has one thread and takes most of the time, so the last column says what our side costs.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use domain::{EmailAddress, Outcome};
use mail::{Envelope, SmtpSettings, Transport, WireText};
use tokio::task::JoinSet;

const MESSAGES: u32 = 20_000;
const CONNECTIONS: usize = 10;
const BYTES: usize = 10_240;
const ROUNDS: usize = 3;

#[expect(clippy::print_stdout, reason = "a bench prints its result")]
fn main() -> Result<(), Box<dyn Error>> {
    let sink = Sink::start(&[])?;
    // This one offers no PIPELINING.
    let lock_step = Sink::start(&["-p"])?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let theirs = smtp_source(sink.at)?;
        let (ours, cpu) = ours(sink.at)?;
        let (apart, _) = self::ours(lock_step.at)?;
        rounds.push(Round {
            theirs,
            ours,
            apart,
            cpu,
        });
    }
    let theirs = median(&rounds, |round| round.theirs);
    println!("smtp-source -d -s {CONNECTIONS}: {theirs:.0} messages/s");
    for (name, rate) in [
        (
            "ours, commands together",
            median(&rounds, |round| round.ours),
        ),
        ("ours, one by one", median(&rounds, |round| round.apart)),
    ] {
        println!("{name}: {rate:.0} messages/s, ratio {:.2}", rate / theirs);
    }
    let cpu = median(&rounds, |round| round.cpu);
    println!("our side of a message: {cpu:.1} µs of one core");
    Ok(())
}

/// Messages a second, and microseconds of our thread for each.
struct Round {
    theirs: f64,
    ours: f64,
    apart: f64,
    cpu: f64,
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(of).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// An `smtp-sink` that ends with us.
struct Sink {
    process: Child,
    at: SocketAddr,
}

impl Sink {
    fn start(options: &[&str]) -> Result<Self, Box<dyn Error>> {
        let at = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        // It does not run as root.
        let is_root = std::fs::metadata("/proc/self")?.uid() == 0;
        let user: &[&str] = if is_root { &["-u", "nobody"] } else { &[] };
        let process = postfix("smtp-sink")
            .args(user)
            .args(options)
            .args(["-c", &at.to_string(), "256"])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("smtp-sink does not start: {error}; install postfix"))?;
        let sink = Self { process, at };
        for _ in 0..100 {
            if TcpStream::connect(at).is_ok() {
                return Ok(sink);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("smtp-sink does not listen".into())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Debian keeps these where only root looks.
fn postfix(program: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#"PATH=$PATH:/usr/sbin exec "$0" "$@""#, program]);
    command
}

fn smtp_source(at: SocketAddr) -> Result<f64, Box<dyn Error>> {
    let began = Instant::now();
    let ended = postfix("smtp-source")
        .args(["-d", "-s", &CONNECTIONS.to_string()])
        .args(["-l", &BYTES.to_string(), "-m", &MESSAGES.to_string()])
        .arg(at.to_string())
        .status()?;
    if !ended.success() {
        return Err("smtp-source failed".into());
    }
    Ok(f64::from(MESSAGES) / began.elapsed().as_secs_f64())
}

fn ours(at: SocketAddr) -> Result<(f64, f64), Box<dyn Error>> {
    let settings = SmtpSettings::parse(&format!("smtp://{at}"), None)?;
    let transport = Transport::smtp(settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let began = (Instant::now(), thread_time()?);
    runtime.block_on(send_all(&transport))?;
    let (took, busy) = (began.0.elapsed(), thread_time()?.saturating_sub(began.1));
    let each = busy.as_secs_f64() * 1e6 / f64::from(MESSAGES);
    Ok((f64::from(MESSAGES) / took.as_secs_f64(), each))
}

/// How long this thread has run on a core.
fn thread_time() -> Result<Duration, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanos))
}

async fn send_all(transport: &Transport) -> Result<(), Box<dyn Error>> {
    let head = "From: a@example.gov.uk\r\nTo: resident@example.org\r\nSubject: x\r\n\r\n";
    let line = format!("{}\r\n", "x".repeat(76));
    let mut message = head.to_owned();
    while message.len() + line.len() <= BYTES {
        message.push_str(&line);
    }
    let text = Arc::new(WireText::new(message.into()));
    let left = Arc::new(AtomicU32::new(MESSAGES));
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        tasks.spawn(send_some(
            transport.clone(),
            Arc::clone(&text),
            Arc::clone(&left),
        ));
    }
    while let Some(ended) = tasks.join_next().await {
        ended?.map_err(|outcome| format!("a message was not taken: {outcome:?}"))?;
    }
    Ok(())
}

async fn send_some(
    transport: Transport,
    text: Arc<WireText>,
    left: Arc<AtomicU32>,
) -> Result<(), Outcome> {
    let recipient = EmailAddress::parse("resident@example.org")
        .map_err(|_| Outcome::CannotDeliver("envelope"))?;
    let envelope = Envelope {
        return_path: "b-abc@bounces.example.gov.uk",
        recipient: &recipient,
    };
    let mut connection = transport.connect().await?;
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(1)
        })
        .is_ok()
    {
        if !connection.may_take_more() {
            connection.close().await;
            connection = transport.connect().await?;
        }
        match connection.send(&envelope, &text, || true).await {
            Outcome::Accepted => {}
            other => return Err(other),
        }
    }
    connection.close().await;
    Ok(())
}
