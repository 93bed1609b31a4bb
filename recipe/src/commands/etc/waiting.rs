//! Configuration files of installed packages -> those beside which the package's lies, and what was made from what.

use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cli::Mark;

use crate::claims::Books;
use crate::db::Record;
use crate::dir::{self, Dir};
use crate::exit;
use crate::merge::{Merged, merge};
use crate::places::{OWN, Places};
use crate::pristine;
use crate::stage::{Entry, What, examine};
use crate::tx::config::beside;

/// A configuration file of an installed package.
pub(super) struct File {
    /// The transaction that installed it.
    pub(super) tx: String,
    pub(super) record: Record,
    /// Which of the record's files it is.
    pub(super) at: usize,
    /// Its path, as the system sees it that it is in.
    pub(super) shown: String,
}

impl File {
    pub(super) fn entry(&self) -> &Entry {
        &self.record.files[self.at]
    }

    pub(super) fn path(&self) -> &str {
        &self.entry().path
    }
}

/// Both files, and what the user's was made from.
pub(super) struct Both {
    pub(super) ours: Vec<u8>,
    pub(super) theirs: Vec<u8>,
    pub(super) base: Option<Vec<u8>>,
}

/// The prefix and our own directory in it; none if nothing was ever installed.
pub(super) fn look(places: &Places) -> anyhow::Result<Option<(Dir, Dir)>> {
    let path = places.prefix_here();
    match Dir::open(&path).and_then(|prefix| prefix.sub(OWN).map(|own| (prefix, own))) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some).with_context(|| format!("failed to open {}", path.display())),
    }
}

/// All configuration files of installed packages, as the prefix's own books know them.
pub(super) fn configs(places: &Places) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    for (tx, record) in Books::open(places)?.all()? {
        let at = record.files.iter().enumerate().filter(|(_, entry)| entry.config);
        let file = |(at, entry): (usize, &Entry)| File {
            tx: tx.clone(),
            record: record.clone(),
            at,
            shown: places.installed(&entry.path),
        };
        files.extend(at.map(file));
    }
    Ok(files)
}

/// Those of them that have the package's beside them. A file of that name which we did not put there is none.
pub(super) fn waiting(places: &Places, prefix: &Dir) -> anyhow::Result<Vec<File>> {
    let mut files = configs(places)?;
    let mut failed = None;
    files.retain(|file| {
        let path = beside(file.path());
        let is_there = |path: &str| matches!(prefix.stat(path), Ok(Some(_)));
        if !is_there(&path) || !is_there(file.path()) {
            return false;
        }
        let sha256 = |what| match what {
            Some(What::File { sha256, .. }) => Some(sha256),
            _ => None,
        };
        match examine(prefix, &path) {
            Ok(there) => {
                let shipped = sha256(Some(file.entry().what.clone()));
                there.is_some() && (file.entry().pending.is_some() || sha256(there) == shipped)
            }
            Err(e) => {
                failed.get_or_insert(e);
                false
            }
        }
    });
    failed.map_or(Ok(files), Err)
}

/// Those that were asked for; all if none were.
pub(super) fn select(
    places: &Places,
    files: Vec<File>,
    paths: &[PathBuf],
    what: &str,
) -> anyhow::Result<Vec<File>> {
    if paths.is_empty() {
        return Ok(files);
    }
    let mut chosen = std::collections::BTreeSet::new();
    for path in paths {
        let absolute = std::path::absolute(path).context("cannot use this path")?;
        let here = |file: &&File| {
            let file = places.sysroot.join(file.shown.trim_start_matches('/'));
            is_same(&absolute, &file) || is_same(&absolute, Path::new(&beside(&file.to_string_lossy())))
        };
        let found = files.iter().find(here).map(|file| file.shown.clone());
        let missing = || format!("{} {what}", path.display());
        let hint = "`recipe etc` lists the configuration files that wait for something to be done";
        chosen.insert(found.with_context(missing).exit(exit::NOT_FOUND).hint(hint)?);
    }
    Ok(files.into_iter().filter(|file| chosen.contains(&file.shown)).collect())
}

/// Whether two paths name the same file, by links on the way too; the file itself is not followed.
fn is_same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    a == b || (a.file_name() == b.file_name() && real(a).is_some() && real(a) == real(b))
}

pub(super) fn dir_read(dir: &Dir, path: &str) -> anyhow::Result<Vec<u8>> {
    let is_file = dir.stat(path)?.is_some_and(|stat| dir::kind(&stat).is_file());
    anyhow::ensure!(is_file, "it is not a file");
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut dir.read(path)?, &mut bytes)?;
    Ok(bytes)
}

/// Both files, and what a merge gives; none if one of them is no file.
pub(super) fn merged(prefix: &Dir, own: &Dir, file: &File) -> anyhow::Result<Option<(Both, Merged)>> {
    let new = beside(file.path());
    let is_file = |path: &str| -> std::io::Result<bool> {
        Ok(prefix.stat(path)?.is_some_and(|stat| dir::kind(&stat).is_file()))
    };
    if !is_file(file.path())? || !is_file(&new)? {
        return Ok(None);
    }
    let base = pristine::base(file.entry(), true).filter(|_| file.entry().pending.is_some());
    let base = base.map(|sha256| pristine::read(own, &file.record.name, &sha256)).transpose()?.flatten();
    let both = Both { ours: dir_read(prefix, file.path())?, theirs: dir_read(prefix, &new)?, base };
    let merged = merge(both.base.as_deref(), &both.ours, &both.theirs);
    Ok(Some((both, merged)))
}
