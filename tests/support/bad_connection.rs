//! One connection to a bad relay: RFC 5321 as far as a client needs it, and the faults at their moments.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};

use crate::bad_sink::Desk;
use crate::sink_ledger::Message;
use crate::wait::now;
use crate::{Entry, Fault, Moment};

/// Lines of a message after which it counts as half read.
const HALF: usize = 12;

/// What a moment came to.
enum Said {
    /// A reply with this code; the client goes on.
    Code(u16),
    /// The connection is closed, or as good as.
    Broken,
}

struct Talk<'a> {
    desk: &'a Desk,
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    number: u64,
    entry: Option<Entry>,
    is_reset: bool,
}

/// Serves a connection to its end.
pub(crate) fn serve(desk: &Desk, stream: TcpStream, number: u64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_mins(10)))?;
    let mut talk = Talk {
        desk,
        writer: stream.try_clone()?,
        reader: BufReader::with_capacity(64 * 1024, stream),
        number,
        entry: None,
        is_reset: false,
    };
    let ended = talk.run();
    // What was under way when the client left is written down too.
    if let Some(entry) = talk.entry.take() {
        desk.write_down(entry);
    }
    if !talk.is_reset {
        let _ = talk.writer.shutdown(Shutdown::Both);
    }
    ended
}

impl Talk<'_> {
    fn run(&mut self) -> std::io::Result<()> {
        if matches!(self.at(Moment::Banner)?, Said::Broken) {
            return Ok(());
        }
        let mut line = Vec::new();
        while read_line(&mut self.reader, &mut line)? {
            let text = String::from_utf8_lossy(&line).into_owned();
            let command = text.to_ascii_uppercase();
            let said = if command.starts_with("EHLO") {
                self.at(Moment::Ehlo)?
            } else if command.starts_with("MAIL FROM") {
                self.begin(&text);
                self.at(Moment::Mail)?
            } else if command.starts_with("RCPT TO") {
                self.recipient(&text)?
            } else if command == "DATA" {
                self.data()?
            } else if command == "RSET" {
                self.finish();
                self.say("250 2.0.0 fine")?
            } else if command == "QUIT" {
                self.finish();
                self.say("221 2.0.0 bye")?;
                Said::Broken
            } else {
                self.say("250 2.0.0 fine")?
            };
            if matches!(said, Said::Broken) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn begin(&mut self, line: &str) {
        self.finish();
        self.entry = Some(Entry {
            connection: self.number,
            at_mail: now(),
            at_data: None,
            at_dot: None,
            at_reply: None,
            return_path: path_of(line),
            recipient: String::new(),
            message: None,
            verdict: 0,
            broken_at: None,
        });
    }

    fn recipient(&mut self, line: &str) -> std::io::Result<Said> {
        let Some(entry) = &mut self.entry else {
            return self.say("503 5.5.1 MAIL first");
        };
        entry.recipient = path_of(line);
        self.desk.recipients.fetch_add(1, Ordering::SeqCst);
        let said = self.at(Moment::Rcpt)?;
        if let (Said::Code(code), Some(entry)) = (&said, &mut self.entry)
            && *code >= 400
        {
            entry.verdict = *code;
            self.finish();
        }
        Ok(said)
    }

    fn data(&mut self) -> std::io::Result<Said> {
        let Some(entry) = &mut self.entry else {
            // After a refusal, of a client that says all at once.
            return self.say("503 5.5.1 nobody to send to");
        };
        entry.at_data = Some(now());
        match self.at(Moment::Data)? {
            Said::Code(code) if code < 400 => {}
            Said::Code(code) => {
                if let Some(entry) = &mut self.entry {
                    entry.verdict = code;
                }
                self.finish();
                return Ok(Said::Code(code));
            }
            Said::Broken => return Ok(Said::Broken),
        }
        if matches!(self.quietly_at(Moment::Text)?, Said::Broken) {
            return Ok(Said::Broken);
        }
        let Some(bytes) = self.message()? else {
            return Ok(Said::Broken);
        };
        let message = Message::read(bytes, self.desk.keeps_messages.load(Ordering::SeqCst));
        if let Some(entry) = &mut self.entry {
            entry.at_dot = Some(now());
            entry.message = Some(message);
        }
        std::thread::sleep(self.desk.slowness());
        let said = self.at(Moment::Dot)?;
        if matches!(said, Said::Broken) || matches!(self.quietly_at(Moment::Idle)?, Said::Broken) {
            return Ok(Said::Broken);
        }
        Ok(said)
    }

    /// The text up to its end, dots unstuffed; none where the line broke before.
    fn message(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let (mut message, mut line, mut lines) = (Vec::new(), Vec::new(), 0);
        let mut closing = Vec::new();
        while read_line(&mut self.reader, &mut line)? {
            if line == b"." {
                return Ok(Some(message));
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            message.extend_from_slice(b"\r\n");
            lines += 1;
            if lines == HALF && matches!(self.quietly_at(Moment::Half)?, Said::Broken) {
                return Ok(None);
            }
            // The last line of a message in parts is its boundary between two pairs of hyphens.
            if closing.is_empty() && line.starts_with(b"--") {
                closing = [&line[..], b"--"].concat();
            }
            if line == closing && matches!(self.quietly_at(Moment::BeforeDot)?, Said::Broken) {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// The reply of this moment, and whatever is planned for it.
    fn at(&mut self, moment: Moment) -> std::io::Result<Said> {
        match self.fault(moment) {
            None => self.answer(moment, None),
            Some(fault) => self.answer(moment, Some(fault)),
        }
    }

    /// A moment at which a relay usually says nothing.
    fn quietly_at(&mut self, moment: Moment) -> std::io::Result<Said> {
        match self.fault(moment) {
            None => Ok(Said::Code(0)),
            Some(Fault::Late(time)) => {
                std::thread::sleep(time);
                Ok(Said::Code(0))
            }
            Some(Fault::Say(text)) => self.say(&text),
            Some(fault) => self.break_off(moment, &fault),
        }
    }

    fn fault(&self, moment: Moment) -> Option<Fault> {
        let recipient = self.entry.as_ref().map(|entry| entry.recipient.as_str());
        self.desk.fault(moment, recipient)
    }

    fn answer(&mut self, moment: Moment, fault: Option<Fault>) -> std::io::Result<Said> {
        let lock_step = self.desk.lock_step.load(Ordering::SeqCst);
        let usual = match moment {
            Moment::Ehlo if lock_step => "250-bad.example\r\n250 8BITMIME",
            Moment::Ehlo => {
                "250-bad.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8"
            }
            _ => moment.usual(),
        };
        let text = match &fault {
            Some(Fault::Say(text)) => text,
            _ => usual,
        };
        let code = text
            .get(..3)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        // Before a byte of the answer is written.
        if moment == Moment::Dot {
            if let Some(entry) = &mut self.entry {
                entry.verdict = code;
                entry.at_reply = Some(now());
                if matches!(fault, Some(Fault::Fin | Fault::Rst | Fault::Silence)) {
                    entry.broken_at = Some(moment);
                }
            }
            self.finish();
        }
        match fault {
            None | Some(Fault::Say(_)) => self.say(text),
            Some(Fault::Late(time)) => {
                std::thread::sleep(time);
                self.say(text)
            }
            Some(Fault::Glued) => {
                let both = format!("{text}\r\n421 4.4.2 bye\r\n");
                self.writer.write_all(both.as_bytes())?;
                Ok(Said::Broken)
            }
            Some(Fault::Bytes) => {
                for byte in text.bytes().chain(*b"\r\n") {
                    self.writer.write_all(&[byte])?;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(Said::Code(code))
            }
            Some(Fault::Long) => {
                let (head, tail) = text.split_at(3);
                let mut lines = format!("{head}-one of many\r\n").repeat(511);
                lines.extend([head, tail, "\r\n"]);
                self.writer.write_all(lines.as_bytes())?;
                Ok(Said::Code(code))
            }
            Some(fault @ (Fault::Fin | Fault::Rst | Fault::Silence)) => {
                self.break_off(moment, &fault)
            }
        }
    }

    fn say(&mut self, text: &str) -> std::io::Result<Said> {
        self.writer.write_all(format!("{text}\r\n").as_bytes())?;
        Ok(match text.get(..3).and_then(|code| code.parse().ok()) {
            None | Some(421 | 221) => Said::Broken,
            Some(code) => Said::Code(code),
        })
    }

    fn break_off(&mut self, moment: Moment, fault: &Fault) -> std::io::Result<Said> {
        if let Some(entry) = &mut self.entry {
            entry.broken_at = Some(moment);
        }
        self.finish();
        if *fault == Fault::Rst {
            let at_once = linger {
                l_onoff: 1,
                l_linger: 0,
            };
            setsockopt(&self.writer, sockopt::Linger, &at_once)?;
            self.is_reset = true;
        }
        if *fault == Fault::Silence {
            self.keep_silent()?;
        }
        if *fault == Fault::Fin {
            let _ = self.writer.shutdown(Shutdown::Both);
        }
        Ok(Said::Broken)
    }

    /// Says nothing and reads nothing away from the client's end, until that is closed or silence ends.
    fn keep_silent(&mut self) -> std::io::Result<()> {
        let stream = self.reader.get_ref();
        stream.set_read_timeout(Some(Duration::from_millis(100)))?;
        let mut rest = [0; 1024];
        while !self.desk.is_closing() && self.desk.silent.load(Ordering::SeqCst) {
            match self.reader.get_mut().read(&mut rest) {
                Ok(0) => break,
                Err(error)
                    if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    break;
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Writes down the transaction that was under way.
    fn finish(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.desk.write_down(entry);
        }
    }
}

fn path_of(line: &str) -> String {
    line.split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or_else(String::new, |(path, _)| path.to_owned())
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
