//! An open connection that takes one message after another, for as long as nothing about it is in
//! doubt.

use std::sync::Arc;

use domain::Outcome;
use tokio::time::Instant;

use super::exchange::{Ended, Exchange};
use super::line::Line;
use super::meters::{Counted, Meters};
use super::session::Offers;
use super::settings::Patience;
use super::wire_text::WireText;
use crate::Envelope;

/// A connection that takes mail.
///
/// The line is taken out for the time of an exchange and put back only after a whole reply in a
/// known stage. Whatever else happens, a dropped future included, drops it and so closes it
/// (`reliability.md` 6.3).
#[derive(Debug)]
pub(crate) struct SmtpConnection {
    line: Option<(Line, Counted)>,
    offers: Offers,
    patience: Patience,
    /// How many messages it may still carry.
    left: u32,
    is_fresh: bool,
    used_at: Instant,
}

impl SmtpConnection {
    pub(crate) fn new(
        line: Line,
        meters: Arc<Meters>,
        offers: Offers,
        patience: Patience,
        messages: u32,
    ) -> Self {
        Self {
            line: Some((line, Counted::new(meters))),
            offers,
            patience,
            left: messages,
            is_fresh: true,
            used_at: Instant::now(),
        }
    }

    pub(crate) const fn is_usable(&self) -> bool {
        self.line.is_some()
    }

    pub(crate) fn may_take_more(&self) -> bool {
        self.is_usable() && self.left > 0 && self.used_at.elapsed() < self.patience.idle
    }

    pub(crate) async fn send(
        &mut self,
        envelope: &Envelope<'_>,
        text: &WireText,
        before_data: impl FnOnce() -> bool + Send,
        before_dot: impl FnOnce() -> bool + Send,
    ) -> Outcome {
        let Some((mut line, counted)) = self.line.take() else {
            return Outcome::NotSent("closed");
        };
        let exchange = Exchange {
            line: &mut line,
            offers: self.offers,
            patience: self.patience,
            is_fresh: self.is_fresh,
        };
        let ended = exchange.run(envelope, text, before_data, before_dot).await;
        self.is_fresh = false;
        self.left = self.left.saturating_sub(1);
        self.used_at = Instant::now();
        match ended {
            Ended::Keep(outcome) => {
                if line.is_quiet().await {
                    self.line = Some((line, counted));
                }
                outcome
            }
            Ended::Close(outcome) => outcome,
        }
    }

    pub(crate) async fn close(self) {
        if let Some((line, _counted)) = self.line {
            line.farewell(self.patience.quit).await;
        }
    }
}
