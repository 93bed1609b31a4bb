//! Files that appear whole or not at all.
//!
//! [`AtomicFile`] writes beside its destination, syncs, renames and syncs the directory: after a crash the path holds
//! the old content or the new, never a mixture. It cannot protect against a file system that reorders a rename before
//! the data it synced (FAT gives no such promise either way).

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file being written under a temporary name in the directory of its destination; dropping it removes it.
#[derive(Debug)]
pub struct AtomicFile {
    temp: tempfile::NamedTempFile,
    dest: PathBuf,
}

impl AtomicFile {
    /// Opens a temporary file beside `dest`; missing parent directories are made.
    ///
    /// # Errors
    /// The directory cannot be made or written.
    pub fn create(dest: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let dir = parent(dest);
        std::fs::create_dir_all(dir).with_context(|| format!("failed to create {}", dir.display()))?;
        let temp = tempfile::Builder::new()
            .prefix(".tmp-")
            // An ordinary file, not tempfile's 0600: the result is read by others too; umask applies.
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(dir)
            .with_context(|| format!("failed to create a temporary file in {}", dir.display()))?;
        Ok(Self { temp, dest: dest.to_owned() })
    }

    /// The open file.
    #[must_use]
    pub fn file(&self) -> &File {
        self.temp.as_file()
    }

    /// The open file, for writing.
    pub fn file_mut(&mut self) -> &mut File {
        self.temp.as_file_mut()
    }

    /// Where the temporary file is.
    #[must_use]
    pub fn temp_path(&self) -> &Path {
        self.temp.path()
    }

    /// Makes it durable under its final name, replacing what was there.
    ///
    /// # Errors
    /// Syncing or renaming failed; the destination is as it was before, unless only the directory sync failed.
    pub fn commit(self) -> anyhow::Result<()> {
        let dest = self.dest;
        let context = || format!("failed to write {}", dest.display());
        self.temp.as_file().sync_all().with_context(context)?;
        self.temp.persist(&dest).map_err(|e| e.error).with_context(context)?;
        sync_dir(parent(&dest)).with_context(context)
    }

    /// Gives it its final name, replacing what was there, and waits for no disk: after a power cut it may be there with other content.
    ///
    /// # Errors
    /// Renaming failed; the destination is as it was before.
    pub fn commit_unsynced(self) -> anyhow::Result<()> {
        let renamed = self.temp.persist(&self.dest).map_err(|e| e.error);
        renamed.map(drop).with_context(|| format!("failed to write {}", self.dest.display()))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.temp.as_file_mut().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temp.as_file_mut().flush()
    }
}

/// Writes `bytes` to `path`, whole or not at all.
///
/// # Errors
/// As [`AtomicFile`]; `path` keeps its old content.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).with_context(|| format!("failed to write {}", path.display()))?;
    file.commit()
}

/// Reads a whole file; the error names it.
///
/// # Errors
/// The file cannot be opened or read.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))
}

/// Reads a whole UTF-8 file; the error names it.
///
/// # Errors
/// The file cannot be opened or read, or is not UTF-8.
pub fn read_to_string(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

/// Makes the directory's entries durable.
///
/// # Errors
/// The directory cannot be opened or synced.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The directory a file is in; `.` for a bare name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_file_leaves_the_old_content_and_no_litter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_atomic(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
