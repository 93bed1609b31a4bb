//! What is mounted into the target, in this order; the other way round when it is dropped.
//!
//! Each mount is made detached (fsopen, open_tree) and attached to an open descriptor (move_mount): no path is looked up
//! between the check and the mount. The caller is in a mount namespace of its own.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cli::tell;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_remount, move_mount, open_tree, unmount,
};

use super::root::{Root, host, is_mount_point, path_of, through};

const NOSUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
const NODEV: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;
const NOEXEC: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOEXEC;
const RDONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;

/// Where the name servers are.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Device nodes that an ordinary user may have.
const DEVICES: &[&str] = &["full", "null", "random", "tty", "urandom", "zero"];

/// Our mounts, in the order they were made.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    stack: Vec<(PathBuf, UnmountFlags)>,
    /// What mounting efivarfs met, where there is a directory for it.
    pub(super) efivars: Option<Result<(), Errno>>,
}

impl Mounts {
    /// Mounts what root's session needs.
    pub(super) fn privileged(root: &Root) -> anyhow::Result<Self> {
        let mut mounts = Self::default();
        mounts.fs(root, "proc", "proc", &[], NOSUID | NODEV | NOEXEC)?;
        mounts.fs(root, "sys", "sysfs", &[], NOSUID | NODEV | NOEXEC | RDONLY)?;
        mounts.efivars(root)?;
        // The running system's /dev with all below it: a new devpts would not know the terminal we are on.
        mounts.tree(root, "dev", "/dev", OpenTreeFlags::AT_RECURSIVE)?;
        if root.directory("dev/shm").is_some() {
            mounts.fs(root, "dev/shm", "tmpfs", &[("mode", "1777")], NOSUID | NODEV)?;
        }
        // Without what is mounted below: sockets and locks of udev, lvm and resolved are what is needed.
        mounts.tree(root, "run", "/run", OpenTreeFlags::empty())?;
        mounts.tmp(root)?;
        Ok(mounts)
    }

    /// Mounts what an ordinary user's session can have; in a user and a PID namespace.
    pub(super) fn unprivileged(root: &Root) -> anyhow::Result<Self> {
        let mut mounts = Self::default();
        mounts.fs(root, "proc", "proc", &[], NOSUID | NODEV | NOEXEC)?;
        mounts.tree(root, "sys", "/sys", OpenTreeFlags::AT_RECURSIVE)?;
        mounts.devices(root)?;
        mounts.fs(root, "run", "tmpfs", &[("mode", "0755")], NOSUID | NODEV)?;
        mounts.tmp(root)?;
        Ok(mounts)
    }

    /// The running system's resolv.conf over the target's, over the symlink itself if it is one.
    pub(super) fn resolv_conf(&mut self, root: &Root) -> anyhow::Result<()> {
        let Ok(source) = host(RESOLV_CONF) else { return Ok(()) };
        let Some(etc) = root.directory("etc") else { return Ok(()) };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = match openat(&etc, "resolv.conf", flags, Mode::empty()) {
            Ok(target) => target,
            Err(Errno::NOENT) => return Ok(()),
            Err(e) => return Err(e).context("failed to open the target's /etc/resolv.conf"),
        };
        let is_dir = |fd| rustix::fs::fstat(fd).is_ok_and(|s| s.st_mode & 0o170_000 == 0o040_000);
        if is_dir(&source) || is_dir(&target) {
            tell("warning: /etc/resolv.conf is a directory; it is left alone");
            return Ok(());
        }
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let file = open_tree(&source, "", flags).context("failed to clone the mount of /etc/resolv.conf")?;
        self.attach(&file, &target, UnmountFlags::empty()).context("failed to mount on /etc/resolv.conf")?;
        // Read-only: who edits it in there means the new system's, and would change the running one's. In a user namespace
        // flags of the original mount are locked and this may be refused; file permissions protect it there.
        let _ = mount_remount(through(&file), MountFlags::BIND | MountFlags::RDONLY, "");
        Ok(())
    }

    /// Unmounts all, last one first; what is said went wrong.
    pub(super) fn unmount(&mut self) -> Vec<String> {
        let mut failed = Vec::new();
        while let Some((path, flags)) = self.stack.pop() {
            let result = unmount(&path, flags | UnmountFlags::NOFOLLOW);
            if let Err(e) = result {
                failed.push(format!("failed to unmount {}: {e}", path.display()));
                // It would be gone with the namespace anyway; those below it must not wait for that.
                let _ = unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
            }
        }
        failed
    }

    /// Writable variables of the firmware, when there is one that has them. A failure is kept for later: it matters only
    /// to who wants a boot entry.
    fn efivars(&mut self, root: &Root) -> anyhow::Result<()> {
        let Some(target) = root.directory("sys/firmware/efi/efivars") else { return Ok(()) };
        let mounted = new("efivarfs", &[], NOSUID | NODEV | NOEXEC);
        let mounted =
            mounted.or_else(|_| clone(Path::new("/sys/firmware/efi/efivars"), OpenTreeFlags::empty()));
        self.efivars = Some(match mounted {
            Ok(mount) => {
                self.attach(&mount, &target, UnmountFlags::empty())?;
                Ok(())
            }
            Err(e) => Err(e),
        });
        Ok(())
    }

    /// A /tmp of its own, unless the target brought one.
    fn tmp(&mut self, root: &Root) -> anyhow::Result<()> {
        let target = root.mount_point("tmp")?;
        if is_mount_point(&target)? {
            return Ok(());
        }
        let attributes = NOSUID | NODEV | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
        self.fs(root, "tmp", "tmpfs", &[("mode", "1777")], attributes)
    }

    /// /dev for an ordinary user: nodes bound one by one, terminals of its own.
    fn devices(&mut self, root: &Root) -> anyhow::Result<()> {
        self.fs(root, "dev", "tmpfs", &[("mode", "0755")], NOSUID)?;
        let dev = root.mount_point("dev")?;
        let place = through(&dev);
        let context = || format!("failed to fill {}", root.path.join("dev").display());
        for device in DEVICES {
            let Ok(node) = clone(&Path::new("/dev").join(device), OpenTreeFlags::empty()) else { continue };
            File::create(place.join(device)).with_context(context)?;
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let target = openat(&dev, *device, flags, Mode::empty()).with_context(context)?;
            self.attach(&node, &target, UnmountFlags::empty()).with_context(context)?;
        }
        let links = [
            ("/proc/self/fd", "fd"),
            ("/proc/self/fd/0", "stdin"),
            ("/proc/self/fd/1", "stdout"),
            ("/proc/self/fd/2", "stderr"),
            ("pts/ptmx", "ptmx"),
        ];
        for (to, name) in links {
            symlink(to, place.join(name)).with_context(context)?;
        }
        for name in ["pts", "shm"] {
            std::fs::create_dir(place.join(name)).with_context(context)?;
        }
        self.fs(root, "dev/pts", "devpts", &[("ptmxmode", "0666"), ("mode", "0620")], NOSUID | NOEXEC)?;
        self.fs(root, "dev/shm", "tmpfs", &[("mode", "1777")], NOSUID | NODEV)
    }

    fn fs(
        &mut self,
        root: &Root,
        at: &str,
        kind: &str,
        options: &[(&str, &str)],
        attributes: MountAttrFlags,
    ) -> anyhow::Result<()> {
        let target = root.mount_point(at)?;
        let context = || format!("failed to mount {kind} on {}", root.path.join(at).display());
        let mount = new(kind, options, attributes).with_context(context)?;
        self.attach(&mount, &target, UnmountFlags::empty()).with_context(context)
    }

    fn tree(&mut self, root: &Root, at: &str, from: &str, extra: OpenTreeFlags) -> anyhow::Result<()> {
        let target = root.mount_point(at)?;
        let context = || format!("failed to bind {from} to {}", root.path.join(at).display());
        let mount = clone(Path::new(from), extra).with_context(context)?;
        // A whole tree goes at once only when detached.
        let whole = extra.contains(OpenTreeFlags::AT_RECURSIVE);
        let flags = if whole { UnmountFlags::DETACH } else { UnmountFlags::empty() };
        self.attach(&mount, &target, flags).with_context(context)
    }

    fn attach(&mut self, mount: &OwnedFd, target: &OwnedFd, flags: UnmountFlags) -> anyhow::Result<()> {
        let path = path_of(target)?;
        attach(mount, target)?;
        self.stack.push((path, flags));
        Ok(())
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        self.unmount();
    }
}

/// Makes the target a mount point of its own, so that `/` has a line in /proc/self/mountinfo in there.
pub(super) fn make_mount_point(root: &Root) -> anyhow::Result<()> {
    let context = || format!("failed to bind {} to itself", root.path.display());
    let mount = clone(&root.path, OpenTreeFlags::AT_RECURSIVE).with_context(context)?;
    attach(&mount, root.fd()).with_context(context)
}

fn attach(mount: &OwnedFd, target: &OwnedFd) -> rustix::io::Result<()> {
    let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", empty)
}

/// A new instance of a file system, not attached yet.
fn new(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    let fs = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    // What findmnt shows as SOURCE; a file system that knows no source says so and does without.
    let _ = fsconfig_set_string(&fs, "source", kind);
    for (key, value) in options {
        fsconfig_set_string(&fs, *key, *value)?;
    }
    fsconfig_create(&fs)?;
    fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A copy of what is mounted at a path of the running system, not attached yet.
fn clone(path: &Path, extra: OpenTreeFlags) -> rustix::io::Result<OwnedFd> {
    open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | extra)
}
