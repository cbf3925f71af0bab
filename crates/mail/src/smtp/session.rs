//! From nothing to a connection that takes mail: connect, TLS, banner, greeting, login.

use std::sync::Arc;
use std::time::Instant;

use data_encoding::BASE64;
use domain::Outcome;
use smtp_proto::{
    AUTH_LOGIN, AUTH_PLAIN, EXT_8BIT_MIME, EXT_AUTH, EXT_PIPELINING, EXT_SMTP_UTF8, EXT_START_TLS,
    EhloResponse,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::line::{Fault, Line, Wire};
use super::meters::Meters;
use super::replies::ServerReply;
use super::stage::{Judgement, Stage};
use super::tls::Tls;
use super::{Credentials, Security, SettingsError, SmtpConnection, SmtpSettings};

/// A relay that can be connected to.
#[derive(Debug)]
pub(crate) struct SmtpRelay {
    settings: SmtpSettings,
    tls: Option<Tls>,
    meters: Arc<Meters>,
}

/// What a relay offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an extension of its own, offered or not"
)]
pub(crate) struct Offers {
    start_tls: bool,
    login: Option<Login>,
    /// Commands before the text in one write (RFC 2920).
    pub(crate) pipelining: bool,
    /// Bytes over 127 in the text (RFC 6152).
    pub(crate) eight_bit: bool,
    /// Addresses and header fields in UTF-8 (RFC 6531).
    pub(crate) smtp_utf8: bool,
}

/// A way to log in (RFC 4616; LOGIN is older and was never a standard).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    Plain,
    Login,
}

impl SmtpRelay {
    pub(crate) fn new(settings: SmtpSettings) -> Result<Self, SettingsError> {
        settings.check()?;
        let tls = match settings.security {
            Security::Plain => None,
            Security::StartTls | Security::Implicit => {
                Some(Tls::new(&settings.host, settings.authorities.as_deref())?)
            }
        };
        Ok(Self {
            settings,
            tls,
            meters: Arc::default(),
        })
    }

    /// Every failure here leaves all recipients where they are: it is the route's, not theirs.
    pub(crate) async fn connect(&self) -> Result<SmtpConnection, Outcome> {
        let stream = self.reach().await?;
        let wire = match self.settings.security {
            Security::Implicit => self.secure(stream).await?,
            Security::Plain | Security::StartTls => Wire::Clear(stream),
        };
        let mut line = self.line(wire);
        let banner = line
            .listen(Stage::Banner, self.settings.patience.banner)
            .await;
        passed(Stage::Banner, banner)?;
        let mut offers = self.greet(&mut line).await?;
        if self.settings.security == Security::StartTls {
            line = self.start_tls(line, offers).await?;
            offers = self.greet(&mut line).await?;
        }
        if let Some(credentials) = &self.settings.credentials {
            self.log_in(&mut line, offers, credentials).await?;
        }
        Ok(SmtpConnection::new(
            line,
            Arc::clone(&self.meters),
            offers,
            self.settings.patience,
            self.settings.messages,
        ))
    }

    fn line(&self, wire: Wire) -> Line {
        Line::new(wire, Arc::clone(&self.meters))
    }

    async fn reach(&self) -> Result<TcpStream, Outcome> {
        let began = Instant::now();
        let address = (self.settings.host.as_str(), self.settings.port);
        let connecting = async {
            let stream = TcpStream::connect(address).await?;
            // The text and the dot are two writes: without this the dot would wait for the relay's
            // delayed acknowledgement of the text, some 40 ms a message.
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let reached = flat(timeout(self.settings.patience.connect, connecting).await);
        self.settled(Stage::Connect, reached, began)
    }

    async fn secure(&self, stream: TcpStream) -> Result<Wire, Outcome> {
        let began = Instant::now();
        let tls = self.tls.as_ref().ok_or(Stage::Tls.lost())?;
        let secured = flat(timeout(self.settings.patience.tls, tls.secure(stream)).await);
        let stream = self.settled(Stage::Tls, secured, began)?;
        Ok(Wire::Tls(Box::new(stream)))
    }

    /// For a stage that has no reply.
    fn settled<T>(
        &self,
        stage: Stage,
        result: Result<T, Fault>,
        began: Instant,
    ) -> Result<T, Outcome> {
        let done = result.as_ref().map(|_| ()).map_err(|fault| *fault);
        self.meters.done(stage, done, began.elapsed());
        settled(stage, result)
    }

    async fn greet(&self, line: &mut Line) -> Result<Offers, Outcome> {
        let command = format!("EHLO {}\r\n", self.settings.hello_name);
        let answer = line
            .ask_for_text(
                Stage::Ehlo,
                command.as_bytes(),
                self.settings.patience.command,
            )
            .await;
        let (reply, text) = settled(Stage::Ehlo, answer)?;
        passed(Stage::Ehlo, Ok(reply))?;
        let offers = EhloResponse::parse(&mut text.iter()).map_err(|_| Fault::Nonsense);
        let offers = settled(Stage::Ehlo, offers)?;
        let offered = |extension| offers.has_capability(extension);
        let mechanism = |name| offered(EXT_AUTH) && offers.auth_mechanisms & name != 0;
        Ok(Offers {
            start_tls: offered(EXT_START_TLS),
            login: if mechanism(AUTH_PLAIN) {
                Some(Login::Plain)
            } else if mechanism(AUTH_LOGIN) {
                Some(Login::Login)
            } else {
                None
            },
            pipelining: offered(EXT_PIPELINING),
            eight_bit: offered(EXT_8BIT_MIME),
            smtp_utf8: offered(EXT_SMTP_UTF8),
        })
    }

    /// No fallback: a relay that stopped offering TLS, or somebody between, gets nothing.
    async fn start_tls(&self, mut line: Line, offers: Offers) -> Result<Line, Outcome> {
        if !offers.start_tls {
            tracing::warn!(
                "the relay does not offer STARTTLS; use smtps:// if it speaks TLS from the start"
            );
            return Err(Stage::StartTls.lost());
        }
        let patience = self.settings.patience;
        let answer = line
            .ask(Stage::StartTls, b"STARTTLS\r\n", patience.command)
            .await;
        passed(Stage::StartTls, answer)?;
        match line.into_wire() {
            Wire::Clear(stream) => Ok(self.line(self.secure(stream).await?)),
            Wire::Tls(_) => Err(Stage::StartTls.lost()),
        }
    }

    async fn log_in(
        &self,
        line: &mut Line,
        offers: Offers,
        credentials: &Credentials,
    ) -> Result<(), Outcome> {
        let limit = self.settings.patience.command;
        let Credentials { user, password } = credentials;
        match offers.login {
            Some(Login::Plain) => {
                let secret = Zeroizing::new(format!("\0{user}\0{}", password.as_str()));
                let secret = Zeroizing::new(BASE64.encode(secret.as_bytes()));
                let command = Zeroizing::new(format!("AUTH PLAIN {}\r\n", secret.as_str()));
                let answer = line.ask(Stage::Auth, command.as_bytes(), limit).await;
                passed(Stage::Auth, answer)
            }
            Some(Login::Login) => {
                let user = Zeroizing::new(format!("{}\r\n", BASE64.encode(user.as_bytes())));
                let password = Zeroizing::new(BASE64.encode(password.as_bytes()));
                let password = Zeroizing::new(format!("{}\r\n", password.as_str()));
                for command in ["AUTH LOGIN\r\n", user.as_str()] {
                    let answer = line.ask(Stage::Auth, command.as_bytes(), limit).await;
                    let reply = settled(Stage::Auth, answer)?;
                    if reply.code != 334 {
                        return passed(Stage::Auth, Ok(reply));
                    }
                }
                let answer = line.ask(Stage::Auth, password.as_bytes(), limit).await;
                passed(Stage::Auth, answer)
            }
            None => {
                tracing::warn!(
                    "the relay offers neither AUTH PLAIN nor AUTH LOGIN; check its settings, or send without a user name"
                );
                Err(Stage::Auth.lost())
            }
        }
    }
}

fn flat<T>(result: Result<std::io::Result<T>, tokio::time::error::Elapsed>) -> Result<T, Fault> {
    result.map_err(|_| Fault::Silence)?.map_err(Fault::from)
}

/// Logs a fault once, where it is handled.
fn settled<T>(stage: Stage, result: Result<T, Fault>) -> Result<T, Outcome> {
    result.map_err(|fault| {
        tracing::warn!(stage = stage.label(), ?fault, "the relay was not reached");
        stage.lost()
    })
}

fn passed(stage: Stage, answer: Result<ServerReply, Fault>) -> Result<(), Outcome> {
    let reply = settled(stage, answer)?;
    match stage.judge(reply) {
        Judgement::GoOn => Ok(()),
        Judgement::Keep(outcome) | Judgement::Close(outcome) => {
            tracing::warn!(
                stage = stage.label(),
                code = reply.code,
                "the relay refused us"
            );
            Err(outcome)
        }
    }
}
