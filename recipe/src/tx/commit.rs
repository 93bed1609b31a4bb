//! The state goes into a recipe file by one atomic exchange: the commit.
//!
//! Whatever a user's editor wrote until that moment is kept: the state is spliced into the text that is there, and what was
//! swapped out is compared with it.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use common::cli::Mark;
use rustix::fs::{Mode, RenameFlags};

use crate::dir::Dir;
use crate::exit;
use crate::state::{State, located};

/// Editors that write all the time are not waited for.
const TRIES: usize = 20;

/// Puts a state into a recipe file, durably.
///
/// # Errors
/// The file is gone or no recipe any more, or the disk does not take it.
pub(super) fn write(path: &Path, state: &State, tx: &str) -> anyhow::Result<()> {
    let splice = |text: &str| state.splice(text).map_err(|e| located(path, text, &e)).exit(exit::RECIPE);
    edit(path, tx, splice)
}

/// Changes a recipe file, durably. `change` makes the new text of the one that is there, again if that is another one by then.
///
/// # Errors
/// `change` fails, the file is gone, or the disk does not take it.
pub(super) fn edit(
    path: &Path,
    tx: &str,
    change: impl Fn(&str) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let context = || format!("failed to write to {}", path.display());
    let (dir, name) = open(path)?;
    let temp = temp_name(name, tx);
    let mut base = read(&dir, name).with_context(context)?;
    let mut expected = base.clone();
    for _ in 0..TRIES {
        let new = match change(&base) {
            Ok(new) => new,
            Err(e) => return put_back(&dir, name, &temp, &expected, base == expected).and(Err(e)),
        };
        if new == expected {
            // It is there already; what was swapped out for it in the last round is the same.
            dir.remove_file(&temp).with_context(context)?;
            return dir.sync().with_context(context);
        }
        stage(&dir, name, &temp, &new).with_context(context)?;
        crate::dir::rename(&dir, &temp, &dir, name, RenameFlags::EXCHANGE).with_context(context)?;
        let swapped = read(&dir, &temp).with_context(context)?;
        if swapped == expected {
            dir.remove_file(&temp).with_context(context)?;
            return dir.sync().with_context(context);
        }
        // Somebody wrote it in the last moment: his text is the base of the next try.
        (base, expected) = (swapped, new);
    }
    put_back(&dir, name, &temp, &expected, false)?;
    bail!("{} is being written all the time", path.display())
}

/// Makes a recipe file that must not be there yet, durably and whole.
///
/// # Errors
/// It is there, or the disk does not take it.
pub(super) fn create(path: &Path, text: &str, tx: &str) -> anyhow::Result<()> {
    let context = || format!("failed to create {}", path.display());
    let (dir, name) = open(path)?;
    let temp = temp_name(name, tx);
    let write = || -> anyhow::Result<()> {
        // An interrupted attempt may have left one.
        dir.remove_file(&temp)?;
        let mut file = dir.create(temp.as_bytes(), 0o644)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        crate::dir::rename(&dir, &temp, &dir, name, RenameFlags::NOREPLACE)?;
        Ok(dir.sync()?)
    };
    let written = write();
    if written.is_err() {
        let _ = dir.remove_file(&temp);
    }
    written.with_context(context)
}

/// Gives a file back what somebody else wrote in the last moment, which was swapped out for `ours`; unless nothing was swapped yet.
fn put_back(dir: &Dir, name: &str, temp: &str, ours: &str, untouched: bool) -> anyhow::Result<()> {
    if untouched {
        return Ok(());
    }
    let swap = || crate::dir::rename(dir, temp, dir, name, RenameFlags::EXCHANGE);
    let context = || format!("failed to put back what was written to {name} meanwhile");
    swap().with_context(context)?;
    // And once more, if there is something newer by now.
    if read(dir, temp).with_context(context)? != ours {
        swap().with_context(context)?;
    }
    dir.remove_file(temp).with_context(context)?;
    dir.sync().with_context(context)
}

/// Removes what an interrupted [`write`] left beside a recipe file.
pub(super) fn clean(path: &Path, tx: &str) -> anyhow::Result<()> {
    let Ok((dir, name)) = open(path) else { return Ok(()) };
    let temp = temp_name(name, tx);
    dir.remove_file(&temp).with_context(|| format!("failed to remove {temp} beside {}", path.display()))
}

fn temp_name(name: &str, tx: &str) -> String {
    format!(".{name}.{tx}")
}

fn open(path: &Path) -> anyhow::Result<(Dir, &str)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        bail!("expected a recipe's path, found {}", path.display())
    };
    let dir = Dir::open(parent).with_context(|| format!("failed to open {}", parent.display()))?;
    Ok((dir, name))
}

fn read(dir: &Dir, name: &str) -> std::io::Result<String> {
    let mut text = String::new();
    dir.read(name)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Writes the new text beside the file, with its owner and mode.
fn stage(dir: &Dir, name: &str, temp: &str, text: &str) -> anyhow::Result<()> {
    let stat = dir.stat(name)?.context("it is gone")?;
    ensure!(crate::dir::kind(&stat).is_file(), "it is not a file");
    dir.remove_file(temp)?;
    let mut file = dir.create(temp.as_bytes(), 0o600)?;
    file.write_all(text.as_bytes())?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
    if rustix::fs::fstat(&file).is_ok_and(|s| (s.st_uid, s.st_gid) != (stat.st_uid, stat.st_gid)) {
        rustix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    rustix::fs::fchmod(&file, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    Ok(file.sync_all()?)
}
