//! The generations of link keys that a role holds, of one class, and how they come from the masters.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use domain::{BodyId, KeyId, KeyState, TokenKey};
use zeroize::Zeroizing;

use crate::secret_key::{self, KeyName, SecretKey};
use crate::token::{self, Fields, Unchecked};
use crate::{LinkClass, Purpose, Route};

/// One generation: the master that its keys are derived from.
#[derive(Clone)]
pub struct LinkMaster {
    /// Its number, the newest the largest.
    pub kid: KeyId,
    /// 32 random bytes.
    pub bytes: Zeroizing<[u8; 32]>,
    /// Its state.
    pub state: KeyState,
}

impl fmt::Debug for LinkMaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkMaster")
            .field("kid", &self.kid)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl LinkMaster {
    /// This generation's key of one class: what a role is given instead of the master.
    #[must_use]
    pub fn class_key(&self, class: LinkClass, body: BodyId) -> ClassKey {
        self.key_called(KeyName::Link(class), body)
    }

    /// This generation's key called `verp`, for return paths.
    #[must_use]
    pub fn return_path_key(&self, body: BodyId) -> ClassKey {
        self.key_called(KeyName::ReturnPath, body)
    }

    pub(crate) fn key_called(&self, name: KeyName, body: BodyId) -> ClassKey {
        ClassKey {
            kid: self.kid,
            bytes: secret_key::derive(&self.bytes, body, name),
            state: self.state,
        }
    }
}

/// One generation's derived key of one class or of return paths, as a role's folder holds it: it leads
/// back to no master and to no key of another class.
#[derive(Clone)]
pub struct ClassKey {
    /// The number of the generation.
    pub kid: KeyId,
    /// 32 bytes.
    pub bytes: Zeroizing<[u8; 32]>,
    /// The state of the generation.
    pub state: KeyState,
}

impl fmt::Debug for ClassKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassKey")
            .field("kid", &self.kid)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Keys that cannot serve. Each is for the operator to put right before the process starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkKeyError {
    /// No generation is current, so no link could be made.
    #[error("none of the link keys is current: make a new one")]
    NoneCurrent,
    /// Two generations have one number.
    #[error("two link keys have the number {}", .0.0)]
    TwiceTheSame(KeyId),
    /// Newer keys lack a generation that links were made with.
    #[error("the link key {} is gone, and links that were made with it would stop working", .0.0)]
    Lost(KeyId),
    /// Newer keys hold other bytes under the number of a generation that links were made with.
    #[error("the link key {} is another one than before, and links that were made with it would stop working", .0.0)]
    Another(KeyId),
}

/// One derived key and what to know about it.
#[derive(Clone)]
pub(crate) struct Generation {
    pub(crate) kid: KeyId,
    pub(crate) key: SecretKey,
    pub(crate) state: KeyState,
}

/// Derived keys of all generations, the newest last.
pub(crate) struct Generations(Vec<Generation>);

impl Generations {
    /// Any states will do.
    pub(crate) fn new(keys: Vec<ClassKey>) -> Result<Self, LinkKeyError> {
        let mut all: Vec<Generation> = keys
            .into_iter()
            .map(|key| Generation {
                kid: key.kid,
                key: SecretKey::from_bytes(key.bytes),
                state: key.state,
            })
            .collect();
        all.sort_by_key(|generation| generation.kid);
        if let Some(twins) = all.windows(2).find(|pair| pair[0].kid == pair[1].kid) {
            return Err(LinkKeyError::TwiceTheSame(twins[0].kid));
        }
        Ok(Self(all))
    }

    /// For a role that mints too.
    pub(crate) fn for_minting(keys: Vec<ClassKey>) -> Result<Self, LinkKeyError> {
        let generations = Self::new(keys)?;
        generations
            .newest_current()
            .ok_or(LinkKeyError::NoneCurrent)?;
        Ok(generations)
    }

    fn newest_current(&self) -> Option<&Generation> {
        self.0
            .iter()
            .rfind(|generation| generation.state == KeyState::Current)
    }

    /// The generation to mint with.
    pub(crate) fn minting(&self) -> &Generation {
        self.newest_current()
            .expect("for_minting refuses a set in which none is current")
    }

    /// The generation with this number, whatever its state.
    pub(crate) fn get(&self, kid: KeyId) -> Option<&Generation> {
        self.0.iter().find(|generation| generation.kid == kid)
    }

    /// Whether each generation of `before` is among these, with the same key.
    fn keep(&self, before: &Self) -> Result<(), LinkKeyError> {
        for old in &before.0 {
            let new = self.get(old.kid).ok_or(LinkKeyError::Lost(old.kid))?;
            if !new.key.is_same(&old.key) {
                return Err(LinkKeyError::Another(old.kid));
            }
        }
        Ok(())
    }

    pub(crate) fn states(&self) -> Vec<(KeyId, KeyState)> {
        self.0.iter().map(|one| (one.kid, one.state)).collect()
    }
}

/// Generations that a running role may be given more of. A clone is another handle on the same ones.
#[derive(Clone)]
pub(crate) struct Live(Arc<RwLock<Arc<Generations>>>);

impl Live {
    pub(crate) fn new(generations: Generations) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(generations))))
    }

    /// What they are now: a link is made or checked with one set, whatever comes meanwhile.
    pub(crate) fn now(&self) -> Arc<Generations> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether links that were made with these would go on working with `newer`.
    pub(crate) fn can_renew(&self, newer: &Self) -> Result<(), LinkKeyError> {
        newer.now().keep(&self.now())
    }

    /// Takes over what `newer` holds; nothing, where links would stop working by it.
    pub(crate) fn renew(&self, newer: &Self) -> Result<(), LinkKeyError> {
        let newer = newer.now();
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        newer.keep(&held)?;
        *held = newer;
        Ok(())
    }
}

/// A genuine token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedToken {
    /// What it does.
    pub purpose: Purpose,
    /// What it does it to: see [`Purpose`].
    pub subject: [u8; 16],
    /// Issue number, expiry or 0: see [`Purpose`].
    pub aux: u32,
    /// The key that signed it, for the ledger.
    pub key: TokenKey,
}

/// The derived keys of one class, all generations; no master.
///
/// A clone is another handle on the same keys: what [`LinkKeys::renew`] gives one of them, all have.
#[derive(Clone)]
pub struct LinkKeys {
    class: LinkClass,
    generations: Live,
}

impl LinkKeys {
    /// Derives the keys of one class.
    ///
    /// # Errors
    /// [`LinkKeyError`] if no generation is current or two have one number.
    pub fn derive(
        class: LinkClass,
        body: BodyId,
        masters: &[LinkMaster],
    ) -> Result<Self, LinkKeyError> {
        let keys = masters.iter().map(|master| master.class_key(class, body));
        Self::from_class_keys(class, keys.collect())
    }

    /// Keys of one class that were derived before, as they stand in a role's folder.
    ///
    /// # Errors
    /// [`LinkKeyError`] if no generation is current or two have one number.
    pub fn from_class_keys(class: LinkClass, keys: Vec<ClassKey>) -> Result<Self, LinkKeyError> {
        let generations = Live::new(Generations::for_minting(keys)?);
        Ok(Self { class, generations })
    }

    /// Takes over the generations and states of `newer`, in every clone at once, while links are made
    /// and checked.
    ///
    /// # Errors
    /// [`LinkKeyError::Lost`] or [`LinkKeyError::Another`] if links that these keys made would stop
    /// working; nothing is changed then.
    ///
    /// # Panics
    /// If `newer` is of another class: a mistake in the code.
    pub fn renew(&self, newer: &Self) -> Result<(), LinkKeyError> {
        assert_eq!(newer.class, self.class, "keys of another class");
        self.generations.renew(&newer.generations)
    }

    /// Whether [`LinkKeys::renew`] would take over these keys.
    ///
    /// # Errors
    /// As it would say.
    pub fn can_renew(&self, newer: &Self) -> Result<(), LinkKeyError> {
        self.generations.can_renew(&newer.generations)
    }

    /// The generations and their states, the newest last.
    #[must_use]
    pub fn states(&self) -> Vec<(KeyId, KeyState)> {
        self.generations.now().states()
    }

    /// The class.
    #[must_use]
    pub const fn class(&self) -> LinkClass {
        self.class
    }

    /// Makes a token of 54 characters with the newest current generation.
    ///
    /// # Panics
    /// If the purpose belongs to another class: a mistake in the code, that its first test finds.
    #[must_use]
    pub fn mint(&self, purpose: Purpose, subject: &[u8; 16], aux: u32) -> String {
        assert_eq!(purpose.class(), self.class, "a link of another class");
        let generations = self.generations.now();
        let generation = generations.minting();
        let fields = Fields {
            version: token::VERSION,
            purpose: purpose.number(),
            kid: generation.kid,
            subject: *subject,
            aux,
        };
        token::write(&generation.key, fields)
    }

    /// Checks what followed a route in the request target, as sent. Every failure is the same
    /// nothing; whether an expiring link is late is asked afterwards.
    #[must_use]
    pub fn check(&self, route: Route, rest: &str) -> Option<CheckedToken> {
        let token = Unchecked::read(&token::in_request_target(rest))?;
        let fields = token.fields;
        if fields.version != token::VERSION {
            return None;
        }
        let purpose = Purpose::from_number(fields.purpose)
            .filter(|purpose| purpose.route() == route && purpose.class() == self.class)?;
        let generations = self.generations.now();
        let generation = generations.get(fields.kid).filter(|generation| {
            generation.state != KeyState::Compromised || purpose.counts_under_compromised_key()
        })?;
        token.tag_holds(&generation.key).then_some(CheckedToken {
            purpose,
            subject: fields.subject,
            aux: fields.aux,
            key: TokenKey {
                version: fields.version,
                kid: fields.kid,
                state: generation.state,
            },
        })
    }

    /// Derives for checking only, whatever the states: vectors hold such sets.
    #[cfg(test)]
    pub(crate) fn derive_for_checking(
        class: LinkClass,
        body: BodyId,
        masters: &[LinkMaster],
    ) -> Self {
        let keys = masters.iter().map(|master| master.class_key(class, body));
        Self {
            class,
            generations: Live::new(
                Generations::new(keys.collect()).expect("vectors repeat no number"),
            ),
        }
    }
}

impl fmt::Debug for LinkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkKeys")
            .field("class", &self.class)
            .field("generations", &self.states())
            .finish()
    }
}
