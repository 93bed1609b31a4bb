//! URL -> verified file in the cache. The only network of `recipe`.
//!
//! ```text
//! CACHE/downloads/NAME-HASH/         one directory a URL; HASH is of the URL
//!     SHA256                         what it delivered, called by its digest
//!     part                           what is being downloaded, locked by who does it
//! ```
//!
//! A file is taken from the cache only after its bytes were hashed again: a disk that lies is noticed here.

pub mod store;
mod resolver;
mod transport;

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use common::cli::Mark;
use common::hash::Sha256;
use rustix::fs::{FlockOperation, flock};

use crate::dir::Dir;
use crate::exit;
use crate::interrupt::Interrupt;
use transport::{Failure, Transport};

/// Texts are not longer.
const MAX_TEXT: u64 = 4 << 20;
/// No package needs more; a server that never ends must not fill the disk.
const MAX_SIZE: u64 = 64 << 30;

/// How often a download that broke off is taken up again.
const TRIES: u32 = 4;

/// A downloaded file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Download {
    /// Where it came from.
    pub url: String,
    /// Its name, from the URL: never a path.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its digest.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
}

/// Downloads, and remembers what was downloaded.
#[derive(Debug)]
pub struct Fetcher {
    transport: Transport,
    cache: PathBuf,
    offline: bool,
    interrupt: Interrupt,
}

impl Fetcher {
    /// A fetcher with this cache; `offline` uses only what is in it.
    #[must_use]
    pub fn new(cache: &Path, offline: bool, interrupt: Interrupt) -> Self {
        Self { transport: Transport::new(), cache: cache.join("downloads"), offline, interrupt }
    }

    /// A file by its URL; `want` is its digest, if that is known already.
    ///
    /// # Errors
    /// It cannot be fetched (exit code [`exit::FETCH`]), or is another file than wanted ([`exit::INTEGRITY`]).
    pub fn get(&self, url: &str, want: Option<Sha256>) -> anyhow::Result<Download> {
        self.file(url, want, false)
    }

    /// A file by its URL, as the server has it now, whatever the cache has.
    ///
    /// # Errors
    /// As [`Fetcher::get`].
    pub fn fresh(&self, url: &str) -> anyhow::Result<Download> {
        self.file(url, None, true)
    }

    /// A text by its URL, as the server has it now. It is not kept.
    ///
    /// # Errors
    /// It cannot be fetched, is longer than 4 MiB, or no text (exit code [`exit::FETCH`]).
    pub fn text(&self, url: &str) -> anyhow::Result<String> {
        is_web(url)?;
        if self.offline {
            return Err(anyhow::anyhow!("{url} is asked for anew, which needs a network"))
                .exit(exit::FETCH)
                .hint("without --offline it is");
        }
        let context = || format!("failed to download {url}");
        let memory = rustix::fs::memfd_create("text", rustix::fs::MemfdFlags::CLOEXEC);
        let mut file = File::from(memory.with_context(context)?);
        self.fill(url, &mut file, MAX_TEXT, false).with_context(context).map_err(mark)?;
        file.rewind().with_context(context)?;
        std::io::read_to_string(file).with_context(context).exit(exit::FETCH)
    }

    fn file(&self, url: &str, want: Option<Sha256>, fresh: bool) -> anyhow::Result<Download> {
        is_web(url)?;
        let name = name(url);
        let dir = Dir::ensure(&self.cache.join(slot(url)))?;
        let done = |(sha256, size): (Sha256, u64)| Download {
            url: url.to_owned(),
            name: name.clone(),
            path: dir.path.join(sha256.to_string()),
            sha256,
            size,
        };
        let cached = || if fresh { Ok(None) } else { cached(&dir, want, self.offline) };
        if let Some(found) = cached()? {
            return Ok(done(found));
        }
        if self.offline {
            return Err(anyhow::anyhow!("{url} is not in the cache"))
                .exit(exit::FETCH)
                .hint("without --offline it is downloaded");
        }
        let part = dir.path.join("part");
        let context = || format!("failed to write {}", part.display());
        let options = File::options().read(true).write(true).create(true).truncate(false).open(&part);
        let mut file = options.with_context(context)?;
        // Another recipe may be downloading the same: then its file is ours too.
        flock(&file, FlockOperation::LockExclusive).with_context(context)?;
        if let Some(found) = cached()? {
            return Ok(done(found));
        }
        // What an earlier run left may belong to another version of the file: only a digest could tell.
        let mut resumed = file.metadata().with_context(context)?.len() > 0;
        if want.is_none() && resumed {
            file.set_len(0).with_context(context)?;
            resumed = false;
        }
        let fill = |file: &mut File| {
            self.fill(url, file, MAX_SIZE, true)
                .with_context(|| format!("failed to download {url}"))
                .map_err(mark)?;
            file.sync_all().with_context(context)?;
            file.rewind().with_context(context)?;
            Sha256::of_reader(file).with_context(context)
        };
        let (mut sha256, mut size) = fill(&mut file)?;
        if resumed && want.is_some_and(|w| w != sha256) {
            file.set_len(0).with_context(context)?;
            (sha256, size) = fill(&mut file)?;
        }
        if let Some(want) = want.filter(|w| *w != sha256) {
            drop(dir.remove_file("part"));
            return Err(wrong(url, want, sha256)).exit(exit::INTEGRITY);
        }
        std::fs::rename(&part, dir.path.join(sha256.to_string())).with_context(context)?;
        dir.sync().with_context(context)?;
        Ok(done((sha256, size)))
    }

    /// Appends what is missing of at most so many bytes; whether a download that broke off is taken up where it ended.
    fn fill(&self, url: &str, file: &mut File, most: u64, resume: bool) -> anyhow::Result<()> {
        let mut tries = 0;
        loop {
            self.interrupt.check()?;
            // Without a digest nobody would notice that the rest is another text's.
            if !resume {
                file.set_len(0)?;
            }
            let at = file.seek(SeekFrom::End(0))?;
            let failure = match self.transport.get(url, &name(url), at, file, most, &self.interrupt) {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            self.interrupt.check()?;
            tries += 1;
            match failure {
                Failure::Local(e) => return Err(e).context("failed to write to the cache"),
                Failure::Permanent(e) => return Err(anyhow::anyhow!("{e}")),
                Failure::Broken(e) if tries >= TRIES => return Err(anyhow::anyhow!("{e}")),
                Failure::Broken(_) => std::thread::sleep(Duration::from_millis(250 << tries)),
            }
        }
    }
}

fn is_web(url: &str) -> anyhow::Result<()> {
    let web = url.starts_with("https://") || url.starts_with("http://");
    ensure!(web, "expected a URL that begins with https://, found {url:?}");
    Ok(())
}

/// The message of two digests that differ, as users compare them: one below the other.
pub(crate) fn wrong(
    what: &str,
    want: impl std::fmt::Display,
    found: impl std::fmt::Display,
) -> anyhow::Error {
    anyhow::anyhow!("{what} is not the file that was wanted\n  expected {want}\n  found    {found}")
}

fn mark(e: anyhow::Error) -> anyhow::Error {
    // An interruption has its own code already.
    if common::cli::exit_code(&e) == common::cli::code::FAILURE {
        return Err::<(), _>(e).exit(exit::FETCH).unwrap_err();
    }
    e
}

/// What the cache has for a URL. Files whose bytes are no longer what they are called by are removed.
/// Those that cannot be read stay, and are an error only where nothing else can be had.
fn cached(dir: &Dir, want: Option<Sha256>, offline: bool) -> anyhow::Result<Option<(Sha256, u64)>> {
    let (mut newest, mut unreadable) = (None, None);
    for name in dir.names()? {
        let Ok(sha256) = name.parse::<Sha256>() else { continue };
        if want.is_some_and(|w| w != sha256) {
            continue;
        }
        let file =
            dir.read(&name).with_context(|| format!("failed to read {}/{name}", dir.path.display()))?;
        let time = file.metadata()?.modified()?;
        match Sha256::of_reader(&file) {
            Ok((found, size)) if found == sha256 => newest = newest.max(Some((time, (sha256, size)))),
            Ok(_) => dir.remove_file(&name)?,
            // It may be readable the next time; nothing is wrong with it yet.
            Err(e) => unreadable = Some(anyhow::anyhow!("failed to read {}/{name}: {e}", dir.path.display())),
        }
    }
    match (newest, unreadable) {
        (Some((_, found)), _) => Ok(Some(found)),
        (None, Some(e)) if offline => Err(e).exit(exit::FETCH),
        (None, _) => Ok(None),
    }
}

/// The directory of a URL in the cache.
fn slot(url: &str) -> String {
    let hash = Sha256::of(url.as_bytes()).to_string();
    format!("{}-{}", name(url), &hash[..16])
}

/// The last name of a URL's path, as one that can stand in a directory.
fn name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url).trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.+~".contains(c) { c } else { '_' };
    let name: String = last.chars().map(plain).take(120).collect();
    match name.trim_start_matches('.') {
        "" => "download".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_never_paths() {
        for (url, expected) in [
            ("https://a/b/c-1.tar.gz?x=/y#z", "c-1.tar.gz"),
            ("https://a/..%2f..%2fetc", "_2f.._2fetc"),
            ("https://a/b/..", "download"),
            ("https://a/.hidden/", "hidden"),
            ("https://a/b\\c", "b_c"),
        ] {
            assert_eq!(name(url), expected, "{url}");
        }
    }
}
