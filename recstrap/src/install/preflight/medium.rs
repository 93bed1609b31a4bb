//! Is the target on the medium that the live system runs from?
//!
//! In: all mounts, and which of them is the target. Out: yes, if it is the medium's file system; or the one that holds the disc
//! as a file; or on the same disk as either the disc itself (a stick the disc was written to), through partitions, device
//! mapper, RAID and pools of several devices. With levitate.toram there is no such mount any more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::layout::LIVE_MEDIUM_DIR;
use common::mounts::Mount;

/// Where the kernel describes block devices, and btrfs its pools.
const SYS: &str = "/sys/dev/block";
const POOLS: &str = "/sys/fs/btrfs";

/// A disc in a file in a disc in a file: no deeper.
const DEPTH: usize = 8;

/// Whether installing to `target` would overwrite what runs.
#[must_use]
pub fn is_on(target: &Mount, mounts: &[Mount]) -> bool {
    // Also one that somebody mounted something over: the system runs from it all the same.
    at(Path::new(LIVE_MEDIUM_DIR), mounts).any(|medium| {
        target.dev == medium.dev || shares_a_disk(target, medium) || holds(target, medium, mounts, DEPTH)
    })
}

fn at<'m>(point: &Path, mounts: &'m [Mount]) -> impl Iterator<Item = &'m Mount> {
    mounts.iter().filter(move |m| m.point == point)
}

fn shares_a_disk(a: &Mount, b: &Mount) -> bool {
    !disks(devices(a)).is_disjoint(&disks(devices(b)))
}

/// Whether the disc is a file on the target's file system. (On another partition of that disk it is in nobody's way.)
fn holds(target: &Mount, medium: &Mount, mounts: &[Mount], depth: usize) -> bool {
    devices(medium).into_iter().filter_map(backing_file).any(|file| {
        // The longest mount point above the file is where it is.
        let above = mounts.iter().filter(|m| file.starts_with(&m.point));
        let point = above.map(|m| &m.point).max_by_key(|point| point.as_os_str().len());
        let holders = point.into_iter().flat_map(|point| at(point, mounts));
        holders.into_iter().any(|holder| {
            let is_same = target.dev == holder.dev || !devices(target).is_disjoint(&devices(holder));
            is_same || depth > 0 && holds(target, holder, mounts, depth - 1)
        })
    })
}

/// A device's major and minor number.
type Number = (u32, u32);

/// The devices of a mount: one, but for a pool. btrfs has numbers of its own, there the source tells.
fn devices(mount: &Mount) -> BTreeSet<Number> {
    use std::os::unix::fs::MetadataExt;
    if mount.dev.0 != 0 {
        return BTreeSet::from([mount.dev]);
    }
    let rdev = std::fs::metadata(&mount.source).map_or(0, |m| m.rdev());
    let own = (rustix::fs::major(rdev), rustix::fs::minor(rdev));
    if rdev == 0 {
        return BTreeSet::new();
    }
    let is_own = |pool: &BTreeSet<Number>| pool.contains(&own);
    pools().into_iter().find(is_own).unwrap_or_else(|| BTreeSet::from([own]))
}

/// The devices of each mounted btrfs.
fn pools() -> Vec<BTreeSet<Number>> {
    let number = |device: PathBuf| {
        let text = std::fs::read_to_string(device.join("dev")).ok()?;
        let (major, minor) = text.trim().split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let list = |dir: PathBuf| std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
    let pools = list(POOLS.into()).map(|pool| list(pool.join("devices")).filter_map(number).collect());
    pools.collect()
}

/// The file behind a loop device.
fn backing_file((major, minor): Number) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let device = PathBuf::from(format!("{SYS}/{major}:{minor}"));
    // A partition of a loop device has it from the whole.
    let text = std::fs::read(device.join("loop/backing_file"))
        .or_else(|_| std::fs::read(device.canonicalize()?.join("../loop/backing_file")));
    let mut text = text.ok()?;
    text.truncate(text.strip_suffix(b"\n").map_or(text.len(), <[u8]>::len));
    Some(PathBuf::from(std::ffi::OsString::from_vec(text)))
}

/// The whole disks that devices are on, through partitions, device mapper and RAID.
fn disks(devices: BTreeSet<Number>) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let path = |(major, minor)| PathBuf::from(format!("{SYS}/{major}:{minor}"));
    let mut open: Vec<PathBuf> = devices.into_iter().map(path).collect();
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
