//! The journal: every operation of an open transaction, written before the first of them.

use std::io::BufReader;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use common::cli::Mark;
use serde::{Deserialize, Serialize};

use crate::dir::Dir;
use crate::exit;
use crate::stage::What;
use crate::state::State;

/// Name of the journal in our own directory.
pub(super) const NAME: &str = "journal.json";
/// Where packages are staged, and what they replace is kept.
pub(super) const STAGE: &str = "stage";
/// Where packages are built.
pub(super) const BUILD: &str = "build";
/// What programs keep for each other while a package is built.
pub(super) const HOME: &str = "home";
/// Where finished transactions are kept.
pub(super) const HISTORY: &str = "history";

const SCHEMA: u32 = 1;

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Version of this format.
    pub schema: u32,
    /// Its number.
    pub tx: String,
    /// When it was planned, in seconds since 1970.
    pub time: i64,
    /// The packages; it is committed when the recipe file of the first names it.
    pub packages: Vec<Package>,
    /// Directories that the removals leave empty and that make room for files, deepest first, with their modes.
    pub emptied: Vec<(String, u32)>,
    /// Directories below the prefix that are made, parents first.
    pub dirs: Vec<String>,
    /// What is done: first all removals, then (behind the directories) the rest.
    pub steps: Vec<Step>,
    /// Directories that go afterwards if they are empty, deepest first.
    pub leaving: Vec<String>,
}

/// A package of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// The installed version before.
    pub from: Option<String>,
    /// The installed version afterwards.
    pub to: Option<String>,
    /// The transaction that installed what was there before.
    pub from_tx: Option<String>,
    /// Whether that was there because something else needed it.
    #[serde(default)]
    pub was_dep: bool,
    /// Its recipe file, symlinks resolved.
    pub recipe: PathBuf,
    /// What that will say.
    pub state: State,
}

/// An operation. Paths: `path` below the prefix, the others below the transaction's stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum Step {
    /// A name that must not be there yet.
    Create {
        /// The new file.
        staged: String,
        /// Its place.
        path: String,
        /// Its inode.
        ino: u64,
        /// What it is, if it belongs to no package: it was there before the transaction that is undone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nobodys: Option<What>,
    },
    /// A name whose old file goes where the new one was.
    Replace {
        /// The new file, then the old one.
        staged: String,
        /// Its place.
        path: String,
        /// The new file's inode.
        ino: u64,
        /// What the old file is, if it is not what was installed: somebody changed it, and undoing brings that back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changed: Option<What>,
        /// What the old file is, if it belonged to no package: undoing brings it back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nobodys: Option<What>,
    },
    /// A name that goes.
    Remove {
        /// Its place.
        path: String,
        /// Where it is kept.
        kept: String,
        /// What it is, if it is not what was installed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changed: Option<What>,
    },
}

impl Journal {
    /// A transaction without operations.
    pub(super) fn new(tx: String) -> Self {
        Self {
            schema: SCHEMA,
            tx,
            time: super::desk::now(),
            packages: Vec::new(),
            emptied: Vec::new(),
            dirs: Vec::new(),
            steps: Vec::new(),
            leaving: Vec::new(),
        }
    }

    /// Opens the transaction: from here on recovery knows of it.
    pub(super) fn write(&self, own: &Dir) -> anyhow::Result<()> {
        let context = || format!("failed to write {}/{NAME}", own.path.display());
        let bytes = serde_json::to_vec(self).with_context(context)?;
        own.write(NAME, &bytes).with_context(context)
    }

    /// Whether there is an open transaction, whatever is in it.
    #[must_use]
    pub fn is_there(own: &Dir) -> bool {
        matches!(own.stat(NAME), Ok(Some(_)))
    }

    /// The open transaction, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or a newer version wrote it (exit code [`exit::RECOVERY`]).
    pub fn open(own: &Dir) -> anyhow::Result<Option<Self>> {
        let context = || format!("failed to read {}/{NAME}", own.path.display());
        let file = match own.read(NAME) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.with_context(context)?,
        };
        let journal: Self =
            serde_json::from_reader(BufReader::new(file)).with_context(context).exit(exit::RECOVERY)?;
        ensure!(journal.schema == SCHEMA, "{}/{NAME} is of a newer recipe", own.path.display());
        Ok(Some(journal))
    }

    /// Removals, which make room, and what comes after the directories were made.
    pub(super) fn parts(&self) -> (&[Step], &[Step]) {
        let removals = self.steps.iter().take_while(|s| matches!(s, Step::Remove { .. })).count();
        self.steps.split_at(removals)
    }

    /// Where the transaction keeps a package's file that somebody had changed, below its directory, and what that file is.
    pub(super) fn changed(&self, package: &str, path: &str) -> Option<(&str, &What)> {
        let (old, new) = (format!("old/{package}/{path}"), format!("new/{package}/{path}"));
        self.steps.iter().find_map(|step| match step {
            Step::Remove { kept, changed: Some(what), .. } if *kept == old => Some((kept.as_str(), what)),
            Step::Replace { staged, changed: Some(what), .. } if *staged == new => {
                Some((staged.as_str(), what))
            }
            _ => None,
        })
    }

    /// Files of nobody that were replaced: path below the prefix, where the transaction keeps them, and what they are.
    pub(crate) fn replaced(&self) -> impl Iterator<Item = (&str, &str, &What)> {
        self.steps.iter().filter_map(|step| match step {
            Step::Replace { path, staged, nobodys: Some(what), .. } => {
                Some((path.as_str(), staged.as_str(), what))
            }
            _ => None,
        })
    }

    /// Files of nobody that were brought back.
    pub(crate) fn given_back(&self) -> impl Iterator<Item = (&str, &What)> {
        self.steps.iter().filter_map(|step| match step {
            Step::Create { path, nobodys: Some(what), .. } => Some((path.as_str(), what)),
            _ => None,
        })
    }

    /// The transaction's directory below our own.
    pub(super) fn stage(&self) -> String {
        format!("{STAGE}/{}", self.tx)
    }
}
