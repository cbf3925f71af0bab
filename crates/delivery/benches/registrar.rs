//! How many sign-ups a second the registrar takes from the inbox, or from the broker, into committed
//! rows: box opened, codes computed, consent, mail and outbox written.
//!
//! `LETTERBOX_BENCH_DATABASE=postgres://… cargo bench -p delivery --bench registrar [-- NUMBER]`: a
//! database of a server that syncs to disk; its tables are made where they are missing, and rows are
//! added. With `LETTERBOX_BENCH_BROKER=amqp://…` the requests come from its queue, which must be
//! empty. Without a database nothing is measured.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use address_open::{AddressKeys, AddressMaster, Opener, generate_key_pair};
use address_seal::{Purpose, Sealer};
use delivery::Keys;
use delivery::registrar::{Post, Registrar};
use domain::{
    Body, BodyId, Channel, Choice, Clock, EmailAddress, Entropy, EventId, KeyId, KeyState,
    Language, LawfulBasis, Newsletter, Request, SignUp, Slug, SpoolId, Words,
};
use link_token::return_path::ReturnPathKeys;
use link_token::{LinkClass, LinkKeys, LinkMaster};
use queue::{Broker, BrokerSettings, Message, Queue};
use service_runtime::{OsEntropy, Shutdown, SystemClock};
use store::{ConnectSettings, Database, InboxRow, NewNewsletter};
use zeroize::Zeroizing;

const BODY: BodyId = BodyId::new([0xb0; 16]);

fn main() -> Result<(), Box<dyn Error>> {
    let Some(url) = setting("LETTERBOX_BENCH_DATABASE") else {
        report("nothing measured: LETTERBOX_BENCH_DATABASE is not set");
        return Ok(());
    };
    let number = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(40_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(&url, setting("LETTERBOX_BENCH_BROKER"), number))
}

#[expect(clippy::disallowed_methods, reason = "a bench has no settings")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn measure(url: &str, broker: Option<String>, number: u64) -> Result<(), Box<dyn Error>> {
    let settings = ConnectSettings::parse(url, None, 8)?;
    let bench = Bench::set_up(Database::connect(&settings).await?).await?;
    let shutdown = Shutdown::new();
    let rows = bench.sign_ups(number)?;
    let started = Instant::now();
    let post = if let Some(address) = &broker {
        Some(bench.publish(address, rows, &shutdown).await?)
    } else {
        for part in rows.chunks(500) {
            let inbox = bench.database.sign_up_inbox();
            inbox.ship(part, SystemClock.now()).await?;
        }
        None
    };
    let from = if post.is_some() { "queue" } else { "inbox" };
    rate(&format!("shipped to the {from}"), number, started);
    let started = Instant::now();
    let run = bench.registrar.clone().run(post, shutdown.clone());
    shutdown.spawn("registrar", run);
    while bench.mark().await? < number {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    rate(&format!("applied from the {from}"), number, started);
    shutdown.finish(Duration::from_secs(10)).await;
    Ok(())
}

struct Bench {
    database: Database,
    registrar: Registrar,
    sealer: Sealer,
    choice: Choice,
    spool: SpoolId,
}

impl Bench {
    async fn set_up(database: Database) -> Result<Self, Box<dyn Error>> {
        let now = SystemClock.now();
        database.migrate(BODY, now).await?;
        let spool = SpoolId::new(OsEntropy.sixteen());
        database
            .spools()
            .register(spool, "intake", false, now)
            .await?;
        let desk = database.operator();
        desk.set_body(&body(), now).await?;
        desk.add_newsletter(&newsletter(), now).await?;
        let catalogue = database.catalogue().read().await?;
        let newsletter: &Newsletter = catalogue.open_newsletters().next().ok_or("none")?;
        let notice = catalogue
            .current_notice(newsletter, Language::En)
            .ok_or("no notice")?;
        let choice = Choice {
            newsletter: newsletter.number,
            notice: notice.hash,
        };
        let pair = generate_key_pair()?;
        let sealer = Sealer::new(BODY, KeyId(1), pair.public)?;
        let links = |class| {
            let master = LinkMaster {
                kid: KeyId(1),
                bytes: Zeroizing::new([9; 32]),
                state: KeyState::Current,
            };
            LinkKeys::derive(class, BODY, &[master])
        };
        let return_paths = LinkMaster {
            kid: KeyId(1),
            bytes: Zeroizing::new([9; 32]),
            state: KeyState::Current,
        };
        let keys = Keys {
            opener: Opener::new(BODY, vec![(KeyId(1), pair.secret)]),
            address: AddressKeys::derive(BODY, &[AddressMaster::new(Zeroizing::new([7; 32]))])?,
            leave: links(LinkClass::Leave)?,
            join: links(LinkClass::Join)?,
            return_paths: ReturnPathKeys::derive(BODY, &[return_paths])?,
            dkim: None,
            ledger: Arc::new(delivery::LedgerSigner {
                body_id: BODY,
                key: ledger::SigningKey::from_seed(&[8; 32])?,
            }),
        };
        let registrar = Registrar::new(
            &database,
            Arc::new(keys),
            Arc::new(SystemClock),
            Arc::new(OsEntropy),
        );
        Ok(Self {
            database,
            registrar,
            sealer,
            choice,
            spool,
        })
    }

    /// How far the spool is applied.
    async fn mark(&self) -> Result<u64, Box<dyn Error>> {
        let spools = self.database.spools();
        let mark = spools.beat(self.spool, None, SystemClock.now()).await?;
        Ok(mark.unwrap_or(0))
    }

    /// Puts these into the requests queue.
    async fn publish(
        &self,
        address: &str,
        rows: Vec<InboxRow>,
        shutdown: &Shutdown,
    ) -> Result<Post, Box<dyn Error>> {
        let settings = BrokerSettings::parse(&[address.to_owned()], None, None, true)?;
        let broker = Broker::new(settings, "bench", Arc::new(OsEntropy));
        let post = Post::open(&broker, shutdown);
        let publisher = post.publisher();
        publisher.link().wait_for(|link| link.is_up()).await?;
        for part in rows.chunks(1_000) {
            let messages = part.iter().map(|row| Message {
                message_id: format!(
                    "{}:{}",
                    data_encoding::HEXLOWER.encode(row.spool_id.as_bytes()),
                    row.seq
                ),
                body: row.envelope.clone(),
            });
            publisher
                .publish(Queue::Requests, messages.collect())
                .await?;
        }
        Ok(post)
    }

    /// So many new people's sign-ups, as intake's spool has them.
    fn sign_ups(&self, number: u64) -> Result<Vec<InboxRow>, Box<dyn Error>> {
        (1..=number)
            .map(|seq| {
                let event_id = EventId::new(OsEntropy.sixteen());
                let name = data_encoding::HEXLOWER.encode(&OsEntropy.sixteen()[..8]);
                let address = EmailAddress::parse(&format!("{name}@residents.example"))?;
                let sealed = self
                    .sealer
                    .seal(&address, Purpose::Subscriber, event_id.into())?;
                let request = Request::SignUp(SignUp {
                    sealed,
                    choices: vec![self.choice],
                    language: Language::En,
                    origin: Some("https://www.example.gov.uk".into()),
                    channel: Channel::Web,
                    wording: Some([3; 32]),
                });
                let body = spool::record::encode_body(seq, event_id, SystemClock.now(), &request);
                Ok(InboxRow {
                    spool_id: self.spool,
                    seq,
                    stop: false,
                    envelope: spool::record::envelope(&body, self.spool),
                })
            })
            .collect()
    }
}

fn rate(from: &str, number: u64, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "far from 2^52")]
    let rate = number as f64 / seconds;
    report(&format!(
        "{from}: {number} sign-ups in {seconds:.2} s = {rate:.0}/s"
    ));
}

#[expect(clippy::print_stdout, reason = "a bench's report")]
fn report(line: &str) {
    println!("{line}");
}

fn words(text: &str) -> Words {
    Words {
        en: text.to_owned(),
        cy: None,
    }
}

fn body() -> Body {
    Body {
        name: words("Example Council"),
        dpo_email: "dpo@example.gov.uk".into(),
        dpo_post: vec!["County Hall".into()],
        regulator_name: words("Information Commissioner's Office"),
        regulator_url: "https://ico.org.uk/make-a-complaint/".into(),
        colour: "#004b5a".into(),
        reply_to: "news@example.gov.uk".into(),
    }
}

fn newsletter() -> NewNewsletter {
    NewNewsletter {
        slug: Slug::parse("council-news").unwrap_or_else(|_| unreachable!("a fixed name")),
        name: words("Council news"),
        summary: words("What the council decided."),
        frequency: words("once a month"),
        sender_address: "news@news.example.gov.uk".into(),
        languages: vec![Language::En],
        retention_days: 30,
        lawful_basis: LawfulBasis::Consent,
        open: true,
    }
}
