//! Lock -> files in a content-addressed cache. The only network code in the crate.
//!
//! ```text
//! <cache>/sha256/ab/abcd...   whole files, named by their SHA-256; written elsewhere, synced, renamed
//! <cache>/partial/abcd...     interrupted downloads, continued by the next try (HTTP Range)
//! ```
//!
//! What a server says is never believed: a file of known digest must have its exact size and digest, one of unknown
//! digest must stay under a cap and pass the caller's check. A mirror that fails, crawls, stalls or serves an error page
//! is left for the next one; the error of a failure names every URL that was tried and why it was given up.

mod mirrors;
mod store;
mod transport;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use common::cli::Mark;
use common::hash::Sha256;
use common::proxy::Proxies;
use common::tls::{Refusal, Store};

use self::transport::{Failure, Transport};
use crate::exit;
use crate::lock::{Lock, LockedPackage};
use crate::profile::Repo;
use crate::progress::{Progress, Unit};

pub use mirrors::{Metalink, Mirrors};
pub(crate) use mirrors::{join, metalink};

/// How long and how much; tests set them small.
#[derive(Debug, Clone)]
pub struct Limits {
    /// For name resolution, and for connecting.
    pub connect: Duration,
    /// For the response to a request, and for the next bytes of a body.
    pub stall: Duration,
    /// A body must bring `min_rate` bytes a second, seen over each `rate_window`.
    pub min_rate: u64,
    /// See `min_rate`.
    pub rate_window: Duration,
    /// For one file, all mirrors together.
    pub deadline: Duration,
    /// Give up when this long no mirror has begun to answer.
    pub give_up: Duration,
    /// Largest document whose size is not known beforehand (repomd.xml, signatures, mirror lists), bytes.
    pub small: u64,
    /// Redirects followed for one request.
    pub redirects: u32,
    /// Downloads at a time.
    pub parallel: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(10),
            // librepo's minimum.
            min_rate: 1000,
            rate_window: Duration::from_secs(15),
            deadline: Duration::from_secs(2 * 3600),
            // With the rest of a start this keeps "no mirror reachable" below 30 s.
            give_up: Duration::from_secs(22),
            small: 1 << 20,
            redirects: 5,
            parallel: 6,
        }
    }
}

/// How the network is reached, and who vouches for servers.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// By which proxies.
    pub proxies: Proxies,
    /// Whom https trusts.
    pub trust: Store,
}

/// A file whose content is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Its digest.
    pub sha256: Sha256,
    /// Its size, bytes.
    pub size: u64,
}

/// A package file in the cache.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// What it should be.
    pub locked: LockedPackage,
    /// Where it is.
    pub path: PathBuf,
}

/// Fetches into one cache directory. Shared by threads.
#[derive(Debug)]
pub struct Fetcher {
    cache: PathBuf,
    transport: Transport,
    limits: Limits,
    offline: bool,
}

impl Fetcher {
    /// A fetcher for the cache at `cache`. `offline`: only the cache and `file://` may be read.
    #[must_use]
    pub fn new(cache: &Path, limits: Limits, offline: bool, network: &Network) -> Self {
        let transport = Transport::new(&limits, offline, network);
        Self { cache: cache.to_owned(), transport, limits, offline }
    }

    /// The cache directory.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether the network may not be used.
    #[must_use]
    pub fn offline(&self) -> bool {
        self.offline
    }

    /// Fetches a document of unknown digest and at most `limits.small` bytes from the first URL whose bytes `accept`
    /// takes.
    ///
    /// # Errors
    /// No URL delivers what `accept` takes. Exit code [`exit::FETCH`], unless `accept`'s error, the last one, says else.
    pub fn small<T>(
        &self,
        urls: impl IntoIterator<Item = String>,
        accept: impl Fn(&str, Vec<u8>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut tries = Tries::new(&self.limits);
        let mut refused = None;
        for url in urls {
            let Some(budget) = tries.budget() else { break };
            if let Some(failure) = self.transport.dead(&url) {
                tries.failed(&url, &failure);
                continue;
            }
            match self.transport.small(&url, &self.limits, budget) {
                Ok(bytes) => match accept(&url, bytes) {
                    Ok(value) => return Ok(value),
                    Err(e) => {
                        tries.note(&url, format!("{e:#}"));
                        refused = Some(e);
                    }
                },
                Err(Failure::Untrusted(refusal)) if refusal.everywhere => return untrusted(refusal),
                Err(e) => tries.failed(&url, &e),
            }
        }
        // A mirror that answered wrongly says more than those that did not answer.
        let code = refused.as_ref().map_or(exit::FETCH, common::cli::exit_code);
        let code = if code == common::cli::code::FAILURE { exit::FETCH } else { code };
        let hint = refused.map(|e| common::cli::hint_of(&e).unwrap_or_else(|| REFUSED_HINT.to_owned()));
        tries.fail(self.offline, hint).exit(code)
    }

    /// One document of at most `limits.small` bytes; none if the server says that it has no such thing.
    ///
    /// # Errors
    /// It cannot be fetched. Exit code [`exit::FETCH`].
    pub fn try_small(&self, url: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match self.transport.small(url, &self.limits, self.limits.give_up) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Failure::Permanent(_)) => Ok(None),
            Err(Failure::Untrusted(refusal)) => {
                untrusted(refusal).with_context(|| format!("failed to fetch {url}"))
            }
            Err(e) => Err(e).with_context(|| format!("failed to fetch {url}")).exit(exit::FETCH),
        }
    }

    /// The file with this digest: from the cache, or from the first of `bases` that has it at `location`.
    ///
    /// # Errors
    /// No base delivers it whole. Exit code [`exit::FETCH`].
    pub fn file(&self, mirrors: &Mirrors, location: &str, want: Want) -> anyhow::Result<PathBuf> {
        self.file_with(mirrors, location, want, &|_| {}, &AtomicBool::new(false))
    }

    fn file_with(
        &self,
        mirrors: &Mirrors,
        location: &str,
        want: Want,
        advance: &dyn Fn(u64),
        stop: &AtomicBool,
    ) -> anyhow::Result<PathBuf> {
        mirrors::check_location(location).exit(exit::FETCH)?;
        let path = store::path(&self.cache, want.sha256);
        if store::holds(&path, want)? {
            advance(want.size);
            return Ok(path);
        }
        let mut partial = store::Partial::open(&self.cache, want)?;
        let mut tries = Tries::new(&self.limits);
        let reported = AtomicU64::new(0);
        // Progress never runs backwards or past the size, whatever is fetched twice.
        let count = |at: u64| {
            let before = reported.fetch_max(at, Ordering::Relaxed);
            advance(at.saturating_sub(before));
        };
        let mut hopeless = std::collections::BTreeSet::new();
        // More rounds are for mirrors that broke off: what they had sent already is kept.
        let mut round = 0;
        loop {
            let had = partial.len();
            for base in mirrors.bases(self) {
                let url = mirrors::join(&base, location);
                if stop.load(Ordering::Relaxed) {
                    anyhow::bail!("stopped, because another download failed");
                }
                if hopeless.contains(&url) {
                    continue;
                }
                if let Some(failure) = self.transport.dead(&url)
                    && (round == 0 || matches!(failure, Failure::Untrusted(_)))
                {
                    tries.failed(&url, &failure);
                    continue;
                }
                let Some(budget) = tries.budget() else { break };
                let before = partial.len();
                match self.transport.download(&url, &mut partial, want, &self.limits, budget, &count, stop) {
                    Ok(()) => {
                        partial.commit(&path)?;
                        mirrors.works(&base);
                        count(want.size);
                        return Ok(path);
                    }
                    Err(failure) => {
                        if matches!(
                            failure,
                            Failure::Permanent(_) | Failure::Wrong(_) | Failure::Untrusted(_)
                        ) {
                            hopeless.insert(url.clone());
                        }
                        match failure {
                            Failure::Local(_) => return Err(failure.into()),
                            Failure::Untrusted(refusal) if refusal.everywhere => return untrusted(refusal),
                            _ => {}
                        }
                        // A wrong file took its time to arrive, too: that was not silence.
                        if partial.len() > before || matches!(failure, Failure::Wrong(_)) {
                            tries.alive();
                        }
                        tries.failed(&url, &failure);
                    }
                }
            }
            round += 1;
            if round >= MAX_ROUNDS || (round > 1 && partial.len() <= had) {
                break;
            }
        }
        if let Some(why) = mirrors.list_failure() {
            tries.note("the list of mirrors", why);
        }
        tries.fail(self.offline, None).exit(exit::FETCH)
    }
}

/// Fetches every package of the lock that the cache does not hold; the result keeps the lock's order.
///
/// # Errors
/// A package cannot be fetched: the first one, with every URL tried. Exit code [`exit::FETCH`].
pub fn packages(
    lock: &Lock,
    repos: &[Repo],
    fetcher: &Fetcher,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Fetched>> {
    let mirrors: Vec<Mirrors> = repos.iter().map(Mirrors::of).collect();
    let total = lock.packages.iter().map(|p| p.size).sum();
    progress.begin("fetch packages", total, Unit::Bytes);
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let done: Mutex<Vec<(usize, anyhow::Result<PathBuf>)>> = Mutex::new(Vec::new());
    let work = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(locked) = lock.packages.get(i).filter(|_| !stop.load(Ordering::Relaxed)) else { return };
            let result = one(locked, &mirrors, fetcher, &|n| progress.advance(n), &stop);
            stop.fetch_or(result.is_err(), Ordering::Relaxed);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((i, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..fetcher.limits.parallel.clamp(1, lock.packages.len().max(1)) {
            scope.spawn(work);
        }
    });
    progress.end();
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    // The failure that stopped the others comes before theirs.
    done.sort_by_key(|(i, result)| (result.as_ref().err().is_some_and(is_echo), *i));
    let mut fetched = Vec::with_capacity(done.len());
    for (i, result) in done {
        fetched.push(Fetched { locked: lock.packages[i].clone(), path: result? });
    }
    Ok(fetched)
}

/// The packages of the lock as the cache holds them, unchecked: whoever wants to know whether they are damaged must not
/// have them replaced first.
///
/// # Errors
/// A package is not in the cache; exit code [`exit::FETCH`].
pub fn cached(lock: &Lock, fetcher: &Fetcher) -> anyhow::Result<Vec<Fetched>> {
    let one = |locked: &LockedPackage| {
        let path = store::path(&fetcher.cache, locked.sha256);
        anyhow::ensure!(path.exists(), "{} is not in the cache ({})", locked.nevra(), path.display());
        Ok(Fetched { locked: locked.clone(), path })
    };
    lock.packages.iter().map(one).collect::<anyhow::Result<_>>().exit(exit::FETCH)
}

fn untrusted<T>(refusal: Refusal) -> anyhow::Result<T> {
    refusal.fail().exit(exit::FETCH)
}

fn is_echo(err: &anyhow::Error) -> bool {
    err.root_cause().to_string().starts_with("stopped, because")
}

fn one(
    locked: &LockedPackage,
    mirrors: &[Mirrors],
    fetcher: &Fetcher,
    advance: &dyn Fn(u64),
    stop: &AtomicBool,
) -> anyhow::Result<PathBuf> {
    let unknown = || format!("{}: the profile has no repository {:?}", locked.nevra(), locked.repo);
    let mirrors = mirrors.iter().find(|m| m.id() == locked.repo).with_context(unknown).exit(exit::PROFILE)?;
    let want = Want { sha256: locked.sha256, size: locked.size };
    fetcher
        .file_with(mirrors, &locked.location, want, advance, stop)
        .with_context(|| format!("failed to fetch {} from repository {:?}", locked.nevra(), locked.repo))
}

/// What was tried for one file, and how long it may still go on.
struct Tries {
    started: Instant,
    /// When a mirror last showed life.
    silent_since: Instant,
    deadline: Duration,
    give_up: Duration,
    failures: Vec<(String, String)>,
    /// What to do about a server that nobody vouches for.
    trust: Option<String>,
}

const REFUSED_HINT: &str = "the mirrors answer, but not with what was asked for: check the repository's URLs and keys in the profile; if those are right, do not use these mirrors";

/// A file that grows with each round is tried this often.
const MAX_ROUNDS: u32 = 8;

/// No error fills more than a screen.
const SHOWN_FAILURES: usize = 8;

impl Tries {
    fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            silent_since: now,
            deadline: limits.deadline,
            give_up: limits.give_up,
            failures: Vec::new(),
            trust: None,
        }
    }

    /// How long the next try may wait for an answer; none when it is time to give up.
    fn budget(&self) -> Option<Duration> {
        let left = self.deadline.checked_sub(self.started.elapsed())?;
        let patience = self.give_up.checked_sub(self.silent_since.elapsed())?;
        Some(left.min(patience)).filter(|d| *d > Duration::from_millis(1))
    }

    fn alive(&mut self) {
        self.silent_since = Instant::now();
    }

    fn note(&mut self, url: &str, why: String) {
        if !self.failures.iter().any(|(u, w)| u == url && *w == why) {
            self.failures.push((url.to_owned(), why));
        }
    }

    fn failed(&mut self, url: &str, failure: &Failure) {
        if let Failure::Untrusted(refusal) = failure {
            self.trust = Some(refusal.hint.clone());
        }
        self.note(url, failure.to_string());
    }

    /// `hint`: what to say when there were answers, but none that could be used.
    fn fail<T>(self, offline: bool, hint: Option<String>) -> anyhow::Result<T> {
        if let Some(hint) = hint.or(self.trust.clone()) {
            return Err(anyhow::anyhow!("no mirror delivers what can be trusted{}", self.list())).hint(hint);
        }
        if offline {
            return Err(anyhow::anyhow!(
                "it is not in the cache, and --offline forbids to fetch it{}",
                self.list()
            ))
            .hint("run once without --offline");
        }
        if self.failures.is_empty() {
            return Err(anyhow::anyhow!("there is no URL to fetch it from"))
                .hint("give the repository a baseurl, mirrorlist or metalink in the profile");
        }
        Err(anyhow::anyhow!("no mirror delivers it{}", self.list()))
            .hint("check the network and the repository's URLs in the profile; what was fetched is kept, run it again to continue")
    }

    fn list(&self) -> String {
        let shown = self.failures.iter().take(SHOWN_FAILURES);
        let mut out: String = shown.map(|(url, why)| format!("\n    {url}: {why}")).collect();
        if self.failures.len() > SHOWN_FAILURES {
            out.push_str(&format!("\n    and {} more", self.failures.len() - SHOWN_FAILURES));
        }
        out
    }
}
