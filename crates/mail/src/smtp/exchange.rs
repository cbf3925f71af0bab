//! One message over an open connection.
//!
//! The commands before the text go out together where the relay takes them so (`PIPELINING`, RFC
//! 2920), and each after the reply to the one before where it does not. Then come the text, in one
//! write, and, if it may still go, the dot in another.

use domain::Outcome;

use super::commands::Commands;
use super::line::Line;
use super::session::Offers;
use super::settings::Patience;
use super::stage::{Judgement, Stage};
use super::wire_text::{END, WireText};
use crate::Envelope;

/// How an exchange ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The connection is in a known state.
    Keep(Outcome),
    /// The connection is closed.
    Close(Outcome),
}

/// One message's worth of a connection.
pub(super) struct Exchange<'a> {
    pub(super) line: &'a mut Line,
    pub(super) offers: Offers,
    pub(super) patience: Patience,
    pub(super) is_fresh: bool,
}

/// The end of a message that has no text.
const NOTHING: &[u8] = b".\r\n";

impl Exchange<'_> {
    pub(super) async fn run(
        mut self,
        envelope: &Envelope<'_>,
        text: &WireText,
        before_data: impl FnOnce() -> bool + Send,
        before_dot: impl FnOnce() -> bool + Send,
    ) -> Ended {
        let commands = match Commands::new(envelope, text, self.offers) {
            Ok(commands) => commands,
            Err(why) => return Ended::Keep(Outcome::CannotDeliver(why)),
        };
        // An idle connection may have been closed, with or without a word (421, 221).
        if !self.line.is_quiet().await {
            return Ended::Close(Stage::Reset.lost());
        }
        let asked = if self.offers.pipelining {
            self.all_together(&commands, before_data).await
        } else {
            self.one_by_one(&commands, before_data).await
        };
        match asked {
            Ok(()) => self.text_and_dot(text, before_dot).await,
            Err(ended) => ended,
        }
    }

    async fn one_by_one(
        &mut self,
        commands: &Commands,
        before_data: impl FnOnce() -> bool + Send,
    ) -> Result<(), Ended> {
        for stage in self.stages() {
            if *stage == Stage::DataCmd {
                break;
            }
            self.ask(*stage, commands.at(*stage)).await?;
        }
        // The next message begins with RSET, which ends this one.
        if !before_data() {
            return Err(Ended::Keep(Outcome::NotSent("stopped")));
        }
        self.ask(Stage::DataCmd, commands.at(Stage::DataCmd)).await
    }

    async fn all_together(
        &mut self,
        commands: &Commands,
        before_data: impl FnOnce() -> bool + Send,
    ) -> Result<(), Ended> {
        if !before_data() {
            return Err(Ended::Keep(Outcome::NotSent("stopped")));
        }
        let stages = self.stages();
        let first = stages[0];
        let limit = self.patience.command;
        let said = self.line.say(first, commands.together(first), limit).await;
        if said.is_err() {
            return Err(Ended::Close(first.lost()));
        }
        let mut refusal = None;
        let mut is_taken = false;
        for stage in stages {
            let judged = self.listen(*stage).await;
            is_taken |= *stage == Stage::Rcpt && judged.is_ok();
            refusal = match (refusal, judged) {
                (None, Ok(())) => None,
                (None, Err(Ended::Close(outcome))) => return Err(Ended::Close(outcome)),
                (None, Err(Ended::Keep(outcome))) => Some(outcome),
                // What follows a refusal tells nothing of the message, only of the connection.
                (Some(refusal), Err(Ended::Close(_))) => return Err(Ended::Close(refusal)),
                (Some(refusal), Ok(())) if *stage == Stage::DataCmd => {
                    return Err(self.no_text(refusal, is_taken).await);
                }
                (refusal, _) => refusal,
            };
        }
        match refusal {
            None => Ok(()),
            Some(refusal) => Err(Ended::Keep(refusal)),
        }
    }

    /// The relay wants the text of a message that it refused: it gets one without text and without a
    /// recipient (RFC 2920 3.1). One that has a recipient all the same would send it.
    async fn no_text(&mut self, refusal: Outcome, is_taken: bool) -> Ended {
        if is_taken {
            return Ended::Close(refusal);
        }
        // Nothing depends on the reply: no long wait for it.
        let limit = self.patience.command;
        let reply = self.line.ask(Stage::Dot, NOTHING, limit).await;
        match reply.map(|reply| Stage::Dot.judge(reply)) {
            Ok(Judgement::Keep(_)) => Ended::Keep(refusal),
            _ => Ended::Close(refusal),
        }
    }

    async fn text_and_dot(
        &mut self,
        text: &WireText,
        before_dot: impl FnOnce() -> bool + Send,
    ) -> Ended {
        // A relay that speaks now, or is gone, will not take the message.
        if !self.line.is_quiet().await
            || self
                .line
                .tell(text.as_bytes(), self.patience.write)
                .await
                .is_err()
            || !self.line.is_quiet().await
        {
            return Ended::Close(Stage::Body.lost());
        }
        if !before_dot() {
            return Ended::Close(Outcome::NotSent("stopped"));
        }
        match self.ask(Stage::Dot, END).await {
            Ok(()) => Ended::Close(Outcome::InDoubt),
            Err(ended) => ended,
        }
    }

    const fn stages(&self) -> &'static [Stage] {
        const ALL: &[Stage] = &[Stage::Reset, Stage::Mail, Stage::Rcpt, Stage::DataCmd];
        if self.is_fresh {
            ALL.split_at(1).1
        } else {
            ALL
        }
    }

    const fn limit(&self, stage: Stage) -> std::time::Duration {
        match stage {
            Stage::Reset => self.patience.reset,
            Stage::Dot => self.patience.after_dot,
            _ => self.patience.command,
        }
    }

    /// Says a command and judges the reply; `Ok` goes on.
    async fn ask(&mut self, stage: Stage, command: &[u8]) -> Result<(), Ended> {
        let limit = self.limit(stage);
        match self.line.say(stage, command, limit).await {
            Ok(()) => {
                #[cfg(feature = "failpoints")]
                if stage == Stage::Dot {
                    fail::fail_point!("P9", |_| std::process::abort());
                }
                self.listen(stage).await
            }
            Err(_) => Err(Ended::Close(stage.lost())),
        }
    }

    async fn listen(&mut self, stage: Stage) -> Result<(), Ended> {
        let limit = self.limit(stage);
        let Ok(reply) = self.line.listen(stage, limit).await else {
            return Err(Ended::Close(stage.lost()));
        };
        match stage.judge(reply) {
            Judgement::GoOn => Ok(()),
            Judgement::Keep(outcome) => Err(Ended::Keep(outcome)),
            Judgement::Close(outcome) => Err(Ended::Close(outcome)),
        }
    }
}
