//! Searches files for addresses in every disguise (`privacy.md` 5.5). The search itself is a Python
//! script, so that it shares no encoder with the program.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::repository;

/// A word found where it must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// The word.
    pub word: String,
    /// The form it had.
    pub disguise: String,
}

/// A search.
#[derive(Debug, Clone)]
pub struct Scan {
    /// What to look for.
    pub words: Vec<String>,
    /// Files and folders to look into.
    pub places: Vec<PathBuf>,
}

impl Scan {
    /// Searches.
    ///
    /// # Errors
    /// Python is missing, or a file cannot be read.
    pub fn run(&self) -> Result<Vec<Finding>> {
        let found = python(&json!({ "words": self.words, "places": self.places }))?;
        let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        Ok(found
            .as_array()
            .into_iter()
            .flatten()
            .map(|item| Finding {
                file: text(item, "file").into(),
                word: text(item, "word"),
                disguise: text(item, "disguise"),
            })
            .collect())
    }
}

/// Writes a file for each word and disguise into a folder, and gives how many there are: the scanner
/// must find them all, and the packed one more.
///
/// # Errors
/// Python is missing, or the folder cannot be written to.
pub fn plant_every_disguise(words: &[String], folder: &Path) -> Result<usize> {
    let planted = python(&json!({ "words": words, "plant": folder }))?;
    planted.as_array().map(Vec::len).context("no list")
}

fn python(task: &Value) -> Result<Value> {
    let mut python = Command::new("python3")
        .arg(repository().join("tests/support/scan.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("python3")?;
    python
        .stdin
        .take()
        .context("no pipe")?
        .write_all(task.to_string().as_bytes())?;
    let ended = python.wait_with_output()?;
    ensure!(ended.status.success(), "scan.py: {}", ended.status);
    Ok(serde_json::from_slice(&ended.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_planted_disguise_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let words = vec!["Zq.Canary+tag@zqabc.Example".to_owned()];
        let planted = plant_every_disguise(&words, folder.path()).unwrap();
        assert!(planted > 60, "{planted}");
        let scan = Scan {
            words,
            places: vec![folder.path().to_owned()],
        };
        let files: BTreeSet<_> = scan
            .run()
            .unwrap()
            .into_iter()
            .map(|found| found.file)
            .collect();
        assert_eq!(files.len(), planted + 1);
    }

    #[test]
    fn other_words_are_not_found() {
        let folder = tempfile::tempdir().unwrap();
        plant_every_disguise(&["somebody@else.example".to_owned()], folder.path()).unwrap();
        let words = vec!["zqcanary@zqabc.example".to_owned()];
        let scan = Scan {
            words,
            places: vec![folder.path().to_owned()],
        };
        assert_eq!(scan.run().unwrap(), []);
    }
}
