//! Owner, attributes, mode and times of one name, in the order in which none undoes another.
//!
//! A change of owner takes away setuid bits and capabilities, a POSIX ACL changes the group's bits, and everything changes
//! the times: so owner, then attributes, then mode, then times.

use std::os::fd::OwnedFd;

use anyhow::Context;
use common::cli::Mark;
use rustix::fs::{AtFlags, Gid, Mode, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};

use super::exit;
use super::plan::{Node, What};
use super::root;

/// A name before its owner and mode are set: nobody else's.
pub const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The mode to make a file with. What root may give away at once need not be changed later; all else begins closed.
#[must_use]
pub fn first_mode(node: &Node) -> Mode {
    let is_roots = (node.uid, node.gid) == (0, 0) && node.xattrs.is_empty() && node.mode & 0o7000 == 0;
    if is_roots { Mode::from_raw_mode(node.mode) } else { PRIVATE }
}

/// Sets everything on an open file or directory that was just made. `existed`: it may have attributes of its own, which go.
///
/// What is right already is not set again: each change costs the file system a transaction.
///
/// # Errors
/// The file system refuses something of it.
pub fn set(file: &OwnedFd, node: &Node, existed: bool) -> anyhow::Result<()> {
    let stat = rustix::fs::fstat(file).map_err(failed("owner"))?;
    let is_owned = is_owned(&stat, node);
    if !is_owned {
        let (uid, gid) = owner(node);
        rustix::fs::fchown(file, uid, gid).map_err(failed("owner"))?;
    }
    if existed {
        for name in list(|buffer| rustix::fs::flistxattr(file, buffer)).map_err(failed("attributes"))? {
            if !is_the_systems(&name) && !node.xattrs.iter().any(|(n, _)| **n == *name) {
                rustix::fs::fremovexattr(file, &*name).map_err(failed("attributes"))?;
            }
        }
    }
    for (name, value) in &node.xattrs {
        rustix::fs::fsetxattr(file, &**name, value, XattrFlags::empty()).map_err(xattr_failed(name))?;
    }
    if !is_owned || existed || !node.xattrs.is_empty() || stat.st_mode & 0o7777 != node.mode {
        rustix::fs::fchmod(file, Mode::from_raw_mode(node.mode)).map_err(failed("mode"))?;
    }
    rustix::fs::futimens(file, &times(node)).map_err(failed("times"))
}

/// The same for a symlink, device, pipe or socket, which is not opened.
///
/// # Errors
/// The file system refuses something of it.
pub fn set_by_name(dir: &OwnedFd, name: &[u8], node: &Node) -> anyhow::Result<()> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed("owner"))?;
    if !is_owned(&stat, node) {
        let (uid, gid) = owner(node);
        rustix::fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(failed("owner"))?;
    }
    if !node.xattrs.is_empty() {
        let path = root::proc_path(dir, name);
        for (attribute, value) in &node.xattrs {
            rustix::fs::lsetxattr(&*path, &**attribute, value, XattrFlags::empty())
                .map_err(xattr_failed(attribute))?;
        }
    }
    if !matches!(node.what, What::Symlink(_)) {
        // fchmod(2) takes no O_PATH descriptor, and fchmodat(2) would follow a link put in its place.
        let handle = root::handle(dir, name).map_err(failed("mode"))?;
        let path = root::proc_path(&handle, b"");
        let path = &path[..path.len() - 1];
        rustix::fs::chmod(path, Mode::from_raw_mode(node.mode)).map_err(failed("mode"))?;
    }
    rustix::fs::utimensat(dir, name, &times(node), AtFlags::SYMLINK_NOFOLLOW).map_err(failed("times"))
}

fn is_owned(stat: &Stat, node: &Node) -> bool {
    (stat.st_uid, stat.st_gid) == (node.uid, node.gid)
}

fn owner(node: &Node) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(node.uid)), Some(Gid::from_raw(node.gid)))
}

/// Removes what a directory that was there before would hand down to everything made in it.
///
/// # Errors
/// The file system refuses.
pub fn forget_default_acl(dir: &OwnedFd) -> anyhow::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::fremovexattr(dir, "system.posix_acl_default") {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        Err(e) => Err(failed("default ACL")(e)),
    }
}

/// Sets only the times.
///
/// # Errors
/// The file system refuses.
pub fn set_times(file: &OwnedFd, node: &Node) -> anyhow::Result<()> {
    rustix::fs::futimens(file, &times(node)).map_err(failed("times"))
}

/// Attributes that the running kernel gives to files by itself; no part of what was installed unless the image has them.
#[must_use]
pub fn is_the_systems(name: &[u8]) -> bool {
    // XFS shows ACLs a second time, under these names.
    let is_acl = matches!(name, b"trusted.SGI_ACL_FILE" | b"trusted.SGI_ACL_DEFAULT");
    is_acl
        || matches!(name, b"security.selinux" | b"security.evm" | b"security.ima")
        || name.starts_with(b"btrfs.")
}

/// Names of attributes, from a call that fills a buffer with them.
///
/// # Errors
/// The call fails, for another reason than that the file system has no attributes.
pub fn list(call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<Vec<u8>>> {
    // XATTR_LIST_MAX is 64 KiB.
    let mut buffer = vec![0; 256];
    let len = loop {
        match call(&mut buffer) {
            Ok(len) => break len,
            Err(rustix::io::Errno::RANGE) if buffer.len() < 64 << 10 => buffer.resize(64 << 10, 0),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => break 0,
            Err(e) => return Err(e),
        }
    };
    let names = buffer[..len].split(|&b| b == 0).filter(|name| !name.is_empty());
    Ok(names.map(<[u8]>::to_vec).collect())
}

fn times(node: &Node) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: node.mtime, tv_nsec: node.nsec.into() },
    }
}

fn failed(what: &'static str) -> impl Fn(rustix::io::Errno) -> anyhow::Error {
    move |e| mark(std::io::Error::from(e), format!("failed to set its {what}"))
}

fn xattr_failed(name: &[u8]) -> impl Fn(rustix::io::Errno) -> anyhow::Error + '_ {
    move |e| mark(e.into(), format!("failed to set its attribute {}", String::from_utf8_lossy(name)))
}

fn mark(e: std::io::Error, context: String) -> anyhow::Error {
    let result: anyhow::Result<()> = Err(e).context(context);
    result.exit(exit::TARGET).expect_err("it is an error")
}
