//! What stands before the web roles: one address for residents, `/u/` and `/undo/` to the unsubscribe
//! roles, all else to intake, in turn; a role that is away is passed over, as load balancers do.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;

use crate::letterbox::free_port;

/// The front; it stops when dropped.
#[derive(Debug)]
pub(crate) struct Front {
    port: u16,
    desk: Arc<Desk>,
    acceptor: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Desk {
    intakes: Mutex<Vec<u16>>,
    unsubscribes: Mutex<Vec<u16>>,
    turn: AtomicUsize,
    closing: AtomicBool,
}

impl Front {
    /// A front on this port, or a free one.
    pub(crate) fn start(port: Option<u16>) -> Result<Self> {
        let port = match port {
            Some(port) => port,
            None => free_port()?,
        };
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let desk = Arc::new(Desk::default());
        let shared = Arc::clone(&desk);
        let acceptor = std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.closing.load(Ordering::SeqCst) {
                    break;
                }
                let desk = Arc::clone(&shared);
                std::thread::spawn(move || drop(desk.serve(client)));
            }
        });
        Ok(Self {
            port,
            desk,
            acceptor: Some(acceptor),
        })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Sends requests to these ports from now on.
    pub(crate) fn pass_on(&self, intakes: Vec<u16>, unsubscribes: Vec<u16>) {
        *self
            .desk
            .intakes
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = intakes;
        *self
            .desk
            .unsubscribes
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = unsubscribes;
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.desk.closing.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port)); // wakes the acceptor
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Desk {
    /// One connection, one request: the client says so or closes after it.
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        client.set_nodelay(true)?;
        client.set_read_timeout(Some(Duration::from_mins(1)))?;
        let mut head = Vec::new();
        let mut buffer = [0; 16 * 1024];
        while !head.contains(&b'\n') {
            match client.read(&mut buffer)? {
                0 => return Ok(()),
                length => head.extend_from_slice(&buffer[..length]),
            }
        }
        let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned();
        let path = line.split(' ').nth(1).unwrap_or_default();
        let leaves = path.starts_with("/u/") || path.starts_with("/undo/");
        let roles = if leaves {
            &self.unsubscribes
        } else {
            &self.intakes
        };
        let Some(server) = self.next_of(&roles.lock().unwrap_or_else(PoisonError::into_inner))
        else {
            return client.write_all(
                b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        };
        server.set_nodelay(true)?;
        (&server).write_all(&head)?;
        let (from, to) = (client.try_clone()?, server.try_clone()?);
        let up = std::thread::spawn(move || carry(&from, &to));
        carry(&server, &client);
        let _ = client.shutdown(Shutdown::Both);
        let _ = up.join();
        Ok(())
    }

    fn next_of(&self, ports: &[u16]) -> Option<TcpStream> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        (0..ports.len())
            .map(|step| ports[(first + step) % ports.len()])
            .find_map(|port| TcpStream::connect(("127.0.0.1", port)).ok())
    }
}

fn carry(mut from: &TcpStream, mut to: &TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
