//! Operations, done and undone. Undoing asks what is there, never what was done: it may be the second time.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use anyhow::Context;
use common::cli::Mark;
use rustix::fs::RenameFlags;

use super::desk::Desk;
use super::journal::{Journal, Step};
use super::plan::Plan;
use crate::dir::{self, Dir, is_blocked, parents, rename, split};
use crate::exit;

/// More files than this are made durable by one sync of the file system instead of one each.
const SYNC_ALL: usize = 48;

/// Makes everything durable that the operations will move.
pub(super) fn sync_stage(desk: &Desk, plan: &Plan) -> std::io::Result<()> {
    let stage = desk.own.sub(&plan.journal.stage())?;
    let staged: Vec<_> = plan.staged().collect();
    if staged.len() > SYNC_ALL {
        return Ok(rustix::fs::syncfs(&stage)?);
    }
    let mut dirs = BTreeSet::from([""]);
    for (path, is_file) in &staged {
        if *is_file {
            stage.read(path)?.sync_all()?;
        }
        dirs.extend(parents(path));
    }
    for dir in dirs {
        stage.sub(dir)?.sync()?;
    }
    desk.own.sub(super::journal::STAGE)?.sync()?;
    desk.own.sync()
}

/// Does everything, durably.
pub(super) fn forward(desk: &Desk, journal: &Journal) -> anyhow::Result<()> {
    let prefix = &desk.prefix;
    let stage = desk.own.sub(&journal.stage()).context("failed to open the stage")?;
    let mut touched = BTreeSet::new();
    // Where the old files go: they must be there after a power cut, or they could not come back.
    let mut kept_in = BTreeSet::new();
    let (removals, puts) = journal.parts();
    for step in removals {
        once(&stage, prefix, step)?;
        touched.insert(split(step.path()).0);
    }
    for (path, _) in &journal.emptied {
        let context = || format!("failed to remove {}", prefix.path.join(path).display());
        let gone = prefix.remove_empty(path).with_context(context)?;
        if !gone {
            return Err(anyhow::anyhow!("it is not empty any more"))
                .with_context(context)
                .exit(exit::CONFLICT);
        }
        touched.insert(split(path).0);
    }
    // What lay in them has left them, and they are gone themselves.
    touched.retain(|path| !journal.emptied.iter().any(|(gone, _)| gone == path));
    for path in &journal.dirs {
        let (parent, name) = split(path);
        let mode = rustix::fs::Mode::from_raw_mode(0o755);
        let made = prefix.sub(parent).and_then(|dir| Ok(rustix::fs::mkdirat(&dir, name, mode)?));
        match made {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            made => made.with_context(|| format!("failed to create {}", prefix.path.join(path).display()))?,
        }
        touched.extend([parent, path]);
    }
    for step in puts {
        once(&stage, prefix, step)?;
        touched.insert(split(step.path()).0);
    }
    for step in &journal.steps {
        match step {
            Step::Create { .. } => {}
            Step::Replace { staged: kept, .. } | Step::Remove { kept, .. } => kept_in.extend(parents(kept)),
        }
    }
    if touched.len() + kept_in.len() > SYNC_ALL {
        return rustix::fs::syncfs(prefix).context("failed to sync");
    }
    for (dir, paths) in [(&stage, kept_in), (prefix, touched)] {
        for path in paths {
            let synced = dir.sub(path).and_then(|dir| dir.sync());
            synced.with_context(|| format!("failed to sync {}", dir.path.join(path).display()))?;
        }
    }
    Ok(())
}

/// Does one operation.
fn once(stage: &Dir, prefix: &Dir, step: &Step) -> anyhow::Result<()> {
    let path = step.path();
    let done = match step {
        Step::Create { staged, .. } => rename(stage, staged, prefix, path, RenameFlags::NOREPLACE),
        Step::Replace { staged, .. } => rename(stage, staged, prefix, path, RenameFlags::EXCHANGE),
        Step::Remove { kept, .. } => stage
            .make(split(kept).0, 0o755)
            .and_then(|_| rename(prefix, path, stage, kept, RenameFlags::NOREPLACE)),
    };
    let raced = done.as_ref().is_err_and(|e| e.kind() == ErrorKind::AlreadyExists);
    let done =
        done.with_context(|| format!("failed to {} {}", step.verb(), prefix.path.join(path).display()));
    if raced {
        return done.exit(exit::CONFLICT).hint("somebody put a file there in the last moment");
    }
    done
}

/// Undoes whatever was done, the last first. What somebody else put in our places stays; the warnings say so.
pub(super) fn back(desk: &Desk, journal: &Journal) -> anyhow::Result<Vec<String>> {
    let prefix = &desk.prefix;
    let mut warnings = Vec::new();
    let stage = match desk.own.sub(&journal.stage()) {
        // Without a stage nothing was moved, or everything is back.
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(warnings),
        stage => stage.context("failed to open the stage")?,
    };
    let mut undo_all = |steps: &[Step]| -> anyhow::Result<()> {
        for step in steps.iter().rev() {
            let path = prefix.path.join(step.path()).display().to_string();
            if !undo(&stage, prefix, step).with_context(|| format!("failed to undo the change of {path}"))? {
                warnings.push(format!("{path} was changed by somebody else meanwhile and stays as it is"));
            }
        }
        Ok(())
    };
    let (removals, puts) = journal.parts();
    undo_all(puts)?;
    for path in journal.dirs.iter().rev() {
        prefix
            .remove_empty(path)
            .with_context(|| format!("failed to remove {}", prefix.path.join(path).display()))?;
    }
    for (path, mode) in journal.emptied.iter().rev() {
        let (parent, name) = split(path);
        let made = prefix
            .sub(parent)
            .and_then(|dir| Ok(rustix::fs::mkdirat(&dir, name, rustix::fs::Mode::from_raw_mode(*mode))?));
        match made {
            // It was never removed; or somebody put something else there, which the removals will say.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            made => made.with_context(|| format!("failed to create {}", prefix.path.join(path).display()))?,
        }
    }
    undo_all(removals)?;
    // Nobody knows which directories an earlier attempt touched.
    rustix::fs::syncfs(prefix).context("failed to sync")?;
    Ok(warnings)
}

/// Whether the step is undone, or was never done; not if its place is somebody else's now.
///
/// After a power cut a file may have both names of a rename: btrfs writes down one directory at a time. It keeps the one that it had
/// before.
fn undo(stage: &Dir, prefix: &Dir, step: &Step) -> std::io::Result<bool> {
    let ino = |dir: &Dir, path: &str| dir.stat(path).map(|s| s.map(|s| s.st_ino));
    // Where a file or a link stands for a directory above it, it is not there.
    let in_place = |path: &str| match ino(prefix, path) {
        Err(e) if is_blocked(&e) => Ok(None),
        found => found,
    };
    match step {
        Step::Create { staged, path, ino: new, .. } => {
            if stage.stat(staged)?.is_some() {
                if in_place(path)? == Some(*new) {
                    prefix.remove_file(path)?;
                }
                return Ok(true);
            }
            match ino(prefix, path)? {
                Some(found) if found == *new => rename(prefix, path, stage, staged, RenameFlags::NOREPLACE)?,
                Some(_) => return Ok(false),
                None => {}
            }
        }
        Step::Replace { staged, path, ino: new, .. } => {
            let (aside, found) = (ino(stage, staged)?, in_place(path)?);
            if aside == Some(*new) {
                // With both of its names, the new file has taken the place of the old one, which has none.
                return Ok(found != Some(*new));
            }
            match found {
                // The old one is where it was, and aside as well.
                Some(_) if found == aside => {}
                Some(found) if found == *new => rename(prefix, path, stage, staged, RenameFlags::EXCHANGE)?,
                // It was removed after we put it there; what it replaced comes back.
                None => rename(stage, staged, prefix, path, RenameFlags::NOREPLACE)?,
                Some(_) => return Ok(false),
            }
        }
        Step::Remove { path, kept, .. } => {
            if stage.stat(kept)?.is_none() {
                return Ok(true);
            }
            match rename(stage, kept, prefix, path, RenameFlags::NOREPLACE) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                    if ino(stage, kept)? != ino(prefix, path)? {
                        return Ok(false);
                    }
                    stage.remove_file(kept)?;
                }
                result => result?,
            }
        }
    }
    Ok(true)
}

impl Step {
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Create { path, .. } | Self::Replace { path, .. } | Self::Remove { path, .. } => path,
        }
    }

    fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "install",
            Self::Replace { .. } => "replace",
            Self::Remove { .. } => "remove",
        }
    }
}

/// Where a path below the prefix lies on another file system than the prefix, if it does: nothing can be renamed there.
pub(super) fn other_file_system(prefix: &Dir, path: &str) -> std::io::Result<bool> {
    let device = |dir: &Dir| rustix::fs::fstat(dir).map(|s| s.st_dev);
    match prefix.sub(path) {
        Ok(dir) => Ok(device(&dir)? != device(prefix)?),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// What stands in a place, in words.
pub(super) fn words(stat: &rustix::fs::Stat) -> &'static str {
    let kind = dir::kind(stat);
    if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a link"
    } else if kind.is_file() {
        "a file"
    } else {
        "a special file"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A prefix with `bin`, a stage, and files in them by path below both.
    fn world(files: &[(&str, &str)]) -> (tempfile::TempDir, Dir, Dir) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        for dir in ["stage", "prefix/bin"] {
            std::fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        let open = |name: &str| Dir::open(&root.path().join(name)).unwrap();
        let (stage, prefix) = (open("stage"), open("prefix"));
        (root, stage, prefix)
    }

    fn text(root: &tempfile::TempDir, path: &str) -> Option<String> {
        std::fs::read_to_string(root.path().join(path)).ok()
    }

    fn both(root: &tempfile::TempDir, from: &str, to: &str) -> u64 {
        use std::os::unix::fs::MetadataExt;
        std::fs::hard_link(root.path().join(from), root.path().join(to)).unwrap();
        std::fs::metadata(root.path().join(to)).unwrap().ino()
    }

    /// What btrfs leaves when the power goes between the syncs of two directories.
    #[test]
    fn a_file_with_both_names_of_a_rename_keeps_the_one_from_before() {
        let (root, stage, prefix) = world(&[("stage/new/p/bin/p", "new")]);
        let ino = both(&root, "stage/new/p/bin/p", "prefix/bin/p");
        let create =
            Step::Create { staged: "new/p/bin/p".to_owned(), path: "bin/p".to_owned(), ino, nobodys: None };
        assert!(undo(&stage, &prefix, &create).unwrap());
        assert_eq!(text(&root, "prefix/bin/p"), None);

        let (root, stage, prefix) = world(&[("prefix/bin/p", "old"), ("stage/old/p/bin/q", "")]);
        both(&root, "prefix/bin/p", "stage/old/p/bin/p");
        let remove = Step::Remove { path: "bin/p".to_owned(), kept: "old/p/bin/p".to_owned(), changed: None };
        assert!(undo(&stage, &prefix, &remove).unwrap());
        assert_eq!(text(&root, "prefix/bin/p").as_deref(), Some("old"));
        assert_eq!(text(&root, "stage/old/p/bin/p"), None);

        let (root, stage, prefix) = world(&[("prefix/bin/p", "old"), ("stage/new/p/bin/q", "")]);
        both(&root, "prefix/bin/p", "stage/new/p/bin/p");
        let replace = |ino| Step::Replace {
            staged: "new/p/bin/p".to_owned(),
            path: "bin/p".to_owned(),
            ino,
            changed: None,
            nobodys: None,
        };
        assert!(undo(&stage, &prefix, &replace(0)).unwrap());
        assert_eq!(text(&root, "prefix/bin/p").as_deref(), Some("old"));
        // The old file has no name left: that cannot be mended, and is said.
        let ino = both(&root, "prefix/bin/p", "prefix/bin/other");
        assert!(!undo(&stage, &prefix, &replace(ino)).unwrap());
    }

    #[test]
    fn what_somebody_else_put_there_stays() {
        let (root, stage, prefix) = world(&[("prefix/bin/p", "theirs"), ("stage/old/p/bin/p", "old")]);
        let remove = Step::Remove { path: "bin/p".to_owned(), kept: "old/p/bin/p".to_owned(), changed: None };
        assert!(!undo(&stage, &prefix, &remove).unwrap());
        let create = Step::Create {
            staged: "old/p/bin/p".to_owned(),
            path: "bin/p".to_owned(),
            ino: 1,
            nobodys: None,
        };
        assert!(undo(&stage, &prefix, &create).unwrap());
        assert_eq!(text(&root, "prefix/bin/p").as_deref(), Some("theirs"));
        assert_eq!(text(&root, "stage/old/p/bin/p").as_deref(), Some("old"));
    }

    /// Neither what was there nor what came: a third file, by somebody who was there in between.
    #[test]
    fn a_third_file_is_nobodys_to_undo() {
        let (root, stage, prefix) = world(&[("prefix/bin/p", "theirs"), ("stage/new/p/bin/p", "old")]);
        let (staged, path) = ("new/p/bin/p".to_owned(), "bin/p".to_owned());
        let replace = Step::Replace {
            staged: staged.clone(),
            path: path.clone(),
            ino: 1,
            changed: None,
            nobodys: None,
        };
        assert!(!undo(&stage, &prefix, &replace).unwrap());
        assert_eq!(text(&root, "prefix/bin/p").as_deref(), Some("theirs"));
        std::fs::remove_file(root.path().join("stage/new/p/bin/p")).unwrap();
        assert!(!undo(&stage, &prefix, &Step::Create { staged, path, ino: 1, nobodys: None }).unwrap());
        assert_eq!(text(&root, "prefix/bin/p").as_deref(), Some("theirs"));
    }

    #[test]
    fn what_cannot_be_undone_is_an_error() {
        let (root, stage, prefix) = world(&[("stage/old/p/x", "old")]);
        let remove = Step::Remove { path: "gone/x".to_owned(), kept: "old/p/x".to_owned(), changed: None };
        let error = undo(&stage, &prefix, &remove).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert_eq!(text(&root, "stage/old/p/x").as_deref(), Some("old"), "it waits");
    }

    #[test]
    fn what_was_to_come_below_a_file_has_not_come() {
        let (root, stage, prefix) = world(&[("prefix/bin/p", "a file still"), ("stage/new/p/x", "new")]);
        let create =
            Step::Create { staged: "new/p/x".to_owned(), path: "bin/p/x".to_owned(), ino: 1, nobodys: None };
        assert!(undo(&stage, &prefix, &create).unwrap());
        assert_eq!(text(&root, "prefix/bin/p").as_deref(), Some("a file still"));
    }
}
