//! What can be known to be broken without running it.
//!
//! Tree in, [`Findings`] out: every ELF file has its interpreter, its libraries and every symbol version it asks for;
//! every program an enabled unit starts exists, every link that enables one leads somewhere; every script has its
//! interpreter; every file belongs to a package, an overlay or a finalise step. An error stops the build, a warning
//! does not. [`closure`] gives what a program needs to be copied elsewhere (initramfs).

mod libraries;
mod scripts;
mod units;

use std::fmt;

use anyhow::bail;
use common::cli::Mark;

use crate::exit;
use crate::glob;
use crate::tree::{InodeId, Kind, Origin, Owner, Tree};

pub use libraries::closure;

/// An error shows this many findings; the rest are counted.
const SHOWN: usize = 30;

/// Whether a finding stops the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something will not work.
    Error,
    /// Something may not work, or only something of no importance.
    Warning,
}

/// What is wrong with a file. Paths and names are shown lossily.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// An ELF file that cannot be parsed, and why.
    DamagedElf(String),
    /// The program's dynamic loader is not there.
    NoLoader(String),
    /// No file of this name provides the library.
    NoLibrary(String),
    /// The library exists, but where this file does not look: some program must have loaded it before.
    ElsewhereLibrary {
        /// DT_NEEDED.
        library: String,
        /// Where it is.
        found: String,
    },
    /// The library that is found does not define the version.
    NoVersion {
        /// Symbol version.
        version: String,
        /// The library's path.
        library: String,
    },
    /// An enabled unit starts a program that does not exist.
    NoProgram(String),
    /// A link that enables a unit leads nowhere.
    DanglingLink(String),
    /// The interpreter of a `#!` line does not exist.
    NoInterpreter(String),
    /// No package, overlay or finalise step owns this file.
    Unowned,
    /// Its user or group has no number.
    UnknownOwner(String),
    /// An entry of the profile's allow list matches no finding; the path is the entry.
    NothingAllowed,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Errors sort first.
    pub level: Level,
    /// Absolute path of the file.
    pub path: String,
    /// What is wrong with it.
    pub problem: Problem,
    /// Where the file comes from: a package's NEVRA, an overlay, a finalise step.
    pub origin: String,
}

/// The result of an audit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Errors, then warnings; each sorted by path.
    pub list: Vec<Finding>,
    /// ELF files of this machine that were checked.
    pub elf_files: usize,
    /// Enabled units that were checked.
    pub units: usize,
    /// Scripts that were checked.
    pub scripts: usize,
}

/// Checks a finished tree. `allow` are globs over `PATH: PROBLEM`: a finding they match becomes a warning.
#[must_use]
pub fn audit(tree: &Tree, allow: &[String]) -> Findings {
    let walk = tree.walk();
    let mut found = Findings::default();
    libraries::check(tree, &walk, &mut found);
    units::check(tree, &mut found);
    scripts::check(tree, &walk, &mut found);
    owners(tree, &walk, &mut found);

    for pattern in allow {
        let mut used = false;
        for finding in &mut found.list {
            let text = format!("{}: {}", finding.path, finding.problem);
            if glob::matches(pattern.as_bytes(), text.as_bytes()) {
                finding.level = Level::Warning;
                used = true;
            }
        }
        if !used {
            found.list.push(Finding {
                level: Level::Warning,
                path: pattern.clone(),
                problem: Problem::NothingAllowed,
                origin: "profile".to_owned(),
            });
        }
    }
    found.list.sort();
    found.list.dedup();
    found
}

impl Findings {
    /// What stops the build.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.list.iter().filter(|f| f.level == Level::Error)
    }

    /// What does not.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.list.iter().filter(|f| f.level == Level::Warning)
    }

    /// Fails when there are errors, and names them.
    ///
    /// # Errors
    /// There are errors; exit code [`exit::SYSTEM`].
    pub fn check(&self) -> anyhow::Result<()> {
        let lines: Vec<String> = self.errors().map(ToString::to_string).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let rest = match lines.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!("\n  and {more} more"),
        };
        let shown = lines[..lines.len().min(SHOWN)].join("\n  ");
        let result = || -> anyhow::Result<()> {
            bail!("the audit found {} defects in the image\n  {shown}{rest}", lines.len())
        };
        result()
            .hint("add the missing package to the profile, or, if the defect is known, to `allow` under `[audit]`")
            .exit(exit::SYSTEM)
    }

    /// Adds one about an inode.
    fn add(&mut self, tree: &Tree, level: Level, path: &[u8], id: InodeId, problem: Problem) {
        let origin = match &tree.inode(id).meta.origin {
            Origin::Package(nevra) => nevra.to_string(),
            Origin::Generated(step) => format!("made by leviso ({step})"),
            Origin::Overlay(dir) => format!("overlay {dir}"),
        };
        self.list.push(Finding { level, path: text(path), problem, origin });
    }
}

/// Every file has somebody to answer for it, and owners that an image can store.
fn owners(tree: &Tree, walk: &[(Vec<u8>, InodeId)], found: &mut Findings) {
    for (path, id) in walk {
        let inode = tree.inode(*id);
        let is_dir = matches!(inode.kind, Kind::Dir(_));
        if inode.meta.origin == Origin::Generated("layout") && !is_dir {
            found.add(tree, Level::Error, path, *id, Problem::Unowned);
        }
        for owner in [&inode.meta.user, &inode.meta.group] {
            if let Owner::Name(name) = owner {
                found.add(tree, Level::Error, path, *id, Problem::UnknownOwner(name.to_string()));
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.path, self.problem, self.origin)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DamagedElf(why) => write!(f, "is a damaged ELF file: {why}"),
            Self::NoLoader(path) => write!(f, "needs the loader {path}, which does not exist"),
            Self::NoLibrary(name) => write!(f, "needs {name}, which nothing provides"),
            Self::ElsewhereLibrary { library, found } => {
                write!(f, "needs {library}, which is only at {found}, where it does not look")
            }
            Self::NoVersion { version, library } => {
                write!(f, "needs version {version} of {library}, which does not define it")
            }
            Self::NoProgram(path) => write!(f, "starts {path}, which does not exist"),
            Self::DanglingLink(target) => write!(f, "links to {target}, which does not exist"),
            Self::NoInterpreter(path) => write!(f, "is a script for {path}, which does not exist"),
            Self::Unowned => write!(f, "belongs to no package and to no step of the build"),
            Self::UnknownOwner(name) => write!(f, "is owned by {name}, which has no number"),
            Self::NothingAllowed => write!(f, "allows a finding that is not there"),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
