//! The copy of the catalogue.

use std::fs;

use domain::{Body, Catalogue, Words};
use service_runtime::Shutdown;
use sqlx::PgPool;
use store::Database;

use super::{START, stop, until};
use crate::CatalogueCopy;

fn words(text: &str) -> Words {
    Words {
        en: text.into(),
        cy: None,
    }
}

fn body(name: &str) -> Body {
    Body {
        name: words(name),
        dpo_email: "dpo@council.example".into(),
        dpo_post: vec!["County Hall".into()],
        regulator_name: words("Information Commissioner"),
        regulator_url: "https://ico.org.uk/make-a-complaint/".into(),
        colour: "#1d4f5c".into(),
        reply_to: "news@council.example".into(),
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_copy_survives_the_database(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalogue.json");
    let database = Database::from_pool(pool);
    let copy = CatalogueCopy::load(path.clone());
    assert!(!copy.has_any());
    assert_eq!(*copy.current(), Catalogue::default());

    let reader = database.catalogue();
    assert!(copy.refresh(&reader).await.unwrap());
    assert!(copy.has_any(), "an empty catalogue is one");
    fs::remove_file(&path).unwrap();
    assert!(!copy.refresh(&reader).await.unwrap());
    assert!(!path.exists(), "nothing changed, nothing is written");
    database
        .operator()
        .set_body(&body("Sir Gwent"), START)
        .await
        .unwrap();
    assert!(copy.refresh(&reader).await.unwrap());
    assert_eq!(copy.current().body, Some(body("Sir Gwent")));

    let again = CatalogueCopy::load(path.clone());
    assert_eq!(again.current(), copy.current());
    database.close().await;
    assert!(again.refresh(&reader).await.is_err());
    assert_eq!(again.current(), copy.current());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn it_follows_the_database_while_the_process_runs(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::from_pool(pool);
    let copy = CatalogueCopy::load(folder.path().join("catalogue.json"));
    let shutdown = Shutdown::new();
    let keeping = copy
        .clone()
        .keep_fresh(database.catalogue(), shutdown.clone());
    shutdown.spawn("catalogue", keeping);
    until("there is one", async || copy.has_any()).await;
    database
        .operator()
        .set_body(&body("Sir Fynwy"), START)
        .await
        .unwrap();
    until("it has the body", async || copy.current().body.is_some()).await;
    stop(shutdown).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_file_that_cannot_be_written_is_tried_again(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later/catalogue.json");
    let reader = Database::from_pool(pool).catalogue();
    let copy = CatalogueCopy::load(path.clone());
    assert!(copy.refresh(&reader).await.unwrap());
    assert!(copy.has_any() && !path.exists());
    fs::create_dir(folder.path().join("later")).unwrap();
    assert!(!copy.refresh(&reader).await.unwrap());
    assert!(path.exists());
}

#[test]
fn a_damaged_file_is_no_catalogue() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalogue.json");
    let whole = serde_json::to_string(&Catalogue::default()).unwrap();
    for (content, is_one) in [
        ("", false),
        ("{", false),
        (&whole[1..], false),
        (&*whole, true),
    ] {
        fs::write(&path, content).unwrap();
        assert_eq!(
            CatalogueCopy::load(path.clone()).has_any(),
            is_one,
            "{content}"
        );
    }
}

#[test]
fn a_fixed_one_is_there_at_once() {
    let catalogue = Catalogue {
        body: Some(body("Sir Benfro")),
        ..Catalogue::default()
    };
    let copy = CatalogueCopy::fixed(catalogue.clone());
    assert!(copy.has_any());
    assert_eq!(*copy.current(), catalogue);
}
