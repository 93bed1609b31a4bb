//! Is the target on the medium that the live system runs from?
//!
//! In: the mounts of target and medium. Out: yes, if it is the same file system, the file system that holds the disc as a
//! file, or the same disk (a stick the disc was written to). With levitate.toram there is no such mount any more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::mounts::Mount;

/// Where the kernel describes block devices.
const SYS: &str = "/sys/dev/block";

/// Whether installing to `target` would overwrite what runs.
#[must_use]
pub fn is_on(target: &Mount, medium: &Mount, mounts: &[Mount]) -> bool {
    if target.dev == medium.dev {
        return true;
    }
    let Some(backing) = backing_file(medium.dev) else {
        return !disks(number(target)).is_disjoint(&disks(number(medium)));
    };
    // The longest mount point above the file is where it is.
    let holder = mounts.iter().filter(|m| backing.starts_with(&m.point));
    holder.max_by_key(|m| m.point.as_os_str().len()).is_some_and(|m| number(m) == number(target))
}

/// The device of a mount; btrfs has numbers of its own, there the source tells.
fn number(mount: &Mount) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    if mount.dev.0 != 0 {
        return mount.dev;
    }
    let rdev = std::fs::metadata(&mount.source).map_or(0, |m| m.rdev());
    if rdev == 0 { mount.dev } else { (rustix::fs::major(rdev), rustix::fs::minor(rdev)) }
}

/// The file behind a loop device.
fn backing_file((major, minor): (u32, u32)) -> Option<PathBuf> {
    let text = std::fs::read_to_string(format!("{SYS}/{major}:{minor}/loop/backing_file")).ok()?;
    Some(PathBuf::from(text.trim_end_matches('\n')))
}

/// The whole disks that a device is on, through partitions, device mapper and RAID.
fn disks((major, minor): (u32, u32)) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![PathBuf::from(format!("{SYS}/{major}:{minor}"))];
    let mut seen = BTreeSet::new();
    while let Some(path) = open.pop() {
        let Ok(device) = path.canonicalize() else { continue };
        if !seen.insert(device.clone()) {
            continue;
        }
        let is_partition = device.join("partition").exists();
        let disk = device.parent().filter(|_| is_partition).unwrap_or(&device);
        let slaves = std::fs::read_dir(disk.join("slaves"));
        let slaves: Vec<_> = slaves.into_iter().flatten().flatten().map(|e| e.path()).collect();
        if slaves.is_empty() {
            found.insert(Path::to_owned(disk));
        }
        open.extend(slaves);
    }
    found
}
