//! The folder of a spool: every call that changes the disk, in one place.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Bytes of a segment (`FORMATS.md`, Spool).
pub(crate) const SEGMENT_BYTES: u64 = 4 << 20;

/// Ends the names of files that were not finished; removed on open.
const UNFINISHED: &str = ".new";

#[derive(Debug, Clone)]
pub(crate) struct Disk {
    folder: PathBuf,
    /// [`SEGMENT_BYTES`]; less in tests.
    pub(crate) segment_bytes: u64,
    #[cfg(test)]
    pub(crate) faults: std::sync::Arc<crate::tests::Faults>,
}

impl Disk {
    pub(crate) fn new(folder: PathBuf, segment_bytes: u64) -> Self {
        Self {
            folder,
            segment_bytes,
            #[cfg(test)]
            faults: std::sync::Arc::default(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.folder.join("archive")
    }

    /// Segments are named by their first seq in 20 digits.
    pub(crate) fn segment(&self, first: u64, archived: bool) -> PathBuf {
        let name = format!("{first:020}");
        if archived {
            self.archive().join(name)
        } else {
            self.folder.join(name)
        }
    }

    /// Makes a folder that only its owner may enter, and makes its name durable: else a power cut
    /// could take the folder with all that was synced in it.
    pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let parent = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Self::make_folder(parent)?;
        DirBuilder::new().mode(0o700).create(folder)?;
        sync_folder(parent)
    }

    /// A new segment, allocated and durable under its name: whatever had the name is replaced, and a
    /// crash leaves the old state or the new one.
    pub(crate) fn create_segment(&self, first: u64) -> io::Result<File> {
        #[cfg(test)]
        self.faults.on_create()?;
        let path = self.segment(first, false);
        let unfinished = path.with_extension(&UNFINISHED[1..]);
        let file = create(&unfinished)?;
        self.allocate(&file)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        #[cfg(test)]
        self.faults.on_created()?;
        sync_folder(&self.folder)?;
        Ok(file)
    }

    /// Reserves a whole segment, so that a full disk shows before a record is half written.
    pub(crate) fn allocate(&self, file: &File) -> io::Result<()> {
        let bytes = i64::try_from(self.segment_bytes).map_err(io::Error::other)?;
        Ok(nix::fcntl::posix_fallocate(file, 0, bytes)?)
    }

    pub(crate) fn open_segment(&self, first: u64) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.segment(first, false))
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests make it fail"))]
    pub(crate) fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        #[cfg(test)]
        self.faults.on_write(file, bytes, offset)?;
        file.write_all_at(bytes, offset)
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests make it fail"))]
    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        #[cfg(test)]
        self.faults.on_sync()?;
        file.sync_data()
    }

    /// A small file that is there whole or not at all.
    pub(crate) fn replace_file(&self, name: &str, content: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        let unfinished = path.with_extension(&UNFINISHED[1..]);
        let mut file = create(&unfinished)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        sync_folder(&self.folder)
    }

    /// The first seqs of the segments in a folder; removes what a crash left unfinished.
    pub(crate) fn segments_in(folder: &Path) -> io::Result<Vec<u64>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.ends_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            } else if name.len() == 20
                && name.bytes().all(|byte| byte.is_ascii_digit())
                && let Ok(first @ 1..) = name.parse()
            {
                segments.push(first);
            }
        }
        segments.sort_unstable();
        Ok(segments)
    }
}

/// A rename or a new name is durable once its folder is.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A new file: one that a failed sync left behind is not used again.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}
