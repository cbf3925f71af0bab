//! The command lines about issues.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::target::Target;

#[derive(Subcommand)]
pub(crate) enum IssueCommand {
    /// Send an issue to everybody who gets the newsletter, and watch it go
    ///
    /// The file is Markdown. Between two lines of --- at its top stand `subject:` and `preheader:`.
    /// What the lint finds is refused before anything is sent. Ctrl-C ends the watching, not the sending.
    Send(Box<SendOptions>),
    /// Show how far an issue is, or all of them
    Status {
        /// The issue's number
        number: Option<u32>,
        /// Follow it until it has ended
        #[arg(long, requires = "number")]
        watch: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Show an issue as it was sent, word for word
    ///
    /// Without --text or --html: when it was approved, its subjects, and the SHA-256 of what was
    /// approved. What is shown was frozen then, and no later version or setting changes it; {link}
    /// stands where each reader's own unsubscribe link is.
    Show {
        /// The issue's number
        number: u32,
        /// Its text in this language, en or cy [default: the newsletter's first]
        #[arg(long, value_name = "LANGUAGE")]
        language: Option<String>,
        /// Print the plain text
        #[arg(long, conflicts_with = "html")]
        text: bool,
        /// Print the HTML
        #[arg(long)]
        html: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Stop an issue for now: within two seconds nothing of it goes out
    ///
    /// Mails whose last byte is on its way are waited for. Its 36 hours run on meanwhile.
    Pause(ChangeOptions),
    /// Go on with an issue that is paused or held
    Resume(ChangeOptions),
    /// Stop an issue for good: who has not got it gets nothing
    Cancel(ChangeOptions),
    /// Try those again who were refused, came too late, or whose mail could not be made
    ///
    /// Nobody who was sent the issue, or may have been, is sent it again; who has left since gets
    /// nothing. A paused issue stays paused. The issue gets 36 more hours.
    #[command(name = "retry-failed")]
    RetryFailed(ChangeOptions),
    /// List the mails of which nobody knows whether they went
    ///
    /// A connection broke between the end of a mail and the relay's answer. The list has no
    /// addresses: look for the Message-IDs in the relay's log.
    Doubts(ChangeOptions),
    /// Say what the mails in doubt are to count as: sent, or to be sent again
    ///
    /// Needed for issues sent with --in-doubt hold; for others it only decides earlier than the
    /// quarter of an hour after which they decide themselves.
    Decide {
        /// The issue's number
        number: u32,
        /// What becomes of them
        word: DoubtWord,
        /// Only this mail, as `issue doubts` lists it; may be given more than once
        #[arg(long = "message-id", value_name = "ID")]
        message_ids: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Args)]
pub(crate) struct SendOptions {
    /// The issue in the newsletter's first language
    pub(crate) file: PathBuf,
    /// The newsletter's slug
    #[arg(long, value_name = "SLUG")]
    pub(crate) newsletter: String,
    /// The same issue in Welsh, for a newsletter in both languages
    #[arg(long, value_name = "FILE")]
    pub(crate) welsh: Option<PathBuf>,
    /// What becomes of a mail of which nobody knows whether it went
    #[arg(long, value_name = "WHAT", default_value = "skip")]
    pub(crate) in_doubt: InDoubt,
    /// Try for so long; who could not be reached by then counts as failed
    #[arg(long = "for", value_name = "HOURS", default_value_t = 36,
          value_parser = clap::value_parser!(u16).range(1..=720))]
    pub(crate) hours: u16,
    /// Hand it over and do not wait
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// An issue that is under way, and where.
#[derive(Args)]
pub(crate) struct ChangeOptions {
    /// The issue's number
    pub(crate) number: u32,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// What becomes of mails in doubt.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum InDoubt {
    /// Never send twice: after a quarter of an hour it counts as sent
    Skip,
    /// Send it again, the same to the byte: twice rather than never
    Resend,
    /// Leave it until somebody says `letterbox issue decide`
    Hold,
}

/// An operator's word on mails in doubt.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum DoubtWord {
    /// They went: count them as sent
    Sent,
    /// They did not: send them again
    Again,
}
