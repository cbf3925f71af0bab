//! A role on a temporary folder, and short ways to ask it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use domain::{
    Body as PublicBody, BodyId, Catalogue, CountingEntropy, KeyId, KeyState, Language, LawfulBasis,
    ManualClock, Newsletter, NewsletterNumber, Slug, Timestamp, Words,
};
use http_body_util::BodyExt;
use link_token::{LinkClass, LinkKeys, LinkMaster, Purpose};
use shipper::{CatalogueCopy, Resumptions};
use spool::record::decode_envelope;
use spool::{Content, Spool, SpoolSettings};
use tower::ServiceExt;
use unsubscribe::Doors;

/// 24 November 2026, 09:14 GMT.
const NOW: Timestamp = Timestamp::from_millis(1_795_511_640_000);

pub(crate) const BODY: BodyId = BodyId::new([0xb0; 16]);
pub(crate) const SUBJECT: [u8; 16] = [7; 16];

pub(crate) struct Role {
    pub(crate) router: Router,
    pub(crate) spool: Spool,
    pub(crate) keys: LinkKeys,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) resumptions: Resumptions,
    _folder: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

pub(crate) fn masters() -> Vec<LinkMaster> {
    [
        (1, KeyState::Compromised),
        (2, KeyState::Retired),
        (3, KeyState::Current),
    ]
    .map(|(kid, state)| LinkMaster {
        kid: KeyId(kid),
        bytes: zeroize::Zeroizing::new([u8::try_from(kid).expect("a small number"); 32]),
        state,
    })
    .to_vec()
}

/// Keys whose only, and current, generation is this one: to mint what an older time minted.
pub(crate) fn keys_of(class: LinkClass, kid: u16, fill: u8) -> LinkKeys {
    let master = LinkMaster {
        kid: KeyId(kid),
        bytes: zeroize::Zeroizing::new([fill; 32]),
        state: KeyState::Current,
    };
    LinkKeys::derive(class, BODY, &[master]).expect("one current generation")
}

impl Role {
    pub(crate) fn new() -> Self {
        Self::with(catalogue(), spool::STOP_LIMIT_BYTES)
    }

    /// One whose spool takes nothing.
    pub(crate) fn with_full_spool() -> Self {
        Self::with(catalogue(), 1)
    }

    pub(crate) fn with(catalogue: Catalogue, limit_bytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = SpoolSettings {
            folder: folder.path().join("spool"),
            limit_bytes,
            keep_archive: None,
        };
        let entropy = Arc::new(CountingEntropy::default());
        let clock = Arc::new(ManualClock::new(NOW));
        let spool = Spool::open(settings, Arc::<ManualClock>::clone(&clock), &*entropy);
        let spool = spool.expect("a spool");
        let resumptions = Resumptions::fixed();
        let keys = LinkKeys::derive(LinkClass::Leave, BODY, &masters()).expect("good masters");
        let router = unsubscribe::router(Doors {
            leave: keys.clone(),
            spool: spool.clone(),
            catalogue: CatalogueCopy::fixed(catalogue),
            resumptions: resumptions.clone(),
            clock: Arc::<ManualClock>::clone(&clock),
            entropy,
        });
        Self {
            router,
            spool,
            keys,
            clock,
            resumptions,
            _folder: folder,
        }
    }

    /// An unsubscribe link of issue 42, as it stands in a mail.
    pub(crate) fn link(&self) -> String {
        let token = self.keys.mint(Purpose::Unsubscribe, &SUBJECT, 42);
        format!("/u/{token}?n=council-news&l=en")
    }

    pub(crate) fn link_for(&self, purpose: Purpose) -> String {
        let token = self.keys.mint(purpose, &SUBJECT, 0);
        let route = purpose.route().path();
        format!("{route}{token}?n=council-news,bins&l=en")
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let answered = self.router.clone().oneshot(request).await;
        let response = answered.expect("a router always answers");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body in memory").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).expect("UTF-8"),
        }
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "").await
    }

    /// As a mail provider sends it.
    pub(crate) async fn one_click(&self, target: &str) -> Answer {
        self.send("POST", target, "List-Unsubscribe=One-Click")
            .await
    }

    pub(crate) async fn press(&self, target: &str, button: &str) -> Answer {
        self.send("POST", target, &format!("button={button}")).await
    }

    pub(crate) async fn send(&self, method: &str, target: &str, body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(target);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let request = request.body(Body::from(body.to_owned()));
        self.ask(request.expect("a well-formed request")).await
    }

    /// What is in the spool: receipt and request.
    pub(crate) fn taken(&self) -> Vec<(String, domain::Request)> {
        let envelopes = self.spool.read_after(0, 1000).expect("a readable spool");
        envelopes
            .iter()
            .map(|envelope| {
                let decoded = decode_envelope(&envelope.bytes).expect("a record of ours");
                match decoded.content {
                    Content::Accepted(accepted) => {
                        (link_token::receipt::of(accepted.event_id), accepted.request)
                    }
                    Content::Tombstone { .. } => panic!("a tombstone in a new spool"),
                }
            })
            .collect()
    }
}

impl Answer {
    /// What every answer has, whatever was asked (`privacy.md` 4.4 and EML-05).
    pub(crate) fn assert_headers(&self, what: &str) {
        for (name, value) in page_frame::SecurityHeaders::ALL {
            assert_eq!(self.headers.get(&name), Some(&value), "{what}: {name}");
        }
        for never in [
            header::SET_COOKIE,
            header::LOCATION,
            header::WWW_AUTHENTICATE,
        ] {
            assert!(!self.headers.contains_key(&never), "{what}: {never}");
        }
        assert!(!self.text.contains("<script"), "{what}");
    }
}

fn words(en: &str, cy: &str) -> Words {
    Words {
        en: en.to_owned(),
        cy: Some(cy.to_owned()),
    }
}

fn newsletter(number: u64, slug: &str, name: Words) -> Newsletter {
    Newsletter {
        number: NewsletterNumber(number),
        slug: Slug::parse(slug).expect("a slug"),
        name,
        summary: words("News.", "Newyddion."),
        frequency: words("once a month", "unwaith y mis"),
        sender_address: "news@news.example.gov.uk".to_owned(),
        languages: vec![Language::En, Language::Cy],
        retention_days: 30,
        lawful_basis: LawfulBasis::Consent,
        open: true,
    }
}

pub(crate) fn catalogue() -> Catalogue {
    Catalogue {
        body: Some(PublicBody {
            name: words("Example County Council", "Cyngor Sir Enghraifft"),
            dpo_email: "dpo@example.gov.uk".to_owned(),
            dpo_post: vec!["County Hall".to_owned(), "Exampleton".to_owned()],
            regulator_name: words("Information Commissioner", "Comisiynydd Gwybodaeth"),
            regulator_url: "https://ico.org.uk/make-a-complaint/".to_owned(),
            colour: "#1f3a5f".to_owned(),
            reply_to: "hello@example.gov.uk".to_owned(),
        }),
        newsletters: vec![
            newsletter(
                1,
                "council-news",
                words("Council <news>", "Newyddion y <Cyngor>"),
            ),
            newsletter(2, "bins", words("Bins", "Biniau")),
        ],
        notices: Vec::new(),
    }
}
