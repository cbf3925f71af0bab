//! A relay that answers as a test wants. It runs on a thread of its own with blocking sockets, so
//! that it shares no code with the client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the client did last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Connected,
    Ehlo,
    StartTls,
    Auth,
    AuthMore,
    Rset,
    Mail,
    Rcpt,
    Data,
    /// After 354: [`Act::Say`] with nothing reads on.
    Body,
    Dot,
    Quit,
}

/// What the relay does then.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Says this and a line end.
    Say(String),
    /// Says this and closes.
    SayAndClose(String),
    /// Closes.
    Close,
    /// Says nothing until the client goes.
    Silence,
}

pub(crate) fn say(text: &str) -> Act {
    Act::Say(text.to_owned())
}

/// The answers of a relay that takes everything.
pub(crate) fn usual(step: Step) -> Act {
    say(match step {
        Step::Connected => "220 relay.example ESMTP",
        Step::Ehlo => "250-relay.example\r\n250-SIZE 1000000\r\n250 ENHANCEDSTATUSCODES",
        Step::StartTls => "220 2.0.0 go on",
        Step::Auth => "235 2.7.0 welcome",
        Step::AuthMore => "334 ",
        Step::Rset | Step::Mail | Step::Rcpt => "250 2.1.0 ok",
        Step::Data => "354 go on",
        Step::Body => "",
        Step::Dot => "250 2.0.0 taken",
        Step::Quit => "221 2.0.0 bye",
    })
}

/// What the relay saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Commands, a `.` for each dot, `closed` for each connection that the client closed.
    pub(crate) commands: Vec<String>,
    /// Messages as they stood on the wire, up to the dot.
    pub(crate) messages: Vec<Vec<u8>>,
    /// Connections that are over, whoever ended them.
    pub(crate) ended: usize,
}

pub(crate) struct Relay {
    pub(crate) port: u16,
    seen: Arc<Mutex<Seen>>,
    changes: Mutex<Receiver<()>>,
}

type Answers = Box<dyn FnMut(Step) -> Act + Send>;

impl Relay {
    /// Answers each step; connections come one after another.
    pub(crate) fn start(answers: impl FnMut(Step) -> Act + Send + 'static) -> Self {
        Self::start_with_tls(false, answers)
    }

    /// The same, within TLS from the first byte.
    pub(crate) fn start_with_tls(
        implicit: bool,
        answers: impl FnMut(Step) -> Act + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (changed, receiver) = channel();
        let mut server = Server {
            answers: Box::new(answers),
            seen: Arc::clone(&seen),
            changed,
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                stream.set_nodelay(true).unwrap();
                let wire = if implicit {
                    secured(stream)
                } else {
                    Box::new(stream)
                };
                server.serve(BufReader::new(wire));
                server.ended();
            }
        });
        Self {
            port,
            seen,
            changes: Mutex::new(receiver),
        }
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        self.seen.lock().unwrap().commands.clone()
    }

    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().messages.clone()
    }

    /// Waits until a connection is over; at most ten seconds.
    pub(crate) fn wait_for_end(&self) {
        self.wait_until("end", |seen| seen.ended > 0);
    }

    /// Waits until this command was seen so often; at most ten seconds.
    pub(crate) fn wait_for(&self, command: &str, times: usize) {
        self.wait_until(command, |seen| {
            let same = seen.commands.iter().filter(|seen| *seen == command);
            same.count() >= times
        });
    }

    fn wait_until(&self, what: &str, is_there: impl Fn(&Seen) -> bool) {
        let changes = self.changes.lock().unwrap();
        while !is_there(&self.seen.lock().unwrap()) {
            let change = changes.recv_timeout(Duration::from_secs(10));
            assert!(change.is_ok(), "no {what} in {:?}", self.commands());
        }
    }
}

trait Wire: Read + Write + Send {
    fn secure(self: Box<Self>) -> Box<dyn Wire>;
}

impl Wire for TcpStream {
    fn secure(self: Box<Self>) -> Box<dyn Wire> {
        secured(*self)
    }
}

impl Wire for StreamOwned<ServerConnection, TcpStream> {
    fn secure(self: Box<Self>) -> Box<dyn Wire> {
        self
    }
}

fn secured(stream: TcpStream) -> Box<dyn Wire> {
    let certificate = CertificateDer::pem_slice_iter(include_bytes!("../certificates/relay.pem"));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../certificates/relay.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificate.map(Result::unwrap).collect(), key)
        .unwrap();
    let connection = ServerConnection::new(Arc::new(config)).unwrap();
    Box::new(StreamOwned::new(connection, stream))
}

struct Server {
    answers: Answers,
    seen: Arc<Mutex<Seen>>,
    changed: Sender<()>,
}

impl Server {
    fn note(&self, command: &str) {
        self.seen.lock().unwrap().commands.push(command.to_owned());
        let _ = self.changed.send(());
    }

    fn ended(&self) {
        self.seen.lock().unwrap().ended += 1;
        let _ = self.changed.send(());
    }

    fn serve(&mut self, mut wire: BufReader<Box<dyn Wire>>) {
        if !self.answer(Step::Connected, &mut wire) {
            return;
        }
        loop {
            let mut line = String::new();
            match wire.read_line(&mut line) {
                Ok(length) if length > 0 => {}
                _ => return self.note("closed"),
            }
            let line = line.trim_end_matches("\r\n");
            self.note(line);
            let step = match line.split(' ').next().unwrap_or_default() {
                "EHLO" => Step::Ehlo,
                "STARTTLS" => Step::StartTls,
                "AUTH" if line == "AUTH LOGIN" => Step::AuthMore,
                "RSET" => Step::Rset,
                "MAIL" => Step::Mail,
                "RCPT" => Step::Rcpt,
                "DATA" => Step::Data,
                "QUIT" => Step::Quit,
                // The two answers of AUTH LOGIN in the tests.
                "bWU=" => Step::AuthMore,
                "AUTH" | "c2VjcmV0" => Step::Auth,
                other => panic!("unexpected command {other}"),
            };
            let goes_on = self.answer(step, &mut wire);
            if !goes_on || step == Step::Quit {
                return;
            }
            if step == Step::StartTls {
                wire = BufReader::new(wire.into_inner().secure());
            }
            if step == Step::Data && self.said_354() && !self.body(&mut wire) {
                return;
            }
        }
    }

    fn said_354(&self) -> bool {
        !self
            .seen
            .lock()
            .unwrap()
            .commands
            .ends_with(&["refused".to_owned()])
    }

    fn body(&mut self, wire: &mut BufReader<Box<dyn Wire>>) -> bool {
        if !self.answer(Step::Body, wire) {
            return false;
        }
        let mut message = Vec::new();
        while !message.ends_with(b"\r\n.\r\n") && message != b".\r\n" {
            match wire.read_until(b'\n', &mut message) {
                Ok(length) if length > 0 => {}
                _ => {
                    self.note("closed");
                    return false;
                }
            }
        }
        self.seen.lock().unwrap().messages.push(message);
        self.note(".");
        self.answer(Step::Dot, wire)
    }

    fn answer(&mut self, step: Step, wire: &mut BufReader<Box<dyn Wire>>) -> bool {
        let act = (self.answers)(step);
        let stream = wire.get_mut();
        match act {
            Act::Say(text) if text.is_empty() => true,
            Act::Say(text) => {
                if step == Step::Data && !text.contains("354") {
                    self.note("refused");
                }
                // A client that is gone shows at the next reading.
                let _ = stream.write_all(format!("{text}\r\n").as_bytes());
                let _ = stream.flush();
                true
            }
            Act::SayAndClose(text) => {
                let _ = stream.write_all(format!("{text}\r\n").as_bytes());
                let _ = stream.flush();
                false
            }
            Act::Close => false,
            Act::Silence => {
                let mut rest = Vec::new();
                let _ = wire.read_to_end(&mut rest);
                self.note("closed");
                false
            }
        }
    }
}
