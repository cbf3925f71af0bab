//! A database with a body and two newsletters, a registrar, and requests as web roles ship them.

mod requests;

use std::sync::Arc;
use std::time::Duration;

use address_open::{AddressKeys, AddressMaster, Opener, generate_key_pair};
use address_seal::Sealer;
use delivery::Keys;
use delivery::registrar::Registrar;
use domain::{
    Body, BodyId, BoxId, CountingEntropy, EmailAddress, EventId, KeyId, KeyState, Language,
    LawfulBasis, LedgerEntry, ManualClock, Newsletter, NoticeHash, Request, Slug, SpoolId,
    SubscriptionId, Timestamp, TokenKey, Words,
};
use link_token::return_path::ReturnPathKeys;
use link_token::{LinkClass, LinkKeys, LinkMaster};
use sqlx::PgPool;
use store::{Codes, Database, InboxRow, Known, NewNewsletter, Wanted};
use zeroize::Zeroizing;

pub(crate) const BODY: BodyId = BodyId::new([0xb0; 16]);
pub(crate) const SPOOL: SpoolId = SpoolId::new([0x50; 16]);
/// The key of every link in these tests.
pub(crate) const TOKEN: TokenKey = TokenKey {
    version: 1,
    kid: KeyId(1),
    state: KeyState::Current,
};
/// When everything begins.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(crate) struct World {
    pub(crate) pool: PgPool,
    pub(crate) database: Database,
    pub(crate) keys: Arc<Keys>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) newsletters: Vec<(Newsletter, NoticeHash)>,
    pub(crate) registrar: Registrar,
    sealer: Sealer,
    last_seq: u64,
    last_event: u64,
}

/// A request with the id and the time that a role gave it.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) event_id: EventId,
    pub(crate) at: Timestamp,
    pub(crate) request: Request,
}

/// So many seconds after the start.
pub(crate) fn at(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

fn words(text: &str) -> Words {
    Words {
        en: text.to_owned(),
        cy: None,
    }
}

impl World {
    pub(crate) async fn new(pool: PgPool) -> Self {
        let database = Database::from_pool(pool.clone());
        database.migrate(BODY, START).await.unwrap();
        let mut newsletters = Vec::new();
        let desk = database.operator();
        desk.set_body(&body(), START).await.unwrap();
        for slug in ["council-news", "bins"] {
            newsletters.push(
                desk.add_newsletter(&newsletter(slug), START)
                    .await
                    .unwrap()
                    .unwrap(),
            );
        }
        let catalogue = database.catalogue().read().await.unwrap();
        let newsletters = newsletters
            .into_iter()
            .map(|newsletter| {
                let notice = catalogue.current_notice(&newsletter, Language::En).unwrap();
                (newsletter, notice.hash)
            })
            .collect();
        let pair = generate_key_pair().unwrap();
        let sealer = Sealer::new(BODY, KeyId(1), pair.public).unwrap();
        let master = AddressMaster::new(Zeroizing::new([7; 32]));
        let links = |class| {
            let master = LinkMaster {
                kid: KeyId(1),
                bytes: Zeroizing::new([9; 32]),
                state: KeyState::Current,
            };
            LinkKeys::derive(class, BODY, &[master]).unwrap()
        };
        let return_paths = LinkMaster {
            kid: KeyId(1),
            bytes: Zeroizing::new([9; 32]),
            state: KeyState::Current,
        };
        let keys = Arc::new(Keys {
            opener: Opener::new(BODY, vec![(KeyId(1), pair.secret)]),
            address: AddressKeys::derive(BODY, &[master]).unwrap(),
            leave: links(LinkClass::Leave),
            join: links(LinkClass::Join),
            return_paths: ReturnPathKeys::derive(BODY, &[return_paths]).unwrap(),
            dkim: None,
            ledger: Arc::new(delivery::LedgerSigner {
                body_id: BODY,
                key: ledger::SigningKey::from_seed(&[8; 32]).unwrap(),
            }),
        });
        let clock = Arc::new(ManualClock::new(START));
        let registrar = Registrar::new(
            &database,
            Arc::clone(&keys),
            clock.clone(),
            Arc::new(CountingEntropy::default()),
        );
        Self {
            pool,
            database,
            keys,
            clock,
            newsletters,
            registrar,
            sealer,
            last_seq: 0,
            last_event: 0,
        }
    }

    pub(crate) fn event_id(&mut self) -> EventId {
        self.last_event += 1;
        let mut bytes = [0xee; 16];
        bytes[..8].copy_from_slice(&self.last_event.to_be_bytes());
        EventId::new(bytes)
    }

    /// The rows that a shipper would put into the inbox next.
    pub(crate) fn rows(&mut self, requests: &[Accepted]) -> Vec<InboxRow> {
        requests
            .iter()
            .map(|accepted| {
                self.last_seq += 1;
                row(self.last_seq, accepted)
            })
            .collect()
    }

    pub(crate) async fn ship(&mut self, requests: &[Accepted]) -> Vec<InboxRow> {
        let rows = self.rows(requests);
        self.ship_rows(&rows).await;
        rows
    }

    pub(crate) async fn ship_rows(&self, rows: &[InboxRow]) {
        let inbox = self.database.sign_up_inbox();
        inbox.ship(rows, START).await.unwrap();
    }

    /// Applies whatever is in the inbox.
    pub(crate) async fn drain(&self) -> usize {
        let mut all = 0;
        loop {
            match self.registrar.apply_batch().await.unwrap() {
                0 => return all,
                some => all += some,
            }
        }
    }

    pub(crate) async fn apply(&mut self, requests: &[Accepted]) {
        self.ship(requests).await;
        self.drain().await;
    }

    /// What the tables know about an address and these sign-ups.
    pub(crate) async fn known(&self, address: &str, boxes: &[EventId]) -> Known {
        let codes = self.codes(address);
        let wanted = Wanted {
            boxes: boxes.iter().map(|id| BoxId::from(*id)).collect(),
            addresses: [codes.index].into(),
            codes: [*codes.mailbox.as_bytes(), *codes.suppression.as_bytes()].into(),
            ..Wanted::default()
        };
        let mut turn = self.database.registrar().take_turn([]).await.unwrap();
        turn.load(&wanted, self.now()).await.unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        domain::Clock::now(self.clock.as_ref())
    }

    pub(crate) fn codes(&self, address: &str) -> Codes {
        let codes = self
            .keys
            .address
            .codes(&EmailAddress::parse(address).unwrap());
        Codes {
            index: codes.index,
            suppression: codes.suppression,
            mailbox: codes.mailbox,
            generation: codes.generation,
        }
    }

    /// The id of this address's subscription to a newsletter.
    pub(crate) async fn subscription_id(&self, address: &str, newsletter: usize) -> SubscriptionId {
        let index = self.codes(address).index;
        self.known(address, &[]).await.identities[&(index, self.newsletters[newsletter].0.number)]
    }

    /// Signs up and confirms.
    pub(crate) async fn subscriber(&mut self, address: &str, newsletters: &[usize]) -> EventId {
        self.subscriber_at(address, newsletters, START).await
    }

    pub(crate) async fn subscriber_at(
        &mut self,
        address: &str,
        newsletters: &[usize],
        at: Timestamp,
    ) -> EventId {
        let sign_up = self.sign_up(address, newsletters, at);
        let confirm = self.confirm(sign_up.event_id, at);
        let id = sign_up.event_id;
        self.apply(&[sign_up, confirm]).await;
        id
    }

    pub(crate) async fn ledger(&self) -> Vec<LedgerEntry> {
        let entries = self.database.ledger().entries_after(0, 100_000).await;
        let entries = entries.unwrap();
        for (place, (seq, _)) in entries.iter().enumerate() {
            assert_eq!(*seq, place as u64 + 1, "the ledger has a gap");
        }
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    /// A number by a statement of the test's own.
    #[expect(
        clippy::disallowed_methods,
        reason = "tests look where no room needs to look"
    )]
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// Whether the database refuses a statement.
    #[expect(clippy::disallowed_methods, reason = "tests try what no room does")]
    pub(crate) async fn refuses(&self, sql: &'static str) -> bool {
        sqlx::query(sql).execute(&self.pool).await.is_err()
    }
}

pub(crate) fn row(seq: u64, accepted: &Accepted) -> InboxRow {
    let body = spool::record::encode_body(seq, accepted.event_id, accepted.at, &accepted.request);
    InboxRow {
        spool_id: SPOOL,
        seq,
        stop: accepted.request.is_stop(),
        envelope: spool::record::envelope(&body, SPOOL),
    }
}

fn body() -> Body {
    Body {
        name: words("Example Council"),
        dpo_email: "dpo@example.gov.uk".into(),
        dpo_post: vec!["County Hall".into(), "Example EX1 1AA".into()],
        regulator_name: words("Information Commissioner's Office"),
        regulator_url: "https://ico.org.uk/make-a-complaint/".into(),
        colour: "#004b5a".into(),
        reply_to: "news@example.gov.uk".into(),
    }
}

fn newsletter(slug: &str) -> NewNewsletter {
    NewNewsletter {
        slug: Slug::parse(slug).unwrap(),
        name: words(slug),
        summary: words("What the council decided."),
        frequency: words("once a month"),
        sender_address: "news@news.example.gov.uk".into(),
        languages: vec![Language::En],
        retention_days: 30,
        lawful_basis: LawfulBasis::Consent,
        open: true,
    }
}
