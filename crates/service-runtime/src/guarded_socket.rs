//! A connection that notices a peer which has gone quiet: in the middle of a request's head, or while
//! it should take an answer. hyper's own timer covers neither by itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Idle,
    /// A head has begun (or, at first, the connection).
    Head(Instant),
    /// A request is being answered; its own deadlines count.
    Answering,
}

/// The phase, as the socket and the service tell it.
#[derive(Clone)]
pub(crate) struct Phases(Arc<watch::Sender<Phase>>);

/// The phase, as the connection's task watches it.
pub(crate) struct PhaseWatch(watch::Receiver<Phase>);

impl Phases {
    /// A connection that was accepted now: its first head has begun.
    pub(crate) fn new() -> (Self, PhaseWatch) {
        let (sender, receiver) = watch::channel(Phase::Head(Instant::now()));
        (Self(Arc::new(sender)), PhaseWatch(receiver))
    }

    /// A request's head is complete; dropped when its answer begins.
    pub(crate) fn answering(&self) -> Answering {
        self.0.send_replace(Phase::Answering);
        Answering(self.clone())
    }

    fn bytes_arrived(&self) {
        self.0.send_if_modified(|phase| {
            let begins = *phase == Phase::Idle;
            if begins {
                *phase = Phase::Head(Instant::now());
            }
            begins
        });
    }
}

/// While this lives, a request is being answered.
pub(crate) struct Answering(Phases);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.send_replace(Phase::Idle);
    }
}

impl PhaseWatch {
    /// Resolves once a head has taken that long without being complete. Safe to drop and call again.
    pub(crate) async fn head_took_longer_than(&mut self, limit: Duration) {
        loop {
            let phase = *self.0.borrow_and_update();
            let has_changed = match phase {
                Phase::Head(since) => tokio::select! {
                    () = tokio::time::sleep_until(since + limit) => return,
                    changed = self.0.changed() => changed,
                },
                Phase::Idle | Phase::Answering => self.0.changed().await,
            };
            if has_changed.is_err() {
                // The socket is gone, and with it the connection that is waited for elsewhere.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The socket.
pub(crate) struct GuardedSocket {
    socket: TcpStream,
    phases: Phases,
    stalled_write: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl GuardedSocket {
    pub(crate) const fn new(socket: TcpStream, phases: Phases, stalled_write: Duration) -> Self {
        Self {
            socket,
            phases,
            stalled_write,
            stalled: None,
        }
    }

    /// Turns a write that stays pending for too long into an error.
    fn limit_stall<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.stalled_write;
        let timer = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timer
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for GuardedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.phases.bytes_arrived();
        }
        read
    }
}

impl AsyncWrite for GuardedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.limit_stall(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.limit_stall(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
