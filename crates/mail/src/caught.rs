//! Mail kept as files, for trying Letterbox out: one `.eml` a message, named by its Message-ID, so
//! that the same message is there once however often it is sent.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::{Outcome, Timestamp};
use time::OffsetDateTime;

use crate::Envelope;

/// A folder for caught mail that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the folder {} for caught mail cannot be used", folder.display())]
pub struct CaughtError {
    /// The folder.
    pub folder: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// One caught mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaughtFile {
    /// The name of its file in the folder, as in `….eml`.
    pub name: String,
    /// When it was written.
    pub caught_at: Timestamp,
}

/// Lists the caught mails, newest first; empty where there is no folder yet.
///
/// # Errors
/// [`CaughtError`] where the folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<CaughtFile>, CaughtError> {
    read_folder(folder).map_err(|source| CaughtError {
        folder: folder.to_owned(),
        source,
    })
}

fn read_folder(folder: &Path) -> io::Result<Vec<CaughtFile>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // A file may go while the folder is read.
        let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) else {
            continue;
        };
        if name.ends_with(ENDING) && !name.starts_with('.') {
            let caught_at = Timestamp::from_date_time(OffsetDateTime::from(modified));
            files.push(CaughtFile { name, caught_at });
        }
    }
    files.sort_by(|a, b| (b.caught_at, &b.name).cmp(&(a.caught_at, &a.name)));
    Ok(files)
}

const ENDING: &str = ".eml";
const UNFINISHED: &str = ".unfinished-";

/// No mail takes longer to write.
const LONGEST_WRITING: Duration = Duration::from_mins(1);

/// Two sendings of one message at a time write two unfinished files.
static UNFINISHED_NUMBER: AtomicU64 = AtomicU64::new(0);

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct CaughtFolder {
    folder: PathBuf,
}

impl CaughtFolder {
    /// Makes the folder with mode 0700 and clears away what a killed run left unfinished.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, CaughtError> {
        match prepare(&folder) {
            Ok(()) => Ok(Self { folder }),
            Err(source) => Err(CaughtError { folder, source }),
        }
    }

    pub(crate) fn has(&self, message_id: &str) -> bool {
        self.folder.join(file_name(message_id)).exists()
    }

    /// Writes the file in two steps, as a relay takes a message: all of it under another name, then
    /// `before_dot`, then its name.
    pub(crate) async fn deliver(
        &self,
        envelope: &Envelope<'_>,
        message: &[u8],
        before_dot: impl FnOnce() -> bool + Send,
    ) -> Outcome {
        let Some(message_id) = message_id(message) else {
            return Outcome::CannotDeliver("message-id");
        };
        let finished = self.folder.join(file_name(&message_id));
        let number = UNFINISHED_NUMBER.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let unfinished = self.folder.join(format!("{UNFINISHED}{process}-{number}"));
        let head = format!(
            "Return-Path: <{}>\r\nDelivered-To: {}\r\n",
            envelope.return_path,
            envelope.recipient.smtp_path().as_str()
        );
        let contents = [head.as_bytes(), message].concat();

        let place = unfinished.clone();
        let written = on_files(move || write_file(&place, &contents)).await;
        if written.is_err() {
            return not_caught(&unfinished);
        }
        if !before_dot() {
            discard(&unfinished);
            return Outcome::NotSent("stopped");
        }
        let place = unfinished.clone();
        match on_files(move || publish(&place, &finished)).await {
            Ok(()) => Outcome::Accepted,
            Err(_) => not_caught(&unfinished),
        }
    }
}

fn not_caught(unfinished: &Path) -> Outcome {
    tracing::warn!("a mail could not be written into the folder for caught mail; is there room?");
    discard(unfinished);
    Outcome::NotSent("caught-mail")
}

/// What stays is cleared away at the next start.
fn discard(unfinished: &Path) {
    let _ = fs::remove_file(unfinished);
}

async fn on_files(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

fn prepare(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) && is_left(&entry) {
            discard(&entry.path());
        }
    }
    Ok(())
}

/// Whether whoever began a file has stopped writing it: workers may share the folder, and a living
/// one takes moments.
fn is_left(entry: &fs::DirEntry) -> bool {
    let age = entry
        .metadata()
        .and_then(|metadata| metadata.modified())
        .map(|written| written.elapsed().unwrap_or_default());
    age.is_ok_and(|age| age > LONGEST_WRITING)
}

fn write_file(place: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(place)?;
    file.write_all(contents)?;
    file.sync_all()
}

/// A link, unlike a renaming, never replaces a file: the first of two equal messages stays.
fn publish(unfinished: &Path, finished: &Path) -> io::Result<()> {
    match fs::hard_link(unfinished, finished) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => fs::remove_file(unfinished)?,
    }
    match finished.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Message-IDs of ours are made of letters, digits, `.`, `-` and one `@`; whatever else there might
/// be becomes `_`, so that no name leads out of the folder.
fn file_name(message_id: &str) -> PathBuf {
    let safe = |c: char| c.is_ascii_alphanumeric() || "@.-_".contains(c);
    let mut name: String = message_id
        .chars()
        .take(200)
        .map(|c| if safe(c) { c } else { '_' })
        .collect();
    if name.starts_with('.') || name.is_empty() {
        name.insert(0, '_');
    }
    name.push_str(ENDING);
    Path::new(OsStr::new(&name)).to_owned()
}

fn message_id(message: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(message);
    let (headers, _) = text.split_once("\r\n\r\n")?;
    headers
        .split("\r\n")
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("message-id").then_some(value)
        })
        .and_then(|value| value.trim().strip_prefix('<')?.strip_suffix('>'))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::EmailAddress;

    const MESSAGE: &[u8] =
        b"From: <a@example.gov.uk>\r\nMESSAGE-id: <abc@example.gov.uk>\r\n\r\nHello\r\n";

    async fn deliver(folder: &CaughtFolder, message: &[u8], go: bool) -> Outcome {
        let envelope = Envelope {
            return_path: "b-x@bounces.example.gov.uk",
            recipient: &EmailAddress::parse("resident@example.org").unwrap(),
        };
        folder.deliver(&envelope, message, || go).await
    }

    fn names(folder: &CaughtFolder) -> Vec<String> {
        fs::read_dir(&folder.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[tokio::test]
    async fn a_message_becomes_one_file_with_its_envelope() {
        let place = tempfile::tempdir().unwrap();
        let folder = CaughtFolder::open(place.path().join("a/caught-mail")).unwrap();
        assert!(!folder.has("abc@example.gov.uk"));
        assert_eq!(deliver(&folder, MESSAGE, true).await, Outcome::Accepted);
        assert!(folder.has("abc@example.gov.uk"));
        let file = folder.folder.join("abc@example.gov.uk.eml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(
            "Return-Path: <b-x@bounces.example.gov.uk>\r\nDelivered-To: resident@example.org\r\nFrom:"
        ));
        assert!(text.ends_with("\r\n\r\nHello\r\n"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(&folder.folder)), (0o600, 0o700));
    }

    #[tokio::test]
    async fn the_same_message_is_there_once_and_unchanged() {
        let place = tempfile::tempdir().unwrap();
        let folder = CaughtFolder::open(place.path().to_owned()).unwrap();
        let again = [MESSAGE, b"changed"].concat();
        assert_eq!(deliver(&folder, MESSAGE, true).await, Outcome::Accepted);
        assert_eq!(deliver(&folder, &again, true).await, Outcome::Accepted);
        assert_eq!(names(&folder), ["abc@example.gov.uk.eml"]);
        let text = fs::read_to_string(folder.folder.join("abc@example.gov.uk.eml")).unwrap();
        assert!(!text.contains("changed"));
    }

    #[tokio::test]
    async fn stopped_before_the_dot_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let folder = CaughtFolder::open(place.path().to_owned()).unwrap();
        let outcome = deliver(&folder, MESSAGE, false).await;
        assert_eq!(outcome, Outcome::NotSent("stopped"));
        assert!(names(&folder).is_empty());
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_loses_nobody() {
        let place = tempfile::tempdir().unwrap();
        let folder = CaughtFolder::open(place.path().join("gone")).unwrap();
        fs::remove_dir(&folder.folder).unwrap();
        let outcome = deliver(&folder, MESSAGE, true).await;
        assert_eq!(outcome, Outcome::NotSent("caught-mail"));
    }

    #[tokio::test]
    async fn a_start_clears_away_what_was_left_unfinished() {
        let place = tempfile::tempdir().unwrap();
        let (left, a_neighbours) = (".unfinished-1-1", ".unfinished-2-1");
        for name in [left, a_neighbours] {
            fs::write(place.path().join(name), b"x").unwrap();
        }
        let file = File::options().write(true).open(place.path().join(left));
        let file = file.unwrap();
        let now = file.metadata().unwrap().modified().unwrap();
        file.set_modified(now - LONGEST_WRITING * 2).unwrap();
        CaughtFolder::open(place.path().to_owned()).unwrap();
        assert!(!place.path().join(left).exists());
        assert!(place.path().join(a_neighbours).exists());
    }

    #[test]
    fn the_newest_comes_first_and_other_files_do_not_come() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str, seconds: u64| {
            let file = File::create(place.path().join(name)).unwrap();
            let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            file.set_modified(moment).unwrap();
        };
        at("b.eml", 10);
        at("a.eml", 20);
        at("c.eml", 10);
        at(".unfinished-1", 30);
        at("notes.txt", 30);
        let listed = list(place.path()).unwrap();
        let listed: Vec<_> = listed.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(listed, ["a.eml", "c.eml", "b.eml"]);
        assert_eq!(list(&place.path().join("none")).unwrap(), []);
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for (id, name) in [
            ("a@b", "a@b.eml"),
            ("../../etc/x@b", "_.._.._etc_x@b.eml"),
            (".hidden", "_.hidden.eml"),
            ("", "_.eml"),
        ] {
            assert_eq!(file_name(id), Path::new(name));
        }
    }
}
