//! Body, newsletters and notices: published again when they read differently, and never rewritten.

use domain::{Body, BodyId, Language, LawfulBasis, Notice, Slug, Timestamp, Words};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use store::{Database, NewNewsletter, OperatorDesk, StoreError};

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

fn words(text: &str) -> Words {
    Words {
        en: text.to_owned(),
        cy: Some(format!("{text} (cy)")),
    }
}

fn body(name: &str) -> Body {
    Body {
        name: words(name),
        dpo_email: "dpo@example.gov.uk".into(),
        dpo_post: vec!["County Hall".into(), "Example EX1 1AA".into()],
        regulator_name: words("The regulator"),
        regulator_url: "https://regulator.example/".into(),
        colour: "#004b5a".into(),
        reply_to: "news@example.gov.uk".into(),
    }
}

fn newsletter(slug: &str) -> NewNewsletter {
    NewNewsletter {
        slug: Slug::parse(slug).unwrap(),
        name: words("Council news"),
        summary: words("What the council decided."),
        frequency: words("once a month"),
        sender_address: "news@news.example.gov.uk".into(),
        languages: vec![Language::En, Language::Cy],
        retention_days: 30,
        lawful_basis: LawfulBasis::Consent,
        open: true,
    }
}

async fn desk(pool: &PgPool) -> (OperatorDesk, Database) {
    let database = Database::from_pool(pool.clone());
    database.migrate(BodyId::new([1; 16]), at(0)).await.unwrap();
    (database.operator(), database)
}

async fn notices(desk: &OperatorDesk) -> Vec<Notice> {
    desk.list().await.unwrap().notices
}

/// Language, version, whether current.
fn summary(notices: &[Notice]) -> Vec<(Language, u32, bool)> {
    notices
        .iter()
        .map(|notice| {
            let current = notice.superseded_at.is_none();
            (notice.language, notice.version, current)
        })
        .collect()
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_set_is_what_is_read(pool: PgPool) {
    let (desk, database) = desk(&pool).await;
    assert_eq!(desk.list().await.unwrap(), domain::Catalogue::default());
    let added = desk
        .add_newsletter(&newsletter("council-news"), at(1))
        .await
        .unwrap()
        .unwrap();
    assert!(
        notices(&desk).await.is_empty(),
        "without a body there is no notice"
    );
    desk.set_body(&body("Example Council"), at(2))
        .await
        .unwrap();
    let catalogue = database.catalogue().read().await.unwrap();
    assert_eq!(catalogue.body, Some(body("Example Council")));
    assert_eq!(catalogue.newsletters, std::slice::from_ref(&added));
    assert_eq!(added.languages, [Language::En, Language::Cy]);
    let notice = catalogue.current_notice(&added, Language::Cy).unwrap();
    assert_eq!(notice.language, Language::Cy);
    assert_eq!(notice.published_at, at(2));
    assert_eq!(notice.hash.as_bytes()[..], Sha256::digest(&notice.text)[..]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_change_publishes_and_the_same_again_does_not(pool: PgPool) {
    use Language::{Cy, En};
    let (desk, _) = desk(&pool).await;
    desk.set_body(&body("First"), at(0)).await.unwrap();
    desk.add_newsletter(&newsletter("news"), at(1))
        .await
        .unwrap();
    desk.set_body(&body("First"), at(2)).await.unwrap();
    assert_eq!(
        summary(&notices(&desk).await),
        [(En, 1, true), (Cy, 1, true)]
    );

    desk.set_body(&body("Second"), at(3)).await.unwrap();
    let both = notices(&desk).await;
    let expected = [(En, 1, false), (En, 2, true), (Cy, 1, false), (Cy, 2, true)];
    assert_eq!(summary(&both), expected);
    assert_eq!(both[0].superseded_at, Some(at(3)));

    // Back to the older text: the same hash, so the same row.
    desk.set_body(&body("First"), at(4)).await.unwrap();
    let back = notices(&desk).await;
    let expected = [(En, 1, true), (En, 2, false), (Cy, 1, true), (Cy, 2, false)];
    assert_eq!(summary(&back), expected);
    assert_eq!(back[0].published_at, at(1));
    assert_eq!(back[1].superseded_at, Some(at(4)));

    // Retention is told, so it changes the notice; a language that goes takes its notice along.
    let mut changed = newsletter("news");
    changed.retention_days = 45;
    changed.languages = vec![En];
    desk.change_newsletter(&changed, at(5))
        .await
        .unwrap()
        .unwrap();
    let expected = [
        (En, 1, false),
        (En, 2, false),
        (En, 3, true),
        (Cy, 1, false),
        (Cy, 2, false),
    ];
    assert_eq!(summary(&notices(&desk).await), expected);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_slug_is_taken_once_and_a_missing_one_is_not_changed(pool: PgPool) {
    let (desk, _) = desk(&pool).await;
    let mut other = newsletter("news");
    assert_eq!(desk.change_newsletter(&other, at(0)).await.unwrap(), None);
    desk.add_newsletter(&newsletter("news"), at(0))
        .await
        .unwrap()
        .unwrap();
    other.name = words("Another");
    assert_eq!(desk.add_newsletter(&other, at(1)).await.unwrap(), None);
    assert_eq!(
        desk.list().await.unwrap().newsletters[0].name,
        words("Council news")
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_the_tables_do_not_allow_is_refused(pool: PgPool) {
    let (desk, _) = desk(&pool).await;
    for spoil in [
        |newsletter: &mut NewNewsletter| newsletter.retention_days = 91,
        |newsletter: &mut NewNewsletter| newsletter.languages.clear(),
    ] {
        let mut bad = newsletter("bad");
        spoil(&mut bad);
        let refused = desk.add_newsletter(&bad, at(0)).await;
        assert!(
            matches!(refused, Err(StoreError::Refused(_))),
            "{refused:?}"
        );
    }
    assert!(desk.list().await.unwrap().newsletters.is_empty());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn two_operators_at_once_leave_the_notices_of_the_last_body(pool: PgPool) {
    let (desk, database) = desk(&pool).await;
    desk.set_body(&body("Zero"), at(0)).await.unwrap();
    let other = database.operator();
    for round in 0..10_u64 {
        let (one, slug) = (body(&format!("Body {round}")), format!("n{round}"));
        let letter = newsletter(&slug);
        let (set, added) = tokio::join!(
            desk.set_body(&one, at(round)),
            other.add_newsletter(&letter, at(round))
        );
        set.unwrap();
        added.unwrap().unwrap();
        let catalogue = desk.list().await.unwrap();
        for newsletter in &catalogue.newsletters {
            for language in Language::ALL {
                let notice = catalogue.current_notice(newsletter, language).unwrap();
                assert_eq!(notice.text, domain::notice_text(&one, newsletter, language));
            }
        }
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
#[expect(clippy::disallowed_methods, reason = "tests try what no room does")]
async fn a_notice_that_was_shown_stays_as_it_was(pool: PgPool) {
    let (desk, _) = desk(&pool).await;
    desk.set_body(&body("First"), at(0)).await.unwrap();
    desk.add_newsletter(&newsletter("news"), at(1))
        .await
        .unwrap();
    for sql in [
        "UPDATE notice SET text = 'other', hash = sha256('other')",
        "UPDATE notice SET version = 7",
        "DELETE FROM notice",
        "INSERT INTO notice (newsletter_id, language, version, hash, text, published_at)
         SELECT newsletter_id, language, 9, sha256('a'), 'b', published_at FROM notice LIMIT 1",
    ] {
        assert!(sqlx::query(sql).execute(&pool).await.is_err(), "{sql}");
    }
    assert_eq!(notices(&desk).await.len(), 2);
}
