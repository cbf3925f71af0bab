//! Properties of the encoding: everything goes there and back, and nothing has two spellings.

use domain::{
    Bounce, BoxId, Channel, Choice, Confirm, EventId, IssueNumber, KeyId, KeyState, Language,
    Method, NewsletterNumber, NotMe, NoticeHash, Request, SealedAddress, SignUp, SpoolId,
    SubscriptionId, Timestamp, TokenKey, Undo, Unsubscribe,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use crate::record::{self, Body};
use crate::scan;
use crate::{Content, DecodeError, payload};

fn token() -> impl Strategy<Value = TokenKey> {
    (any::<u8>(), any::<u16>(), select(KeyState::ALL)).prop_map(|(version, kid, state)| TokenKey {
        version,
        kid: KeyId(kid),
        state,
    })
}

fn sign_up() -> impl Strategy<Value = Request> {
    let sealed = select(&SealedAddress::LENGTHS[..])
        .prop_flat_map(|length| vec(any::<u8>(), length))
        .prop_map(|bytes| SealedAddress::from_bytes(bytes).unwrap());
    let choices = btree_map(any::<u64>(), any::<[u8; 32]>(), 1..6).prop_map(|choices| {
        let choice = |(newsletter, notice)| Choice {
            newsletter: NewsletterNumber(newsletter),
            notice: NoticeHash::new(notice),
        };
        choices.into_iter().map(choice).collect::<Vec<_>>()
    });
    let origin = proptest::option::of("[ -~é]{0,100}");
    (
        (sealed, choices.prop_shuffle(), select(&Language::ALL[..])),
        (origin, select(&[Channel::Web, Channel::Api][..])),
        any::<Option<[u8; 32]>>(),
    )
        .prop_map(
            |((sealed, choices, language), (origin, channel), wording)| {
                Request::SignUp(SignUp {
                    sealed,
                    choices,
                    language,
                    origin,
                    channel,
                    wording,
                })
            },
        )
}

fn request() -> impl Strategy<Value = Request> {
    let unsubscribe = (
        any::<[u8; 16]>(),
        any::<u32>(),
        select(Method::ALL),
        token(),
    )
        .prop_map(|(id, issue, method, token)| {
            Request::Unsubscribe(Unsubscribe {
                subscription_id: SubscriptionId::new(id),
                issue: IssueNumber(issue),
                method,
                token,
            })
        });
    let others = (any::<[u8; 16]>(), token(), 0..4).prop_map(|(id, token, kind)| match kind {
        0 => Request::Confirm(Confirm {
            box_id: BoxId::new(id),
            token,
        }),
        1 => Request::NotMe(NotMe {
            box_id: BoxId::new(id),
            token,
        }),
        2 => Request::Bounce(Bounce {
            subscription_id: SubscriptionId::new(id),
            issue: IssueNumber(u32::from(token.kid.0)),
            decision_id: EventId::new(id),
        }),
        _ => Request::Undo(Undo {
            unsubscribe: EventId::new(id),
            token,
        }),
    });
    prop_oneof![sign_up(), unsubscribe, others]
}

proptest! {
    #[test]
    fn any_request_goes_there_and_back(
        request in request(),
        seq in 1..u64::MAX,
        event_id: [u8; 16],
        accepted_at: u64,
        spool_id: [u8; 16],
    ) {
        let (event_id, spool_id) = (EventId::new(event_id), SpoolId::new(spool_id));
        let accepted_at = Timestamp::from_millis(accepted_at);
        let body = record::encode_body(seq, event_id, accepted_at, &request);
        let decoded = record::decode_envelope(&record::envelope(&body, spool_id)).unwrap();
        prop_assert_eq!(decoded.seq, seq);
        prop_assert_eq!(decoded.spool_id, spool_id);
        let Content::Accepted(accepted) = decoded.content else {
            return Err(TestCaseError::fail("a tombstone"));
        };
        prop_assert_eq!(accepted.event_id, event_id);
        prop_assert_eq!(accepted.accepted_at, accepted_at);
        prop_assert_eq!(accepted.request, request);
    }

    #[test]
    fn a_changed_byte_never_reads_as_the_same_request(
        request in request(),
        position: prop::sample::Index,
        flip in 1..=255u8,
    ) {
        let mut bytes = payload::encode(&request);
        let at = position.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(other) = payload::decode(request.kind(), &bytes) {
            prop_assert_ne!(&other, &request);
            prop_assert_eq!(payload::encode(&other), bytes);
        }
    }

    #[test]
    fn a_shortened_or_lengthened_payload_is_refused(request in request(), cut in 1..400usize) {
        let mut bytes = payload::encode(&request);
        let short = &bytes[..bytes.len().saturating_sub(cut)];
        prop_assert!(payload::decode(request.kind(), short).is_err());
        bytes.push(0);
        prop_assert!(payload::decode(request.kind(), &bytes).is_err());
    }

    #[test]
    fn random_bytes_never_panic_and_read_back_as_they_were(bytes in vec(any::<u8>(), 0..300)) {
        for kind in ["sign_up", "confirm", "unsubscribe", "undo", "not_me", "bounce"] {
            if let Ok(request) = payload::decode(kind, &bytes) {
                prop_assert_eq!(payload::encode(&request), &bytes[..]);
            }
        }
        if let Ok(body) = record::decode_body(&bytes) {
            prop_assert_eq!(body.encode(), &bytes[..]);
        }
        let _ = record::decode_envelope(&bytes);
        let _ = scan::scan(&bytes, 1, Timestamp::from_millis(0));
    }

    /// Random bytes are almost never CBOR; a changed byte of a real body often still is.
    #[test]
    fn a_changed_body_reads_back_as_it_was(
        request in request(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let accepted_at = Timestamp::from_millis(5);
        let mut bytes = record::encode_body(7, EventId::new([9; 16]), accepted_at, &request);
        for (position, byte) in changes {
            let at = position.index(bytes.len());
            bytes[at] = byte;
        }
        match record::decode_body(&bytes) {
            Ok(body) => prop_assert_eq!(body.encode(), bytes),
            Err(DecodeError::Newer | DecodeError::Undecodable(_)) => {}
        }
    }

    #[test]
    fn whole_records_before_any_damage_are_found(
        requests in vec(request(), 1..6),
        noise in vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = Vec::new();
        for (request, seq) in requests.iter().zip(5..) {
            let time = Timestamp::from_millis(seq);
            let body = record::encode_body(seq, EventId::new([1; 16]), time, request);
            bytes.extend(record::frame(&body).unwrap());
        }
        let end = bytes.len();
        bytes.extend(noise);
        let scan = scan::scan(&bytes, 5, Timestamp::from_millis(0)).unwrap();
        prop_assert_eq!(scan.slots.len(), requests.len());
        prop_assert_eq!(scan.end, end);
    }

    /// Segments of some hundred kilobytes, whole or with a few bytes changed.
    #[test]
    fn a_look_in_pieces_finds_the_same_as_a_look_at_all(
        requests in vec(request(), 1..4),
        records in 0..900u64,
        zeros in 0..150_000usize,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes = Vec::new();
        for (request, seq) in requests.iter().cycle().zip(5..5 + records) {
            let time = Timestamp::from_millis(seq);
            let body = record::encode_body(seq, EventId::new([1; 16]), time, request);
            bytes.extend(record::frame(&body).unwrap());
        }
        bytes.resize(bytes.len() + zeros, 0);
        for (position, byte) in &changes {
            if !bytes.is_empty() {
                let at = position.index(bytes.len());
                bytes[at] = *byte;
            }
        }
        let all = scan::scan(&bytes, 5, Timestamp::from_millis(0));
        match scan::scan_sound(&mut &bytes[..], 5).unwrap() {
            Some(sound) => prop_assert_eq!(all, Ok(sound)),
            None => prop_assert!(!changes.is_empty(), "a whole segment needs no second look"),
        }
    }
}

/// Rebuilds an unsubscribe's payload with one entry changed, and asks whether it is still read.
#[test]
fn a_missing_unknown_or_wrong_entry_is_undecodable() {
    let request = super::unsubscribe(1);
    let good = payload::encode(&request);
    let without_method = {
        let at = good
            .windows(7)
            .position(|part| part == b"\x66method")
            .unwrap();
        let mut bytes = good.clone();
        bytes.drain(at..at + 8);
        bytes[0] -= 1;
        bytes
    };
    let with_unknown = {
        let mut bytes = vec![good[0] + 1, 0x61, b'a', 0x00];
        bytes.extend(&good[1..]);
        bytes
    };
    let renamed = {
        let at = good
            .windows(6)
            .position(|part| part == b"\x65issue")
            .unwrap();
        let mut bytes = good.clone();
        bytes[at + 5] = b'f';
        bytes
    };
    let method_99 = {
        let at = good
            .windows(7)
            .position(|part| part == b"\x66method")
            .unwrap();
        let mut bytes = good.clone();
        bytes.splice(at + 7..at + 8, [0x18, 99]);
        bytes
    };
    assert_eq!(payload::decode("unsubscribe", &good), Ok(request));
    for bad in [without_method, with_unknown, renamed, method_99] {
        assert_eq!(
            payload::decode("unsubscribe", &bad),
            Err(DecodeError::Undecodable("payload"))
        );
    }
}

#[test]
fn a_sign_up_names_each_newsletter_once_and_at_least_one() {
    let sign_up = |newsletters: &[u64]| {
        let choice = |number: &u64| Choice {
            newsletter: NewsletterNumber(*number),
            notice: NoticeHash::new([1; 32]),
        };
        Request::SignUp(SignUp {
            sealed: SealedAddress::from_bytes(vec![1; 115]).unwrap(),
            choices: newsletters.iter().map(choice).collect(),
            language: Language::Cy,
            origin: Some("https://www.council.example".into()),
            channel: Channel::Api,
            wording: None,
        })
    };
    for (newsletters, is_read) in [(&[3, 1][..], true), (&[], false), (&[1, 3, 1], false)] {
        let request = sign_up(newsletters);
        let read = payload::decode("sign_up", &payload::encode(&request));
        assert_eq!(read.is_ok(), is_read, "{newsletters:?}");
    }
}

#[test]
fn the_payload_of_an_unsubscribe_is_the_documented_one() {
    let hex = "a6636b69640165697373756501666d6574686f6400696b65795f7374617465006d746f6b656e5f7665\
               7273696f6e016f737562736372697074696f6e5f69645000000000000000000000000000000007";
    let bytes = data_encoding::HEXLOWER
        .decode(hex.replace(' ', "").as_bytes())
        .unwrap();
    assert_eq!(payload::encode(&super::unsubscribe(7)), bytes);
}

#[test]
fn a_tombstone_that_carries_something_is_refused() {
    let good = Body::tombstone(4, Timestamp::from_millis(9));
    assert_eq!(record::decode_body(&good.encode()), Ok(good));
    let with_id = Body {
        event_id: EventId::new([1; 16]),
        ..good
    };
    let with_payload = Body {
        payload: &[0xa1, 0x61, b'a', 0x00],
        ..good
    };
    for bad in [with_id, with_payload] {
        assert!(record::decode_body(&bad.encode()).is_err());
    }
}
