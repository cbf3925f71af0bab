//! One attempt to connect, bounded in time, and a hold on the socket of what came of it.
//!
//! lapin runs each connection on a thread of its own, which a peer that accepts and then says nothing
//! would keep for ever: its handshake has no time limit, and dropping the future does not end the
//! thread. So the socket is kept here a second time and shut down when a connection is given up, at
//! whatever stage: the thread reads the end of the stream and is gone.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::{Channel, Connection, ConnectionProperties, Event};
use tokio::time::timeout;
use tokio_stream::Stream;

use crate::settings::Address;

/// Reaching one address, with TLS.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// All of it, with the AMQP handshake and login. RabbitMQ delays the answer to a wrong password by a second.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// How often a connection is looked at that says nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A polite good-bye.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialProblem {
    #[error("no answer within {} seconds", DIAL_LIMIT.as_secs())]
    Silent,
    #[error(transparent)]
    Refused(#[from] lapin::Error),
}

/// A connection to the broker. It ends when this is dropped, whatever state it is in.
pub(crate) struct Wire {
    connection: Connection,
    _cut: CutOnDrop,
}

impl Wire {
    /// Connects to one address and logs in; `name` is what the broker's own lists show.
    pub(crate) async fn dial(
        address: &Address,
        tls: Option<&RustlsConnector>,
        name: String,
    ) -> Result<Self, DialProblem> {
        let cut = CutOnDrop(Hold::default());
        let hold = cut.0.clone();
        let tls = tls.filter(|_| address.is_encrypted()).cloned();
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connecting = Connection::connector(
            address.to_uri(),
            lapin::runtime::default_runtime()?,
            async move |uri, runtime| {
                let (host, port) = (uri.authority.host.as_str(), uri.authority.port);
                let reaching = async {
                    let mut problem = io::Error::from(io::ErrorKind::NotFound);
                    for found in tokio::net::lookup_host((host, port)).await? {
                        match AsyncTcpStream::connect(&runtime, found).await {
                            Ok(stream) => {
                                if let AsyncTcpStream::Plain(plain) = &stream {
                                    let socket = plain.get_ref().as_fd().try_clone_to_owned()?;
                                    hold.take(TcpStream::from(socket))?;
                                }
                                return match &tls {
                                    Some(tls) => stream.into_rustls(tls, host).await,
                                    None => Ok(stream),
                                };
                            }
                            Err(error) => problem = error,
                        }
                    }
                    Err(problem)
                };
                match timeout(CONNECT_LIMIT, reaching).await {
                    Ok(reached) => Ok(reached?),
                    Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
                }
            },
            properties,
        );
        let connection = timeout(DIAL_LIMIT, connecting)
            .await
            .map_err(|_| DialProblem::Silent)??;
        Ok(Self {
            connection,
            _cut: cut,
        })
    }

    pub(crate) fn events(&self) -> impl Stream<Item = Event> + Send + Unpin + 'static {
        Box::pin(self.connection.events_listener())
    }

    /// Ends, with the reason, once lapin no longer thinks that it is connected. The streams of
    /// deliveries and events usually say so first, but now and then their last word wakes nobody: then
    /// this does, and whoever waits on them beside it looks at them again.
    pub(crate) async fn gone(&self) -> &'static str {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            if !self.connection.status().connected() {
                return "it is not connected any more";
            }
        }
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// A channel, in bounded time.
    pub(crate) async fn channel(&self) -> Result<Channel, DialProblem> {
        bounded(self.connection.create_channel()).await
    }

    /// Says good-bye, so that the broker's log need not complain.
    pub(crate) async fn close(self) {
        let _ = timeout(CLOSE_LIMIT, self.connection.close(200, "bye".into())).await;
    }
}

/// Says good-bye to a channel. It must be done before the connection is closed: lapin takes the answer
/// to a channel's farewell for an error of the connection once that one says its own.
pub(crate) async fn close_channel(channel: &Channel) {
    let _ = timeout(CLOSE_LIMIT, channel.close(200, "bye".into())).await;
}

/// One request to the broker, in bounded time.
pub(crate) async fn bounded<T>(
    request: impl Future<Output = lapin::Result<T>>,
) -> Result<T, DialProblem> {
    match timeout(CONNECT_LIMIT, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(DialProblem::Silent),
    }
}

/// The second handle of a socket.
#[derive(Clone, Default)]
struct Hold(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    socket: Option<TcpStream>,
    given_up: bool,
}

impl Hold {
    fn take(&self, socket: TcpStream) -> io::Result<()> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.given_up {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // lapin leaves it as the system has it, where a small frame waits for the one before.
        socket.set_nodelay(true)?;
        held.socket = Some(socket);
        Ok(())
    }

    fn cut(&self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.given_up = true;
        if let Some(socket) = held.socket.take() {
            // It fails where the peer was first; then there is nothing to do.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Cuts when it is dropped: also when the future of a dial is dropped half-way.
struct CutOnDrop(Hold);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.cut();
    }
}
