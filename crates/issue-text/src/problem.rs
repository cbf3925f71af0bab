//! The vocabulary of `lint`.

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The issue cannot be sent like this.
    MustFix,
    /// The issue can be sent, and would be better without.
    Advice,
}

/// What kind of problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// No subject.
    EmptySubject,
    /// A subject over 150 characters.
    LongSubject,
    /// A preheader over 200 characters.
    LongPreheader,
    /// A character that cannot be seen and does not belong into text.
    ControlCharacter,
    /// A character that turns the direction of text around.
    TextDirection,
    /// HTML in the text.
    RawHtml,
    /// A link that leads to neither a web page nor a mailbox.
    UnsafeLink,
    /// A link without words.
    EmptyLinkText,
    /// A link whose words say nothing, as in "click here".
    VagueLinkText,
    /// An image without a description.
    ImageWithoutDescription,
    /// An image that is not at an `https://` address.
    UnsafeImage,
    /// A heading of the first level, which the mail has already.
    FirstLevelHeading,
    /// An image on a host that is not the body's.
    ForeignImage,
    /// A heading two or more levels below the one before.
    SkippedHeadingLevel,
    /// An address in the text that is no link.
    BareAddress,
    /// More than mail programs show.
    TooLong,
}

impl Code {
    /// How much it matters.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::EmptySubject
            | Self::LongSubject
            | Self::LongPreheader
            | Self::ControlCharacter
            | Self::TextDirection
            | Self::RawHtml
            | Self::UnsafeLink
            | Self::EmptyLinkText
            | Self::ImageWithoutDescription
            | Self::UnsafeImage
            | Self::ForeignImage
            | Self::TooLong => Severity::MustFix,
            Self::VagueLinkText
            | Self::FirstLevelHeading
            | Self::SkippedHeadingLevel
            | Self::BareAddress => Severity::Advice,
        }
    }
}

/// One thing to put right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line of the file, counted from 1; 1 for the subject and the preheader.
    pub line: usize,
    /// What it is.
    pub code: Code,
    /// What to do, in plain words.
    pub message: String,
}

impl Problem {
    /// How much it matters.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }
}
