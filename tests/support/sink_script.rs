//! How a bad relay misbehaves: where in a transaction, and how. A plan says it for whoever comes next;
//! the local part of a recipient says it for that one, once.
//!
//! `WHERE.HOW.anything@…`: `rcpt.450.17@example.org` is told 450 at `RCPT TO`, `dot.fin.3@…` loses the
//! connection after the dot. Other names are ordinary people.

use std::time::Duration;

/// Where in a connection or transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// In place of the banner.
    Banner,
    /// In place of the answer to `EHLO`.
    Ehlo,
    /// At `MAIL FROM`.
    Mail,
    /// At `RCPT TO`.
    Rcpt,
    /// At `DATA`, in place of 354.
    Data,
    /// After 354, before any text.
    Text,
    /// With half of the text read.
    Half,
    /// With all of the text read but its end.
    BeforeDot,
    /// After the dot, in place of the reply.
    Dot,
    /// When the transaction is over, with the connection idle.
    Idle,
}

/// How.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed.
    Fin,
    /// The connection is reset.
    Rst,
    /// Nothing is said any more; the connection stays.
    Silence,
    /// This reply, after which all goes on; of 421 the connection is closed.
    Say(String),
    /// The usual reply, so late.
    Late(Duration),
    /// The usual reply and 421 in one segment, and the connection is closed.
    Glued,
    /// The usual reply, byte by byte.
    Bytes,
    /// The usual reply, of 512 lines.
    Long,
}

impl Moment {
    const ALL: [(&'static str, Self); 10] = [
        ("banner", Self::Banner),
        ("ehlo", Self::Ehlo),
        ("mail", Self::Mail),
        ("rcpt", Self::Rcpt),
        ("data", Self::Data),
        ("text", Self::Text),
        ("half", Self::Half),
        ("beforedot", Self::BeforeDot),
        ("dot", Self::Dot),
        ("idle", Self::Idle),
    ];

    /// Whether the relay may have taken the message when the line broke here.
    #[must_use]
    pub const fn is_after_dot(self) -> bool {
        matches!(self, Self::Dot)
    }

    /// What the relay says here when all is well.
    pub(crate) const fn usual(self) -> &'static str {
        match self {
            Self::Banner => "220 bad.example ESMTP",
            Self::Data => "354 go on",
            Self::Rcpt => "250 2.1.5 fine",
            Self::Dot => "250 2.0.0 taken",
            _ => "250 2.0.0 fine",
        }
    }
}

impl Fault {
    fn of(word: &str) -> Option<Self> {
        let said = |text: &str| Some(Self::Say(text.to_owned()));
        match word {
            "fin" => Some(Self::Fin),
            "rst" => Some(Self::Rst),
            "silence" => Some(Self::Silence),
            "glued" => Some(Self::Glued),
            "bytes" => Some(Self::Bytes),
            "long" => Some(Self::Long),
            "421" => said("421 4.3.2 shutting down"),
            "450" => said("450 4.2.0 busy"),
            "451" => said("451 4.3.0 later"),
            "452" => said("452 4.5.3 too many"),
            "471" => said("451 4.7.1 too fast"),
            "550" => said("550 5.1.1 no such user"),
            "552" => said("552 5.2.2 mailbox full"),
            "554" => said("554 5.7.1 refused"),
            "571" => said("550 5.7.1 policy"),
            _ => {
                let milliseconds = word.strip_prefix("late")?.parse().ok()?;
                Some(Self::Late(Duration::from_millis(milliseconds)))
            }
        }
    }
}

/// What the local part of this address asks for.
#[must_use]
pub fn script_of(address: &str) -> Option<(Moment, Fault)> {
    let mut words = address.split('@').next()?.split('.');
    let moment = words.next()?;
    let (_, moment) = Moment::ALL.iter().find(|(name, _)| *name == moment)?;
    Some((*moment, Fault::of(words.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_part_is_read_as_a_script() {
        let refused = Fault::Say("450 4.2.0 busy".into());
        assert_eq!(
            script_of("rcpt.450.17@a.example"),
            Some((Moment::Rcpt, refused))
        );
        let late = Fault::Late(Duration::from_millis(90));
        assert_eq!(
            script_of("dot.late90.1@a.example"),
            Some((Moment::Dot, late))
        );
        for ordinary in [
            "r17@a.example",
            "dot@a.example",
            "dot.none.1@a.example",
            "x.fin.1@b.example",
        ] {
            assert_eq!(script_of(ordinary), None, "{ordinary}");
        }
    }
}
