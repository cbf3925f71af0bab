//! The stages of a conversation with a relay, and what an answer at each of them means
//! (`reliability.md` 2.4 and 6.3).

use domain::{Outcome, Reply, SENDER_REFUSED};

use super::replies::ServerReply;

/// Where a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Connect,
    Tls,
    Banner,
    Ehlo,
    StartTls,
    Auth,
    Reset,
    Mail,
    Rcpt,
    DataCmd,
    Body,
    Dot,
}

impl Stage {
    /// How many there are.
    pub(crate) const ALL: usize = Self::Dot as usize + 1;

    /// Its name in outcomes, logs and metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Banner => "banner",
            Self::Ehlo => "ehlo",
            Self::StartTls => "starttls",
            Self::Auth => "auth",
            Self::Reset => "reset",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::DataCmd => "data",
            Self::Body => "body",
            Self::Dot => "dot",
        }
    }

    /// What a lost connection, silence or nonsense means here. Once the first byte of the dot may
    /// have left, the relay may have the message; before, it cannot.
    pub(crate) const fn lost(self) -> Outcome {
        match self {
            Self::Dot => Outcome::InDoubt,
            earlier => Outcome::NotSent(earlier.label()),
        }
    }

    /// What an answer means here.
    pub(crate) fn judge(self, reply: ServerReply) -> Judgement {
        let refusal = Reply {
            code: reply.code,
            enhanced: reply.enhanced,
        };
        match (self, reply.code) {
            (Self::Banner | Self::StartTls, 220)
            | (Self::Ehlo | Self::Reset | Self::Mail, 250)
            | (Self::Auth, 235)
            | (Self::Rcpt, 250..=252)
            | (Self::DataCmd, 354) => Judgement::GoOn,
            // 221 and 235 answer other questions: whether the message was taken is not known then.
            (Self::Dot, 250..=299) => Judgement::Keep(Outcome::Accepted),
            // The relay is about to close, whatever it says it to.
            (Self::Mail | Self::Rcpt | Self::DataCmd | Self::Dot, 421) => {
                Judgement::Close(Outcome::Deferred(refusal))
            }
            (Self::Mail | Self::Rcpt | Self::DataCmd | Self::Dot, 400..=499) => {
                Judgement::Keep(Outcome::Deferred(refusal))
            }
            (Self::Rcpt | Self::DataCmd | Self::Dot, 500..=599) => {
                Judgement::Keep(Outcome::Rejected(refusal))
            }
            // A relay that refuses our sender address refuses no recipient, and says so in a word of its own:
            // several of one issue are that doing.
            (Self::Mail, 500..=599) => Judgement::Close(Outcome::NotSent(SENDER_REFUSED)),
            // One that refuses us: all wait until somebody has put the settings right.
            (stage, _) => Judgement::Close(stage.lost()),
        }
    }
}

/// What follows from an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// The next stage.
    GoOn,
    /// This message is done; the connection is in a known state.
    Keep(Outcome),
    /// This message is done, and so is the connection.
    Close(Outcome),
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Stage; 12] = [
        Stage::Connect,
        Stage::Tls,
        Stage::Banner,
        Stage::Ehlo,
        Stage::StartTls,
        Stage::Auth,
        Stage::Reset,
        Stage::Mail,
        Stage::Rcpt,
        Stage::DataCmd,
        Stage::Body,
        Stage::Dot,
    ];

    fn judge(stage: Stage, code: u16) -> Judgement {
        stage.judge(ServerReply {
            code,
            enhanced: Some([5, 1, 1]),
        })
    }

    #[test]
    fn each_stage_has_its_own_good_answer() {
        for (stage, good) in [
            (Stage::Banner, 220),
            (Stage::Ehlo, 250),
            (Stage::StartTls, 220),
            (Stage::Auth, 235),
            (Stage::Reset, 250),
            (Stage::Mail, 250),
            (Stage::Rcpt, 250),
            (Stage::DataCmd, 354),
        ] {
            for code in 200..400 {
                let goes_on = judge(stage, code) == Judgement::GoOn;
                let expected =
                    code == good || (stage == Stage::Rcpt && (250..=252).contains(&code));
                assert_eq!(goes_on, expected, "{stage:?} {code}");
            }
        }
    }

    #[test]
    fn only_a_reply_to_the_dot_can_accept_or_doubt() {
        for stage in ALL {
            for code in 0..1_000 {
                let judgement = judge(stage, code);
                let after_dot = matches!(
                    judgement,
                    Judgement::Keep(Outcome::Accepted) | Judgement::Close(Outcome::InDoubt)
                );
                assert!(!after_dot || stage == Stage::Dot, "{stage:?} {code}");
            }
        }
        assert_eq!(judge(Stage::Dot, 250), Judgement::Keep(Outcome::Accepted));
        for code in [100, 220, 221, 235, 354, 600, 999] {
            assert_eq!(judge(Stage::Dot, code), Judgement::Close(Outcome::InDoubt));
        }
    }

    #[test]
    fn a_recipient_is_refused_only_at_rcpt_data_and_dot() {
        let refusal = |code| Reply {
            code,
            enhanced: Some([5, 1, 1]),
        };
        for stage in ALL {
            let names_a_person = matches!(stage, Stage::Rcpt | Stage::DataCmd | Stage::Dot);
            assert_eq!(
                judge(stage, 550) == Judgement::Keep(Outcome::Rejected(refusal(550))),
                names_a_person,
                "{stage:?}"
            );
            let in_transaction = names_a_person || stage == Stage::Mail;
            assert_eq!(
                judge(stage, 451) == Judgement::Keep(Outcome::Deferred(refusal(451))),
                in_transaction,
                "{stage:?}"
            );
            assert_eq!(
                judge(stage, 421) == Judgement::Close(Outcome::Deferred(refusal(421))),
                in_transaction,
                "{stage:?}"
            );
        }
        assert_eq!(
            judge(Stage::Mail, 550),
            Judgement::Close(Outcome::NotSent(SENDER_REFUSED))
        );
    }
}
