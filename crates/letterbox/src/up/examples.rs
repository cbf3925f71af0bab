//! The examples that ship with the program: files to start from, and, on the first start of a trial,
//! a body and a newsletter, so that the whole story works without writing a file.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use domain::Timestamp;
use store::Database;

use crate::operate::{BodyFile, NewsletterFile};

const FILES: [(&str, &str); 4] = [
    ("body.toml", include_str!("../examples/body.toml")),
    (
        "newsletter.toml",
        include_str!("../examples/newsletter.toml"),
    ),
    ("first-issue.md", include_str!("../examples/first-issue.md")),
    (
        "first-issue.cy.md",
        include_str!("../examples/first-issue.cy.md"),
    ),
];

/// Puts the example files into a folder; one that is there stays as it is.
pub(crate) fn write_files(folder: &Path) -> anyhow::Result<()> {
    for (name, text) in FILES {
        let path = folder.join(name);
        match File::options()
            .create_new(true)
            .write(true)
            .mode(0o644)
            .open(&path)
        {
            Ok(mut file) => file
                .write_all(text.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot create {}", path.display()));
            }
        }
    }
    Ok(())
}

/// Sets up the example body and newsletter where there is neither yet.
pub(crate) async fn set_up(database: &Database, now: Timestamp) -> anyhow::Result<()> {
    let catalogue = database
        .catalogue()
        .read()
        .await
        .context("the catalogue cannot be read")?;
    if catalogue.body.is_some() || !catalogue.newsletters.is_empty() {
        return Ok(());
    }
    let desk = database.operator();
    let body = BodyFile::parse(FILES[0].1)?;
    desk.set_body(&body, now)
        .await
        .context("the example body was not taken")?;
    let newsletter = NewsletterFile::parse(FILES[1].1)?;
    desk.add_newsletter(&newsletter.into_new(), now)
        .await
        .context("the example newsletter was not taken")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_files_are_written_once() {
        let folder = tempfile::tempdir().unwrap();
        write_files(folder.path()).unwrap();
        let body = folder.path().join("body.toml");
        std::fs::write(&body, "mine").unwrap();
        write_files(folder.path()).unwrap();
        assert_eq!(std::fs::read_to_string(body).unwrap(), "mine");
        assert!(folder.path().join("first-issue.cy.md").exists());
    }

    #[test]
    fn the_examples_pass_their_own_checks() {
        let body = BodyFile::parse(FILES[0].1).unwrap();
        let newsletter = NewsletterFile::parse(FILES[1].1).unwrap();
        assert_eq!(body.name.en, "Example County Council");
        assert_eq!(
            domain::notice_problems(&body, &newsletter.as_newsletter()),
            []
        );
        for (name, text) in &FILES[2..] {
            let issue = issue_text::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(issue_text::lint(&issue), [], "{name}");
        }
    }
}
