//! The mounts of this system (findmnt's list), and which of them can be seen below a directory.
//!
//! findmnt lists what was mounted, also what has since been covered by another mount. A line of fstab for a covered
//! mount would be mounted in the wrong order at best, so the tree is walked from ROOT as a path lookup would.

use anyhow::Context;
use serde::Deserialize;

/// One mount, as findmnt shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Mount {
    pub(super) id: u64,
    parent: u64,
    /// Device number of the file system; two mounts with the same one show the same file system.
    #[serde(rename = "maj:min")]
    pub(super) number: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) source: String,
    pub(super) target: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) fstype: String,
    /// All options: the kernel's of mount and file system, and those that only user space knows (`x-...`).
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) options: String,
    /// The options of the mount alone.
    #[serde(default, rename = "vfs-options", deserialize_with = "or_empty")]
    pub(super) vfs_options: String,
    /// Which directory of the file system is mounted.
    pub(super) fsroot: String,
}

/// What the columns of [`Mount`] are called on findmnt's command line.
pub(super) const COLUMNS: &str = "ID,PARENT,MAJ:MIN,SOURCE,TARGET,FSTYPE,OPTIONS,VFS-OPTIONS,FSROOT";

/// findmnt's JSON.
#[derive(Debug, Deserialize)]
struct Listing {
    filesystems: Vec<Mount>,
}

/// `null` is how findmnt's JSON shows an empty field.
fn or_empty<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Parses `findmnt --json --list` with [`COLUMNS`].
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<Mount>> {
    let listing: Listing = serde_json::from_str(text).context("failed to parse what findmnt printed")?;
    Ok(listing.filesystems)
}

/// A mount that a path lookup reaches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) mount: &'a Mount,
    /// The automount point that it is mounted on.
    pub(super) automount: Option<&'a Mount>,
}

/// The mounts at and below a directory.
#[derive(Debug, Default)]
pub(super) struct View<'a> {
    /// Those that can be seen, each after the one it is mounted on.
    pub(super) seen: Vec<Seen<'a>>,
    /// Those that another mount covers.
    pub(super) hidden: Vec<&'a Mount>,
}

/// What can be seen below `root`; nothing if `root` is not a mount point.
pub(super) fn view<'a>(mounts: &'a [Mount], root: &str) -> Option<View<'a>> {
    // The last one that nothing else covers: what was mounted there last.
    let covered = |m: &Mount| mounts.iter().any(|c| c.parent == m.id && c.id != m.id && c.target == m.target);
    let top = mounts.iter().rfind(|m| m.target == root && !covered(m))?;
    let mut view = View::default();
    let below = mounts.iter().find(|m| m.id == top.parent && m.target == root && m.fstype == AUTOFS);
    walk(mounts, top, below, &mut view);
    Some(view)
}

/// An automount point, of systemd's or of the automounter's.
pub(super) const AUTOFS: &str = "autofs";

fn walk<'a>(mounts: &'a [Mount], mount: &'a Mount, automount: Option<&'a Mount>, view: &mut View<'a>) {
    // The kernel never makes a loop of parents; a text may.
    if view.seen.iter().any(|s| s.mount.id == mount.id) || view.hidden.iter().any(|h| h.id == mount.id) {
        return;
    }
    let children: Vec<_> = mounts.iter().filter(|c| c.parent == mount.id && c.id != mount.id).collect();
    let cover = children.iter().rfind(|c| c.target == mount.target);
    if cover.is_none() || mount.fstype == AUTOFS {
        view.seen.push(Seen { mount, automount });
    } else {
        view.hidden.push(mount);
    }
    for child in &children {
        // A sibling above it came later: on an earlier one the child would have been mounted.
        let is_hidden = |s: &&Mount| s.target != child.target && is_below(&child.target, &s.target);
        let is_covered = cover.is_some_and(|c| c.id != child.id);
        if is_covered || children.iter().copied().any(|s| is_hidden(&s)) {
            hide(mounts, child, view);
        } else {
            walk(mounts, child, Some(mount).filter(|m| m.fstype == AUTOFS && m.target == child.target), view);
        }
    }
}

/// A mount and all on it.
fn hide<'a>(mounts: &'a [Mount], mount: &'a Mount, view: &mut View<'a>) {
    if view.hidden.iter().any(|h| h.id == mount.id) {
        return;
    }
    view.hidden.push(mount);
    mounts.iter().filter(|c| c.parent == mount.id).for_each(|child| hide(mounts, child, view));
}

/// Whether `path` is `dir` or lies in it; both absolute and without a trailing `/`.
pub(super) fn is_below(path: &str, dir: &str) -> bool {
    rest(path, dir).is_some()
}

/// What remains of `path` below `dir`: empty, or a path that starts with `/`.
pub(super) fn rest<'a>(path: &'a str, dir: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(dir.trim_end_matches('/'))?;
    match rest {
        "/" => Some(""),
        _ if rest.is_empty() || rest.starts_with('/') => Some(rest),
        _ => None,
    }
}

/// `path`, seen from `root`.
pub(super) fn relative(path: &str, root: &str) -> Option<String> {
    rest(path, root).map(|rest| if rest.is_empty() { "/".to_owned() } else { rest.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_by_component() {
        assert_eq!(relative("/mnt/home", "/mnt").as_deref(), Some("/home"));
        assert_eq!(relative("/mnt", "/mnt").as_deref(), Some("/"));
        assert_eq!(relative("/home", "/").as_deref(), Some("/home"));
        assert_eq!(relative("/", "/").as_deref(), Some("/"));
        assert_eq!(relative("/mnt2", "/mnt"), None);
    }
}
