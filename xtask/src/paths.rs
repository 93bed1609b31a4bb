//! Every path the tasks use, from the workspace's root.

use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cmd::Cmd;

/// The workspace and its build directory.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// Workspace root.
    pub(crate) root: PathBuf,
    /// `target`, or where CARGO_TARGET_DIR says.
    pub(crate) target: PathBuf,
}

impl Paths {
    /// Finds the workspace this xtask was built from.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let root = root.canonicalize().with_context(|| format!("failed to find {}", root.display()))?;
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => std::path::absolute(dir).context("failed to make CARGO_TARGET_DIR absolute")?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// A shipped profile.
    pub(crate) fn profile(&self, name: &str) -> PathBuf {
        self.root.join("leviso/profiles").join(format!("{name}.toml"))
    }

    /// The lab: repository, key, fingerprint, downloads.
    pub(crate) fn lab(&self) -> PathBuf {
        self.target.join("lab")
    }

    /// Our own packages: repository, key, fingerprint, what they are made from.
    pub(crate) fn packages(&self) -> PathBuf {
        self.target.join("packages")
    }

    /// Finished ISOs and their manifests.
    pub(crate) fn iso_dir(&self) -> PathBuf {
        self.target.join("iso")
    }

    /// leviso's caches and intermediate files.
    pub(crate) fn work(&self) -> PathBuf {
        self.target.join("leviso")
    }

    /// Checks that a test run had to skip, one a line.
    pub(crate) fn skip_ledger(&self) -> PathBuf {
        self.target.join("skipped-checks")
    }

    /// What protected tests say of themselves when they end, one a line.
    pub(crate) fn cheat_ledger(&self) -> PathBuf {
        self.target.join("cheats.jsonl")
    }

    /// Where sabotage is planted.
    pub(crate) fn sabotage(&self) -> PathBuf {
        self.target.join("sabotage")
    }

    /// Files of the workspace, from its root: those that git tracks, or would.
    pub(crate) fn files(&self) -> anyhow::Result<Vec<String>> {
        let list = Cmd::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let list = list.dir(&self.root).read()?;
        let is_file = |name: &&str| self.root.join(name).is_file();
        Ok(list.split('\0').filter(|name| !name.is_empty()).filter(is_file).map(str::to_owned).collect())
    }

    /// The newest ISO in [`Paths::iso_dir`].
    pub(crate) fn newest_iso(&self) -> anyhow::Result<Option<PathBuf>> {
        e2e::newest_iso(&self.iso_dir())
    }
}
