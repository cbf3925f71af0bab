//! A connection to a relay: bytes out, whole replies in, each with a time limit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::meters::Meters;
use super::replies::{Nonsense, ReplyFinder, ServerReply};
use super::stage::Stage;

/// Why a connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The relay closed it.
    Closed,
    /// The relay kept silent, or took nothing.
    Silence,
    /// The network failed.
    Network(std::io::ErrorKind),
    /// The relay said something that is no reply, or spoke without being asked.
    Nonsense,
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Network(error.kind())
    }
}

impl From<Nonsense> for Fault {
    fn from(_: Nonsense) -> Self {
        Self::Nonsense
    }
}

/// A connection, in the clear or within TLS.
#[derive(Debug)]
pub(crate) enum Wire {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    async fn read(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
        bytes.reserve(SEGMENT);
        match self {
            Self::Clear(stream) => stream.read_buf(bytes).await,
            Self::Tls(stream) => stream.read_buf(bytes).await,
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Clear(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }
}

/// A connection and the bytes that came and were not read yet. Dropping it closes it.
pub(crate) struct Line {
    wire: Wire,
    came: Vec<u8>,
    meters: Arc<Meters>,
    /// When the stage began that is waited in now.
    since: Instant,
}

/// The text goes out in one write, unless it is longer than this: then each piece has its own limit.
const PIECE: usize = 128 * 1024;
const SEGMENT: usize = 1_024;

impl std::fmt::Debug for Line {
    /// Without what came: replies name addresses.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Line({} bytes came)", self.came.len())
    }
}

impl Line {
    pub(crate) fn new(wire: Wire, meters: Arc<Meters>) -> Self {
        Self {
            wire,
            came: Vec::new(),
            meters,
            since: Instant::now(),
        }
    }

    /// Gives up the connection, to go on within TLS. What came in the clear behind the reply to
    /// `STARTTLS` may be anybody's and is thrown away (RFC 3207 section 6).
    pub(crate) fn into_wire(self) -> Wire {
        self.wire
    }

    /// Says a command in one write and takes the whole reply, each within `limit`.
    pub(crate) async fn ask(
        &mut self,
        stage: Stage,
        command: &[u8],
        limit: Duration,
    ) -> Result<ServerReply, Fault> {
        self.say(stage, command, limit).await?;
        self.listen(stage, limit).await
    }

    /// The same, with the bytes of the reply.
    pub(crate) async fn ask_for_text(
        &mut self,
        stage: Stage,
        command: &[u8],
        limit: Duration,
    ) -> Result<(ServerReply, Vec<u8>), Fault> {
        self.say(stage, command, limit).await?;
        let (reply, length) = self.hear(stage, limit).await?;
        Ok((reply, self.came.drain(..length).collect()))
    }

    /// Says one command or several in one write, without waiting for what comes of it.
    pub(crate) async fn say(
        &mut self,
        stage: Stage,
        commands: &[u8],
        limit: Duration,
    ) -> Result<(), Fault> {
        self.since = Instant::now();
        // Nothing may lie here before the question: it would be taken for the answer.
        let said = if self.came.is_empty() {
            within(limit, self.wire.write(commands)).await
        } else {
            Err(Fault::Nonsense)
        };
        if let Err(fault) = said {
            self.meters.heard(stage, Err(fault), self.since.elapsed());
        }
        said
    }

    /// Takes the next reply: the banner, or that to a command that was said before.
    pub(crate) async fn listen(
        &mut self,
        stage: Stage,
        limit: Duration,
    ) -> Result<ServerReply, Fault> {
        let (reply, length) = self.hear(stage, limit).await?;
        self.came.drain(..length);
        Ok(reply)
    }

    /// Waits until a whole reply is there, and gives it and its length.
    async fn hear(&mut self, stage: Stage, limit: Duration) -> Result<(ServerReply, usize), Fault> {
        let came = &mut self.came;
        let wire = &mut self.wire;
        let mut finder = ReplyFinder::default();
        let found = match finder.look(came) {
            Ok(Some(found)) => Ok(found),
            Err(nonsense) => Err(nonsense.into()),
            Ok(None) => timeout(limit, reply(wire, came, finder))
                .await
                .unwrap_or(Err(Fault::Silence)),
        };
        let now = Instant::now();
        let reply = found.map(|(reply, _)| reply);
        self.meters.heard(stage, reply, now - self.since);
        self.since = now;
        found
    }

    /// Writes text that has no reply, `limit` for each piece.
    pub(crate) async fn tell(&mut self, text: &[u8], limit: Duration) -> Result<(), Fault> {
        let mut told = Ok(());
        for piece in text.chunks(PIECE) {
            told = within(limit, self.wire.write(piece)).await;
            if told.is_err() {
                break;
            }
        }
        self.meters.done(Stage::Body, told, self.since.elapsed());
        told
    }

    /// Says goodbye and waits for an answer, best effort: the relay closes anyway.
    pub(crate) async fn farewell(mut self, limit: Duration) {
        let both = async {
            self.wire.write(b"QUIT\r\n").await?;
            reply(&mut self.wire, &mut self.came, ReplyFinder::default()).await
        };
        let _ = timeout(limit, both).await;
    }

    /// Makes sure, without waiting, that the relay has not closed the connection and has said
    /// nothing that it was not asked for.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = self.wire.read(&mut self.came) => false,
            () = std::future::ready(()) => self.came.is_empty(),
        }
    }
}

async fn reply(
    wire: &mut Wire,
    came: &mut Vec<u8>,
    mut finder: ReplyFinder,
) -> Result<(ServerReply, usize), Fault> {
    loop {
        if wire.read(came).await? == 0 {
            return Err(Fault::Closed);
        }
        if let Some(found) = finder.look(came)? {
            return Ok(found);
        }
    }
}

async fn within(
    limit: Duration,
    written: impl Future<Output = std::io::Result<()>>,
) -> Result<(), Fault> {
    timeout(limit, written)
        .await
        .map_err(|_| Fault::Silence)??;
    Ok(())
}
