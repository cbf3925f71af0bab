//! Reads a file that holds a secret: a key, a password. One that other users can read is refused.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// No secret of ours is longer; more is a wrong file.
const LARGEST: u64 = 64 * 1024;

/// Why a secret was not read.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It is not there, or not for us.
    #[error("cannot read the secret file {}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Others can read it, so it may not be a secret any more.
    #[error(
        "the secret file {0} can be read by other users (mode {mode:04o}): run `chmod 600 {0}`",
        path.display()
    )]
    OpenToOthers {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds more than any secret of ours, or nothing.
    #[error("the secret file {} is {what}", path.display())]
    NoSecret {
        /// Which file.
        path: PathBuf,
        /// "empty", "larger than 64 KiB" or "not a file".
        what: &'static str,
    },
}

/// The file's bytes without the line end that editors and `echo` leave behind.
///
/// # Errors
/// [`SecretFileError`]: the message names the file and the remedy.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    let unreadable = |source| SecretFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let no_secret = |what| SecretFileError::NoSecret {
        path: path.to_owned(),
        what,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // Of the opened file, not of the path: no moment between looking and reading.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(no_secret("not a file"));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretFileError::OpenToOthers {
            path: path.to_owned(),
            mode,
        });
    }
    if metadata.len() > LARGEST {
        return Err(no_secret("larger than 64 KiB"));
    }
    // Room for all of it at once: a buffer that grows leaves copies of the secret behind.
    let room = usize::try_from(metadata.len()).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(LARGEST)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        return Err(no_secret("empty"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(bytes: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn one_line_end_is_cut_and_nothing_else() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"secret", b"secret"),
            (b"secret\n", b"secret"),
            (b"secret\r\n", b"secret"),
            (b"secret\n\n", b"secret\n"),
            (b" secret ", b" secret "),
        ];
        for (written, expected) in cases {
            let (_folder, path) = file_with(written, 0o600);
            assert_eq!(read(&path).unwrap().as_slice(), expected, "{written:?}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_remedy() {
        for mode in [0o644, 0o640, 0o604, 0o660, 0o606, 0o610, 0o601, 0o777] {
            let (_folder, path) = file_with(b"secret", mode);
            let problem = read(&path).unwrap_err().to_string();
            assert!(problem.contains(&format!("chmod 600 {}", path.display())));
            assert!(problem.contains(&format!("{mode:04o}")), "{problem}");
        }
        for mode in [0o600, 0o400] {
            let (_folder, path) = file_with(b"secret", mode);
            assert!(read(&path).is_ok(), "{mode:o}");
        }
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_by_name() {
        let (folder, path) = file_with(b"\n", 0o600);
        assert!(read(&path).unwrap_err().to_string().ends_with("is empty"));
        let (_other, large) = file_with(&vec![7; 64 * 1024 + 1], 0o600);
        assert!(read(&large).unwrap_err().to_string().contains("64 KiB"));
        let missing = folder.path().join("missing");
        let problem = read(&missing).unwrap_err();
        assert!(matches!(problem, SecretFileError::Unreadable { .. }));
        assert!(problem.to_string().contains("missing"));
    }
}
