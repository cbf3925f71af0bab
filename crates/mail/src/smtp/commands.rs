//! What is said about one message before its text.

use zeroize::Zeroizing;

use super::session::Offers;
use super::stage::Stage;
use super::wire_text::WireText;
use crate::Envelope;

/// `RSET`, `MAIL`, `RCPT` and `DATA`, to be said one by one or together.
pub(super) struct Commands {
    /// All of them, wiped afterwards: one names the recipient.
    said: Zeroizing<String>,
    /// Where `MAIL`, `RCPT` and `DATA` begin.
    mail: usize,
    rcpt: usize,
    data: usize,
}

const RESET: &str = "RSET\r\n";
const DATA: &str = "DATA\r\n";
/// More than the longest path and the options take, so that it never moves.
const ROOM: usize = 640;

impl Commands {
    /// The commands, or why no relay like this one takes the message.
    pub(super) fn new(
        envelope: &Envelope<'_>,
        text: &WireText,
        offers: Offers,
    ) -> Result<Self, &'static str> {
        let recipient = envelope.recipient.smtp_path();
        let return_path = envelope.return_path;
        if !is_path(return_path) || !return_path.is_ascii() || !is_path(&recipient) {
            return Err("envelope");
        }
        let needs_utf8 = envelope.recipient.needs_smtputf8();
        if needs_utf8 && !offers.smtp_utf8 {
            return Err("smtputf8");
        }
        if !text.is_seven_bit() && !offers.eight_bit {
            return Err("8bitmime");
        }
        let mut said = Zeroizing::new(String::with_capacity(ROOM));
        said.push_str(RESET);
        let mail = said.len();
        for part in ["MAIL FROM:<", return_path, ">"] {
            said.push_str(part);
        }
        if offers.eight_bit && (needs_utf8 || !text.is_seven_bit()) {
            said.push_str(" BODY=8BITMIME");
        }
        if needs_utf8 {
            said.push_str(" SMTPUTF8");
        }
        said.push_str("\r\n");
        let rcpt = said.len();
        for part in ["RCPT TO:<", recipient.as_str(), ">\r\n"] {
            said.push_str(part);
        }
        let data = said.len();
        said.push_str(DATA);
        Ok(Self {
            said,
            mail,
            rcpt,
            data,
        })
    }

    /// What is said at a stage.
    pub(super) fn at(&self, stage: Stage) -> &[u8] {
        let all = self.said.as_bytes();
        match stage {
            Stage::Reset => &all[..self.mail],
            Stage::Mail => &all[self.mail..self.rcpt],
            Stage::Rcpt => &all[self.rcpt..self.data],
            _ => &all[self.data..],
        }
    }

    /// All of it from a stage on.
    pub(super) fn together(&self, from: Stage) -> &[u8] {
        match from {
            Stage::Reset => self.said.as_bytes(),
            _ => &self.said.as_bytes()[self.mail..],
        }
    }
}

/// Nothing that could end the path or the command; the rest was checked where the address came in.
fn is_path(path: &str) -> bool {
    path.len() <= 254
        && path.contains('@')
        && !path.contains(|c: char| c.is_control() || c.is_whitespace() || "<>".contains(c))
}
