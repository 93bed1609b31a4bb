//! How much a target's file systems must hold at least, from the image's own metadata.
//!
//! In: a settled plan, the image. Out: the file systems that are surely too small, or cannot hold what is meant for them. It
//! is a lower bound: what passes may still turn out too small while installing, which then ends with exit code 3.

use common::mounts::Mount;
use std::collections::BTreeMap;

use anyhow::Context;

use super::super::image::Opened;
use super::super::plan::{Fate, Node, Plan, What};
use super::super::root::as_path;
use super::refusal::Refusal;

/// From this size on it is looked up how much of a file is data: it may be a hole mostly.
const LARGE: u64 = 1 << 20;

/// What one file system has to take.
#[derive(Debug, Default, Clone, Copy)]
struct Need {
    bytes: u64,
    inodes: u64,
}

/// File systems that are too small. `mounts[0]` is the target, then the plan's places; `emptied`: the target will be
/// emptied first, so all of it counts as free.
///
/// # Errors
/// The image or a file system cannot be read.
pub fn check(plan: &Plan, image: &Opened, mounts: &[Mount], emptied: bool) -> anyhow::Result<Vec<Refusal>> {
    let blocks: Vec<u64> = mounts.iter().map(block).collect::<anyhow::Result<_>>()?;
    let mut needs: BTreeMap<u16, Need> = BTreeMap::new();
    for node in plan.nodes.iter().filter(|n| !matches!(n.fate, Fate::Left(_)) && n.link_to.is_none()) {
        let data = match node.what {
            _ if node.fate != Fate::Install => 0,
            What::File(size) if size >= LARGE => image.data(node.id)?,
            What::File(size) => size,
            _ => 0,
        };
        let need = needs.entry(node.place).or_default();
        need.inodes += 1;
        need.bytes = need.bytes.saturating_add(data.next_multiple_of(blocks[usize::from(node.place)]));
    }
    let mut refusals = Vec::new();
    for (place, need) in needs {
        let mount = &mounts[usize::from(place)];
        let stat = stat(mount)?;
        let all = emptied && place == 0;
        // Not `bavail`: the reserve is root's, and that is who installs.
        let free = if all { stat.f_blocks } else { stat.f_bfree }.saturating_mul(stat.f_frsize);
        // What a compressing file system takes cannot be told before.
        if need.bytes > free && !compresses(mount) {
            refusals.push(Refusal::TooSmall(mount.point.clone(), need.bytes, free));
        }
        // 0: it makes inodes as they are needed (btrfs).
        let free = if all { stat.f_files } else { stat.f_ffree };
        if stat.f_files > 0 && need.inodes > free {
            refusals.push(Refusal::TooFewInodes(mount.point.clone(), need.inodes, free));
        }
    }
    Ok(refusals)
}

/// Names that the file system mounted below the target cannot hold.
#[must_use]
pub fn unfit(plan: &Plan, mounts: &[Mount]) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (index, _) in plan.places.iter().enumerate().filter(|(_, place)| place.plain) {
        let is_wrong = |n: &Node| {
            usize::from(n.place) == index + 1
                && !matches!(n.fate, Fate::Left(_))
                && (n.link_to.is_some() || !matches!(n.what, What::Dir | What::File(_)))
        };
        if let Some(at) = plan.nodes.iter().position(is_wrong) {
            let mount = &mounts[index + 1];
            let name = as_path(&plan.path(at as u32)).to_owned();
            refusals.push(Refusal::UnfitMount(mount.point.clone(), mount.fstype.clone(), name));
        }
    }
    refusals
}

/// To how many bytes the content of a file is rounded up; 1 where small files take no block of their own.
fn block(mount: &Mount) -> anyhow::Result<u64> {
    match &*mount.fstype {
        "ext2" | "ext3" | "ext4" | "xfs" | "tmpfs" | "vfat" => Ok(stat(mount)?.f_frsize.max(1)),
        _ => Ok(1),
    }
}

fn compresses(mount: &Mount) -> bool {
    mount.options.contains("compress") || matches!(&*mount.fstype, "zfs" | "bcachefs")
}

fn stat(mount: &Mount) -> anyhow::Result<rustix::fs::StatVfs> {
    let stat = rustix::fs::statvfs(&mount.point);
    stat.with_context(|| format!("failed to examine {}", mount.point.display()))
}
