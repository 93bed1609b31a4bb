//! The state goes into a recipe file by one atomic exchange: the commit.
//!
//! Whatever a user's editor wrote until that moment is kept: the state is spliced into the text that is there, and what was
//! swapped out is compared with it.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use common::cli::Mark;
use rustix::fs::{Mode, RenameFlags};

use crate::dir::Dir;
use crate::exit;
use crate::state::{State, located};

/// Editors that write all the time are not waited for.
const TRIES: usize = 20;
/// How long it is waited for the rest of a text that somebody is writing.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSES: usize = 20;

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
/// `change` fails, the file is gone or not UTF-8, or the disk does not take it.
pub(super) fn edit(
    path: &Path,
    tx: &str,
    change: impl Fn(&str) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let context = || format!("failed to write to {}", path.display());
    let (dir, name) = open(path)?;
    let temp = temp_name(name, tx);
    for _ in 0..TRIES {
        let base = match read(&dir, name) {
            Err(e) if is_gone(&e) && changes(&dir, name, b"") => continue,
            base => base.with_context(context)?,
        };
        let new = match text(&base).with_context(context).and_then(&change) {
            Ok(new) => new,
            Err(_) if changes(&dir, name, &base) => continue,
            Err(e) => return Err(e),
        };
        if new.as_bytes() == base {
            return dir.sync().with_context(context);
        }
        stage(&dir, name, &temp, &new).with_context(context)?;
        match crate::dir::rename(&dir, &temp, &dir, name, RenameFlags::EXCHANGE) {
            Err(e) if is_gone(&e) => continue,
            exchanged => exchanged.with_context(context)?,
        }
        if read(&dir, &temp).with_context(context)? == base {
            dir.remove_file(&temp).with_context(context)?;
            return dir.sync().with_context(context);
        }
        // Somebody wrote it in the last moment, or is about to: he gets it back, and his text is the base of the next try.
        put_back(&dir, name, &temp, new.as_bytes())?;
    }
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

/// Gives a file back what somebody else wrote in the last moment, which was swapped out for `ours`.
fn put_back(dir: &Dir, name: &str, temp: &str, ours: &[u8]) -> anyhow::Result<()> {
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

fn is_gone(e: &std::io::Error) -> bool {
    e.kind() == std::io::ErrorKind::NotFound
}

/// Whether a text that makes no sense is another one soon: editors empty a file before they fill it, or put it aside.
fn changes(dir: &Dir, name: &str, text: &[u8]) -> bool {
    (0..PAUSES).any(|_| {
        std::thread::sleep(PAUSE);
        read(dir, name).is_ok_and(|now| now != text)
    })
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

fn read(dir: &Dir, name: &str) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    dir.read(name)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text(bytes: &[u8]) -> anyhow::Result<&str> {
    std::str::from_utf8(bytes).context("it is not UTF-8").exit(exit::RECIPE)
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
