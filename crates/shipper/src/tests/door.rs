//! A way to the database that can be shut.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes connections on while it is open; shutting it cuts all of them.
pub(super) struct Door {
    pub(super) port: u16,
    way: Arc<Mutex<Way>>,
}

#[derive(Default)]
struct Way {
    open: bool,
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
                let mut way = way.lock().unwrap();
                // Dropping the client is a server that went away.
                if way.open {
                    let server = TcpStream::connect((&*host, port)).unwrap();
                    pass(&client, &server);
                    pass(&server, &client);
                    way.streams.extend([client, server]);
                }
            }
        });
        door
    }

    pub(super) fn open(&self) {
        self.way.lock().unwrap().open = true;
    }

    pub(super) fn shut(&self) {
        let mut way = self.way.lock().unwrap();
        way.open = false;
        for stream in way.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
