//! What a mount shows: a whole file system, or a directory of one that is mounted elsewhere too.
//!
//! The kernel does not remember that a mount was made with `--bind`; it only knows which directory of the file system
//! is its root. For btrfs that is ordinary: a subvolume is mounted by its path.

use super::kinds;
use super::mounts::{Mount, View, is_below, rest};
use super::options::Options;

/// What a mount shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shows {
    /// A file system (of btrfs: a subvolume), mounted by its device.
    Whole,
    /// The directory or file at this path, which lies on another mount of the view.
    Bind(String),
    /// This directory of a file system that is mounted nowhere else: mounted with `X-mount.subdir=`.
    Subdir(String),
    /// Itself: `mount --bind DIR DIR`.
    Itself,
    /// A directory or file of a mount that cannot be seen from ROOT.
    Outside,
}

/// Finds out what `mount`, one of `view`, shows. `all` are the mounts of the whole system.
pub(super) fn shows(mount: &Mount, view: &View<'_>, all: &[Mount]) -> Shows {
    if is_whole(mount) {
        return Shows::Whole;
    }
    let is_source =
        |m: &Mount| m.number == mount.number && m.id != mount.id && is_below(&mount.fsroot, &m.fsroot);
    let mut sources: Vec<_> =
        view.seen.iter().map(|s| s.mount).filter(|m| is_whole(m) && is_source(m)).collect();
    // Of nested subvolumes the innermost has the path.
    sources.sort_by_key(|m| std::cmp::Reverse(m.fsroot.len()));
    for source in sources {
        let inside = rest(&mount.fsroot, &source.fsroot).unwrap_or_default();
        let path = match (source.target.as_str(), inside) {
            (target, "") => target.to_owned(),
            (target, inside) => format!("{}{inside}", target.trim_end_matches('/')),
        };
        if path == mount.target {
            return Shows::Itself;
        }
        // Another mount may lie over that path.
        let owner = view.seen.iter().filter(|s| is_below(&path, &s.mount.target));
        if owner.max_by_key(|s| s.mount.target.len()).is_some_and(|s| s.mount.id == source.id) {
            return Shows::Bind(path);
        }
    }
    let is_seen = |m: &Mount| view.seen.iter().any(|s| s.mount.id == m.id);
    if all.iter().any(|m| is_source(m) && !is_seen(m)) {
        return Shows::Outside;
    }
    match subvolume(mount) {
        Some(subvolume) => Shows::Subdir(rest(&mount.fsroot, &subvolume).unwrap_or(&mount.fsroot).to_owned()),
        None => Shows::Subdir(mount.fsroot.clone()),
    }
}

/// The subvolume that a mount of btrfs lies in, as the kernel shows it.
fn subvolume(mount: &Mount) -> Option<String> {
    let options = Options::parse(&mount.options);
    options.get("subvol").filter(|_| mount.fstype == "btrfs").map(str::to_owned)
}

fn is_whole(mount: &Mount) -> bool {
    match subvolume(mount) {
        Some(subvolume) => subvolume == mount.fsroot,
        None => mount.fsroot == "/" || mount.fstype == "btrfs" || kinds::has_own_roots(&mount.fstype),
    }
}
