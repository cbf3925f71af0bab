//! A connection that notices a peer which has gone quiet: in the middle of a request's head, or while
//! it should take an answer. hyper's own timer covers neither by itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// No head has begun.
const NO_HEAD: u64 = u64::MAX;

/// Where a connection is, shared by its socket, its service and its watch: since when a head has been
/// coming in, in milliseconds from the connection's first, or [`NO_HEAD`] and whether a request is being
/// answered, whose own deadlines count then.
///
/// A number rather than a channel: each request changes it three times, and must not wake the
/// connection's task for it.
struct State {
    began: Instant,
    head_since: AtomicU64,
    answering: AtomicBool,
}

/// The state, as the socket and the service tell it.
#[derive(Clone)]
pub(crate) struct Phases(Arc<State>);

/// The state, as the connection's task watches it.
pub(crate) struct PhaseWatch(Arc<State>);

impl Phases {
    /// A connection that was accepted now: its first head has begun.
    pub(crate) fn new() -> (Self, PhaseWatch) {
        let state = Arc::new(State {
            began: Instant::now(),
            head_since: AtomicU64::new(0),
            answering: AtomicBool::new(false),
        });
        (Self(Arc::clone(&state)), PhaseWatch(state))
    }

    /// A request's head is complete; dropped when its answer begins.
    pub(crate) fn answering(&self) -> Answering {
        self.0.answering.store(true, Ordering::Relaxed);
        self.0.head_since.store(NO_HEAD, Ordering::Relaxed);
        Answering(self.clone())
    }

    fn bytes_arrived(&self) {
        if !self.0.answering.load(Ordering::Relaxed)
            && self.0.head_since.load(Ordering::Relaxed) == NO_HEAD
        {
            let since = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(NO_HEAD - 1);
            self.0.head_since.store(since, Ordering::Relaxed);
        }
    }
}

/// While this lives, a request is being answered.
pub(crate) struct Answering(Phases);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.head_since.store(NO_HEAD, Ordering::Relaxed);
        self.0.0.answering.store(false, Ordering::Relaxed);
    }
}

impl PhaseWatch {
    /// Resolves once a head has taken that long without being complete.
    ///
    /// Looks once in `limit` while nothing is amiss: a head that begins between two looks is not late
    /// before the second.
    pub(crate) async fn head_took_longer_than(&self, limit: Duration) {
        let mut next_look = self.0.began + limit;
        loop {
            tokio::time::sleep_until(next_look).await;
            let now = Instant::now();
            next_look = match self.0.head_since.load(Ordering::Relaxed) {
                NO_HEAD => now + limit,
                since => {
                    let late = self.0.began + Duration::from_millis(since) + limit;
                    if late <= now {
                        return;
                    }
                    late
                }
            };
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
