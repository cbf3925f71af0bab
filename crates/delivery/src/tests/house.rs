//! A body with two newsletters, a clock that stands still, and residents who sign up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use address_open::{AddressKeys, AddressMaster, KeyPair, Opener, SecretKey, generate_key_pair};
use address_seal::{Purpose, Sealer};
use domain::{
    Body, BodyId, BoxId, Channel, Choice, Clock, Confirm, CountingEntropy, EmailAddress, Entropy,
    Erasure, EventId, IssueNumber, KeyId, KeyState, Language, LawfulBasis, ManualClock, Method,
    Newsletter, Request, SignUp, Slug, SpoolId, SubscriptionId, Timestamp, TokenKey, Unsubscribe,
    Words,
};
use link_token::return_path::ReturnPathKeys;
use link_token::{LinkClass, LinkKeys, LinkMaster};
use mail::Transport;
use service_runtime::Shutdown;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor, PgPool, Row};
use store::{Database, InboxRow, NewNewsletter};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::boot_clock::SleptClock;
use crate::lookout::Lookout;
use crate::registrar::Registrar;
use crate::worker::Worker;
use crate::{Keys, Settings};

const BODY: BodyId = BodyId::new([0xb0; 16]);
const KID: KeyId = KeyId(1);
const TOKEN: TokenKey = TokenKey {
    version: 1,
    kid: KID,
    state: KeyState::Current,
};
/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(30);

pub(super) struct House {
    pub(super) pool: PgPool,
    pub(super) database: Database,
    pub(super) clock: Arc<ManualClock>,
    pub(super) boot_clock: Arc<SleptClock>,
    pub(super) news: Newsletter,
    pub(super) bins: Newsletter,
    pub(super) folder: TempDir,
    pub(super) entropy: Arc<CountingEntropy>,
    pair: KeyPair,
    sealer: Sealer,
    seq: AtomicU64,
}

impl House {
    pub(super) async fn open(pool: PgPool) -> Self {
        let database = Database::from_pool(pool.clone());
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_795_500_000_000)));
        database.migrate(BODY, clock.now()).await.unwrap();
        let words = |text: &str| Words {
            en: text.into(),
            cy: None,
        };
        let desk = database.operator();
        desk.set_body(
            &Body {
                name: words("Exampleshire Council"),
                dpo_email: "dpo@council.example".into(),
                dpo_post: vec!["County Hall".into()],
                regulator_name: words("The Commissioner"),
                regulator_url: "https://regulator.example/complain".into(),
                colour: "#00563f".into(),
                reply_to: "hello@council.example".into(),
            },
            clock.now(),
        )
        .await
        .unwrap();
        let mut newsletters = Vec::new();
        for slug in ["council-news", "bins"] {
            let new = NewNewsletter {
                slug: Slug::parse(slug).unwrap(),
                name: words(slug),
                summary: words("What the Council does."),
                frequency: words("once a month"),
                sender_address: format!("{slug}@news.council.example"),
                languages: vec![Language::En],
                retention_days: 30,
                lawful_basis: LawfulBasis::Consent,
                open: true,
            };
            let added = desk.add_newsletter(&new, clock.now()).await.unwrap();
            newsletters.push(added.unwrap());
        }
        let pair = generate_key_pair().unwrap();
        let sealer = Sealer::new(BODY, KID, pair.public).unwrap();
        let bins = newsletters.pop().unwrap();
        let news = newsletters.pop().unwrap();
        Self {
            pool,
            database,
            clock,
            boot_clock: Arc::default(),
            news,
            bins,
            folder: tempfile::tempdir().unwrap(),
            entropy: Arc::new(CountingEntropy::default()),
            pair,
            sealer,
            seq: AtomicU64::new(0),
        }
    }

    pub(super) fn keys(&self) -> Keys {
        let masters = [LinkMaster {
            kid: KID,
            bytes: Zeroizing::new([1; 32]),
            state: KeyState::Current,
        }];
        let secret = SecretKey::from_bytes(Zeroizing::new(*self.pair.secret.expose()));
        Keys {
            opener: Opener::new(BODY, vec![(KID, secret)]),
            address: AddressKeys::derive(BODY, &[AddressMaster::new(Zeroizing::new([2; 32]))])
                .unwrap(),
            leave: LinkKeys::derive(LinkClass::Leave, BODY, &masters).unwrap(),
            join: LinkKeys::derive(LinkClass::Join, BODY, &masters).unwrap(),
            return_paths: ReturnPathKeys::derive(BODY, &masters).unwrap(),
            dkim: None,
            ledger: Arc::new(crate::LedgerSigner {
                body_id: BODY,
                key: ledger::SigningKey::from_seed(&[8; 32]).unwrap(),
            }),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    // --- requests, as web roles ship them

    async fn ship(&self, event_id: EventId, request: &Request) {
        let seq = self.seq.fetch_add(1, Ordering::SeqCst) + 1;
        let spool_id = SpoolId::new([0x5b; 16]);
        let body = spool::record::encode_body(seq, event_id, self.clock.now(), request);
        let row = InboxRow {
            spool_id,
            seq,
            stop: request.is_stop(),
            envelope: spool::record::envelope(&body, spool_id),
        };
        let inbox = self.database.sign_up_inbox();
        inbox.ship(&[row], self.clock.now()).await.unwrap();
    }

    pub(super) async fn apply(&self) {
        let registrar = Registrar::new(
            &self.database,
            Arc::new(self.keys()),
            self.clock.clone(),
            self.entropy.clone(),
        );
        while registrar.apply_batch().await.unwrap() > 0 {}
    }

    pub(super) async fn sign_up(&self, address: &str, newsletter: &Newsletter) -> BoxId {
        let event_id = EventId::new(self.entropy.sixteen());
        let box_id = BoxId::from(event_id);
        let catalogue = self.database.catalogue().read().await.unwrap();
        let notice = catalogue.current_notice(newsletter, Language::En).unwrap();
        let address = EmailAddress::parse(address).unwrap();
        let sealed = self.sealer.seal(&address, Purpose::Subscriber, box_id);
        let request = Request::SignUp(SignUp {
            sealed: sealed.unwrap(),
            choices: vec![Choice {
                newsletter: newsletter.number,
                notice: notice.hash,
            }],
            language: Language::En,
            origin: None,
            channel: Channel::Web,
            wording: None,
        });
        self.ship(event_id, &request).await;
        box_id
    }

    pub(super) async fn confirm(&self, box_id: BoxId) {
        let event_id = EventId::new(self.entropy.sixteen());
        let confirm = Confirm {
            box_id,
            token: TOKEN,
        };
        self.ship(event_id, &Request::Confirm(confirm)).await;
    }

    /// Signs these addresses up and confirms them.
    pub(super) async fn subscribe(&self, addresses: &[String], newsletter: &Newsletter) {
        for address in addresses {
            let box_id = self.sign_up(address, newsletter).await;
            self.confirm(box_id).await;
        }
        self.apply().await;
    }

    /// So many readers of the newsletter. Up to ten are subscribed one after the other, so that
    /// `reader0@…` is the first in every order.
    pub(super) async fn readers(&self, number: usize) -> Vec<String> {
        let addresses: Vec<String> = (0..number)
            .map(|index| format!("reader{index}@residents.example"))
            .collect();
        let together = if number > 10 { number } else { 1 };
        for group in addresses.chunks(together) {
            self.subscribe(group, &self.news).await;
        }
        addresses
    }

    /// The n-th subscriber's unsubscribe from an issue, accepted and applied.
    pub(super) async fn unsubscribe(&self, nth: usize) -> SubscriptionId {
        let rows = self
            .pool
            .fetch_all("SELECT subscription_id FROM subscription ORDER BY subscriber_id")
            .await
            .unwrap();
        let id: Vec<u8> = rows[nth].get(0);
        let subscription_id = id.as_slice().try_into().unwrap();
        let leave = Unsubscribe {
            subscription_id,
            issue: IssueNumber(1),
            method: Method::PageButton,
            token: TOKEN,
        };
        let event_id = EventId::new(self.entropy.sixteen());
        self.ship(event_id, &Request::Unsubscribe(leave)).await;
        self.apply().await;
        subscription_id
    }

    /// Asks for the erasure of everything about an address, and has it applied.
    pub(super) async fn erase(&self, address: &str) {
        let event_id = EventId::new(self.entropy.sixteen());
        let address = EmailAddress::parse(address).unwrap();
        let sealed = self
            .sealer
            .seal(&address, Purpose::LookUp, event_id.into())
            .unwrap();
        self.ship(event_id, &Request::Erasure(Erasure { sealed }))
            .await;
        self.apply().await;
    }

    // --- workers

    pub(super) fn caught(&self) -> Transport {
        Transport::caught(self.folder.path().join("caught")).unwrap()
    }

    pub(super) fn open_worker(&self, transport: Transport) -> Worker {
        self.worker_on(&self.database, "state", transport)
    }

    /// One that sends to one recipient after the other.
    pub(super) fn open_worker_with_one_line(&self, transport: Transport) -> Worker {
        let settings = Settings {
            connections: 1,
            ..self.settings("state")
        };
        self.worker_by(&self.database, settings, transport)
    }

    pub(super) fn settings(&self, folder: &str) -> Settings {
        Settings {
            connections: 3,
            window: 32,
            ..Settings::new(
                "https://news.council.example".into(),
                self.folder.path().join(folder),
            )
        }
    }

    pub(super) fn worker_on(
        &self,
        database: &Database,
        folder: &str,
        transport: Transport,
    ) -> Worker {
        self.worker_by(database, self.settings(folder), transport)
    }

    pub(super) fn worker_by(
        &self,
        database: &Database,
        settings: Settings,
        transport: Transport,
    ) -> Worker {
        Worker::open(
            database,
            Arc::new(self.keys()),
            transport,
            settings,
            self.clock.clone(),
            self.boot_clock.clone(),
            self.entropy.clone(),
        )
        .unwrap()
    }

    /// A worker that has recovered and sends.
    pub(super) async fn start(&self, transport: Transport) -> Shutdown {
        let worker = self.open_worker(transport);
        worker.recover().await.unwrap();
        let shutdown = Shutdown::new();
        worker.spawn(None, &shutdown);
        shutdown
    }

    /// A worker that may be killed: its connections are its own, as those of a process are. A task
    /// that is dropped while it begins a transaction leaves the connection within it.
    pub(super) async fn start_apart(&self, transport: Transport) -> (Shutdown, PgPool) {
        let options = self.pool.connect_options().as_ref().clone();
        let pool = PgPoolOptions::new().connect_lazy_with(options);
        let worker = self.worker_on(&Database::from_pool(pool.clone()), "state", transport);
        worker.recover().await.unwrap();
        let shutdown = Shutdown::new();
        worker.spawn(None, &shutdown);
        (shutdown, pool)
    }

    /// The recipients of all caught mails, sorted.
    pub(super) fn recipients(&self) -> Vec<String> {
        let mut recipients: Vec<String> = self
            .mails()
            .iter()
            .map(|text| {
                let line = text.lines().find(|line| line.starts_with("Delivered-To: "));
                line.unwrap()["Delivered-To: ".len()..].to_owned()
            })
            .collect();
        recipients.sort();
        recipients
    }

    /// All caught mails.
    pub(super) fn mails(&self) -> Vec<String> {
        let folder = self.folder.path().join("caught");
        mail::list_caught(&folder)
            .unwrap()
            .iter()
            .map(|file| std::fs::read_to_string(folder.join(&file.name)).unwrap())
            .collect()
    }

    /// The states of all deliveries, by subscriber.
    pub(super) async fn states(&self) -> Vec<i16> {
        self.column("SELECT state FROM delivery ORDER BY subscriber_id")
            .await
    }

    pub(super) async fn column(&self, sql: &'static str) -> Vec<i16> {
        let rows = self.pool.fetch_all(sql).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub(super) async fn execute(&self, sql: &'static str) {
        let done = self.pool.execute(sql).await.unwrap();
        assert!(done.rows_affected() > 0, "nothing changed by {sql}");
    }

    /// Waits for a condition.
    pub(super) async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let begin = std::time::Instant::now();
        while !condition().await {
            assert!(begin.elapsed() < DEADLINE, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Lets a worker recover and go to work; what it looks out for can be asked.
pub(super) async fn run(worker: Worker) -> (Arc<Lookout>, Shutdown) {
    worker.recover().await.unwrap();
    let lookout = worker.lookout();
    let shutdown = Shutdown::new();
    worker.spawn(None, &shutdown);
    (lookout, shutdown)
}

/// Stops a worker as SIGTERM would.
pub(super) async fn stop(shutdown: Shutdown) {
    let finished = shutdown.finish(DEADLINE).await;
    assert_eq!(finished.cut_short, 0);
    assert!(!finished.task_panicked);
}
