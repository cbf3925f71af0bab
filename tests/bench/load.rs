//! A load of HTTP requests on kept connections: each sends one, waits for its answer, sends the next.
//! One thread, so that the side under test has the rest of the machine.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use crate::table::Sample;

/// Answers that arrive in this time do not count: connections and caches are new.
const WARM_UP: Duration = Duration::from_millis(500);

/// A connection whose answer takes longer is an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest answer that is read, with its head.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Where the load goes and how much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// On loopback.
    pub(crate) port: u16,
    pub(crate) connections: usize,
    /// How long answers are counted.
    pub(crate) time: Duration,
    /// The one status that is right; any other ends the bench.
    pub(crate) status: u16,
}

/// What all connections share.
struct Shared<F> {
    load: Load,
    write_request: RefCell<F>,
    counted_from: Instant,
    until: Instant,
    /// Microseconds of each answer that counts.
    latencies: RefCell<Vec<u32>>,
}

impl Load {
    /// Sends requests for the time and gives how many were answered in it. `write_request` writes the
    /// next one into an empty buffer; where it writes nothing, that connection is done.
    pub(crate) fn run(self, write_request: impl FnMut(&mut Vec<u8>) + 'static) -> Result<Sample> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        LocalSet::new().block_on(&runtime, self.send(write_request))
    }

    async fn send(self, write_request: impl FnMut(&mut Vec<u8>) + 'static) -> Result<Sample> {
        let mut sockets = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            let socket = TcpStream::connect(("127.0.0.1", self.port)).await;
            let socket = socket.context("connecting")?;
            socket.set_nodelay(true)?;
            sockets.push(socket);
        }
        let counted_from = Instant::now() + WARM_UP;
        let shared = Rc::new(Shared {
            load: self,
            write_request: RefCell::new(write_request),
            counted_from,
            until: counted_from + self.time,
            latencies: RefCell::new(Vec::with_capacity(1 << 18)),
        });
        let mut connections = JoinSet::new();
        for socket in sockets {
            connections.spawn_local(one_connection(Rc::clone(&shared), socket));
        }
        while let Some(ended) = connections.join_next().await {
            ended??;
        }
        let mut latencies = shared.latencies.take();
        Sample::of_latencies(&mut latencies, self.time)
    }
}

async fn one_connection<F: FnMut(&mut Vec<u8>)>(
    shared: Rc<Shared<F>>,
    mut socket: TcpStream,
) -> Result<()> {
    let mut request = Vec::with_capacity(1024);
    let mut answer = Vec::with_capacity(LONGEST_ANSWER);
    loop {
        request.clear();
        (shared.write_request.borrow_mut())(&mut request);
        let began = Instant::now();
        if began >= shared.until || request.is_empty() {
            return Ok(());
        }
        let exchange = async {
            socket.write_all(&request).await?;
            read_answer(&mut socket, &mut answer).await
        };
        let status = tokio::time::timeout(PATIENCE, exchange)
            .await
            .context("no answer")??;
        let ended = Instant::now();
        ensure!(
            status == shared.load.status,
            "an answer was {status}, not {}: {}",
            shared.load.status,
            String::from_utf8_lossy(&answer[..answer.len().min(2000)])
        );
        if ended >= shared.counted_from && ended < shared.until {
            let micros = (ended - began).as_micros();
            let micros = u32::try_from(micros).unwrap_or(u32::MAX);
            shared.latencies.borrow_mut().push(micros);
        }
    }
}

/// Reads one answer with a `Content-Length` to its end and gives its status.
async fn read_answer(socket: &mut TcpStream, answer: &mut Vec<u8>) -> Result<u16> {
    answer.clear();
    let mut whole = None;
    loop {
        if socket.read_buf(answer).await? == 0 {
            bail!("the connection was closed in the middle of an answer");
        }
        if whole.is_none()
            && let Some(head_end) = find(answer, b"\r\n\r\n")
        {
            whole = Some(head_end + 4 + content_length(&answer[..head_end])?);
        }
        match whole {
            Some(whole) if answer.len() == whole => break,
            Some(whole) => ensure!(answer.len() < whole, "more than one answer"),
            None => ensure!(answer.len() < LONGEST_ANSWER, "a head without an end"),
        }
    }
    let status = answer.get(9..12).context("no status")?;
    Ok(std::str::from_utf8(status)?.parse()?)
}

fn content_length(head: &[u8]) -> Result<usize> {
    const NAME: &[u8] = b"content-length:";
    let line = head
        .split(|byte| *byte == b'\n')
        .find(|line| {
            line.get(..NAME.len())
                .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
        })
        .context("an answer without Content-Length")?;
    Ok(std::str::from_utf8(&line[NAME.len()..])?.trim().parse()?)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}
