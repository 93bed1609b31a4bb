//! The cache as a whole: what is in it, and removing of it what nobody needs.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use common::hash::Sha256;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use super::part::{OF, PART};
use super::slot;
use crate::db::Source;
use crate::dir::Dir;

/// A file of the cache.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Item {
    /// The directory of its URL.
    pub slot: String,
    /// Its digest; none if it is not whole.
    pub sha256: Option<Sha256>,
    /// Bytes.
    pub size: u64,
}

impl Item {
    /// Whether it is this file.
    #[must_use]
    pub fn is(&self, source: &Source) -> bool {
        self.sha256 == Some(source.sha256) && self.slot == slot(&source.url)
    }

    fn name(&self) -> String {
        self.sha256.map_or_else(|| PART.to_owned(), |s| s.to_string())
    }
}

/// Everything in a cache, sorted. Files that are not ours are not in the list.
///
/// # Errors
/// It cannot be read.
pub fn list(cache: &Path) -> anyhow::Result<Vec<Item>> {
    let path = cache.join("downloads");
    let context = || format!("failed to list {}", path.display());
    let Some(all) = Dir::open_if_there(&path).with_context(context)? else { return Ok(Vec::new()) };
    let mut items = Vec::new();
    for slot in all.utf8_names().with_context(context)? {
        // Something else than a directory is nobody's.
        let Ok(dir) = all.sub(&slot) else { continue };
        for name in dir.utf8_names().with_context(context)? {
            let sha256 = name.parse::<Sha256>().ok();
            let stat = dir.stat(&name).with_context(context)?;
            let Some(stat) = stat.filter(|_| sha256.is_some() || name == PART) else { continue };
            items.push(Item {
                slot: slot.clone(),
                sha256,
                size: u64::try_from(stat.st_size).unwrap_or_default(),
            });
        }
    }
    items.sort();
    Ok(items)
}

/// Removes files of a cache, and directories that are empty then; what was removed. What is being downloaded stays.
///
/// # Errors
/// A file cannot be removed.
pub fn remove(cache: &Path, items: &[Item]) -> anyhow::Result<Vec<Item>> {
    let path = cache.join("downloads");
    let mut removed = Vec::new();
    let mut rest = items;
    while let Some(first) = rest.first() {
        let (here, later) = rest.split_at(rest.iter().take_while(|i| i.slot == first.slot).count());
        rest = later;
        let context = || format!("failed to clean {}", path.join(&first.slot).display());
        let all = Dir::open(&path).with_context(context)?;
        let dir = all.sub(&first.slot).with_context(context)?;
        // As long as this is open, nobody downloads here.
        let part = dir.read(PART).ok();
        let busy = |part: &File| flock(part, FlockOperation::NonBlockingLockExclusive).is_err();
        if part.as_ref().is_some_and(busy) {
            continue;
        }
        for item in here {
            dir.remove_file(&item.name()).with_context(context)?;
            removed.push(item.clone());
        }
        // It says nothing where there is no part.
        if dir.stat(PART).with_context(context)?.is_none() {
            dir.remove_file(OF).with_context(context)?;
        }
        all.remove_empty(&first.slot).with_context(context)?;
    }
    Ok(removed)
}
