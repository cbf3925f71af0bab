//! A relay that plays dice for every reply, and writes down what it decided before it says so.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What became of a message, as the relay sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has the whole message and said so.
    Accepted,
    /// It refused the message.
    Refused(u16),
    /// The same, but it had said a reply too many before, and whoever notices hears no more.
    RefusedAdrift(u16),
    /// It said that it is about to leave, where nothing was asked.
    Leaving,
    /// It never had the end of the message.
    Unfinished,
    /// It had the end of the message, and did not say what became of it.
    Unsaid,
}

/// Numbers that look random and are the same each time.
pub(crate) struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn is(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }
}

/// What was decided of each message, by its number.
pub(crate) type Ledger = Arc<Mutex<HashMap<u32, Verdict>>>;

/// Starts one. Gives its port, its ledger, and a word for each time that it keeps silent: it goes on
/// only when the client is gone.
pub(crate) fn start() -> (u16, Ledger, UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let ledger = Ledger::default();
    let (silences, silent) = unbounded_channel();
    let mut relay = DicingRelay {
        dice: Dice(7),
        ledger: Arc::clone(&ledger),
        silences,
        is_off: false,
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_nodelay(true).unwrap();
            let mut wire = Wire(BufReader::new(stream));
            // A connection ends in an error whenever the dice want it to.
            let _ = relay.serve(&mut wire);
        }
    });
    (port, ledger, silent)
}

struct DicingRelay {
    dice: Dice,
    ledger: Ledger,
    silences: UnboundedSender<()>,
    /// It said a reply too many on this connection.
    is_off: bool,
}

struct Wire(BufReader<TcpStream>);

/// The connection is over.
struct Over;

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

impl Wire {
    fn line(&mut self) -> Result<Vec<u8>, Over> {
        let mut line = Vec::new();
        match self.0.read_until(b'\n', &mut line)? {
            0 => Err(Over),
            _ => Ok(line),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Over> {
        Ok(self.0.get_mut().write_all(bytes)?)
    }

    /// Whether the client has said more already.
    fn has_more(&self) -> bool {
        !self.0.buffer().is_empty()
    }
}

impl DicingRelay {
    fn serve(&mut self, wire: &mut Wire) -> Result<(), Over> {
        self.is_off = false;
        wire.write(b"220 relay.example ESMTP\r\n")?;
        wire.line()?;
        let offer = if self.dice.is(50) {
            "PIPELINING"
        } else {
            "HELP"
        };
        wire.write(format!("250-relay.example\r\n250 {offer}\r\n").as_bytes())?;
        loop {
            self.message(wire)?;
        }
    }

    fn message(&mut self, wire: &mut Wire) -> Result<(), Over> {
        let mut command = wire.line()?;
        let mut waiting = Vec::new();
        if !command.starts_with(b"MAIL") {
            self.between(wire, &mut waiting, &command)?;
            command = wire.line()?;
        }
        assert!(command.starts_with(b"MAIL"), "{command:?}");
        let is_refused = self.dice.is(4);
        self.may_end(wire, None)?;
        let early = if is_refused {
            "451 4.3.0 later"
        } else {
            "250 2.1.0 ok"
        };
        self.say(wire, &mut waiting, early)?;
        let command = wire.line()?;
        if !command.starts_with(b"RCPT") {
            // In lock-step, a refused message has no recipient: the next line is of another one.
            assert!(is_refused, "{command:?}");
            return self.next(wire, &command);
        }
        let number = number_in(&command);
        self.decide(number, Verdict::Unfinished);
        if is_refused {
            self.decide(number, self.refusal(451));
            self.say(wire, &mut waiting, "503 5.5.1 no sender")?;
        } else {
            self.recipient(wire, number, &mut waiting)?;
        }
        self.data(wire, number, &mut waiting)
    }

    /// What is said between two messages.
    fn between(
        &mut self,
        wire: &mut Wire,
        waiting: &mut Vec<u8>,
        command: &[u8],
    ) -> Result<(), Over> {
        if command.starts_with(b"QUIT") {
            return Err(Over);
        }
        assert!(command.starts_with(b"RSET"), "{command:?}");
        self.say(wire, waiting, "250 2.0.0 reset")
    }

    /// The message before was refused early, and this command is of the next.
    fn next(&mut self, wire: &mut Wire, command: &[u8]) -> Result<(), Over> {
        self.between(wire, &mut Vec::new(), command)?;
        self.message(wire)
    }

    fn recipient(
        &mut self,
        wire: &mut Wire,
        number: u32,
        waiting: &mut Vec<u8>,
    ) -> Result<(), Over> {
        self.may_end(wire, Some(number))?;
        match self.dice.roll(20) {
            0 => self.refuse(wire, waiting, number, 550),
            1 => self.refuse(wire, waiting, number, 450),
            2 => {
                self.decide(number, Verdict::Leaving);
                self.say(wire, waiting, "250 2.1.5 ok\r\n421 4.3.2 leaving")?;
                wire.write(waiting)?;
                wire.line().map(|_| ())
            }
            // One reply too many: all that follow are off by one.
            3 => {
                self.is_off = true;
                self.say(wire, waiting, "250 2.1.5 ok\r\n250 2.1.5 ok")
            }
            _ => self.say(wire, waiting, "250 2.1.5 ok"),
        }
    }

    fn data(&mut self, wire: &mut Wire, number: u32, waiting: &mut Vec<u8>) -> Result<(), Over> {
        let is_open = self.verdict(number) == Some(Verdict::Unfinished);
        let command = wire.line()?;
        if !command.starts_with(b"DATA") {
            assert!(!is_open, "{command:?}");
            return self.next(wire, &command);
        }
        if is_open && !self.is_off {
            self.may_end(wire, Some(number))?;
            if self.dice.is(3) {
                return self.refuse(wire, waiting, number, 554);
            }
        } else if !is_open && self.dice.is(50) {
            return self.say(wire, waiting, "503 5.5.1 no recipient");
        }
        self.say(wire, waiting, "354 go on")?;
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n.\r\n") && text != b".\r\n" {
            text.extend(wire.line()?);
        }
        if text == b".\r\n" {
            assert!(!is_open, "a message without its text");
            return self.say(wire, &mut Vec::new(), "554 5.5.1 no recipient");
        }
        assert!(is_open, "a refused message came");
        assert_eq!(
            number_in(&text),
            number,
            "a text came for another recipient"
        );
        self.decide(number, Verdict::Unsaid);
        self.end(wire, number)
    }

    /// The reply after the dot, and what else comes with it.
    fn end(&mut self, wire: &mut Wire, number: u32) -> Result<(), Over> {
        self.may_end(wire, None)?;
        let waiting = &mut Vec::new();
        let (verdict, text) = match self.dice.roll(4) {
            0 => (Verdict::Refused(554), "554 5.6.0 no"),
            1 => (Verdict::Refused(451), "451 4.3.0 later"),
            _ => (Verdict::Accepted, "250 2.0.0 taken"),
        };
        self.decide(number, verdict);
        let what_else = self.dice.roll(16);
        self.is_off |= what_else < 2;
        match what_else {
            0 => self.say(wire, waiting, &format!("{text}\r\n421 4.3.2 leaving")),
            1 => self.say(wire, waiting, &format!("{text}\r\n250 2.0.0 taken")),
            2 => {
                // While the client is idle, a moment later or at once.
                self.say(wire, waiting, text)?;
                self.say(wire, waiting, "221 2.0.0 idle for too long")?;
                Err(Over)
            }
            3 => {
                self.say(wire, waiting, text)?;
                Err(Over)
            }
            _ => self.say(wire, waiting, text),
        }
    }

    fn refuse(
        &mut self,
        wire: &mut Wire,
        waiting: &mut Vec<u8>,
        number: u32,
        code: u16,
    ) -> Result<(), Over> {
        self.decide(number, self.refusal(code));
        let class = code / 100;
        self.say(wire, waiting, &format!("{code} {class}.1.1 no"))
    }

    /// Closes the connection now and then, or keeps silent until the client is gone and says only
    /// then what it was asked.
    fn may_end(&mut self, wire: &mut Wire, number: Option<u32>) -> Result<(), Over> {
        match self.dice.roll(100) {
            0 | 1 => Err(Over),
            2 => {
                let _ = self.silences.send(());
                while wire.line().is_ok() {}
                if let Some(number) = number {
                    self.decide(number, Verdict::Unfinished);
                }
                let _ = wire.write(b"250 2.0.0 too late\r\n");
                Err(Over)
            }
            _ => Ok(()),
        }
    }

    /// Says something at once, byte by byte, in 512 lines, or together with what comes after it.
    fn say(&mut self, wire: &mut Wire, waiting: &mut Vec<u8>, text: &str) -> Result<(), Over> {
        match self.dice.roll(12) {
            0 => {
                wire.write(waiting)?;
                for byte in format!("{text}\r\n").bytes() {
                    wire.write(&[byte])?;
                }
                waiting.clear();
                return Ok(());
            }
            1 => {
                let (code, rest) = text.split_at(3);
                let line = format!(
                    "{code}-{}\r\n",
                    rest.lines().next().unwrap_or_default().trim()
                );
                waiting.extend(line.repeat(511).bytes());
            }
            2..=6 if wire.has_more() => {
                waiting.extend(format!("{text}\r\n").bytes());
                return Ok(());
            }
            _ => {}
        }
        waiting.extend(format!("{text}\r\n").bytes());
        wire.write(waiting)?;
        waiting.clear();
        Ok(())
    }

    const fn refusal(&self, code: u16) -> Verdict {
        if self.is_off {
            Verdict::RefusedAdrift(code)
        } else {
            Verdict::Refused(code)
        }
    }

    fn decide(&self, number: u32, verdict: Verdict) {
        self.ledger.lock().unwrap().insert(number, verdict);
    }

    fn verdict(&self, number: u32) -> Option<Verdict> {
        self.ledger.lock().unwrap().get(&number).copied()
    }
}

/// The number of a message: in `m17@example.org`, and in its text.
fn number_in(bytes: &[u8]) -> u32 {
    let text = str::from_utf8(bytes).unwrap();
    let (_, rest) = text.split_once('m').unwrap();
    let (number, _) = rest.split_once('@').unwrap();
    number.parse().unwrap()
}
