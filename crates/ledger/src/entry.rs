//! An entry's bytes: a deterministic CBOR array, and nothing else is one.

use domain::{
    Actor, Effect, EventId, IssueNumber, KeyId, KeyState, LedgerEntry, Method, NewsletterNumber,
    Restored, SpoolId, SubscriptionId, Timestamp, TokenKey,
};

use crate::cbor::{Reader, Unreadable, Writer};

/// The layout's number, first in each entry.
const SCHEMA: u64 = 1;
const ELEMENTS: u8 = 17;
/// The entry of a restore says besides where the ledger had been.
const ELEMENTS_OF_RESTORE: u8 = 19;
/// The longest entry: 8 numbers of 9 bytes, 6 of 1 to 5, 5 ids, a hash.
const LONGEST: usize = 256;

/// Bytes that are no entry, or an entry in another spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no entry of the ledger")]
pub struct NotAnEntry;

/// The bytes of the entry at `seq`.
#[must_use]
pub fn encode(seq: u64, entry: &LedgerEntry) -> Vec<u8> {
    let mut writer = Writer(Vec::with_capacity(LONGEST));
    let token = entry.token;
    writer.array(match entry.restored {
        None => ELEMENTS,
        Some(_) => ELEMENTS_OF_RESTORE,
    });
    writer.unsigned(SCHEMA);
    writer.unsigned(seq);
    writer.bytes(entry.event_id.as_bytes());
    writer.unsigned(entry.occurred_at.as_millis());
    writer.unsigned(entry.recorded_at.as_millis());
    writer.unsigned_or_null(entry.newsletter.map(|number| number.0));
    writer.bytes_or_null(entry.subscription_id.as_ref().map(|id| &id.as_bytes()[..]));
    writer.unsigned(entry.issue.0.into());
    writer.unsigned(entry.method.number().into());
    writer.unsigned(entry.effect.number().into());
    writer.unsigned_or_null(token.map(|token| token.version.into()));
    writer.unsigned_or_null(token.map(|token| token.kid.0.into()));
    writer.unsigned_or_null(token.map(|token| token.state.number().into()));
    writer.unsigned(entry.actor.number().into());
    for id in [&entry.staff_reference, &entry.decision_id] {
        writer.bytes_or_null(id.as_ref().map(|id| &id.as_bytes()[..]));
    }
    writer.bytes_or_null(entry.spool_id.as_ref().map(|id| &id.as_bytes()[..]));
    if let Some(restored) = entry.restored {
        writer.unsigned(restored.checkpoint_seq);
        writer.bytes(&restored.checkpoint_h);
    }
    writer.0
}

/// The entry of these bytes and its seq.
///
/// # Errors
/// [`NotAnEntry`] for anything that [`encode`] does not make.
pub fn decode(bytes: &[u8]) -> Result<(u64, LedgerEntry), NotAnEntry> {
    read(bytes).map_err(|_| NotAnEntry)
}

fn read(bytes: &[u8]) -> Result<(u64, LedgerEntry), Unreadable> {
    let mut reader = Reader(bytes);
    let elements: u8 = reader.array()?.try_into().map_err(|_| Unreadable)?;
    let (schema, seq) = (reader.unsigned()?, reader.unsigned()?);
    let mut entry = LedgerEntry {
        event_id: EventId::new(reader.bytes()?),
        occurred_at: Timestamp::from_millis(reader.unsigned()?),
        recorded_at: Timestamp::from_millis(reader.unsigned()?),
        newsletter: reader.unsigned_or_null()?.map(NewsletterNumber),
        subscription_id: reader.bytes_or_null()?.map(SubscriptionId::new),
        issue: IssueNumber(reader.small()?),
        method: Method::from_number(reader.small()?).ok_or(Unreadable)?,
        effect: Effect::from_number(reader.small()?).ok_or(Unreadable)?,
        token: token(&mut reader)?,
        actor: Actor::from_number(reader.small()?).ok_or(Unreadable)?,
        staff_reference: reader.bytes_or_null()?.map(EventId::new),
        decision_id: reader.bytes_or_null()?.map(EventId::new),
        spool_id: reader.bytes_or_null()?.map(SpoolId::new),
        restored: None,
    };
    if elements == ELEMENTS_OF_RESTORE {
        entry.restored = Some(Restored {
            checkpoint_seq: reader.unsigned()?,
            checkpoint_h: reader.bytes()?,
        });
    }
    let as_many = match entry.method {
        Method::Restore => ELEMENTS_OF_RESTORE,
        _ => ELEMENTS,
    };
    if schema == SCHEMA && seq > 0 && elements == as_many && reader.is_at_end() {
        Ok((seq, entry))
    } else {
        Err(Unreadable)
    }
}

/// Version, key and its state: all three or none.
fn token(reader: &mut Reader<'_>) -> Result<Option<TokenKey>, Unreadable> {
    let version = reader.unsigned_or_null()?;
    let kid = reader.unsigned_or_null()?;
    let state = reader.unsigned_or_null()?;
    let (version, kid, state) = match (version, kid, state) {
        (None, None, None) => return Ok(None),
        (Some(version), Some(kid), Some(state)) => (version, kid, state),
        _ => return Err(Unreadable),
    };
    let key = || {
        Some(TokenKey {
            version: version.try_into().ok()?,
            kid: KeyId(kid.try_into().ok()?),
            state: KeyState::from_number(state.try_into().ok()?)?,
        })
    };
    key().map(Some).ok_or(Unreadable)
}
