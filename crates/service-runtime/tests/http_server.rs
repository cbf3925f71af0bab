//! The server against peers that misbehave, over real sockets and with short limits.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Extension;
use axum::http::StatusCode;
use axum::routing::{get, post};
use service_runtime::{PeerAddr, ServerLimits, Shutdown, access_log, http_server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A limit that the test waits for.
const SHORT: Duration = Duration::from_millis(300);
/// What no test should need; a test that waits this long has failed.
const LONG: Duration = Duration::from_secs(20);

fn patient() -> ServerLimits {
    ServerLimits {
        head: LONG,
        idle: LONG,
        body: LONG,
        request: LONG,
        stalled_write: LONG,
        drain: LONG,
        ..ServerLimits::default()
    }
}

async fn hang() {
    std::future::pending::<()>().await;
}

fn panics() -> StatusCode {
    panic!("planted")
}

fn router() -> Router {
    let peer = |Extension(PeerAddr(peer)): Extension<PeerAddr>| async move { peer.to_string() };
    let echo = |body: Result<Bytes, axum::extract::rejection::BytesRejection>| async move {
        body.map_err(|_| StatusCode::REQUEST_TIMEOUT)
    };
    // Long enough for the server to see that the client has closed its sending half.
    let later = || async {
        tokio::time::sleep(SHORT).await;
        "later"
    };
    let large = || async { vec![b'x'; 64 * 1024 * 1024] };
    access_log::logged(
        Router::new()
            .route("/peer", get(peer))
            .route("/echo", post(echo))
            .route("/later", get(later))
            .route("/hang", get(hang))
            .route("/panic", get(|| async { panics() }))
            .route("/large", get(large)),
    )
}

async fn start(limits: ServerLimits) -> (SocketAddr, Shutdown) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound listener");
    let shutdown = Shutdown::new();
    http_server::serve(listener, router(), limits, &shutdown);
    (address, shutdown)
}

/// All that the server sends until it closes.
async fn read_to_end(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset ends an answer as well as a close does.
    let _ = tokio::time::timeout(LONG, socket.read_to_end(&mut answer))
        .await
        .expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until the text has arrived.
async fn read_until(socket: &mut TcpStream, wanted: &str) -> String {
    let mut answer = String::new();
    let mut buffer = [0; 4096];
    while !answer.contains(wanted) {
        let read = tokio::time::timeout(LONG, socket.read(&mut buffer))
            .await
            .expect("an answer in time")
            .expect("no reset");
        assert!(read > 0, "closed before {wanted:?}, after {answer:?}");
        answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    answer
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    socket
        .write_all(request.as_bytes())
        .await
        .expect("the server reads");
    read_to_end(&mut socket).await
}

#[tokio::test]
async fn a_handler_is_told_the_peer() {
    let (address, _shutdown) = start(patient()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let own = socket.local_addr().unwrap().to_string();
    socket
        .write_all(b"GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(read_to_end(&mut socket).await.ends_with(&own));
}

#[tokio::test]
async fn http_1_0_and_a_half_closed_client_get_their_answers() {
    let (address, _shutdown) = start(patient()).await;
    let answer = ask(address, "GET /peer HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");

    let mut socket = TcpStream::connect(address).await.unwrap();
    socket
        .write_all(b"GET /later HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    socket.shutdown().await.unwrap();
    let answer = read_to_end(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("later"), "{answer}");
}

#[tokio::test]
async fn a_client_that_expects_100_continue_is_told_to_go_on() {
    let (address, _shutdown) = start(patient()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket
        .write_all(
            b"POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
        )
        .await
        .unwrap();
    read_until(&mut socket, "100 Continue").await;
    socket.write_all(b"hi").await.unwrap();
    let answer = read_until(&mut socket, "hi").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_dripping_head_is_cut_off_in_time() {
    let limits = ServerLimits {
        head: SHORT,
        ..patient()
    };
    let (address, _shutdown) = start(limits).await;
    // Both on a new connection and after a request that went well.
    for first in ["", "GET /peer HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        if !first.is_empty() {
            socket.write_all(first.as_bytes()).await.unwrap();
            read_until(&mut socket, "127.0.0.1").await;
        }
        let (mut incoming, mut outgoing) = socket.into_split();
        let started = Instant::now();
        let dripping = async {
            outgoing.write_all(b"GET /peer HTTP/1.1\r\n").await?;
            loop {
                outgoing.write_all(b"x-drip: 1\r\n").await?;
                tokio::time::sleep(SHORT / 10).await;
                if started.elapsed() > LONG {
                    return Ok::<_, std::io::Error>(());
                }
            }
        };
        let mut rest = Vec::new();
        tokio::select! {
            _ = dripping => {}
            _ = incoming.read_to_end(&mut rest) => {}
        }
        assert!(started.elapsed() < LONG, "the drip went on");
        assert!(started.elapsed() >= SHORT, "cut off early");
        assert!(!String::from_utf8_lossy(&rest).contains("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_silent_connection_is_closed_after_head_or_idle_time() {
    let limits = ServerLimits {
        head: SHORT,
        idle: SHORT * 3,
        ..patient()
    };
    let (address, _shutdown) = start(limits).await;
    let started = Instant::now();
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert_eq!(read_to_end(&mut silent).await, "");
    assert!(started.elapsed() < LONG);

    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /peer HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut idle, "127.0.0.1").await;
    let started = Instant::now();
    read_to_end(&mut idle).await;
    // Idle is not a slow head: the longer limit counts.
    assert!(started.elapsed() > SHORT * 2, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_dripping_body_and_a_hanging_handler_are_answered_in_time() {
    let limits = ServerLimits {
        body: SHORT,
        request: SHORT * 4,
        ..patient()
    };
    let (address, _shutdown) = start(limits).await;
    let head = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf";
    let answer = ask(address, head).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let answer = ask(address, "GET /hang HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: "), "{answer}");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_server_goes_on() {
    let (address, shutdown) = start(patient()).await;
    for _ in 0..2 {
        let answer = ask(address, "GET /panic HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
        assert!(!answer.contains("planted"));
        for promised in [
            "cache-control: no-store",
            "content-security-policy: default-src 'none'",
            "referrer-policy: no-referrer",
            "x-content-type-options: nosniff",
            "x-robots-tag: noindex",
        ] {
            assert!(answer.contains(promised), "{promised}: {answer}");
        }
    }
    assert!(!shutdown.is_stopping());
    assert!(!shutdown.finish(LONG).await.task_panicked);
}

#[tokio::test]
async fn a_peer_that_takes_no_answer_is_cut_off() {
    let limits = ServerLimits {
        stalled_write: SHORT,
        connections: 1,
        ..patient()
    };
    let (address, _shutdown) = start(limits).await;
    let mut stalled = TcpStream::connect(address).await.unwrap();
    stalled
        .write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    // There is one place, and the stalled peer has it: the next peer is served only after the cut.
    let started = Instant::now();
    let answer = tokio::time::timeout(LONG, ask(address, "GET /peer HTTP/1.0\r\n\r\n"))
        .await
        .expect("the place is free again");
    assert!(answer.contains("200 OK"), "{answer}");
    assert!(started.elapsed() >= SHORT);
    drop(stalled);
}

#[tokio::test]
async fn oversized_heads_are_refused() {
    let (address, _shutdown) = start(patient()).await;
    let many = "x-a: 1\r\n".repeat(65);
    let long = "y".repeat(20 * 1024);
    for head in [
        format!("GET /peer HTTP/1.1\r\nhost: x\r\n{many}\r\n"),
        format!("GET /peer HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n"),
    ] {
        let answer = ask(address, &head).await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
}

#[tokio::test]
async fn a_stop_finishes_open_requests_and_takes_no_new_ones() {
    let (address, shutdown) = start(patient()).await;
    let mut open = TcpStream::connect(address).await.unwrap();
    open.write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nh")
        .await
        .unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /peer HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut idle, "127.0.0.1").await;

    shutdown.begin();
    assert_eq!(read_to_end(&mut idle).await, "", "idle: closed at once");
    // The listener goes away as soon as the server has seen the stop.
    let deadline = Instant::now() + LONG;
    while TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline, "still accepting");
        tokio::task::yield_now().await;
    }
    open.write_all(b"i").await.unwrap();
    let answer = read_to_end(&mut open).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("hi"), "{answer}");
    assert_eq!(shutdown.finish(LONG).await.cut_short, 0);
}

#[tokio::test]
async fn a_drain_cuts_off_peers_that_stall() {
    let limits = ServerLimits {
        drain: SHORT,
        ..patient()
    };
    let (address, shutdown) = start(limits).await;
    let mut hanging = TcpStream::connect(address).await.unwrap();
    hanging
        .write_all(b"GET /hang HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET /pe").await.unwrap();
    // Served by the time an answer to a later request is there.
    ask(address, "GET /peer HTTP/1.0\r\n\r\n").await;

    let started = Instant::now();
    let finished = shutdown.finish(LONG).await;
    assert_eq!(finished.cut_short, 0, "the server's own drain ended it");
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
    assert_eq!(read_to_end(&mut hanging).await, "");
    read_to_end(&mut half).await;
}
