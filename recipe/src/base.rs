//! The base of the system: the packages its image is made of, which nobody here may touch, and what they provide.
//!
//! SYSROOT/usr/lib/levitate/packages.json (leviso's `finalise::packages` writes it, and describes it) -> answers. Read when the
//! first question comes; where there is no such file nothing is known of a base, and every answer is "no". Paths in it are
//! where files really lie: [`Base::place`] says that of any other.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, ensure};
use common::cli::Mark;
use common::layout;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use serde::Deserialize;

use crate::exit;
use crate::version::Requirement;

/// Version of the document.
const SCHEMA: u32 = 1;

/// The base of a system, as far as it is known.
#[derive(Debug)]
pub struct Base {
    root: PathBuf,
    known: OnceLock<Known>,
}

/// Whose a file of the base is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The package; none for what the image itself has made.
    pub package: Option<String>,
    /// Its `[EPOCH:]VERSION-RELEASE`.
    pub version: String,
}

/// What the base has for a requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing of this name.
    Nothing,
    /// Only other versions: package and version of each.
    Other(String),
    /// Enough: package and version.
    Enough(String),
}

#[derive(Debug, Default)]
struct Known {
    packages: Vec<Package>,
    /// Name -> packages that provide it, and in which version.
    provides: HashMap<String, Vec<(usize, Option<String>)>>,
    /// Path -> package; none for the image.
    owners: HashMap<String, Option<usize>>,
}

/// Directory -> names in it.
type Files = BTreeMap<String, Vec<String>>;

#[derive(Debug, Deserialize)]
struct Document {
    schema: u32,
    packages: Vec<Package>,
    image: Files,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    epoch: u32,
    version: String,
    release: String,
    provides: Vec<String>,
    files: Files,
}

impl Base {
    /// The base of the system with this root; nothing is read yet.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self { root: root.to_owned(), known: OnceLock::new() }
    }

    /// Whose the file is that lies at this path. Of aliases (`/bin/sh`) ask for their [`Base::place`].
    ///
    /// # Errors
    /// The list cannot be read (exit code [`exit::INTEGRITY`]).
    pub fn owner(&self, path: &str) -> anyhow::Result<Option<Owner>> {
        let known = self.known()?;
        let owner = known.owners.get(path).map(|package| package.map(|i| &known.packages[i]));
        Ok(owner.map(|package| Owner {
            package: package.map(|p| p.name.clone()),
            version: package.map(Package::evr).unwrap_or_default(),
        }))
    }

    /// What the base has for a requirement: packages of its name, what packages provide, and files.
    ///
    /// # Errors
    /// As [`Base::owner`].
    pub fn answer(&self, requirement: &Requirement) -> anyhow::Result<Answer> {
        let known = self.known()?;
        let found = known.provides.get(&requirement.name).map(Vec::as_slice).unwrap_or_default();
        let shown = |(i, _): &(usize, Option<String>)| known.packages[*i].to_string();
        if let Some(enough) = found.iter().find(|(_, evr)| requirement.accepts_evr(evr.as_deref())) {
            return Ok(Answer::Enough(shown(enough)));
        }
        if requirement.name.starts_with('/') {
            let owner = self.owner(&self.place(&requirement.name)?)?;
            return Ok(owner.map_or(Answer::Nothing, |owner| Answer::Enough(owner.to_string())));
        }
        if found.is_empty() {
            return Ok(Answer::Nothing);
        }
        Ok(Answer::Other(found.iter().map(shown).collect::<Vec<_>>().join(", ")))
    }

    /// Whether anything is known of a base.
    ///
    /// # Errors
    /// As [`Base::owner`].
    pub fn is_known(&self) -> anyhow::Result<bool> {
        Ok(!self.known()?.owners.is_empty())
    }

    /// Where a path of the system really lies: links of directories above it are followed as that system would.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn place(&self, path: &str) -> anyhow::Result<String> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let root = open(CWD, &self.root, ResolveFlags::empty())
            .with_context(|| format!("failed to open {}", self.root.display()))?;
        let below = Path::new(parent.trim_start_matches('/'));
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        match open(&root, below, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS) {
            Ok(dir) => Ok(format!("{}/{name}", self.place_of(&dir)?)),
            // What is not there has no other place.
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(path.to_owned()),
            Err(e) => Err(e).with_context(|| format!("failed to open {parent}")),
        }
    }

    /// The path of an open directory in the system; empty for its root.
    ///
    /// # Errors
    /// The kernel does not say, as where /proc is not mounted.
    pub fn place_of(&self, dir: impl std::os::fd::AsFd) -> anyhow::Result<String> {
        let root = open(CWD, &self.root, ResolveFlags::empty())
            .with_context(|| format!("failed to open {}", self.root.display()))?;
        let (path, root) = (path_of(dir)?, path_of(root)?);
        let inside = path.strip_prefix(root.trim_end_matches('/')).unwrap_or(&path);
        Ok(inside.trim_end_matches('/').to_owned())
    }

    fn known(&self) -> anyhow::Result<&Known> {
        if let Some(known) = self.known.get() {
            return Ok(known);
        }
        let read = self.read().exit(exit::INTEGRITY);
        let known = read.hint("it came with the image that the system was installed from")?;
        Ok(self.known.get_or_init(|| known))
    }

    fn read(&self) -> anyhow::Result<Known> {
        let path = self.root.join(layout::PACKAGES);
        let context = || format!("failed to read {}, which says what belongs to the base", path.display());
        let text = match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Known::default()),
            text => text.with_context(context)?,
        };
        let document: Document = serde_json::from_slice(&text).with_context(context)?;
        let found = document.schema;
        ensure!(found == SCHEMA, "expected schema {SCHEMA} in {}, found {found}", path.display());
        Ok(Known::new(document))
    }
}

impl Known {
    fn new(Document { packages, image, .. }: Document) -> Self {
        let mut known = Self::default();
        let mut claim = |files: &Files, owner: Option<usize>| {
            for (dir, name) in files.iter().flat_map(|(dir, names)| names.iter().map(move |n| (dir, n))) {
                let path = format!("{}/{name}", dir.trim_end_matches('/'));
                known.owners.entry(path).or_insert(owner);
            }
        };
        claim(&image, None);
        for (i, package) in packages.iter().enumerate() {
            claim(&package.files, Some(i));
            let own = (package.name.clone(), Some(package.evr()));
            let others = package.provides.iter().map(|p| match p.split_once(" = ") {
                Some((name, evr)) => (name.to_owned(), Some(evr.to_owned())),
                None => (p.clone(), None),
            });
            for (name, evr) in std::iter::once(own).chain(others) {
                known.provides.entry(name).or_default().push((i, evr));
            }
        }
        for providers in known.provides.values_mut() {
            providers.dedup();
        }
        Self { packages, ..known }
    }
}

impl Package {
    fn evr(&self) -> String {
        let epoch = if self.epoch == 0 { String::new() } else { format!("{}:", self.epoch) };
        format!("{epoch}{}-{}", self.version, self.release)
    }
}

/// As people know it: without the epoch.
impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}-{}", self.name, self.version, self.release)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, rest)| rest);
        match &self.package {
            Some(package) => write!(f, "{package} {version}"),
            None => f.write_str("the image itself"),
        }
    }
}

fn open(
    at: impl std::os::fd::AsFd,
    path: &Path,
    how: ResolveFlags,
) -> rustix::io::Result<std::os::fd::OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(at, path, flags, Mode::empty(), how)
}

fn path_of(dir: impl std::os::fd::AsFd) -> anyhow::Result<String> {
    use std::os::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
    let path = std::fs::read_link(&link).with_context(|| format!("failed to read {link}"))?;
    path.into_os_string().into_string().map_err(|p| anyhow::anyhow!("expected a path in UTF-8, found {p:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests of the program have other roots.
    #[test]
    fn places_are_right_where_the_root_is_the_root() {
        let base = Base::of(Path::new("/"));
        let real = |path: &str| Path::new(path).canonicalize().unwrap().to_string_lossy().into_owned();
        let (dev, bin) = (real("/dev"), real("/bin"));
        assert_eq!(base.place("/dev/null").unwrap(), format!("{dev}/null"));
        assert_eq!(base.place("/bin/x").unwrap(), format!("{bin}/x"));
        assert_eq!(base.place("/usr/../bin/x").unwrap(), format!("{bin}/x"));
        assert_eq!(base.place("/x").unwrap(), "/x");
        assert_eq!(base.place("/nonexistent/x").unwrap(), "/nonexistent/x");
        assert_eq!(base.place_of(std::fs::File::open("/bin").unwrap()).unwrap(), bin);
    }
}
