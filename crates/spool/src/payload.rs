//! The payload of each kind: a deterministic CBOR map with text keys in the order of RFC 8949 4.2.1
//! (short keys first). Every key is always there; what is absent is `null`. Anything else, a missing
//! or an unknown key too, is undecodable.
//!
//! `sign_up`, whose `box_id` is the record's `event_id`:
//!
//! | key | value |
//! | --- | --- |
//! | `origin` | text of at most 255 bytes: the `Origin` header; or null |
//! | `sealed` | byte string: the sealed address, 115 to 381 bytes |
//! | `channel` | 0 web, 1 API |
//! | `choices` | array, at least one: `[newsletter number, notice hash (32 bytes)]`, no newsletter twice |
//! | `wording` | 32 bytes: SHA-256 of label and button; or null |
//! | `language` | text: `en` or `cy` |
//!
//! `erasure`, for which no link is needed (`letterbox rights erase`):
//!
//! | key | value |
//! | --- | --- |
//! | `sealed` | byte string: the address, sealed under purpose 03 and the record's `event_id` |
//!
//! `look_up`, from the form of somebody who has no mail with a link at hand:
//!
//! | key | value |
//! | --- | --- |
//! | `answer` | 0: the links to leave, by mail to that address |
//! | `sealed` | byte string: the address, sealed under purpose 03 and the record's `event_id` |
//! | `language` | text: `en` or `cy` |
//!
//! The key of the link that was pressed, in each of the others: `kid` (u16), `key_state` (0 current, 1
//! retired, 2 compromised, at acceptance), `token_version` (u8). And besides:
//!
//! | kind | key | value |
//! | --- | --- | --- |
//! | `confirm`, `not_me`, `never_email` | `box_id` | 16 bytes: the sign-up |
//! | `unsubscribe` | `issue` | u32, 0 for none |
//! | | `method` | number of the ledger's `method` |
//! | | `subscription_id` | 16 bytes |
//! | | `all` | true where every newsletter is left, else not there |
//! | `undo` | `unsubscribe` | 16 bytes: the unsubscribe's `event_id` |
//!
//! A `bounce` has no link: `issue` (u32), `decision` (16 bytes: the automated decision behind it),
//! `subscription_id` (16 bytes).
//!
//! So the whole order is: confirm, `not_me` and `never_email` `kid box_id key_state token_version`;
//! unsubscribe `all kid issue method key_state token_version subscription_id`; undo `kid key_state
//! unsubscribe token_version`.

use std::convert::Infallible;

use domain::{
    Bounce, BoxId, Channel, Choice, Confirm, Erasure, EventId, IssueNumber, KeyId, KeyState,
    Language, LookUp, Method, NewsletterNumber, NotMe, NoticeHash, Request, SealedAddress, SignUp,
    SubscriptionId, TokenKey, Undo, Unsubscribe,
};
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use crate::{DecodeError, cbor};

/// The longest `Origin` that is kept, in bytes.
const ORIGIN_BYTES: usize = 255;

/// The only answer to a look-up so far.
const LINKS_TO_LEAVE: u8 = 0;

pub(crate) type Written = Result<(), minicbor::encode::Error<Infallible>>;

/// The payload of this request.
#[must_use]
pub fn encode(request: &Request) -> Vec<u8> {
    in_memory(|encoder| write(encoder, request))
}

/// What `write` writes, as bytes.
pub(crate) fn in_memory(write: impl FnOnce(&mut Encoder<Vec<u8>>) -> Written) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::with_capacity(256));
    write(&mut encoder).expect("memory takes every byte");
    encoder.into_writer()
}

fn write(encoder: &mut Encoder<Vec<u8>>, request: &Request) -> Written {
    match request {
        Request::SignUp(sign_up) => write_sign_up(encoder, sign_up),
        Request::Confirm(Confirm { box_id, token })
        | Request::NotMe(NotMe { box_id, token })
        | Request::NeverEmail(NotMe { box_id, token }) => {
            encoder.map(4)?.str("kid")?.u16(token.kid.0)?;
            encoder.str("box_id")?.bytes(box_id.as_bytes())?;
            encoder.str("key_state")?.u8(token.state.number())?;
            encoder.str("token_version")?.u8(token.version)?;
            Ok(())
        }
        Request::Unsubscribe(leave) => {
            encoder.map(6)?;
            write_unsubscribe(encoder, leave)
        }
        Request::UnsubscribeAll(leave) => {
            encoder.map(7)?.str("all")?.bool(true)?;
            write_unsubscribe(encoder, leave)
        }
        Request::Undo(undo) => {
            encoder.map(4)?.str("kid")?.u16(undo.token.kid.0)?;
            encoder.str("key_state")?.u8(undo.token.state.number())?;
            encoder
                .str("unsubscribe")?
                .bytes(undo.unsubscribe.as_bytes())?;
            encoder.str("token_version")?.u8(undo.token.version)?;
            Ok(())
        }
        Request::Bounce(bounce) => {
            encoder.map(3)?.str("issue")?.u32(bounce.issue.0)?;
            encoder
                .str("decision")?
                .bytes(bounce.decision_id.as_bytes())?;
            encoder
                .str("subscription_id")?
                .bytes(bounce.subscription_id.as_bytes())?;
            Ok(())
        }
        Request::LookUp(look_up) => {
            encoder.map(3)?.str("answer")?.u8(LINKS_TO_LEAVE)?;
            encoder.str("sealed")?.bytes(look_up.sealed.as_bytes())?;
            encoder.str("language")?.str(look_up.language.tag())?;
            Ok(())
        }
        Request::Erasure(erasure) => {
            encoder
                .map(1)?
                .str("sealed")?
                .bytes(erasure.sealed.as_bytes())?;
            Ok(())
        }
    }
}

fn write_unsubscribe(encoder: &mut Encoder<Vec<u8>>, leave: &Unsubscribe) -> Written {
    let token = leave.token;
    encoder.str("kid")?.u16(token.kid.0)?;
    encoder.str("issue")?.u32(leave.issue.0)?;
    encoder.str("method")?.u8(leave.method.number())?;
    encoder.str("key_state")?.u8(token.state.number())?;
    encoder.str("token_version")?.u8(token.version)?;
    encoder
        .str("subscription_id")?
        .bytes(leave.subscription_id.as_bytes())?;
    Ok(())
}

fn write_sign_up(encoder: &mut Encoder<Vec<u8>>, sign_up: &SignUp) -> Written {
    encoder.map(6)?.str("origin")?;
    match &sign_up.origin {
        Some(origin) => encoder.str(origin)?,
        None => encoder.null()?,
    };
    encoder.str("sealed")?.bytes(sign_up.sealed.as_bytes())?;
    encoder.str("channel")?.i16(sign_up.channel.number())?;
    encoder
        .str("choices")?
        .array(sign_up.choices.len() as u64)?;
    for choice in &sign_up.choices {
        encoder
            .array(2)?
            .u64(choice.newsletter.0)?
            .bytes(choice.notice.as_bytes())?;
    }
    encoder.str("wording")?;
    match &sign_up.wording {
        Some(hash) => encoder.bytes(hash)?,
        None => encoder.null()?,
    };
    encoder.str("language")?.str(sign_up.language.tag())?;
    Ok(())
}

/// Reads a payload; a sign-up is the same whatever the record's other fields say.
///
/// # Errors
/// [`DecodeError::Undecodable`] for any byte that [`encode`] would not have written, and for kinds
/// that this version does not apply.
pub fn decode(kind: &str, payload: &[u8]) -> Result<Request, DecodeError> {
    if !cbor::is_deterministic(payload) {
        return Err(DecodeError::Undecodable(
            "payload is not deterministic CBOR",
        ));
    }
    let mut fields = Fields(Decoder::new(payload));
    let request = match kind {
        "sign_up" => fields.sign_up().map(Request::SignUp),
        "confirm" => fields
            .box_and_token()
            .map(|(box_id, token)| Request::Confirm(Confirm { box_id, token })),
        "not_me" => fields
            .box_and_token()
            .map(|(box_id, token)| Request::NotMe(NotMe { box_id, token })),
        "never_email" => fields
            .box_and_token()
            .map(|(box_id, token)| Request::NeverEmail(NotMe { box_id, token })),
        "unsubscribe" => fields.unsubscribe(),
        "look_up" => fields.look_up().map(Request::LookUp),
        "undo" => fields.undo().map(Request::Undo),
        "bounce" => fields.bounce().map(Request::Bounce),
        "erasure" => fields.erasure().map(Request::Erasure),
        _ => {
            return Err(DecodeError::Undecodable(
                "a kind this version does not apply",
            ));
        }
    };
    // Nothing can follow the last key: this is one item with a known number of entries.
    request.ok_or(DecodeError::Undecodable("payload"))
}

/// A payload that is read from its first key to its last. `None` stands for anything unexpected.
struct Fields<'b>(Decoder<'b>);

impl<'b> Fields<'b> {
    fn entries(&mut self, count: u64) -> Option<()> {
        (self.0.map().ok()? == Some(count)).then_some(())
    }

    fn key(&mut self, name: &str) -> Option<&mut Decoder<'b>> {
        if self.0.str().ok()? == name {
            Some(&mut self.0)
        } else {
            None
        }
    }

    fn sixteen(&mut self, name: &str) -> Option<[u8; 16]> {
        self.key(name)?.bytes().ok()?.try_into().ok()
    }

    fn kid(&mut self) -> Option<KeyId> {
        self.key("kid")?.u16().ok().map(KeyId)
    }

    fn key_state(&mut self) -> Option<KeyState> {
        KeyState::from_number(self.key("key_state")?.u8().ok()?)
    }

    fn token_version(&mut self) -> Option<u8> {
        self.key("token_version")?.u8().ok()
    }

    /// Whether the value of this key is null; if so, it is read over.
    fn is_null(&mut self, name: &str) -> Option<bool> {
        let decoder = self.key(name)?;
        let is_null = decoder.datatype().ok()? == Type::Null;
        if is_null {
            decoder.null().ok()?;
        }
        Some(is_null)
    }

    fn box_and_token(&mut self) -> Option<(BoxId, TokenKey)> {
        self.entries(4)?;
        let kid = self.kid()?;
        let box_id = BoxId::new(self.sixteen("box_id")?);
        let state = self.key_state()?;
        let version = self.token_version()?;
        Some((
            box_id,
            TokenKey {
                version,
                kid,
                state,
            },
        ))
    }

    fn unsubscribe(&mut self) -> Option<Request> {
        let is_all = match self.0.map().ok()?? {
            6 => false,
            7 => true,
            _ => return None,
        };
        if is_all && !self.key("all")?.bool().ok()? {
            return None;
        }
        let kid = self.kid()?;
        let issue = IssueNumber(self.key("issue")?.u32().ok()?);
        let method = Method::from_number(self.key("method")?.u8().ok()?)?;
        let state = self.key_state()?;
        let version = self.token_version()?;
        let leave = Unsubscribe {
            subscription_id: SubscriptionId::new(self.sixteen("subscription_id")?),
            issue,
            method,
            token: TokenKey {
                version,
                kid,
                state,
            },
        };
        Some(if is_all {
            Request::UnsubscribeAll(leave)
        } else {
            Request::Unsubscribe(leave)
        })
    }

    fn look_up(&mut self) -> Option<LookUp> {
        self.entries(3)?;
        if self.key("answer")?.u8().ok()? != LINKS_TO_LEAVE {
            return None;
        }
        let sealed = self.sealed()?;
        let language = Language::from_tag(self.key("language")?.str().ok()?)?;
        Some(LookUp { sealed, language })
    }

    fn sealed(&mut self) -> Option<SealedAddress> {
        let sealed = self.key("sealed")?.bytes().ok()?.to_vec();
        SealedAddress::from_bytes(sealed).ok()
    }

    fn undo(&mut self) -> Option<Undo> {
        self.entries(4)?;
        let kid = self.kid()?;
        let state = self.key_state()?;
        let unsubscribe = EventId::new(self.sixteen("unsubscribe")?);
        let version = self.token_version()?;
        let token = TokenKey {
            version,
            kid,
            state,
        };
        Some(Undo { unsubscribe, token })
    }

    fn erasure(&mut self) -> Option<Erasure> {
        self.entries(1)?;
        let sealed = self.key("sealed")?.bytes().ok()?.to_vec();
        let sealed = SealedAddress::from_bytes(sealed).ok()?;
        Some(Erasure { sealed })
    }

    fn bounce(&mut self) -> Option<Bounce> {
        self.entries(3)?;
        Some(Bounce {
            issue: IssueNumber(self.key("issue")?.u32().ok()?),
            decision_id: EventId::new(self.sixteen("decision")?),
            subscription_id: SubscriptionId::new(self.sixteen("subscription_id")?),
        })
    }

    fn sign_up(&mut self) -> Option<SignUp> {
        self.entries(6)?;
        let origin = if self.is_null("origin")? {
            None
        } else {
            let text = self.0.str().ok()?;
            Some((text.len() <= ORIGIN_BYTES).then(|| text.to_owned())?)
        };
        let sealed = self.key("sealed")?.bytes().ok()?.to_vec();
        let sealed = SealedAddress::from_bytes(sealed).ok()?;
        let channel = Channel::from_number(self.key("channel")?.i16().ok()?)?;
        let choices = self.choices()?;
        let wording = if self.is_null("wording")? {
            None
        } else {
            Some(self.0.bytes().ok()?.try_into().ok()?)
        };
        let language = Language::from_tag(self.key("language")?.str().ok()?)?;
        Some(SignUp {
            sealed,
            choices,
            language,
            origin,
            channel,
            wording,
        })
    }

    fn choices(&mut self) -> Option<Vec<Choice>> {
        let decoder = self.key("choices")?;
        let count = decoder.array().ok()??;
        let mut choices: Vec<Choice> = Vec::new();
        for _ in 0..count {
            if decoder.array().ok()? != Some(2) {
                return None;
            }
            let newsletter = NewsletterNumber(decoder.u64().ok()?);
            let notice = NoticeHash::new(decoder.bytes().ok()?.try_into().ok()?);
            if choices.iter().any(|choice| choice.newsletter == newsletter) {
                return None;
            }
            choices.push(Choice { newsletter, notice });
        }
        (!choices.is_empty()).then_some(choices)
    }
}
