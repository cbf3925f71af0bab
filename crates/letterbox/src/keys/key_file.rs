//! Every key file there is, by name, and which folder holds which.

use std::collections::BTreeSet;
use std::fmt;

/// What a key file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    BodyId,
    FormStamp,
    SealingSecret,
    SealingPublic,
    LinkMaster,
    LinkLeave,
    LinkJoin,
    LinkRights,
    ReturnPath,
    AddressMaster,
    AddressIndex,
    AddressSuppression,
    AddressRow,
    AddressMessageId,
    Ledger,
}

/// Keys that are numbered together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Sealing,
    Links,
    Address,
}

impl Kind {
    const ALL: [Self; 15] = [
        Self::BodyId,
        Self::FormStamp,
        Self::SealingSecret,
        Self::SealingPublic,
        Self::LinkMaster,
        Self::LinkLeave,
        Self::LinkJoin,
        Self::LinkRights,
        Self::ReturnPath,
        Self::AddressMaster,
        Self::AddressIndex,
        Self::AddressSuppression,
        Self::AddressRow,
        Self::AddressMessageId,
        Self::Ledger,
    ];

    /// The name in front of the number, and the ending.
    const fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::BodyId => ("body-id", ""),
            Self::FormStamp => ("form-stamp", ".key"),
            Self::SealingSecret => ("sealing", ".key"),
            Self::SealingPublic => ("sealing", ".public"),
            Self::LinkMaster => ("link", ".key"),
            Self::LinkLeave => ("link-leave", ".key"),
            Self::LinkJoin => ("link-join", ".key"),
            Self::LinkRights => ("link-rights", ".key"),
            Self::ReturnPath => ("verp", ".key"),
            Self::AddressMaster => ("address", ".key"),
            Self::AddressIndex => ("address-index", ".key"),
            Self::AddressSuppression => ("address-suppression", ".key"),
            Self::AddressRow => ("address-row", ".key"),
            Self::AddressMessageId => ("address-message-id", ".key"),
            Self::Ledger => ("ledger", ".key"),
        }
    }

    /// Its numbering; none for a key that there is only one of.
    pub(super) const fn family(self) -> Option<Family> {
        match self {
            Self::BodyId | Self::FormStamp | Self::Ledger => None,
            Self::SealingSecret | Self::SealingPublic => Some(Family::Sealing),
            Self::LinkMaster
            | Self::LinkLeave
            | Self::LinkJoin
            | Self::LinkRights
            | Self::ReturnPath => Some(Family::Links),
            Self::AddressMaster
            | Self::AddressIndex
            | Self::AddressSuppression
            | Self::AddressRow
            | Self::AddressMessageId => Some(Family::Address),
        }
    }

    /// Whether other keys are derived from it.
    pub(super) const fn is_master(self) -> bool {
        matches!(self, Self::LinkMaster | Self::AddressMaster)
    }

    /// Bytes of the key.
    pub(super) const fn length(self) -> usize {
        match self {
            Self::BodyId => 16,
            _ => 32,
        }
    }
}

/// One key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyFile {
    pub(super) kind: Kind,
    /// From 1 on; 0 for a key that there is only one of.
    pub(super) generation: u16,
}

impl KeyFile {
    /// The file with this name; none if that is not the one spelling of a key file's name, so that no
    /// generation can be there twice.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Kind::ALL.into_iter().find_map(|kind| {
            let (front, end) = kind.name();
            let number = name.strip_prefix(front)?.strip_suffix(end)?;
            let generation = match (kind.family(), number.strip_prefix('-')) {
                (Some(_), Some(digits)) => digits.parse().ok().filter(|number| *number > 0)?,
                (None, None) => 0,
                _ => return None,
            };
            let file = Self { kind, generation };
            (file.to_string() == name).then_some(file)
        })
    }
}

impl fmt::Display for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (front, end) = self.kind.name();
        match self.kind.family() {
            None => write!(f, "{front}{end}"),
            Some(_) => write!(f, "{front}-{}{end}", self.generation),
        }
    }
}

/// How many generations there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generations {
    pub(super) sealing: u16,
    pub(super) links: u16,
    pub(super) address: u16,
}

impl Generations {
    /// As many as the largest number says, of each at least one.
    pub(super) fn of<'a>(files: impl IntoIterator<Item = &'a KeyFile>) -> Self {
        let mut newest = Self {
            sealing: 1,
            links: 1,
            address: 1,
        };
        for file in files {
            let number = match file.kind.family() {
                None => continue,
                Some(Family::Sealing) => &mut newest.sealing,
                Some(Family::Links) => &mut newest.links,
                Some(Family::Address) => &mut newest.address,
            };
            *number = file.generation.max(*number);
        }
        newest
    }

    const fn newest(self, family: Family) -> u16 {
        match family {
            Family::Sealing => self.sealing,
            Family::Links => self.links,
            Family::Address => self.address,
        }
    }
}

/// Whose folder it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody's while Letterbox runs as separate roles.
    Masters,
    /// `letterbox intake`
    Intake,
    /// `letterbox unsubscribe`
    Unsubscribe,
    /// `letterbox deliver`
    Deliver,
}

/// Which generations of a kind a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Every,
    Newest,
}

impl Holder {
    /// The roles.
    pub(super) const ROLES: [Self; 3] = [Self::Intake, Self::Unsubscribe, Self::Deliver];

    /// Whose folder one with these files is meant to be; none if it holds nothing that only a role has.
    pub(super) fn of_role(files: &BTreeSet<KeyFile>) -> Option<Self> {
        let holds = |kind| files.iter().any(|file| file.kind == kind);
        if holds(Kind::AddressIndex) || holds(Kind::ReturnPath) {
            Some(Self::Deliver)
        } else if holds(Kind::LinkJoin) || holds(Kind::LinkRights) {
            Some(Self::Intake)
        } else if holds(Kind::LinkLeave) {
            Some(Self::Unsubscribe)
        } else {
            None
        }
    }

    /// The folder's name under `letterbox keys new DIR`.
    pub(crate) const fn folder_name(self) -> &'static str {
        match self {
            Self::Masters => "masters",
            Self::Intake => "intake",
            Self::Unsubscribe => "unsubscribe",
            Self::Deliver => "deliver",
        }
    }

    /// The columns of the table in `keys/mod.rs`.
    const fn share(self) -> &'static [(Kind, Extent)] {
        use Extent::{Every, Newest};
        match self {
            Self::Masters => &[
                (Kind::BodyId, Every),
                (Kind::FormStamp, Every),
                (Kind::SealingSecret, Every),
                (Kind::SealingPublic, Every),
                (Kind::LinkMaster, Every),
                (Kind::AddressMaster, Every),
                (Kind::Ledger, Every),
            ],
            Self::Intake => &[
                (Kind::BodyId, Every),
                (Kind::FormStamp, Every),
                (Kind::SealingPublic, Newest),
                (Kind::LinkJoin, Every),
                (Kind::LinkRights, Every),
            ],
            Self::Unsubscribe => &[(Kind::BodyId, Every), (Kind::LinkLeave, Every)],
            Self::Deliver => &[
                (Kind::BodyId, Every),
                (Kind::SealingSecret, Every),
                (Kind::SealingPublic, Every),
                (Kind::LinkLeave, Every),
                (Kind::LinkJoin, Every),
                (Kind::LinkRights, Every),
                (Kind::ReturnPath, Every),
                (Kind::AddressIndex, Newest),
                (Kind::AddressSuppression, Every),
                (Kind::AddressRow, Newest),
                (Kind::AddressMessageId, Newest),
                (Kind::Ledger, Every),
            ],
        }
    }

    /// Whether its folder may hold keys of signatures, which only a worker makes.
    pub(super) const fn may_sign(self) -> bool {
        matches!(self, Self::Masters | Self::Deliver)
    }

    /// Whether its folder may hold keys of this kind.
    pub(super) fn may_hold(self, kind: Kind) -> bool {
        self.share().iter().any(|(held, _)| *held == kind)
    }

    /// What its folder holds of a family.
    pub(super) fn kinds_of(self, family: Family) -> impl Iterator<Item = Kind> {
        let kinds = self.share().iter().map(|(kind, _)| *kind);
        kinds.filter(move |kind| kind.family() == Some(family))
    }

    /// The files that its folder holds, no more and no less.
    pub(super) fn files(self, generations: Generations) -> BTreeSet<KeyFile> {
        let numbers = |kind: Kind, extent| match kind.family() {
            None => 0..=0,
            Some(family) => {
                let newest = generations.newest(family);
                match extent {
                    Extent::Every => 1..=newest,
                    Extent::Newest => newest..=newest,
                }
            }
        };
        self.share()
            .iter()
            .flat_map(|(kind, extent)| {
                numbers(*kind, *extent).map(|generation| KeyFile {
                    kind: *kind,
                    generation,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_has_one_spelling() {
        for kind in Kind::ALL {
            for generation in [1, 2, 10, 65_535] {
                let generation = kind.family().map_or(0, |_| generation);
                let file = KeyFile { kind, generation };
                assert_eq!(KeyFile::from_name(&file.to_string()), Some(file));
            }
        }
        for name in [
            "link-01.key",
            "link-+1.key",
            "link-0.key",
            "link-65536.key",
            "link-.key",
            "link-1.KEY",
            "link-1.key ",
            "link-1.public",
            "link--1.key",
            "link.key",
            "body-id-1",
            "form-stamp-1.key",
            "link-leave-1.key~",
            ".link-leave-1.key",
            "",
        ] {
            assert_eq!(KeyFile::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn only_the_worker_holds_what_opens_and_only_the_masters_are_masters() {
        for holder in Holder::ROLES {
            assert!(!holder.may_hold(Kind::LinkMaster) && !holder.may_hold(Kind::AddressMaster));
        }
        let only_deliver = [
            Kind::SealingSecret,
            Kind::ReturnPath,
            Kind::AddressIndex,
            Kind::AddressSuppression,
            Kind::AddressRow,
            Kind::AddressMessageId,
            Kind::Ledger,
        ];
        for kind in only_deliver {
            assert!(Holder::Deliver.may_hold(kind), "{kind:?}");
            assert!(!Holder::Intake.may_hold(kind), "{kind:?}");
            assert!(!Holder::Unsubscribe.may_hold(kind), "{kind:?}");
        }
        assert!(!Holder::Intake.may_hold(Kind::LinkLeave));
        assert!(!Holder::Unsubscribe.may_hold(Kind::LinkJoin));
        assert!(!Holder::Unsubscribe.may_hold(Kind::LinkRights));
    }
}
