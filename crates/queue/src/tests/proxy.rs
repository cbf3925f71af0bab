//! A network that fails on command, between a broker and its clients. It knows where AMQP frames begin
//! and end, so that it can also say what a broker in trouble says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

/// How bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// Both ways.
    Fair,
    /// Neither way, and nobody is told: connections stay open, and new ones are accepted.
    Silent,
    /// From the broker only, which has stopped reading.
    BrokerOnly,
    /// Connections are cut, and new ones too.
    Down,
}

pub(super) struct Proxy {
    pub(super) address: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    weather: watch::Sender<Weather>,
    cuts: watch::Sender<()>,
    frames: broadcast::Sender<Vec<u8>>,
    nacks: AtomicBool,
    accepted: AtomicUsize,
    farewells: AtomicUsize,
}

impl Proxy {
    pub(super) async fn to(broker: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            weather: watch::channel(Weather::Fair).0,
            cuts: watch::channel(()).0,
            frames: broadcast::channel(16).0,
            nacks: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            farewells: AtomicUsize::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, broker.to_owned(), Arc::clone(&shared)));
        Self {
            address,
            shared,
            _tasks: tasks,
        }
    }

    pub(super) fn turns(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Cuts all connections; new ones are let through.
    pub(super) fn cut(&self) {
        self.shared.cuts.send_replace(());
    }

    /// The broker's confirms arrive as refusals.
    pub(super) fn refuse_all(&self, nacks: bool) {
        self.shared.nacks.store(nacks, Ordering::SeqCst);
    }

    /// Connections so far.
    pub(super) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Connections that ended as they should: the broker has answered the client's good-bye.
    pub(super) fn farewells(&self) -> usize {
        self.shared.farewells.load(Ordering::SeqCst)
    }

    /// `connection.blocked`: the broker is short of something.
    pub(super) fn say_blocked(&self) {
        let mut method = vec![0, 10, 0, 60];
        method.extend(short_string("low on memory"));
        self.say(&method);
    }

    /// `connection.unblocked`.
    pub(super) fn say_unblocked(&self) {
        self.say(&[0, 10, 0, 61]);
    }

    /// `connection.close`, as an operator causes it.
    pub(super) fn say_close(&self) {
        let mut method = vec![0, 10, 0, 50];
        method.extend(320_u16.to_be_bytes());
        method.extend(short_string("CONNECTION_FORCED - closed by the test"));
        method.extend([0, 0, 0, 0]);
        self.say(&method);
    }

    fn say(&self, method: &[u8]) {
        let mut frame = vec![1, 0, 0];
        frame.extend(u32::try_from(method.len()).unwrap().to_be_bytes());
        frame.extend(method);
        frame.push(FRAME_END);
        self.shared.frames.send(frame).unwrap();
    }
}

const FRAME_END: u8 = 0xce;

fn short_string(text: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(text.len()).unwrap()];
    bytes.extend(text.as_bytes());
    bytes
}

async fn accept(listener: TcpListener, broker: String, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        if *shared.weather.borrow() == Weather::Down {
            continue;
        }
        let shared = Arc::clone(&shared);
        let broker = broker.clone();
        connections.spawn(async move {
            let mut down = shared.weather.subscribe();
            let mut cut = shared.cuts.subscribe();
            let carried = carry(client, &broker, &shared);
            tokio::select! {
                () = carried => {}
                _ = cut.changed() => {}
                _ = down.wait_for(|weather| *weather == Weather::Down) => {}
            }
        });
    }
}

async fn carry(client: TcpStream, broker: &str, shared: &Shared) {
    let frames = shared.frames.subscribe();
    let server = TcpStream::connect(broker).await.unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = to_broker(from_client, to_server, shared) => {}
        () = from_broker(from_server, to_client, frames, shared) => {}
    }
}

async fn to_broker(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let mut buffer = vec![0; 64 << 10];
    let mut weather = shared.weather.subscribe();
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        let _ = weather.wait_for(|now| *now == Weather::Fair).await;
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

async fn from_broker(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut frames: broadcast::Receiver<Vec<u8>>,
    shared: &Shared,
) {
    let mut buffer = Vec::new();
    let mut weather = shared.weather.subscribe();
    loop {
        let out = tokio::select! {
            read = from.read_buf(&mut buffer) => match read {
                Ok(1..) => whole_frames(&mut buffer, shared),
                _ => return,
            },
            Ok(frame) = frames.recv() => frame,
        };
        let carries = |now: &Weather| matches!(now, Weather::Fair | Weather::BrokerOnly);
        let _ = weather.wait_for(carries).await;
        if to.write_all(&out).await.is_err() {
            return;
        }
    }
}

/// Takes the frames that are complete: type, channel, size, payload, end.
fn whole_frames(buffer: &mut Vec<u8>, shared: &Shared) -> Vec<u8> {
    let nacks = shared.nacks.load(Ordering::SeqCst);
    let mut end = 0;
    while let Some(size) = buffer.get(end + 3..end + 7) {
        let size = u32::from_be_bytes(size.try_into().unwrap()) as usize;
        let Some(frame) = buffer.get_mut(end..end + size + 8) else {
            break;
        };
        // `basic.ack` and `basic.nack` are laid out alike.
        if nacks && frame[0] == 1 && frame[7..11] == [0, 60, 0, 80] {
            frame[10] = 120;
        }
        // `connection.close-ok`.
        if frame[0] == 1 && frame[7..11] == [0, 10, 0, 51] {
            shared.farewells.fetch_add(1, Ordering::SeqCst);
        }
        end += size + 8;
    }
    buffer.drain(..end).collect()
}
