//! A mail relay that answers as told and writes down every byte: plain threads, RFC 5321 as far as a
//! client needs it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;

use crate::{DEADLINE, Mail, wait_for};

/// What to say to a command that holds certain words.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The command begins with this (capitals): `RCPT TO`, say; `.` is the end of a message and
    /// `CONNECT` the beginning of a connection.
    pub command: &'static str,
    /// And holds this; for `.` the recipient does. `{}` in the reply stands for the recipient.
    pub holds: String,
    /// The reply, without the line end.
    pub reply: &'static str,
}

/// Everything that happened.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    /// All lines of all connections, ours with `S: ` and theirs with `C: ` before them.
    pub lines: Vec<String>,
    /// Recipient and message of every message that was taken, dots unstuffed.
    pub taken: Vec<(String, Vec<u8>)>,
}

/// What all connections share.
#[derive(Debug, Default)]
struct Desk {
    rules: Mutex<Vec<Rule>>,
    transcript: Mutex<Transcript>,
    slowness: Mutex<Duration>,
    closing: AtomicBool,
}

/// The relay; it stops when dropped.
#[derive(Debug)]
pub struct SmtpSink {
    port: u16,
    desk: Arc<Desk>,
    acceptor: Option<std::thread::JoinHandle<()>>,
}

impl SmtpSink {
    /// Starts a relay with these rules; the first that fits speaks, otherwise all is well.
    ///
    /// # Errors
    /// There is no port.
    pub fn start(rules: Vec<Rule>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let desk = Arc::new(Desk::default());
        *lock(&desk.rules) = rules;
        let shared = Arc::clone(&desk);
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.closing.load(Ordering::SeqCst) {
                    break;
                }
                let desk = Arc::clone(&shared);
                // A connection that breaks is the client's affair.
                std::thread::spawn(move || drop(desk.serve(stream)));
            }
        });
        Ok(Self {
            port,
            desk,
            acceptor: Some(acceptor),
        })
    }

    /// `smtp://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Other rules from the next command on.
    pub fn set_rules(&self, rules: Vec<Rule>) {
        *lock(&self.desk.rules) = rules;
    }

    /// Thinks so long about each message, after its dot, before it takes it.
    pub fn set_slowness(&self, slowness: Duration) {
        *lock(&self.desk.slowness) = slowness;
    }

    /// Waits for a message to this address whose subject holds these words, and gives the latest.
    ///
    /// # Errors
    /// None came.
    pub fn wait_for(&self, address: &str, subject: &str) -> Result<Mail> {
        wait_for(
            &format!("a mail to {address} about “{subject}”"),
            DEADLINE,
            || {
                let taken = self.transcript().taken;
                let mails = taken
                    .into_iter()
                    .filter(|(recipient, _)| recipient == address);
                let mails: Vec<Mail> = mails
                    .map(|(recipient, bytes)| Mail::parse(Path::new(&recipient), bytes))
                    .collect::<Result<_>>()?;
                Ok(mails
                    .into_iter()
                    .rfind(|mail| mail.subject.contains(subject)))
            },
        )
    }

    /// What happened so far.
    #[must_use]
    pub fn transcript(&self) -> Transcript {
        lock(&self.desk.transcript).clone()
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        self.desk.closing.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    fn write_down(&self, line: String) {
        lock(&self.transcript).lines.push(line);
    }

    fn reply_to(&self, command: &str, holds: &str, recipient: &str, usual: &str) -> String {
        let rules = lock(&self.rules);
        rules
            .iter()
            .find(|rule| command.starts_with(rule.command) && holds.contains(&rule.holds))
            .map_or_else(
                || usual.to_owned(),
                |rule| rule.reply.replace("{}", recipient),
            )
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(2)))?;
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        let mut say = |text: &str| {
            self.write_down(format!("S: {text}"));
            writer.write_all(format!("{text}\r\n").as_bytes())
        };
        let banner = self.reply_to("CONNECT", "", "", "220 sink.example ESMTP");
        say(&banner)?;
        if !banner.starts_with('2') {
            return Ok(());
        }
        let mut recipient = String::new();
        let mut line = Vec::new();
        while read_line(&mut reader, &mut line)? {
            let text = String::from_utf8_lossy(&line).into_owned();
            self.write_down(format!("C: {text}"));
            let command = text.to_uppercase();
            if command.starts_with("EHLO") {
                say(
                    "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8",
                )?;
            } else if command.starts_with("RCPT TO") {
                let path = text
                    .split_once('<')
                    .and_then(|(_, rest)| rest.split_once('>'));
                path.map_or("", |(path, _)| path).clone_into(&mut recipient);
                say(&self.reply_to(&command, &text, &recipient, "250 2.1.5 fine"))?;
            } else if command == "DATA" {
                say("354 go on")?;
                let message = self.read_message(&mut reader)?;
                let slowness = *lock(&self.slowness);
                std::thread::sleep(slowness);
                let reply = self.reply_to(".", &recipient, &recipient, "250 2.0.0 taken");
                if reply.starts_with('2') {
                    let mut transcript = self
                        .transcript
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner);
                    transcript.taken.push((recipient.clone(), message));
                }
                say(&reply)?;
            } else if command == "QUIT" {
                return say("221 2.0.0 bye");
            } else {
                say(&self.reply_to(&command, &text, &recipient, "250 2.0.0 fine"))?;
            }
        }
        Ok(())
    }

    fn read_message(&self, reader: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
        let mut message = Vec::new();
        let mut line = Vec::new();
        while read_line(reader, &mut line)? {
            self.write_down(format!("C: {}", String::from_utf8_lossy(&line)));
            if line == b"." {
                return Ok(message);
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            message.extend_from_slice(b"\r\n");
        }
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}

/// Reads a line without its `\r\n`; false at the end.
fn read_line(reader: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    if reader.read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    while line
        .last()
        .is_some_and(|byte| matches!(byte, b'\r' | b'\n'))
    {
        line.pop();
    }
    Ok(true)
}
