//! Our own accept loop over hyper: axum's installs no timers, so a slow peer could hold a connection
//! for ever (`reliability.md` 7.3).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Shutdown;
use crate::guarded_socket::{GuardedSocket, Phases};
use crate::request_guard;

/// How long to leave the listener alone after it could not accept, say for want of descriptors.
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(100);

/// The peer's address, as a request extension: the proxy's where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// What a peer may take of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at once; more wait in the listener's backlog.
    pub connections: usize,
    /// From the first byte of a request's head to its last; for the first request of a connection
    /// from the accept.
    pub head: Duration,
    /// Between two requests of one connection. Longer than a proxy's own, it spares the proxy
    /// requests that meet a closing connection.
    pub idle: Duration,
    /// From the head to the end of a request's body.
    pub body: Duration,
    /// From the head of a request to the head of its answer.
    pub request: Duration,
    /// A write that the peer does not take a byte of.
    pub stalled_write: Duration,
    /// Header fields in a request.
    pub headers: usize,
    /// Bytes of a request's head, and of the buffer for each direction.
    pub buffer: usize,
    /// From the stop of the process until open requests are cut off.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            body: Duration::from_secs(15),
            request: Duration::from_secs(20),
            stalled_write: Duration::from_secs(20),
            headers: 64,
            buffer: 16 * 1024,
            drain: Duration::from_secs(20),
        }
    }
}

/// Serves the router on the listener, as a task of the process, until the process stops: then it
/// closes the listener, lets open requests finish for at most [`ServerLimits::drain`] and cuts off
/// the rest.
pub fn serve(listener: TcpListener, router: Router, limits: ServerLimits, shutdown: &Shutdown) {
    let stop = shutdown.token().clone();
    shutdown.spawn("http_server", run(listener, router, limits, stop));
}

/// What all connections of a listener share.
struct Server {
    router: Router,
    limits: ServerLimits,
    stop: CancellationToken,
    cut_off: CancellationToken,
}

async fn run(listener: TcpListener, router: Router, limits: ServerLimits, stop: CancellationToken) {
    let server = Arc::new(Server {
        router,
        limits,
        stop: stop.clone(),
        // A child of nothing: dropping `run`, as the end of the grace period does, must cut
        // connections off too, so the guard below cancels it.
        cut_off: CancellationToken::new(),
    });
    let _cut_off_when_dropped = server.cut_off.clone().drop_guard();
    // Connections are not tasks of the process: a peer may end in any way it likes.
    let connections = TaskTracker::new();
    let accepting = accept_until_stopped(&listener, &server, &connections);
    tokio::select! {
        () = stop.cancelled() => {}
        () = accepting => {}
    }
    drop(listener);
    connections.close();
    let drained = tokio::time::timeout(limits.drain, connections.wait()).await;
    if drained.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "connections cut off at the end of the drain"
        );
        server.cut_off.cancel();
        connections.wait().await;
    }
}

async fn accept_until_stopped(
    listener: &TcpListener,
    server: &Arc<Server>,
    connections: &TaskTracker,
) {
    let places = Arc::new(Semaphore::new(server.limits.connections));
    // Accept only with a permit in hand: a connection that nobody can serve stays in the backlog,
    // where it costs no descriptor. The semaphore is never closed.
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let server = server.clone();
                connections.spawn(async move {
                    server.serve_connection(socket, peer).await;
                    drop(place);
                });
            }
            Err(problem) => wait_after(&problem).await,
        }
    }
}

/// An error of one connection that was lost before we took it means nothing; one of ours (EMFILE,
/// ENOBUFS) comes back at once in a tight loop, so the loop takes a breath. Neither ends it.
async fn wait_after(problem: &std::io::Error) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(
        problem.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        return;
    }
    metrics::counter!("letterbox_http_accept_errors_total").increment(1);
    tracing::warn!(error = %problem, "cannot accept a connection");
    tokio::time::sleep(AFTER_ACCEPT_ERROR).await;
}

impl Server {
    async fn serve_connection(&self, socket: TcpStream, peer: SocketAddr) {
        // Answers are small and written at once: waiting for more would only delay them.
        let _ = socket.set_nodelay(true);
        let (phases, watch) = Phases::new();
        let socket = GuardedSocket::new(socket, phases.clone(), self.limits.stalled_write);
        let service = service_fn(|request| {
            let router = self.router.clone();
            let phases = phases.clone();
            let limits = self.limits;
            async move {
                let _answering = phases.answering();
                request_guard::answer(router, request, PeerAddr(peer), limits).await
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Covers the wait for the next request as well; the shorter limit for a head that has
            // begun is the watch's.
            .header_read_timeout(self.limits.idle.max(self.limits.head))
            .max_headers(self.limits.headers)
            .max_buf_size(self.limits.buffer)
            // A client that closes its sending half after the request still gets its answer.
            .half_close(true)
            .serve_connection(TokioIo::new(socket), service);
        let slow_head = watch.head_took_longer_than(self.limits.head);
        let (cut_off, stop) = (self.cut_off.cancelled(), self.stop.cancelled());
        tokio::pin!(connection, slow_head, cut_off, stop);
        let mut is_draining = false;
        loop {
            tokio::select! {
                biased;
                // Broken pipes, resets and malformed requests: the peer's business.
                _ = &mut connection => return,
                () = &mut slow_head => return,
                () = &mut cut_off => return,
                () = &mut stop, if !is_draining => {
                    is_draining = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
