//! A request as it came, before anybody has looked into it.

use data_encoding::HEXLOWER_PERMISSIVE;
use domain::SpoolId;
use queue::Received;
use sha2::{Digest, Sha256};
use store::{InboxRow, Lane, Place};

/// A request's bytes, and what those who carried them say of it.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) said: Said,
    pub(super) lane: Lane,
    pub(super) bytes: Vec<u8>,
}

/// Where the request was accepted, by those who carried it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// The inbox has it under this place: whatever becomes of it, the row under it goes.
    Row(Place),
    /// The message's name, if that is one of ours; its envelope knows better.
    Name(Option<Place>),
}

impl Arrival {
    /// From the inbox.
    pub(super) fn of_row(row: InboxRow) -> Self {
        Self {
            said: Said::Row(row.place()),
            lane: if row.stop { Lane::Stops } else { Lane::Others },
            bytes: row.envelope,
        }
    }

    /// From the queue of this lane.
    pub(super) fn of_message(message: &Received, lane: Lane) -> Self {
        Self {
            said: Said::Name(message.message_id.as_deref().and_then(named)),
            lane,
            bytes: message.body.clone(),
        }
    }

    /// The place to keep it under if its envelope does not tell.
    pub(super) fn place(&self) -> Place {
        match self.said {
            Said::Row(place) | Said::Name(Some(place)) => place,
            Said::Name(None) => nameless(&self.bytes),
        }
    }
}

/// Whether a seq is one: from 1, and the tables count in signed numbers.
pub(super) fn is_seq(seq: u64) -> bool {
    seq > 0 && i64::try_from(seq).is_ok()
}

/// The place in a message's name, `hex(spool_id):seq`.
fn named(name: &str) -> Option<Place> {
    let (spool, seq) = name.split_once(':')?;
    let spool = HEXLOWER_PERMISSIVE.decode(spool.as_bytes()).ok()?;
    let seq = seq.parse().ok().filter(|seq| is_seq(*seq))?;
    Some(Place {
        spool_id: SpoolId::new(spool.try_into().ok()?),
        seq,
    })
}

/// A place for what names none: no spool, and a number that follows from the bytes, so that the same
/// bytes are kept once however often they come.
fn nameless(bytes: &[u8]) -> Place {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    Place {
        spool_id: SpoolId::new([0; 16]),
        seq: u64::from_be_bytes(first) >> 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_place_or_none() {
        let spool = "0102030405060708090a0b0c0d0e0f10";
        let place = named(&format!("{spool}:17")).unwrap();
        assert_eq!(place.seq, 17);
        assert_eq!(place.spool_id.as_bytes()[15], 0x10);
        for wrong in [
            "",
            ":",
            "17",
            &format!("{spool}:"),
            &format!("{spool}:0"),
            &format!("{spool}:-1"),
            &format!("{spool}:9223372036854775808"),
            &format!("{}:1", &spool[2..]),
            &format!("{spool}00:1"),
            "outbox:12",
        ] {
            assert_eq!(named(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_nameless_are_told_apart_by_their_bytes() {
        let of = |bytes: &[u8]| {
            let message = Received {
                message_id: None,
                body: bytes.to_vec(),
                redelivered: false,
            };
            Arrival::of_message(&message, Lane::Stops).place()
        };
        assert_eq!(of(b"one"), of(b"one"));
        assert_ne!(of(b"one"), of(b"two"));
        // SHA-256 of nothing begins with e3b0c44298fc1c14
        assert_eq!(of(b"").seq, 0xe3b0_c442_98fc_1c14 >> 1);
        assert_eq!(of(b"").spool_id, SpoolId::new([0; 16]));
    }
}
