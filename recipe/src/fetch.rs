//! URL -> verified file in the cache. The only network of `recipe`.
//!
//! ```text
//! CACHE/downloads/NAME-HASH/         one directory a URL; HASH is of the URL
//!     SHA256                         what it delivered, called by its digest
//!     part, part.of                  what is being downloaded ([`part`])
//! ```
//!
//! A file is taken from the cache only after its bytes were hashed again: a disk that lies is noticed here.

pub mod store;
pub mod many;
mod part;
mod resolver;
mod socket;
mod transport;

use std::io::Seek;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use common::cli::Mark;
use common::hash::Sha256;

use crate::dir::Dir;
use crate::exit;
use crate::interrupt::Interrupt;
use part::Part;
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

/// What is known of a file before it is downloaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Want {
    /// Its digest.
    pub sha256: Option<Sha256>,
    /// Bytes: a server that sends more is not listened to any longer.
    pub size: Option<u64>,
}

impl Want {
    /// A file that is known to the last byte.
    #[must_use]
    pub fn all(sha256: Sha256, size: u64) -> Self {
        Self { sha256: Some(sha256), size: Some(size) }
    }

    /// The digest and size that were found are those that are wanted.
    ///
    /// # Errors
    /// They are not (exit code [`exit::INTEGRITY`]).
    pub fn is_met(&self, what: &str, sha256: Sha256, size: u64) -> anyhow::Result<()> {
        if let Some(want) = self.sha256.filter(|want| *want != sha256) {
            return Err(wrong(what, want, sha256)).exit(exit::INTEGRITY);
        }
        match self.size.filter(|want| *want != size) {
            Some(want) => Err(wrong(what, bytes(want), bytes(size))).exit(exit::INTEGRITY),
            None => Ok(()),
        }
    }
}

fn bytes(size: u64) -> String {
    format!("{size} bytes")
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
        let transport = Transport::new(interrupt.clone());
        Self { transport, cache: cache.join("downloads"), offline, interrupt }
    }

    /// Whether only the cache is used.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// A file by its URL, and by what is known of it already.
    ///
    /// # Errors
    /// It cannot be fetched (exit code [`exit::FETCH`]), or is another file than wanted ([`exit::INTEGRITY`]).
    pub fn get(&self, url: &str, want: Want) -> anyhow::Result<Download> {
        self.file(url, want, false)
    }

    /// A file by its URL, as the server has it now, whatever the cache has.
    ///
    /// # Errors
    /// As [`Fetcher::get`].
    pub fn fresh(&self, url: &str) -> anyhow::Result<Download> {
        self.file(url, Want::default(), true)
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
        let mut part = Part::in_memory().with_context(context)?;
        self.fill(url, &mut part, None, MAX_TEXT).with_context(context).map_err(mark)?;
        part.file().rewind().with_context(context)?;
        std::io::read_to_string(part.file()).with_context(context).exit(exit::FETCH)
    }

    fn file(&self, url: &str, want: Want, fresh: bool) -> anyhow::Result<Download> {
        is_web(url)?;
        let name = name(url);
        let dir = Dir::ensure(&self.cache.join(slot(url)))
            .exit(exit::FETCH)
            .hint("--cache DIR or RECIPE_CACHE says where downloads are kept")?;
        let done = |(sha256, size): (Sha256, u64)| {
            want.is_met(url, sha256, size)?;
            let path = dir.path.join(sha256.to_string());
            Ok(Download { url: url.to_owned(), name: name.clone(), path, sha256, size })
        };
        let cached = || if fresh { Ok(None) } else { cached(&dir, want.sha256, self.offline) };
        if let Some(found) = cached()? {
            return done(found);
        }
        if self.offline {
            return Err(anyhow::anyhow!("{url} is not in the cache"))
                .exit(exit::FETCH)
                .hint("without --offline it is downloaded");
        }
        let part = Part::open(&dir, want.sha256.is_some(), &self.interrupt)?;
        if let Some(found) = cached()? {
            part.discard_if_empty();
            return done(found);
        }
        done(self.download(url, part, want)?)
    }

    /// Downloads a file; one that is not what is wanted goes again.
    fn download(&self, url: &str, mut part: Part<'_>, want: Want) -> anyhow::Result<(Sha256, u64)> {
        let context = || format!("failed to begin with {url} in the cache");
        let begun = part.len().with_context(context)?;
        if want.size.is_some_and(|size| begun > size) {
            part.empty().with_context(context)?;
        }
        let resumed = part.goes_on_at().with_context(context)? > 0;
        let mut filled = self.whole(url, &mut part, want);
        let is_wrong = |filled: &anyhow::Result<(Sha256, u64)>| match filled {
            Ok((sha256, size)) => want.is_met(url, *sha256, *size).is_err(),
            Err(e) => common::cli::exit_code(e) == exit::INTEGRITY,
        };
        // What an earlier run left may have been of another file.
        if resumed && is_wrong(&filled) {
            part.empty().with_context(context)?;
            filled = self.whole(url, &mut part, want);
        }
        if is_wrong(&filled) {
            part.discard();
            return filled;
        }
        let (sha256, size) = filled?;
        part.finish(&sha256.to_string())?;
        Ok((sha256, size))
    }

    /// All of a file, and what it is.
    fn whole(&self, url: &str, part: &mut Part<'_>, want: Want) -> anyhow::Result<(Sha256, u64)> {
        let context = || format!("failed to download {url}");
        self.fill(url, part, want.size, MAX_SIZE).with_context(context).map_err(mark)?;
        let file = part.file();
        file.sync_all().and_then(|()| file.rewind()).with_context(context)?;
        Sha256::of_reader(file).with_context(context)
    }

    /// Appends what is missing of at most so many bytes; a download that broke off is taken up where it ended, if it can be.
    fn fill(&self, url: &str, part: &mut Part<'_>, limit: Option<u64>, most: u64) -> anyhow::Result<()> {
        let mut tries = 0;
        loop {
            self.interrupt.check()?;
            let result = self.transport.get(url, &name(url), part, (limit, most));
            self.interrupt.check()?;
            let Err(failure) = result else { return Ok(()) };
            tries += 1;
            match failure {
                Failure::Local(e) => return Err(e).context("failed to write to the cache"),
                Failure::Long(limit) => {
                    return Err(wrong("it", bytes(limit), "more")).exit(exit::INTEGRITY);
                }
                Failure::Untrusted(refusal) => return refusal.fail(),
                Failure::Permanent(e) => return Err(anyhow::anyhow!("{e}")),
                Failure::Broken(e) if tries >= TRIES => return Err(anyhow::anyhow!("{e}")),
                Failure::Broken(_) => self.interrupt.sleep(Duration::from_millis(250 << tries))?,
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
