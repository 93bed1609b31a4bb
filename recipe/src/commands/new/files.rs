//! New files among the recipes: there whole or not at all, and never in the place of another.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};

use anyhow::Context;
use common::cli::Mark;
use rustix::fs::RenameFlags;

use super::origin::{Origin, Place};
use crate::dir::{Dir, rename};
use crate::exit;
use crate::tx::Desk;

/// Puts a local file beside the recipe, which copies it from there; its name, if it was not there yet.
pub(super) fn beside(dir: &Dir, origin: &Origin) -> anyhow::Result<Option<String>> {
    let Place::Path(path) = &origin.place else { return Ok(None) };
    let name = &origin.file_name;
    if let Ok(there) = dir.read(name) {
        let (sha256, _) = common::hash::Sha256::of_reader(there)?;
        return match sha256 == origin.sha256 {
            true => Ok(None),
            false => Err(taken(&dir.path.join(name).display().to_string())),
        };
    }
    let mut file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    put(dir, name, &mut file)?;
    Ok(Some(name.clone()))
}

/// Writes a file that is not there yet, whole and durably.
pub(super) fn put(dir: &Dir, name: &str, content: &mut dyn Read) -> anyhow::Result<()> {
    let shown = dir.path.join(name).display().to_string();
    let temp = format!(".{name}.{}", Desk::new_tx());
    let mut write = || -> std::io::Result<()> {
        let mut file = dir.create(temp.as_bytes(), 0o644)?;
        std::io::copy(content, &mut file)?;
        file.flush()?;
        file.sync_all()?;
        rename(dir, &temp, dir, name, RenameFlags::NOREPLACE)?;
        dir.sync()
    };
    match write() {
        Ok(()) => Ok(()),
        Err(e) => {
            drop(dir.remove_file(&temp));
            if e.kind() == ErrorKind::AlreadyExists {
                Err(taken(&shown))
            } else {
                Err(e).with_context(|| format!("failed to write {shown}"))
            }
        }
    }
}

/// The error for a name that something has.
pub(super) fn taken(path: &str) -> anyhow::Error {
    let error = Err::<(), _>(anyhow::anyhow!("{path} is there already")).exit(exit::CONFLICT);
    error.hint("give another name, or move it away").unwrap_err()
}
