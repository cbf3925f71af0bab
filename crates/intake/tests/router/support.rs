//! A role with two newsletters open and one closed, and what may be said of each of its answers.

use std::sync::Arc;
use std::time::Duration;

use address_seal::Sealer;
use axum::Router;
use axum::body::Body as HttpBody;
use axum::http::{HeaderMap, Request, StatusCode, header};
use domain::{
    Body, BodyId, Catalogue, CountingEntropy, KeyId, KeyState, Language, LawfulBasis, ManualClock,
    Newsletter, NewsletterNumber, Notice, NoticeHash, Slug, Timestamp, Words,
};
use http_body_util::BodyExt;
use intake::Doors;
use link_token::{FormStampKey, LinkClass, LinkKeys, LinkMaster, Purpose, expiry_aux};
use sha2::{Digest, Sha256};
use shipper::CatalogueCopy;
use spool::{Spool, SpoolSettings, record};
use tempfile::TempDir;
use tower::ServiceExt;
use zeroize::Zeroizing;

/// An address that no answer may carry, but for the field in which it was typed.
pub(crate) const CANARY: &str = "rhian.canary+tag@post.example";

const NOW: Timestamp = Timestamp::from_millis(1_795_500_000_000);

/// The role under test.
pub(crate) struct Role {
    pub(crate) router: Router,
    pub(crate) doors: Doors,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) folder: TempDir,
}

/// An answer, read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Role {
    pub(crate) fn new() -> Self {
        Self::with(
            CatalogueCopy::fixed(catalogue()),
            spool::REQUEST_LIMIT_BYTES,
        )
    }

    pub(crate) fn with(catalogue: CatalogueCopy, spool_limit_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let entropy = Arc::new(CountingEntropy::default());
        let body = BodyId::new([7; 16]);
        let master = LinkMaster {
            kid: KeyId(1),
            bytes: Zeroizing::new([3; 32]),
            state: KeyState::Current,
        };
        let settings = SpoolSettings {
            folder: folder.path().join("spool"),
            limit_bytes: spool_limit_bytes,
            keep_archive: None,
        };
        let mut public_key = [0; 32];
        public_key[0] = 9; // the base point of the curve
        let doors = Doors {
            sealer: Sealer::new(body, KeyId(1), public_key).unwrap(),
            join: LinkKeys::derive(LinkClass::Join, body, &[master]).unwrap(),
            form_stamp: FormStampKey::new(Zeroizing::new([5; 32])),
            spool: Spool::open(settings, clock.clone(), entropy.as_ref()).unwrap(),
            catalogue,
            clock: clock.clone(),
            entropy,
            base_url: "https://news.example.org".into(),
        };
        Self {
            router: intake::router(doors.clone()),
            doors,
            clock,
            folder,
        }
    }

    /// Sends a request; the answer keeps what all answers promise.
    pub(crate) async fn send(&self, request: Request<HttpBody>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        };
        answer.assert_promises();
        answer
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        let request = Request::get(target).body(HttpBody::empty()).unwrap();
        self.send(request).await
    }

    /// Posts a body of this type to this target.
    pub(crate) async fn post(
        &self,
        target: &str,
        content_type: &str,
        body: impl Into<HttpBody>,
    ) -> Answer {
        let request = Request::post(target)
            .header(header::CONTENT_TYPE, content_type)
            .body(body.into())
            .unwrap();
        self.send(request).await
    }

    pub(crate) async fn post_form(&self, pairs: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        let content_type = "application/x-www-form-urlencoded";
        self.post("/subscriptions", content_type, body).await
    }

    pub(crate) async fn post_json(&self, body: &serde_json::Value) -> Answer {
        self.post("/subscriptions", "application/json", body.to_string())
            .await
    }

    /// The requests in the spool, oldest first.
    pub(crate) fn spooled(&self) -> Vec<domain::AcceptedRequest> {
        let envelopes = self.doors.spool.read_after(0, 1_000).unwrap();
        let decoded = envelopes
            .iter()
            .map(|envelope| record::decode_envelope(&envelope.bytes).unwrap().content);
        decoded
            .map(|content| match content {
                record::Content::Accepted(request) => request,
                record::Content::Tombstone { .. } => panic!("a tombstone in a healthy spool"),
            })
            .collect()
    }

    /// The token of a confirm link that lives for this long from now.
    pub(crate) fn confirm_token(&self, life: Duration) -> String {
        let aux = expiry_aux(NOW, life);
        self.doors.join.mint(Purpose::Confirm, &[0xb0; 16], aux)
    }
}

impl Answer {
    fn assert_promises(&self) {
        for (name, value) in page_frame::SecurityHeaders::ALL {
            assert_eq!(self.headers.get(&name), Some(&value), "{name}");
        }
        assert!(!self.headers.contains_key(header::SET_COOKIE));
        let elsewhere = self.body.replace(&format!("value=\"{CANARY}\""), "");
        assert!(!elsewhere.contains("rhian.canary"), "{}", self.body);
        assert!(!self.body.contains("<script"), "{}", self.body);
        assert!(!self.body.contains("style="), "{}", self.body);
        if self.body.starts_with("<!doctype html>") {
            self.assert_is_a_whole_page();
        }
    }

    fn assert_is_a_whole_page(&self) {
        assert_eq!(self.body.matches("<h1>").count(), 1, "{}", self.body);
        let language = self.headers[header::CONTENT_LANGUAGE].to_str().unwrap();
        assert!(self.body.contains(&format!("<html lang=\"{language}\">")));
        let has_body = !self
            .body
            .contains("<span class=\"body-name\">Letterbox</span>");
        if has_body {
            assert!(self.body.contains("mailto:dpo@council.example"));
            assert!(
                self.body
                    .contains("1 High Street<br>Trefenghraifft<br>AB1 2CD")
            );
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The `errors` of a problem, as `field code`.
    pub(crate) fn errors(&self) -> Vec<String> {
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| {
                assert!(error["message"].as_str().unwrap().ends_with('.'));
                format!(
                    "{} {}",
                    error["field"].as_str().unwrap(),
                    error["code"].as_str().unwrap()
                )
            })
            .collect()
    }

    pub(crate) fn assert_has(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.body.contains(text), "no {text:?} in {}", self.body);
        }
    }
}

pub(crate) fn words(en: &str, cy: Option<&str>) -> Words {
    Words {
        en: en.into(),
        cy: cy.map(Into::into),
    }
}

/// The text of the current notice of newsletter `number`.
pub(crate) fn notice_text(number: u64, language: Language) -> String {
    match language {
        Language::En => format!(
            "We will use your email address to send you newsletter {number}. We will not use it for anything else.\n\nWe keep it until you unsubscribe, then delete it within 30 days."
        ),
        Language::Cy => format!(
            "Byddwn yn defnyddio eich cyfeiriad e-bost i anfon cylchlythyr {number} atoch. Ni fyddwn yn ei ddefnyddio at unrhyw beth arall.\n\nRydym yn ei gadw nes i chi ddad-danysgrifio, ac yna’n ei ddileu o fewn 30 diwrnod."
        ),
    }
}

pub(crate) fn hash_of(text: &str) -> NoticeHash {
    NoticeHash::new(Sha256::digest(text).into())
}

/// The hash of the current notice of newsletter `number`, in hexadecimal.
pub(crate) fn notice(number: u64, language: Language) -> String {
    hash_of(&notice_text(number, language)).to_string()
}

/// The notice of newsletter 1 that was superseded this long before [`NOW`].
pub(crate) fn superseded(days: u64) -> String {
    hash_of(&format!("Superseded {days} days ago")).to_string()
}

pub(crate) fn catalogue() -> Catalogue {
    let newsletter = |number, slug: &str, name, languages: &[Language], open| Newsletter {
        number: NewsletterNumber(number),
        slug: Slug::parse(slug).unwrap(),
        name,
        summary: words("What the council decides & does.", None),
        frequency: words("once a month", Some("unwaith y mis")),
        sender_address: "newyddion@council.example".into(),
        languages: languages.to_vec(),
        retention_days: 30,
        lawful_basis: LawfulBasis::Consent,
        open,
    };
    let notice = |number, language, text: String, superseded_days: Option<u64>| Notice {
        hash: hash_of(&text),
        newsletter: NewsletterNumber(number),
        language,
        version: 1,
        text,
        published_at: Timestamp::from_millis(0),
        superseded_at: superseded_days.map(|days| NOW.minus(Duration::from_hours(days * 24))),
    };
    let current = |number, language| notice(number, language, notice_text(number, language), None);
    let old = |days: u64| {
        let text = format!("Superseded {days} days ago");
        notice(1, Language::En, text, Some(days))
    };
    let both = [Language::En, Language::Cy];
    Catalogue {
        body: Some(Body {
            name: words("Example County Council", Some("Cyngor Sir Enghraifft")),
            dpo_email: "dpo@council.example".into(),
            dpo_post: vec![
                "1 High Street".into(),
                "Trefenghraifft".into(),
                "AB1 2CD".into(),
            ],
            regulator_name: words("Information Commissioner", Some("Comisiynydd Gwybodaeth")),
            regulator_url: "https://regulator.example/complain".into(),
            colour: "#7a1f3d".into(),
            reply_to: "newsletters@council.example".into(),
        }),
        newsletters: vec![
            newsletter(
                1,
                "council-news",
                words("Council news", Some("Newyddion y cyngor")),
                &both,
                true,
            ),
            newsletter(2, "bin-days", words("Bin days", None), &both[..1], true),
            newsletter(3, "closed", words("Closed", None), &both[..1], false),
        ],
        notices: vec![
            current(1, Language::En),
            current(1, Language::Cy),
            current(2, Language::En),
            current(3, Language::En),
            old(30),
            old(31),
        ],
    }
}
