//! A TCP proxy between two parts that can break the line in every way a network does: cut it, refuse
//! it, or swallow every byte while both ends believe that they are connected. Plain threads.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};

/// What happens to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Line {
    /// They pass.
    Pass = 0,
    /// They vanish both ways, of old and new connections, and no end is told (a half-open line).
    Swallow = 1,
    /// What clients send vanishes; what the server sends arrives.
    SwallowRequests = 2,
    /// What the server sends vanishes; what clients send arrives.
    SwallowReplies = 3,
    /// Every new connection is closed at once.
    Refuse = 4,
}

#[derive(Debug)]
struct Desk {
    target: AtomicU16,
    line: AtomicU8,
    closing: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    trap: Mutex<Option<Trap>>,
}

/// A connection ends where these bytes come from the server: they are not passed on.
#[derive(Debug)]
struct Trap {
    bytes: Vec<u8>,
    times: usize,
    sprung: usize,
}

/// The proxy; it stops when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    desk: Arc<Desk>,
    acceptor: Option<std::thread::JoinHandle<()>>,
}

impl FaultProxy {
    /// A proxy on a free port before this port of loopback.
    ///
    /// # Errors
    /// There is no port.
    pub fn before(port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let own_port = listener.local_addr()?.port();
        let desk = Arc::new(Desk {
            target: AtomicU16::new(port),
            line: AtomicU8::new(Line::Pass as u8),
            closing: AtomicBool::new(false),
            open: Mutex::new(Vec::new()),
            trap: Mutex::new(None),
        });
        let shared = Arc::clone(&desk);
        let acceptor = std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.closing.load(Ordering::SeqCst) {
                    break;
                }
                if shared.line() == Line::Refuse as u8 {
                    continue; // dropped, which closes it
                }
                // A target that is away closes the client's connection, as a real one would.
                let _ = Desk::connect(&shared, client);
            }
        });
        Ok(Self {
            port: own_port,
            desk,
            acceptor: Some(acceptor),
        })
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Leads to another port of loopback from now on, and cuts what leads to the old one: an address that
    /// follows whoever is in charge.
    pub fn lead_to(&self, port: u16) {
        self.desk.target.store(port, Ordering::SeqCst);
        self.cut();
    }

    /// From now on.
    pub fn set(&self, line: Line) {
        self.desk.line.store(line as u8, Ordering::SeqCst);
    }

    /// Cuts every open connection.
    pub fn cut(&self) {
        for stream in self.desk.lock().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Resets a connection, both ends of it, where these bytes come from the server; so many times. They
    /// are not passed on: whoever asked for a commit, say, does not hear of it.
    pub fn reset_at(&self, bytes: &[u8], times: usize) {
        *self.desk.trap() = Some(Trap {
            bytes: bytes.to_vec(),
            times,
            sprung: 0,
        });
    }

    /// How often that happened.
    #[must_use]
    pub fn resets(&self) -> usize {
        self.desk.trap().as_ref().map_or(0, |trap| trap.sprung)
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.desk.lock().len() / 2
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.desk.closing.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port)); // wakes the acceptor
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.cut();
    }
}

impl Desk {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trap(&self) -> std::sync::MutexGuard<'_, Option<Trap>> {
        self.trap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether these bytes of a server spring the trap.
    fn springs(&self, bytes: &[u8]) -> bool {
        let mut trap = self.trap();
        let Some(trap) = trap.as_mut().filter(|trap| trap.sprung < trap.times) else {
            return false;
        };
        let length = trap.bytes.len();
        let found = bytes.windows(length).any(|window| window == trap.bytes);
        trap.sprung += usize::from(found);
        found
    }

    fn forget(&self, stream: &TcpStream) {
        let ends = [stream.local_addr().ok(), stream.peer_addr().ok()];
        self.lock()
            .retain(|open| [open.local_addr().ok(), open.peer_addr().ok()] != ends);
    }

    fn line(&self) -> u8 {
        self.line.load(Ordering::SeqCst)
    }

    fn connect(desk: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let target = SocketAddr::from(([127, 0, 0, 1], desk.target.load(Ordering::SeqCst)));
        let server = TcpStream::connect_timeout(&target, Duration::from_secs(5))?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
            desk.lock().push(stream.try_clone()?);
        }
        let ways = [
            (
                client.try_clone()?,
                server.try_clone()?,
                Line::SwallowRequests,
            ),
            (server, client, Line::SwallowReplies),
        ];
        let is_reset = Arc::new(AtomicBool::new(false));
        for (from, to, swallowed_by) in ways {
            let (desk, is_reset) = (Arc::clone(desk), Arc::clone(&is_reset));
            std::thread::spawn(move || desk.carry(from, to, swallowed_by, &is_reset));
        }
        Ok(())
    }

    /// One way of one connection, until either end closes it.
    fn carry(
        &self,
        mut from: TcpStream,
        mut to: TcpStream,
        swallowed_by: Line,
        is_reset: &AtomicBool,
    ) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length) = from.read(&mut buffer) {
            let line = self.line();
            let swallowed = line == Line::Swallow as u8 || line == swallowed_by as u8;
            if is_reset.load(Ordering::SeqCst) {
                return;
            }
            if length == 0 {
                // A half-open line does not carry the end either: the other end stays connected.
                if swallowed {
                    return;
                }
                break;
            }
            if swallowed_by == Line::SwallowReplies && self.springs(&buffer[..length]) {
                is_reset.store(true, Ordering::SeqCst);
                for stream in [&from, &to] {
                    self.forget(stream);
                    let at_once = linger {
                        l_onoff: 1,
                        l_linger: 0,
                    };
                    let _ = setsockopt(stream, sockopt::Linger, &at_once);
                    // Wakes the other way, and tells neither end: the last close does, by a reset.
                    let _ = stream.shutdown(Shutdown::Read);
                }
            }
            if is_reset.load(Ordering::SeqCst) {
                return;
            }
            if !swallowed && to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        for stream in [&from, &to] {
            self.forget(stream);
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers every byte with itself.
    fn echo() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() {
                        let _ = stream.write_all(&byte);
                    }
                });
            }
        });
        port
    }

    fn comes_back(stream: &mut TcpStream, byte: u8) -> bool {
        let mut answer = [0];
        stream.write_all(&[byte]).is_ok()
            && stream.read_exact(&mut answer).is_ok()
            && answer == [byte]
    }

    #[test]
    fn a_line_passes_is_half_open_and_is_cut() {
        let proxy = FaultProxy::before(echo()).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        assert!(comes_back(&mut stream, b'a'));
        for line in [Line::Swallow, Line::SwallowRequests, Line::SwallowReplies] {
            proxy.set(line);
            assert!(!comes_back(&mut stream, b'b'), "{line:?}");
            assert_eq!(proxy.connections(), 1, "{line:?}: both ends stay connected");
        }
        proxy.set(Line::Pass);
        assert!(comes_back(&mut stream, b'c'));
        proxy.cut();
        assert!(!comes_back(&mut stream, b'd'));
        let nobody = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        proxy.lead_to(nobody.local_addr().unwrap().port());
        drop(nobody);
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        assert!(!comes_back(&mut stream, b'e'), "it leads to nobody");
        proxy.lead_to(echo());
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        assert!(comes_back(&mut stream, b'f'));
    }

    #[test]
    fn a_line_is_reset_where_certain_bytes_come_from_the_server() {
        let proxy = FaultProxy::before(echo()).unwrap();
        proxy.reset_at(b"c", 1);
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        assert!(comes_back(&mut stream, b'a'));
        stream.write_all(b"c").unwrap();
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!((proxy.resets(), proxy.connections()), (1, 0));
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        assert!(comes_back(&mut stream, b'c'), "once is enough");
    }
}
