//! A connection to a relay: bytes out, whole replies in, each with a time limit.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::replies::{Nonsense, ReplyFinder, ServerReply};

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
#[derive(Debug)]
pub(crate) struct Line {
    wire: Wire,
    came: Vec<u8>,
}

const PIECE: usize = 32 * 1024;
const SEGMENT: usize = 1_024;

impl Line {
    pub(crate) const fn new(wire: Wire) -> Self {
        Self {
            wire,
            came: Vec::new(),
        }
    }

    /// Gives up the connection, to go on within TLS. What came in the clear behind the reply to
    /// `STARTTLS` may be anybody's and is thrown away (RFC 3207 section 6).
    pub(crate) fn into_wire(self) -> Wire {
        self.wire
    }

    /// Says a command in one write and takes the whole reply, within `limit` together.
    pub(crate) async fn ask(
        &mut self,
        command: &[u8],
        limit: Duration,
    ) -> Result<ServerReply, Fault> {
        self.ask_for_text(command, limit)
            .await
            .map(|(reply, _)| reply)
    }

    /// The same, with the bytes of the reply.
    pub(crate) async fn ask_for_text(
        &mut self,
        command: &[u8],
        limit: Duration,
    ) -> Result<(ServerReply, Vec<u8>), Fault> {
        // In lock-step nothing may lie here before the question: it would be taken for the answer.
        if !self.came.is_empty() {
            return Err(Fault::Nonsense);
        }
        let both = async {
            self.wire.write(command).await?;
            Self::reply(&mut self.wire, &mut self.came).await
        };
        timeout(limit, both).await.map_err(|_| Fault::Silence)?
    }

    /// Takes a reply that was not asked for: the banner.
    pub(crate) async fn listen(&mut self, limit: Duration) -> Result<ServerReply, Fault> {
        let reply = Self::reply(&mut self.wire, &mut self.came);
        let (reply, _) = timeout(limit, reply).await.map_err(|_| Fault::Silence)??;
        Ok(reply)
    }

    async fn reply(wire: &mut Wire, came: &mut Vec<u8>) -> Result<(ServerReply, Vec<u8>), Fault> {
        let mut finder = ReplyFinder::default();
        loop {
            if let Some((reply, length)) = finder.look(came)? {
                let text = came.drain(..length).collect();
                return Ok((reply, text));
            }
            if wire.read(came).await? == 0 {
                return Err(Fault::Closed);
            }
        }
    }

    /// Writes text that has no reply, `limit` for each piece.
    pub(crate) async fn tell(&mut self, text: &[u8], limit: Duration) -> Result<(), Fault> {
        for piece in text.chunks(PIECE) {
            timeout(limit, self.wire.write(piece))
                .await
                .map_err(|_| Fault::Silence)??;
        }
        Ok(())
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
