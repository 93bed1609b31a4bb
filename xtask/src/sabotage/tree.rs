//! A copy of the workspace in target/sabotage, in which sabotage is planted and undone.
//!
//! In: the files that git tracks or would track. Out: the same files, compiled into a target directory of their own that
//! begins with what is compiled already of other people's crates. Only files that differ are written, with new times: cargo
//! compiles what a patch changed, and compiles it again when the patch is gone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cmd::Cmd;

use super::patch::Patch;
use crate::cargo;
use crate::paths::Paths;

/// The copy.
#[derive(Debug)]
pub(super) struct Tree {
    paths: Paths,
    /// The ISO that tests boot: the workspace's.
    iso: Option<PathBuf>,
    original: PathBuf,
    dir: PathBuf,
}

impl Tree {
    /// Brings the copy up to date.
    pub(super) fn new(paths: &Paths) -> anyhow::Result<Self> {
        let dir = paths.sabotage();
        let root = dir.join("tree");
        let files = paths.files()?;
        let names: BTreeSet<&str> = files.iter().map(String::as_str).collect();
        for name in &names {
            renew(&paths.root.join(name), &root.join(name))?;
        }
        remove_others(&root, &root, &names)?;
        let target = dir.join("target");
        if !target.exists() {
            seed(&paths.target.join("release"), &target.join("release"), &members(&paths.root)?)?;
        }
        let iso = match std::env::var_os("LEVITATE_ISO") {
            Some(iso) => Some(PathBuf::from(iso)),
            None => paths.newest_iso()?,
        };
        Ok(Self { paths: Paths { root, target }, iso, original: paths.root.clone(), dir })
    }

    /// cargo in the copy.
    pub(super) fn cargo(&self) -> Cmd {
        cargo::cargo(&self.paths).env("CARGO_TARGET_DIR", &self.paths.target)
    }

    /// A test program of the copy, with the workspace's ISO. What only a complete run may do is not done: no skipping, no ledger.
    pub(super) fn command(&self, program: &Path) -> Cmd {
        let cmd = Cmd::new(program).env("CARGO_TARGET_DIR", &self.paths.target).env("LEVITATE_NO_SKIP", "1");
        let cmd = cmd.under("env", &["--default-signal", "--unset=CHEAT_TEST_LEDGER"]);
        match &self.iso {
            Some(iso) => cmd.env("LEVITATE_ISO", iso),
            None => cmd,
        }
    }

    /// The ISO that tests boot.
    pub(super) fn iso(&self) -> anyhow::Result<&Path> {
        self.iso.as_deref().context("there is no ISO to boot")
    }

    /// Where a program is kept that runs later.
    pub(super) fn aside(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.test"))
    }

    /// Where the output of a run is kept.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    /// Applies a patch, exactly.
    pub(super) fn plant(&self, patch: &Patch) -> anyhow::Result<Planted<'_>> {
        let apply = Cmd::new("patch").args([
            "-p1",
            "--fuzz=0",
            "--forward",
            "--batch",
            "--silent",
            "--no-backup-if-mismatch",
        ]);
        let planted = Planted { tree: self, names: patch.files.clone() };
        let applied = apply.arg("--input").arg(&patch.file).dir(&self.paths.root).read();
        if let Err(e) = applied {
            planted.undo()?;
            return Err(e).with_context(|| format!("{} does not apply any more", patch.file.display()));
        }
        Ok(planted)
    }
}

/// A patch that is in the tree.
#[must_use]
pub(super) struct Planted<'t> {
    tree: &'t Tree,
    names: BTreeSet<PathBuf>,
}

impl Planted<'_> {
    /// The files as they were, and new to cargo.
    pub(super) fn undo(&self) -> anyhow::Result<()> {
        for name in &self.names {
            let to = self.tree.paths.root.join(name);
            let text = std::fs::read(self.tree.original.join(name))?;
            std::fs::write(&to, text).with_context(|| format!("failed to write {}", to.display()))?;
        }
        Ok(())
    }
}

/// Writes the file anew unless it is the same: cargo goes by times, and a sabotaged one may have been compiled last.
fn renew(from: &Path, to: &Path) -> anyhow::Result<()> {
    let renew = || -> std::io::Result<()> {
        let bytes = std::fs::read(from)?;
        if std::fs::read(to).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        std::fs::create_dir_all(to.parent().unwrap_or(to))?;
        std::fs::write(to, bytes)?;
        std::fs::set_permissions(to, from.metadata()?.permissions())
    };
    renew().with_context(|| format!("failed to copy {} to {}", from.display(), to.display()))
}

/// Removes what the workspace does not have any more.
fn remove_others(dir: &Path, root: &Path, names: &BTreeSet<&str>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("failed to read {}", dir.display()))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_others(&path, root, names)?;
        } else if !path.strip_prefix(root)?.to_str().is_some_and(|name| names.contains(name)) {
            std::fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Names of our own crates as files in target are named.
fn members(root: &Path) -> anyhow::Result<Vec<String>> {
    let text = common::fs::read_to_string(&root.join("Cargo.toml"))?;
    let manifest: toml::Table = text.parse().context("failed to read Cargo.toml")?;
    let members = manifest.get("workspace").and_then(|w| w.get("members")).and_then(toml::Value::as_array);
    let names = members.into_iter().flatten().filter_map(|m| m.as_str()?.rsplit('/').next());
    Ok(names.map(|name| name.replace('-', "_")).collect())
}

/// Takes over what was compiled of crates that are not ours: they are the same wherever the workspace lies. Files are
/// copied, since cargo writes into some of them.
fn seed(from: &Path, to: &Path, members: &[String]) -> anyhow::Result<()> {
    for part in ["deps", "build", ".fingerprint"] {
        let Ok(entries) = std::fs::read_dir(from.join(part)) else { continue };
        let mut list = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let text = name.to_string_lossy().replace('-', "_");
            let name_of = text.strip_prefix("lib").filter(|_| part == "deps").unwrap_or(&text);
            let is_ours = members.iter().any(|m| {
                name_of
                    .strip_prefix(m.as_str())
                    .is_some_and(|rest| rest.starts_with('_') && rest[1..].len() >= 16)
            });
            // Test programs are linked anew; libraries are what takes time.
            let is_program = part == "deps" && !text.contains('.');
            if !is_ours && !is_program {
                list.push(from.join(part).join(name));
            }
        }
        std::fs::create_dir_all(to.join(part))?;
        for chunk in list.chunks(200) {
            Cmd::new("cp")
                .args(["--archive", "--reflink=auto", "--target-directory"])
                .arg(to.join(part))
                .args(chunk)
                .read()?;
        }
    }
    Ok(())
}
