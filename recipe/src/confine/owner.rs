//! Whom programs run as, and whose the files are meanwhile.
//!
//! Of root's packages the build directory and the stage belong to `recipe-build` while a program runs, and to root
//! afterwards. Nothing of the program is alive then, so the tree is walked in peace.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, bail};
use rustix::fs::{AtFlags, Gid, Uid, chownat, statat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::dir::{self, Dir};

/// The account that an image has for it.
pub const ACCOUNT: &str = "recipe-build";
/// Where a number that nobody has is looked for: no range of systemd's or of ordinary users.
const FREE: std::ops::Range<u32> = 60_600..60_700;

/// Who runs programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Whether we are root, and so this is somebody else.
    pub root: bool,
}

impl Owner {
    /// Ourselves; for root the account `recipe-build`, or a number that is free.
    ///
    /// # Errors
    /// None is free.
    pub fn find() -> anyhow::Result<Self> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        if !uid.is_root() {
            return Ok(Self { uid: uid.as_raw(), gid: gid.as_raw(), root: false });
        }
        choose(&std::fs::read_to_string("/etc/passwd").unwrap_or_default())
    }
}

/// Whether this system has the account.
#[must_use]
pub fn has_account() -> bool {
    named(&std::fs::read_to_string("/etc/passwd").unwrap_or_default()).is_some()
}

/// Name, user and group of each account.
fn accounts(passwd: &str) -> impl Iterator<Item = (&str, u32, u32)> {
    passwd.lines().filter_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        Some((*fields.first()?, fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    })
}

fn named(passwd: &str) -> Option<(&str, u32, u32)> {
    accounts(passwd).find(|(name, uid, gid)| *name == ACCOUNT && *uid > 0 && *gid > 0)
}

fn choose(passwd: &str) -> anyhow::Result<Owner> {
    if let Some((_, uid, gid)) = named(passwd) {
        return Ok(Owner { uid, gid, root: true });
    }
    let free = FREE.into_iter().find(|n| !accounts(passwd).any(|(_, uid, gid)| uid == *n || gid == *n));
    free.map(|n| Owner { uid: n, gid: n, root: true })
        .with_context(|| format!("there is no user {ACCOUNT}, and no number for one"))
}

/// Lets programs write below a directory.
///
/// # Errors
/// An owner cannot be changed.
pub fn give(dir: &Dir, owner: Owner) -> anyhow::Result<()> {
    if owner.root { walk(dir, Path::new(""), Some((owner.uid, owner.gid)), false) } else { Ok(()) }
}

/// Makes what they left root's again, and looks at it.
///
/// # Errors
/// A file would run as its owner, whoever starts it; an owner cannot be changed.
pub fn take_back(dir: &Dir, owner: Owner) -> anyhow::Result<()> {
    walk(dir, Path::new(""), owner.root.then_some((0, 0)), true)
}

/// Names need not be text: sources have all sorts of files to test with.
fn walk(dir: &Dir, at: &Path, ids: Option<(u32, u32)>, look: bool) -> anyhow::Result<()> {
    let own = |name: &CStr| {
        let Some((uid, gid)) = ids else { return Ok(()) };
        let flags = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::SYMLINK_NOFOLLOW };
        chownat(dir, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags)
    };
    let context = |path: &Path| format!("failed to change the owner of {}", path.display());
    own(c"").with_context(|| context(&dir.path))?;
    let names = dir.raw_names().with_context(|| format!("failed to read {}", dir.path.display()))?;
    for name in names {
        let path = at.join(OsStr::from_bytes(name.to_bytes()));
        let stat = match statat(dir, &*name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            stat => stat.with_context(|| format!("failed to examine {}", path.display()))?,
        };
        if dir::kind(&stat).is_dir() {
            walk(&dir.sub_bytes(name.to_bytes())?, &path, ids, look)?;
            continue;
        }
        if look && dir::kind(&stat).is_file() && stat.st_mode & 0o6000 != 0 {
            bail!(
                "{} is set to run as its owner or group (mode {:04o}): packages cannot have that",
                path.display(),
                stat.st_mode & 0o7777
            );
        }
        own(&name).with_context(|| context(&path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_taken_else_a_free_number_and_never_root() {
        let id = |text: &str| choose(text).unwrap().uid;
        assert_eq!(id("root:x:0:0::/:\nrecipe-build:x:977:976::/:\n"), 977);
        assert_eq!(id("root:x:0:0::/:\nrecipe-build:x:0:0::/:\n"), 60_600);
        assert_eq!(id("a:x:60600:1::/:\nb:x:5:60601::/:\n"), 60_602);
    }
}
