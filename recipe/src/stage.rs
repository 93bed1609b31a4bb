//! A staged directory -> what is in it: what a package will install, and what it did install.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;

use anyhow::{Context, bail};
use common::cli::Mark;
use common::hash::Sha256;
use rustix::fs::Mode;
use serde::{Deserialize, Serialize};

use crate::dir::{self, Dir};
use crate::exit;

/// A file or link of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path below the prefix.
    pub path: String,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
    /// Inode in the stage; by it recovery knows a file wherever it is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ino: u64,
    /// Users edit it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub config: bool,
    /// It was changed here and by the package, and the package's lies beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// What was done about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
}

/// A file that users edit, as they have it, is not made from what is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// What it was made from; none if that is not known.
    pub base: Option<Sha256>,
}

/// What the user had and what the package had, before one file was made of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The user's.
    pub ours: Sha256,
    /// The package's.
    pub theirs: Sha256,
    /// What became of it.
    pub result: Sha256,
}

/// Kinds of entries; directories are where their files are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum What {
    /// A regular file.
    File {
        /// Its content.
        sha256: Sha256,
        /// Bytes.
        size: u64,
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it leads.
        target: String,
    },
}

/// The content of a staged directory: files and links sorted by path, and all directories, parents first.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Files and links.
    pub entries: Vec<Entry>,
    /// Directories.
    pub dirs: Vec<String>,
}

impl Listing {
    /// Directories without a file or link anywhere in them.
    #[must_use]
    pub fn empty(&self) -> Vec<String> {
        let full: BTreeSet<_> = self.entries.iter().flat_map(|e| dir::parents(&e.path)).collect();
        self.dirs.iter().filter(|dir| !full.contains(dir.as_str())).cloned().collect()
    }
}

/// Reads a staged directory.
///
/// # Errors
/// It cannot be read, or has names or kinds of files that cannot be installed.
pub fn list(root: &Dir) -> anyhow::Result<Listing> {
    let mut listing = Listing::default();
    walk(root, "", &mut listing)?;
    Ok(listing)
}

/// Copies an open file to a new name in a staged directory.
///
/// # Errors
/// The name is taken, or something cannot be read or written.
pub fn copy(from: &mut File, into: &Dir, name: &str, mode: u32) -> io::Result<File> {
    let mut to = into.create(name.as_bytes(), 0o600)?;
    io::copy(from, &mut to)?;
    rustix::fs::fchmod(&to, Mode::from_raw_mode(mode))?;
    Ok(to)
}

fn walk(dir: &Dir, at: &str, out: &mut Listing) -> anyhow::Result<()> {
    for name in dir.names()? {
        let path = if at.is_empty() { name.clone() } else { format!("{at}/{name}") };
        dir::check(&path)
            .exit(exit::INTEGRITY)
            .hint("a list of one path a line could not hold it; leave it out")?;
        let context = || format!("failed to examine the staged file {path}");
        let stat = dir.stat(&name).with_context(context)?.with_context(context)?;
        if dir::kind(&stat).is_dir() {
            out.dirs.push(path.clone());
            walk(&dir.sub(&name).with_context(context)?, &path, out)?;
            continue;
        }
        let what = examine(dir, &name).with_context(context)?;
        let what = what.with_context(|| format!("{path} is neither a file nor a link"))?;
        out.entries.push(Entry {
            path,
            what,
            ino: stat.st_ino,
            config: false,
            pending: None,
            resolved: None,
        });
    }
    Ok(())
}

/// What a name in a directory is; none for what no package has.
///
/// # Errors
/// It is not there, or cannot be read.
pub fn examine(dir: &Dir, path: &str) -> anyhow::Result<Option<What>> {
    let Some(stat) = dir.stat(path)? else { bail!("{path} is not there") };
    let kind = dir::kind(&stat);
    if kind.is_symlink() {
        return Ok(Some(What::Link { target: dir.link_target(path)? }));
    }
    if !kind.is_file() {
        return Ok(None);
    }
    let (sha256, size) = Sha256::of_reader(dir.read(path)?)?;
    Ok(Some(What::File { sha256, size, mode: stat.st_mode & 0o7777 }))
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}
