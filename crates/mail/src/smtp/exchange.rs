//! One message over an open connection.

use domain::Outcome;

use super::dot_stuffing::{END, stuffed};
use super::line::{Fault, Line};
use super::replies::ServerReply;
use super::session::Offers;
use super::settings::Patience;
use super::stage::{Judgement, Stage};
use crate::Envelope;

/// A connection that takes mail.
///
/// The line is taken out for the time of an exchange and put back only after a whole reply in a
/// known stage. Whatever else happens, a dropped future included, drops it and so closes it
/// (`reliability.md` 6.3).
#[derive(Debug)]
pub(crate) struct SmtpConnection {
    line: Option<Line>,
    offers: Offers,
    patience: Patience,
    is_fresh: bool,
}

/// How an exchange ended: `Ok` leaves the connection in a known state.
type Ended = Result<Outcome, Outcome>;

impl SmtpConnection {
    pub(crate) const fn new(line: Line, offers: Offers, patience: Patience) -> Self {
        Self {
            line: Some(line),
            offers,
            patience,
            is_fresh: true,
        }
    }

    pub(crate) const fn is_usable(&self) -> bool {
        self.line.is_some()
    }

    pub(crate) async fn send(
        &mut self,
        envelope: &Envelope<'_>,
        message: &[u8],
        before_data: impl FnOnce() -> bool + Send,
        before_dot: impl FnOnce() -> bool + Send,
    ) -> Outcome {
        let Some(mut line) = self.line.take() else {
            return Outcome::NotSent("closed");
        };
        let exchange = Exchange {
            line: &mut line,
            offers: self.offers,
            patience: self.patience,
            is_fresh: self.is_fresh,
        };
        let ended = exchange
            .run(envelope, message, before_data, before_dot)
            .await;
        self.is_fresh = false;
        match ended {
            Ok(outcome) => {
                if line.is_quiet().await {
                    self.line = Some(line);
                }
                outcome
            }
            Err(outcome) => outcome,
        }
    }

    pub(crate) async fn close(self) {
        if let Some(mut line) = self.line {
            // Best effort: the relay closes anyway.
            let _ = line.ask(b"QUIT\r\n", self.patience.quit).await;
        }
    }
}

struct Exchange<'a> {
    line: &'a mut Line,
    offers: Offers,
    patience: Patience,
    is_fresh: bool,
}

impl Exchange<'_> {
    async fn run(
        mut self,
        envelope: &Envelope<'_>,
        message: &[u8],
        before_data: impl FnOnce() -> bool + Send,
        before_dot: impl FnOnce() -> bool + Send,
    ) -> Ended {
        let recipient = envelope.recipient.smtp_path();
        if !is_path(envelope.return_path)
            || !envelope.return_path.is_ascii()
            || !is_path(&recipient)
        {
            return Ok(Outcome::CannotDeliver("envelope"));
        }
        let needs_utf8 = envelope.recipient.needs_smtputf8();
        if needs_utf8 && !self.offers.smtp_utf8 {
            return Ok(Outcome::CannotDeliver("smtputf8"));
        }
        // An idle connection may have been closed, with or without a word (421, 221).
        if !self.line.is_quiet().await {
            return Err(Stage::Reset.lost());
        }
        if !self.is_fresh
            && let Some(ended) = self.ask(Stage::Reset, b"RSET\r\n").await
        {
            return ended;
        }
        let options = if needs_utf8 {
            " BODY=8BITMIME SMTPUTF8"
        } else {
            ""
        };
        let mail = format!("MAIL FROM:<{}>{options}\r\n", envelope.return_path);
        if let Some(ended) = self.ask(Stage::Mail, mail.as_bytes()).await {
            return ended;
        }
        let rcpt = zeroize::Zeroizing::new(format!("RCPT TO:<{}>\r\n", recipient.as_str()));
        if let Some(ended) = self.ask(Stage::Rcpt, rcpt.as_bytes()).await {
            return ended;
        }
        // The next message begins with RSET, which ends this one.
        if !before_data() {
            return Ok(Outcome::NotSent("stopped"));
        }
        if let Some(ended) = self.ask(Stage::DataCmd, b"DATA\r\n").await {
            return ended;
        }
        self.text_and_dot(message, before_dot).await
    }

    async fn text_and_dot(
        &mut self,
        message: &[u8],
        before_dot: impl FnOnce() -> bool + Send,
    ) -> Ended {
        let told = self.line.tell(&stuffed(message), self.patience.write).await;
        // A relay that speaks now, or is gone, will not take the message.
        if told.is_err() || !self.line.is_quiet().await {
            return Err(Stage::Body.lost());
        }
        if !before_dot() {
            return Err(Outcome::NotSent("stopped"));
        }
        self.ask(Stage::Dot, END)
            .await
            .unwrap_or(Err(Outcome::InDoubt))
    }

    /// Says a command; none means go on.
    async fn ask(&mut self, stage: Stage, command: &[u8]) -> Option<Ended> {
        let limit = match stage {
            Stage::Reset => self.patience.reset,
            Stage::Dot => self.patience.after_dot,
            _ => self.patience.command,
        };
        let answer: Result<ServerReply, Fault> = self.line.ask(command, limit).await;
        let Ok(reply) = answer else {
            return Some(Err(stage.lost()));
        };
        match stage.judge(reply) {
            Judgement::GoOn => None,
            Judgement::Keep(outcome) => Some(Ok(outcome)),
            Judgement::Close(outcome) => Some(Err(outcome)),
        }
    }
}

/// Nothing that could end the path or the command; the rest was checked where the address came in.
fn is_path(path: &str) -> bool {
    path.len() <= 254
        && path.contains('@')
        && !path.contains(|c: char| c.is_control() || c.is_whitespace() || "<>".contains(c))
}
