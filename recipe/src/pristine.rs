//! The text of configuration files as packages had them: what a merge begins from.
//!
//! ```text
//! PREFIX/.recipe/db/NAME/TX.etc/SHA-256   of what TX installed, and of what local files were made from since then
//! ```
//!
//! They lie beside the record of the installation, are there before it, and go with it ([`crate::db::forget`]). A text that an
//! edited file was made from is taken along from version to version, so that it is there as long as it is needed.

use std::io::Read;

use anyhow::Context;
use common::hash::Sha256;

use crate::db::{self, Record};
use crate::dir::Dir;
use crate::stage::{Entry, What};

/// Larger files are not kept: nobody edits them by hand.
const MAX: u64 = 1 << 20;

fn place(name: &str, tx: &str) -> String {
    format!("{}/{name}/{tx}.etc", db::DB)
}

/// Keeps what a package installs, and what its local files were made from. `stage`: where its files are.
///
/// # Errors
/// A text cannot be read or written.
pub fn keep(own: &Dir, tx: &str, record: &Record, stage: &Dir) -> anyhow::Result<()> {
    for entry in record.files.iter().filter(|entry| entry.config) {
        let context = || format!("failed to keep {} as the package has it", entry.path);
        let What::File { sha256, size, .. } = &entry.what else { continue };
        if *size <= MAX {
            let staged = read_if(stage, &entry.path, sha256).with_context(context)?;
            let text = staged.map_or_else(|| read(own, &record.name, sha256), |text| Ok(Some(text)))?;
            if let Some(text) = text {
                write(own, &record.name, tx, &text).with_context(context)?;
            }
        }
        if let Some(base) = entry.pending.as_ref().and_then(|pending| pending.base)
            && let Some(text) = read(own, &record.name, &base)?
        {
            write(own, &record.name, tx, &text).with_context(context)?;
        }
    }
    Ok(())
}

/// A text of a package, if one of its versions has kept it.
///
/// # Errors
/// It cannot be read.
pub fn read(own: &Dir, name: &str, sha256: &Sha256) -> anyhow::Result<Option<Vec<u8>>> {
    let dir = match own.sub(&format!("{}/{name}", db::DB)) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        dir => dir.with_context(|| format!("failed to read the records of {name}"))?,
    };
    for kept in dir.names()?.iter().rev().filter(|kept| kept.ends_with(".etc")) {
        let path = format!("{kept}/{sha256}");
        let found = read_if(&dir, &path, sha256);
        if let Some(text) = found.with_context(|| format!("failed to read {}/{path}", dir.path.display()))? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// Keeps a text, durably; its digest.
///
/// # Errors
/// It cannot be written.
pub fn write(own: &Dir, name: &str, tx: &str, text: &[u8]) -> std::io::Result<Sha256> {
    let sha256 = Sha256::of(text);
    let dir = own.make(&place(name, tx), 0o755)?;
    // It may be of a file that only its owner could read.
    let leaf = sha256.to_string();
    if dir.stat(&leaf)?.is_none() {
        let temp = format!("{leaf}.new");
        dir.remove_file(&temp)?;
        let mut file = dir.create(temp.as_bytes(), 0o600)?;
        std::io::Write::write_all(&mut file, text)?;
        file.sync_all()?;
        rustix::fs::renameat(&dir, &temp, &dir, &leaf)?;
        dir.sync()?;
    }
    own.sub(&format!("{}/{name}", db::DB))?.sync()?;
    Ok(sha256)
}

/// Removes the texts of a transaction.
///
/// # Errors
/// They cannot be removed.
pub fn forget(own: &Dir, name: &str, tx: &str) -> anyhow::Result<()> {
    match own.sub(&format!("{}/{name}", db::DB)) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        dir => dir?.remove_tree(format!("{tx}.etc").as_bytes()),
    }
}

/// A file's content, if it is this.
fn read_if(dir: &Dir, path: &str, sha256: &Sha256) -> std::io::Result<Option<Vec<u8>>> {
    let is_file = dir.stat(path)?.is_some_and(|stat| crate::dir::kind(&stat).is_file());
    if !is_file {
        return Ok(None);
    }
    let mut text = Vec::new();
    dir.read(path)?.read_to_end(&mut text)?;
    Ok((Sha256::of(&text) == *sha256).then_some(text))
}

/// The digest of the text that a local file was made from: of the version that was installed, or of an older one, as long as
/// nothing was done about the one beside it.
#[must_use]
pub fn base(entry: &Entry, is_beside: bool) -> Option<Sha256> {
    match (&entry.pending, &entry.what) {
        (Some(pending), _) if is_beside => pending.base,
        (_, What::File { sha256, .. }) => Some(*sha256),
        (_, What::Link { .. }) => None,
    }
}
