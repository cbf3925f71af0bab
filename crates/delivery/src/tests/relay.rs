//! A relay that does as it is told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use mail::{SmtpSettings, Transport};
use service_runtime::Shutdown;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What to do with a recipient, instead of taking their mail.
#[derive(Clone, Copy)]
pub(super) enum Order {
    /// Answer `RCPT` with this.
    Refuse(&'static str),
    /// Wait for [`Relay::release`] before the answer to `RCPT`.
    HoldRcpt,
    /// Wait for [`Relay::release`] before the answer to `DATA`.
    HoldData,
    /// Wait for [`Relay::release`] before the answer to the dot.
    HoldDot,
    /// Close the connection after the dot, without an answer.
    HangUp,
}

/// Where [`Relay::answer_next`] answers; a 421 closes the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Banner,
    Mail,
    Rcpt,
    Data,
    Dot,
    /// Behind the answer to a dot, before the next message.
    Idle,
}

pub(super) struct Relay {
    port: u16,
    seen: Arc<Seen>,
    release: watch::Sender<bool>,
    _running: Running,
}

#[derive(Default)]
struct Seen {
    /// Recipients whose mail was answered 250, in order.
    accepted: Mutex<Vec<String>>,
    /// Recipients of every `RCPT`.
    tried: Mutex<Vec<String>>,
    /// Recipients for whom `DATA` was said.
    told: Mutex<Vec<String>>,
    /// Recipients whose dot was read.
    dotted: Mutex<Vec<String>>,
    orders: Mutex<HashMap<String, Order>>,
    next: Mutex<Option<(Place, &'static str)>>,
    /// When mails were answered 250.
    accepted_at: Mutex<Vec<Instant>>,
    /// Peers wait for [`Relay::release`] before the banner.
    is_slow: AtomicBool,
    peers: AtomicUsize,
}

/// Ends the server with the test.
struct Running(Shutdown);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.begin();
    }
}

impl Relay {
    pub(super) async fn start() -> Self {
        Self::listen(TcpListener::bind(("127.0.0.1", 0)).await.unwrap())
    }

    /// At a port where nobody listened before.
    pub(super) async fn start_at(port: u16) -> Self {
        Self::listen(TcpListener::bind(("127.0.0.1", port)).await.unwrap())
    }

    fn listen(listener: TcpListener) -> Self {
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen::default());
        let (release, gate) = watch::channel(false);
        let shutdown = Shutdown::new();
        let (tasks, shared) = (shutdown.clone(), Arc::clone(&seen));
        shutdown.spawn("relay", async move {
            loop {
                tokio::select! {
                    peer = listener.accept() => {
                        let (stream, _) = peer.unwrap();
                        let (seen, gate) = (Arc::clone(&shared), gate.clone());
                        // a peer that goes away ends its own task only
                        tasks.spawn("peer", async move { converse(stream, &seen, gate).await.ok(); });
                    }
                    () = tasks.token().cancelled() => break,
                }
            }
        });
        Self {
            port,
            seen,
            release,
            _running: Running(shutdown),
        }
    }

    pub(super) fn transport(&self) -> Transport {
        transport_to(self.port)
    }

    pub(super) fn order(&self, recipient: &str, order: Order) {
        let mut orders = self.seen.orders.lock().unwrap();
        orders.insert(recipient.to_owned(), order);
    }

    pub(super) fn obey_nobody(&self) {
        self.seen.orders.lock().unwrap().clear();
    }

    /// The next time somebody comes to this place they get this answer, once.
    pub(super) fn answer_next(&self, place: Place, answer: &'static str) {
        *self.seen.next.lock().unwrap() = Some((place, answer));
    }

    /// When mails were answered 250.
    pub(super) fn accepted_at(&self) -> Vec<Instant> {
        self.seen.accepted_at.lock().unwrap().clone()
    }

    /// From now on who connects waits for [`Self::release`] before the banner.
    pub(super) fn be_slow(&self) {
        self.seen.is_slow.store(true, Ordering::SeqCst);
    }

    /// How many have connected.
    pub(super) fn peers(&self) -> usize {
        self.seen.peers.load(Ordering::SeqCst)
    }

    pub(super) fn release(&self) {
        self.release.send_replace(true);
    }

    pub(super) fn accepted(&self) -> Vec<String> {
        let mut accepted = self.seen.accepted.lock().unwrap().clone();
        accepted.sort();
        accepted
    }

    pub(super) fn was_tried(&self, recipient: &str) -> bool {
        self.seen
            .tried
            .lock()
            .unwrap()
            .iter()
            .any(|tried| tried == recipient)
    }

    pub(super) fn was_told(&self, recipient: &str) -> bool {
        self.seen
            .told
            .lock()
            .unwrap()
            .iter()
            .any(|told| told == recipient)
    }

    pub(super) fn was_dotted(&self, recipient: &str) -> bool {
        self.seen
            .dotted
            .lock()
            .unwrap()
            .iter()
            .any(|dotted| dotted == recipient)
    }
}

pub(super) fn transport_to(port: u16) -> Transport {
    let settings = SmtpSettings::parse(&format!("smtp://127.0.0.1:{port}"), None).unwrap();
    Transport::smtp(settings).unwrap()
}

async fn converse(
    stream: TcpStream,
    seen: &Seen,
    mut gate: watch::Receiver<bool>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut recipient = String::new();
    seen.peers.fetch_add(1, Ordering::SeqCst);
    if seen.is_slow.load(Ordering::SeqCst) {
        gate.wait_for(|open| *open).await.ok();
    }
    let banner = next_for(seen, Place::Banner);
    let welcome = banner.unwrap_or("220 relay.example ESMTP");
    stream
        .write_all(format!("{welcome}\r\n").as_bytes())
        .await?;
    if banner.is_some() {
        return Ok(());
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.trim_end().to_ascii_uppercase();
        let answer = if command.starts_with("RCPT") {
            recipient = line
                .split_once('<')
                .and_then(|(_, rest)| rest.split_once('>'))
                .map(|(address, _)| address.to_owned())
                .unwrap_or_default();
            seen.tried.lock().unwrap().push(recipient.clone());
            match order_for(seen, &recipient) {
                Some(Order::Refuse(answer)) => answer,
                Some(Order::HoldRcpt) => {
                    gate.wait_for(|open| *open).await.ok();
                    "250 2.1.5 fine"
                }
                _ => next_for(seen, Place::Rcpt).unwrap_or("250 2.1.5 fine"),
            }
        } else if command.starts_with("MAIL") {
            next_for(seen, Place::Mail).unwrap_or("250 2.1.0 fine")
        } else if command == "DATA"
            && let Some(refusal) = next_for(seen, Place::Data)
        {
            refusal
        } else if command == "DATA" {
            seen.told.lock().unwrap().push(recipient.clone());
            if let Some(Order::HoldData) = order_for(seen, &recipient) {
                gate.wait_for(|open| *open).await.ok();
            }
            stream.write_all(b"354 go on\r\n").await?;
            loop {
                let mut text = Vec::new();
                if stream.read_until(b'\n', &mut text).await? == 0 {
                    return Ok(());
                }
                if text == b".\r\n" {
                    break;
                }
            }
            seen.dotted.lock().unwrap().push(recipient.clone());
            match order_for(seen, &recipient) {
                Some(Order::HangUp) => return Ok(()),
                Some(Order::HoldDot) => {
                    gate.wait_for(|open| *open).await.ok();
                }
                _ => {}
            }
            if let Some(refusal) = next_for(seen, Place::Dot) {
                refusal
            } else {
                seen.accepted.lock().unwrap().push(recipient.clone());
                seen.accepted_at.lock().unwrap().push(Instant::now());
                next_for(seen, Place::Idle).unwrap_or("250 2.0.0 queued")
            }
        } else if command == "QUIT" {
            stream.write_all(b"221 2.0.0 bye\r\n").await?;
            return Ok(());
        } else {
            "250 2.0.0 fine"
        };
        // in one write: two would wait for each other's acknowledgement
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        if answer.contains("421 ") {
            return Ok(());
        }
    }
}

/// What was ordered for this place, once.
fn next_for(seen: &Seen, place: Place) -> Option<&'static str> {
    let mut next = seen.next.lock().unwrap();
    next.take_if(|(at, _)| *at == place)
        .map(|(_, answer)| answer)
}

fn order_for(seen: &Seen, recipient: &str) -> Option<Order> {
    seen.orders.lock().unwrap().get(recipient).copied()
}
