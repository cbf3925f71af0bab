//! A line to the database that has fallen silent: bytes vanish on it while both ends believe that they
//! are connected. A query whose answer was lost would wait for ever, and hold its connection.
//!
//! A question is put on a connection of its own every few seconds. Where it is not answered, all of
//! this process's connections to the database are shut down: what waited fails, as it does when a
//! server goes, and everybody has a way to go on from there. The kernel's own limits do not help: a
//! proxy or a firewall on the way may go on acknowledging what it swallows.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{Shutdown, SockaddrStorage, getpeername, shutdown};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

use crate::{ConnectSettings, Host};

/// How often the question is put.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// Longer than a database is ever busy without being lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listens for as long as a handle on the database is left.
#[derive(Debug)]
pub(crate) struct Listener(tokio::task::AbortHandle);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listener {
    /// Starts listening. A socket of this machine loses nothing.
    pub(crate) fn start(settings: &ConnectSettings, pool: &PgPool) -> Option<Arc<Self>> {
        let is_far = |(host, _): &&(Host, u16)| matches!(host, Host::Name(_));
        let ports: Vec<u16> = settings
            .hosts
            .iter()
            .filter(is_far)
            .map(|(_, port)| *port)
            .collect();
        let runtime = tokio::runtime::Handle::try_current().ok();
        let runtime = runtime.filter(|_| !ports.is_empty())?;
        let task = runtime.spawn(listen(pool.clone(), ports));
        Some(Arc::new(Self(task.abort_handle())))
    }
}

async fn listen(pool: PgPool, ports: Vec<u16>) {
    let mut line: Option<PgConnection> = None;
    while !pool.is_closed() {
        tokio::time::sleep(ASK_EVERY).await;
        // Where the pool's connections lead now: the server in use may have changed.
        let options = pool.connect_options();
        let asking = answered(line.take(), &options);
        if let Ok(answer) = tokio::time::timeout(PATIENCE, asking).await {
            line = answer;
            continue;
        }
        let broken = break_off(&ports);
        tracing::warn!(
            connections = broken,
            "the database has not answered for {} seconds: connecting anew",
            PATIENCE.as_secs()
        );
    }
}

/// The connection that answered; none where the server is plainly away, which everybody hears.
async fn answered(line: Option<PgConnection>, options: &PgConnectOptions) -> Option<PgConnection> {
    let mut line = match line {
        Some(line) => line,
        None => options.connect().await.ok()?,
    };
    line.ping().await.ok()?;
    Some(line)
}

/// Shuts down every TCP connection of this process to one of these ports, and says how many.
fn break_off(ports: &[u16]) -> usize {
    let files = fs::read_dir("/proc/self/fd").into_iter().flatten();
    files
        .filter_map(|file| file.ok()?.file_name().to_str()?.parse::<RawFd>().ok())
        .filter(|file| peer_port(*file).is_some_and(|port| ports.contains(&port)))
        // one that was closed in the meantime is shut down already
        .filter(|file| shutdown(*file, Shutdown::Both).is_ok())
        .count()
}

fn peer_port(file: RawFd) -> Option<u16> {
    let peer: SockaddrStorage = getpeername(file).ok()?;
    let peer = match (peer.as_sockaddr_in(), peer.as_sockaddr_in6()) {
        (Some(peer), _) => SocketAddr::V4((*peer).into()),
        (_, Some(peer)) => SocketAddr::V6((*peer).into()),
        _ => return None,
    };
    Some(peer.port())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn only_connections_to_the_database_are_broken_off() {
        let [database, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = [&database, &other].map(|listener| listener.local_addr().unwrap().port());
        let [mut silent, mut healthy] =
            ports.map(|port| TcpStream::connect(("127.0.0.1", port)).unwrap());
        let _accepted = [database.accept().unwrap(), other.accept().unwrap()];
        healthy
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        assert_eq!(break_off(&ports[..1]), 1);
        assert_eq!(
            silent.read(&mut [0]).unwrap(),
            0,
            "whoever waits hears that it is over"
        );
        assert!(healthy.read(&mut [0]).is_err(), "this one is still open");
    }
}
