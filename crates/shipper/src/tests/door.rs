//! A way to a server that can be shut.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Passes connections on while it is open; shutting it cuts all of them.
pub(super) struct Door {
    pub(super) port: u16,
    way: Arc<Way>,
}

#[derive(Default)]
struct Way {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    open: bool,
    /// Nothing that the server says comes through, while the client is heard.
    silent: bool,
    streams: Vec<TcpStream>,
}

impl Door {
    /// A shut door to this host and port.
    pub(super) fn to(host: &str, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let door = Self {
            port: listener.local_addr().unwrap().port(),
            way: Arc::default(),
        };
        let (way, host) = (Arc::clone(&door.way), host.to_owned());
        // Ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut state = way.state.lock().unwrap();
                // Dropping the client is a server that went away.
                if state.open {
                    let server = TcpStream::connect((&*host, port)).unwrap();
                    pass(&client, &server, None);
                    pass(&server, &client, Some(Arc::clone(&way)));
                    state.streams.extend([client, server]);
                }
            }
        });
        door
    }

    pub(super) fn open(&self) {
        self.change(|state| state.open = true);
    }

    /// Lets nothing of the server's through until [`shut`](Self::shut).
    pub(super) fn silence(&self) {
        self.change(|state| state.silent = true);
    }

    pub(super) fn shut(&self) {
        self.change(|state| {
            state.open = false;
            state.silent = false;
            for stream in state.streams.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.way.state.lock().unwrap());
        self.way.changed.notify_all();
    }
}

fn pass(from: &TcpStream, to: &TcpStream, gate: Option<Arc<Way>>) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if let Some(way) = &gate {
                let state = way.state.lock().unwrap();
                drop(way.changed.wait_while(state, |state| state.silent));
            }
            // Shut meanwhile: these bytes are lost.
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
