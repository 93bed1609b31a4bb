//! Directories of the image that a mount in the target covers: /efi below the ESP, /home below a partition of its own.
//!
//! In: a target whose directories are all made. Out: the directory below each mount has the attributes the image gives it, too,
//! so that the bare file system is the image's to the last time stamp. A detached copy of the mount above (open_tree(2)
//! without what is mounted in it) shows it; nothing is unmounted, and nobody else sees that copy. It ends with its descriptor.

use std::os::fd::OwnedFd;

use anyhow::Context;
use common::cli::Mark;
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::plan::Plan;
use super::root::{self, Root};
use super::{attributes, exit};

/// Sets them. Returns the directories that could not be reached: a user namespace hides what lies below a
/// mount that was made outside.
///
/// # Errors
/// The file system refuses an attribute, or cannot be read.
pub fn finish(root: &Root, plan: &Plan) -> anyhow::Result<Vec<String>> {
    let mut out_of_reach = Vec::new();
    for at in plan.dirs() {
        let (node, parent) = (plan.node(at), plan.node(plan.node(at).parent));
        if node.place == parent.place || plan.is_plain(parent) {
            continue;
        }
        let path = root.show(&plan.path(at));
        let above = root.dir(&plan.path(node.parent)).map_err(std::io::Error::from);
        let above =
            above.with_context(|| format!("failed to open the directory of {path}")).exit(exit::TARGET)?;
        match below(&above, &node.name) {
            Ok(dir) => attributes::set(&dir, node, true)
                .with_context(|| format!("failed to finish {path} below what is mounted there"))?,
            Err(Errno::PERM | Errno::INVAL | Errno::NOSYS) => out_of_reach.push(path),
            Err(e) => {
                let failed = || format!("failed to open {path} below what is mounted there");
                return Err(std::io::Error::from(e)).with_context(failed).exit(exit::TARGET);
            }
        }
    }
    Ok(out_of_reach)
}

/// A directory by its name in another one, as if nothing were mounted on it.
fn below(dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    // The descriptor holds the copy: it lasts until the directory is closed.
    let copy = open_tree(dir, "", flags)?;
    root::subdir(&copy, name)
}
