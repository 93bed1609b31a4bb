//! Repository -> trusted metadata: repomd.xml by signature or metalink, everything else by the digests in it.
//!
//! ```text
//! <cache>/repo/ID-abcd/repomd.xml, repomd.xml.asc   the last state that was accepted
//! ```
//!
//! A state with a lower revision than one that was accepted before is refused: whoever serves it would take away
//! security updates. With `--offline` the last accepted state is used, verified anew.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use common::cli::Mark;
use common::fs::{AtomicFile, write_atomic};
use common::hash::{HashingReader, Sha256};

use crate::compression::Format;
use crate::exit;
use crate::fetch::{Fetcher, Metalink, Mirrors, Want};
use crate::profile::Repo;
use crate::progress::{Progress, Unit};
use crate::repodata::{Checksum, RepoData, Repomd};
use crate::tree::Mapped;
use crate::verify::{Keyring, verify_detached};

const REPOMD: &str = "repodata/repomd.xml";
/// Caps on metadata: ten times what the largest distributions publish.
const MAX_DATA: u64 = 512 << 20;
const MAX_OPEN: u64 = 2 << 30;

/// A repository whose repomd.xml is trusted.
#[derive(Debug)]
pub struct Synced {
    /// The profile's id of it.
    pub id: String,
    /// Digest of repomd.xml.
    pub repomd: Sha256,
    /// Its content.
    pub parsed: Repomd,
    mirrors: Mirrors,
}

/// repomd.xml and its signature, as served.
struct State {
    repomd: Vec<u8>,
    signature: Option<Vec<u8>>,
    parsed: Repomd,
}

/// The trusted state of every repository of the profile, in its order. `keyrings` by repository id.
///
/// # Errors
/// A repository cannot be reached (exit code [`exit::FETCH`]), or is not what its keys and its past say
/// ([`exit::VERIFY`]).
pub fn repositories(
    repos: &[Repo],
    keyrings: &BTreeMap<String, Keyring>,
    fetcher: &Fetcher,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Synced>> {
    progress.begin("synchronise repositories", repos.len() as u64, Unit::Items);
    let one = |repo: &Repo| {
        let keyring = keyrings.get(&repo.id).context("no keys were loaded for it").exit(exit::PROFILE);
        let result = keyring.and_then(|k| repository(repo, k, fetcher));
        progress.advance(1);
        result.with_context(|| format!("failed to synchronise the repository {:?}", repo.id))
    };
    // Each may have to wait for mirrors that do not answer: all at once, or the waits add up.
    let results: Vec<anyhow::Result<Synced>> = std::thread::scope(|scope| {
        let threads: Vec<_> = repos.iter().map(|repo| scope.spawn(|| one(repo))).collect();
        let join = |t: std::thread::ScopedJoinHandle<'_, _>| {
            t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    progress.end();
    results.into_iter().collect()
}

/// The trusted state of one repository.
///
/// # Errors
/// As [`repositories`].
pub fn repository(repo: &Repo, keyring: &Keyring, fetcher: &Fetcher) -> anyhow::Result<Synced> {
    let mirrors = Mirrors::of(repo);
    let past = Past::of(repo, fetcher.cache());
    let local = repo.baseurl.iter().any(|url| url.starts_with("file://"));
    let state = if fetcher.offline() && !local {
        past.state(repo, keyring)?
    } else {
        let state = current(repo, keyring, &mirrors, &past, fetcher)?;
        past.remember(&state)?;
        state
    };
    Ok(Synced { id: repo.id.clone(), repomd: Sha256::of(&state.repomd), parsed: state.parsed, mirrors })
}

impl Synced {
    /// A metadata file (`primary`, `filelists`), decompressed, or none if the repository has no such file. Both its
    /// digests are checked; the open file stays in the cache.
    ///
    /// # Errors
    /// It cannot be fetched (exit code [`exit::FETCH`]) or is not what repomd.xml says ([`exit::VERIFY`]).
    pub fn data(&self, kind: &str, fetcher: &Fetcher) -> anyhow::Result<Option<Mapped>> {
        let Some(data) = self.parsed.data.get(kind) else { return Ok(None) };
        let context = || format!("{} of the repository {:?}", data.location, self.id);
        let want = want(data).with_context(context).exit(exit::VERIFY)?;
        let path = fetcher.file(&self.mirrors, &data.location, want).with_context(context).hint(
            "the mirrors do not serve what repomd.xml describes: they may be in the middle of an update",
        )?;
        opened(&path, data, fetcher.cache()).with_context(context).exit(exit::VERIFY).map(Some)
    }
}

fn current(
    repo: &Repo,
    keyring: &Keyring,
    mirrors: &Mirrors,
    past: &Past,
    fetcher: &Fetcher,
) -> anyhow::Result<State> {
    let metalink = if repo.signed_metadata { None } else { unsigned(repo, fetcher)? };
    let urls = mirrors.bases(fetcher).map(|base| crate::fetch::join(&base, REPOMD));
    let accept = |repomd: Vec<u8>, signature: Option<Vec<u8>>| {
        if let Some(link) = &metalink {
            let found = Sha256::of(&repomd);
            ensure!(link.repomd == found, "expected the SHA-256 {} (metalink), found {found}", link.repomd);
        }
        let parsed = trusted(repo, keyring, &repomd, signature.as_deref())?;
        past.refuse_rollback(&parsed)?;
        Ok(State { repomd, signature, parsed })
    };
    let state = fetcher.small(urls, |url, repomd| {
        // Not to get the signature is one thing, a wrong one another.
        let signature = if repo.signed_metadata { Some(signature(url, fetcher)?) } else { None };
        let state = accept(repomd, signature).exit(exit::VERIFY)?;
        mirrors.works(url.strip_suffix(REPOMD).unwrap_or(url));
        Ok(state)
    });
    state.with_context(|| match mirrors.list_failure() {
        Some(why) => format!("no usable {REPOMD}, and no list of mirrors ({why})"),
        None => format!("no usable {REPOMD}"),
    })
}

/// What vouches for metadata that nobody signs: a metalink, itself fetched safely; or every base URL being safe.
fn unsigned(repo: &Repo, fetcher: &Fetcher) -> anyhow::Result<Option<Metalink>> {
    let safe = |url: &String| url.starts_with("https://") || url.starts_with("file://");
    let urls: Vec<&String> = match &repo.metalink {
        Some(url) => vec![url],
        None => repo.baseurl.iter().chain(&repo.mirrorlist).collect(),
    };
    if let Some(url) = urls.into_iter().find(|url| !safe(url)) {
        return Err(anyhow::anyhow!("its metadata is unsigned, and {url} could be changed on the way"))
            .exit(exit::PROFILE)
            .hint("use https:// URLs, a metalink, or a repository that signs its metadata");
    }
    repo.metalink.as_ref().map(|url| crate::fetch::metalink(url, fetcher)).transpose()
}

fn signature(url: &str, fetcher: &Fetcher) -> anyhow::Result<Vec<u8>> {
    let url = format!("{url}.asc");
    let found = fetcher.try_small(&url)?;
    found.with_context(|| format!("expected the signature {url}, found none")).exit(exit::VERIFY)
}

fn trusted(
    repo: &Repo,
    keyring: &Keyring,
    repomd: &[u8],
    signature: Option<&[u8]>,
) -> anyhow::Result<Repomd> {
    if repo.signed_metadata {
        let signature = signature.context("repomd.xml has no signature")?;
        verify_detached(repomd, signature, "repomd.xml", keyring)?;
    }
    let parsed = Repomd::parse(repomd).context("failed to parse repomd.xml")?;
    ensure!(parsed.data.contains_key("primary"), "repomd.xml names no primary");
    Ok(parsed)
}

/// The last accepted state of a repository.
struct Past {
    dir: PathBuf,
}

impl Past {
    /// One directory for each repository as the profile describes it: another set of URLs or keys is another
    /// repository, whose revisions do not compare.
    fn of(repo: &Repo, cache: &Path) -> Self {
        let identity = (&repo.id, &repo.baseurl, &repo.mirrorlist, &repo.metalink, &repo.fingerprints);
        let digest = Sha256::of(format!("{identity:?}").as_bytes()).to_string();
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
        let id: String = repo.id.chars().map(plain).take(64).collect();
        Self { dir: cache.join("repo").join(format!("{id}-{}", &digest[..16])) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What was accepted last, checked again: an expired key does not become good by being offline.
    fn state(&self, repo: &Repo, keyring: &Keyring) -> anyhow::Result<State> {
        let path = self.file("repomd.xml");
        let repomd = common::fs::read(&path)
            .context("it is not in the cache, and --offline forbids to fetch it")
            .exit(exit::FETCH)
            .hint("run once without --offline")?;
        let signature = std::fs::read(self.file("repomd.xml.asc")).ok();
        let parsed = trusted(repo, keyring, &repomd, signature.as_deref())
            .with_context(|| format!("the cached {} cannot be used", path.display()))
            .exit(exit::VERIFY)?;
        Ok(State { repomd, signature, parsed })
    }

    fn revision(&self) -> anyhow::Result<Option<u64>> {
        match std::fs::read_to_string(self.file("revision")) {
            Ok(text) => {
                let number = text.trim().parse();
                number.map(Some).with_context(|| format!("{} is damaged", self.file("revision").display()))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).with_context(|| format!("failed to read {}", self.file("revision").display())),
        }
    }

    /// Revisions that are not numbers have no order; everybody's are seconds since 1970.
    fn refuse_rollback(&self, new: &Repomd) -> anyhow::Result<()> {
        let Some(highest) = self.revision()? else { return Ok(()) };
        match new.revision.parse::<u64>() {
            Ok(found) if found >= highest => Ok(()),
            _ => {
                Err(anyhow::anyhow!("expected revision {highest} or newer, found {:?}", new.revision)).hint(format!(
                    "a newer state was seen before, this one lacks its updates; if the repository was really set back, remove {}",
                    self.dir.display()
                ))
            }
        }
    }

    fn remember(&self, state: &State) -> anyhow::Result<()> {
        // The revision last: it must never be ahead of what was accepted.
        if let Some(signature) = &state.signature {
            write_atomic(&self.file("repomd.xml.asc"), signature)?;
        }
        write_atomic(&self.file("repomd.xml"), &state.repomd)?;
        if let Ok(revision) = state.parsed.revision.parse::<u64>() {
            write_atomic(&self.file("revision"), format!("{revision}\n").as_bytes())?;
        }
        Ok(())
    }
}

fn want(data: &RepoData) -> anyhow::Result<Want> {
    let size = data.size.context("repomd.xml does not say its size")?;
    ensure!(size <= MAX_DATA, "it has {size} bytes, the limit is {MAX_DATA}");
    Ok(Want { sha256: sha256(data.checksum)?, size })
}

fn sha256(sum: Checksum) -> anyhow::Result<Sha256> {
    match sum {
        Checksum::Sha256(sum) => Ok(sum),
        Checksum::Sha512(_) => bail!("expected a sha256 checksum, found a sha512"),
    }
}

/// The decompressed file, from the cache where it has been before. `path` has been checked.
fn opened(path: &Path, data: &RepoData, cache: &Path) -> anyhow::Result<Mapped> {
    let map = |path: &Path| {
        let file = std::fs::File::open(path).and_then(|f| Mapped::new(&f));
        file.with_context(|| format!("failed to map {}", path.display()))
    };
    let packed = map(path)?;
    let format = Format::sniff(packed.as_slice());
    if format == Format::Plain {
        return Ok(packed);
    }
    let sum = data.open_checksum.context("repomd.xml gives no digest of its decompressed content")?;
    let sum = sha256(sum)?;
    let name = sum.to_string();
    let dest = cache.join("open").join(&name[..2]).join(&name);
    if !(dest.exists() && Sha256::of_file(&dest)? == sum) {
        let limit = data.open_size.unwrap_or(MAX_OPEN);
        ensure!(limit <= MAX_OPEN, "it has {limit} bytes decompressed, the limit is {MAX_OPEN}");
        let mut file = AtomicFile::create(&dest)?;
        let mut reader = HashingReader::new(format.reader(packed.as_slice())?.take(limit + 1));
        io::copy(&mut reader, &mut file).context("failed to decompress it")?;
        file.flush().with_context(|| format!("failed to write {}", dest.display()))?;
        let (found, len) = reader.finish();
        ensure!(len <= limit, "it decompresses to more than the {limit} bytes it may have");
        ensure!(found == sum, "expected the SHA-256 {sum} decompressed, found {found}");
        file.commit()?;
    }
    map(&dest)
}
