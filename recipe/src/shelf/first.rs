//! A recipes' directory that is not there yet -> a copy of the recipes that came with the system, which is the user's from then on.
//!
//! Made beside its place and renamed into it, so that half of a copy is never taken for the directory; what a killed one left is
//! made again. Who copies holds a lock on the directory above.

use std::path::Path;

use anyhow::Context;
use rustix::fs::{FlockOperation, RenameFlags, flock, syncfs};

use crate::dir::{self, Dir};
use crate::places::Places;
use crate::stage;
use crate::voice::note;

/// What is not finished.
const UNFINISHED: &str = ".recipes.new";

/// Opens the recipes' directory for a change; where it is missing, it is made.
///
/// # Errors
/// It cannot be made or opened.
pub fn open(places: &Places) -> anyhow::Result<Dir> {
    let (from, to) = (places.shelf(), &places.recipes);
    if from != to {
        let shown = to.display();
        copy(from, to).with_context(|| format!("failed to copy {} to {shown}", from.display()))?;
        note(&format!("copied the recipes that came with the system to {shown}"));
    }
    Dir::ensure(to)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let above = Dir::ensure(to.parent().unwrap_or(to))?;
    rustix::io::retry_on_intr(|| flock(&above, FlockOperation::LockExclusive))?;
    if to.exists() {
        // Somebody else was faster.
        return Ok(());
    }
    above.remove_tree(UNFINISHED.as_bytes())?;
    let new = above.make(UNFINISHED, 0o755)?;
    tree(&Dir::open(from)?, &new)?;
    syncfs(&new)?;
    let name = to.file_name().context("it has no name")?;
    rustix::fs::renameat_with(&above, UNFINISHED, &above, name, RenameFlags::NOREPLACE)?;
    Ok(above.sync()?)
}

/// Everything of a directory, with permissions that let its new owner edit it.
fn tree(from: &Dir, into: &Dir) -> anyhow::Result<()> {
    for name in from.names()? {
        let Some(stat) = from.stat(&name)? else { continue };
        let failed = || format!("failed to copy {}", from.path.join(&name).display());
        if dir::kind(&stat).is_dir() {
            tree(&from.sub(&name)?, &into.make(&name, 0o755)?)?;
        } else if dir::kind(&stat).is_symlink() {
            rustix::fs::symlinkat(from.link_target(&name)?, into, name.as_str()).with_context(failed)?;
        } else {
            let mode = 0o644 | stat.st_mode & 0o111;
            stage::copy(&mut from.read(&name).with_context(failed)?, into, &name, mode)
                .with_context(failed)?;
        }
    }
    Ok(())
}
