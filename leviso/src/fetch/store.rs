//! The cache on disk: whole files by digest, and downloads in progress.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use common::hash::Sha256;
use rustix::fs::{FlockOperation, flock};
use sha2::Digest;

use super::Want;

/// Where the file with this digest belongs.
pub(super) fn path(cache: &Path, sha256: Sha256) -> PathBuf {
    let name = sha256.to_string();
    cache.join("sha256").join(&name[..2]).join(name)
}

/// Whether `path` holds what is wanted. What is there under a wrong digest is removed.
pub(super) fn holds(path: &Path, want: Want) -> anyhow::Result<bool> {
    let size = match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => meta.len(),
        Ok(_) => anyhow::bail!("{} is in the way: it should be a file", path.display()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e).with_context(|| format!("failed to read {}", path.display())),
    };
    if size == want.size && Sha256::of_file(path)? == want.sha256 {
        return Ok(true);
    }
    std::fs::remove_file(path).with_context(|| format!("failed to remove the damaged {}", path.display()))?;
    Ok(false)
}

/// A download in progress, hashed as it grows.
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    hasher: sha2::Sha256,
    len: u64,
    /// Whether `path` is ours alone. A second process that wants the same file works on an unnamed one.
    temp: Option<tempfile::NamedTempFile>,
}

impl Partial {
    /// Opens what an earlier try left behind, or an empty file.
    pub(super) fn open(cache: &Path, want: Want) -> anyhow::Result<Self> {
        let dir = cache.join("partial");
        std::fs::create_dir_all(&dir).with_context(|| format!("failed to create {}", dir.display()))?;
        let path = dir.join(want.sha256.to_string());
        let context = || format!("failed to open {}", path.display());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(context)?;
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        // Between open and lock another process may have finished and renamed it away.
        if !locked || !same_file(&file, &path) {
            let temp = tempfile::Builder::new().prefix(".tmp-").tempfile_in(&dir).with_context(context)?;
            let file = temp.reopen().with_context(context)?;
            return Ok(Self { file, path, hasher: sha2::Sha256::new(), len: 0, temp: Some(temp) });
        }
        let mut partial = Self { file, path, hasher: sha2::Sha256::new(), len: 0, temp: None };
        partial.rehash(want)?;
        Ok(partial)
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Starts again with nothing.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = sha2::Sha256::new();
        self.len = 0;
        Ok(())
    }

    /// Digest of what is there.
    pub(super) fn digest(&self) -> Sha256 {
        Sha256(self.hasher.clone().finalize().into())
    }

    /// Makes it durable under its final name. The caller has compared size and digest.
    pub(super) fn commit(self, dest: &Path) -> anyhow::Result<()> {
        let context = || format!("failed to write {}", dest.display());
        let dir = dest.parent().unwrap_or(dest);
        std::fs::create_dir_all(dir).with_context(context)?;
        self.file.sync_all().with_context(context)?;
        match self.temp {
            Some(temp) => drop(temp.persist(dest).map_err(|e| e.error).with_context(context)?),
            None => std::fs::rename(&self.path, dest).with_context(context)?,
        }
        common::fs::sync_dir(dir).with_context(context)
    }

    fn rehash(&mut self, want: Want) -> anyhow::Result<()> {
        let context = || format!("failed to read {}", self.path.display());
        let size = self.file.metadata().with_context(context)?.len();
        if size >= want.size {
            return self.clear().with_context(|| "failed to empty a partial download");
        }
        let mut buffer = vec![0; 256 << 10];
        loop {
            let n = self.file.read(&mut buffer).with_context(|| "failed to read a partial download")?;
            if n == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..n]);
            self.len += n as u64;
        }
    }
}

fn same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |m: &std::fs::Metadata| (m.dev(), m.ino());
    let (Ok(a), Ok(b)) = (file.metadata(), std::fs::symlink_metadata(path)) else { return false };
    id(&a) == id(&b)
}
