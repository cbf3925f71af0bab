//! One message over an open connection.

use domain::Outcome;

use super::line::{Fault, Line};
use super::replies::ServerReply;
use super::session::Offers;
use super::settings::Patience;
use super::stage::{Judgement, Stage};
use super::wire_text::{END, WireText};
use crate::Envelope;

/// How an exchange ended: `Ok` leaves the connection in a known state.
pub(super) type Ended = Result<Outcome, Outcome>;

/// One message's worth of a connection.
pub(super) struct Exchange<'a> {
    pub(super) line: &'a mut Line,
    pub(super) offers: Offers,
    pub(super) patience: Patience,
    pub(super) is_fresh: bool,
}

impl Exchange<'_> {
    pub(super) async fn run(
        mut self,
        envelope: &Envelope<'_>,
        text: &WireText,
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
        if !text.is_seven_bit() && !self.offers.eight_bit {
            return Ok(Outcome::CannotDeliver("8bitmime"));
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
        self.text_and_dot(text, before_dot).await
    }

    async fn text_and_dot(
        &mut self,
        text: &WireText,
        before_dot: impl FnOnce() -> bool + Send,
    ) -> Ended {
        let told = self.line.tell(text.as_bytes(), self.patience.write).await;
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
