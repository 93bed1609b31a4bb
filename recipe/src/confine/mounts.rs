//! What programs see: a root that is made of nothing but what is listed here.
//!
//! Sources are opened before anything is mounted, so that no mount can hide or lead away one that comes later.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::{BUILD, HOME, Order, STAGE};

/// Directories of the system, read-only.
const SYSTEM: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/run/systemd/resolve"];
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom"];

const PLAIN: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// Makes the root and moves into it.
pub(super) fn make(order: &Order) -> anyhow::Result<()> {
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .context("failed to separate the mounts")?;
    let system: Vec<&Path> = SYSTEM.iter().map(Path::new).collect();
    let mut links = Vec::new();
    let mut read_only = Vec::new();
    for path in system.into_iter().chain(order.shown.iter().map(PathBuf::as_path)) {
        match path.read_link() {
            Ok(target) => links.push((path.to_owned(), target)),
            Err(_) if path.exists() => read_only.push((open(path)?, path.to_owned())),
            Err(_) => {}
        }
    }
    let prefix = order.prefix.0.exists().then(|| open(&order.prefix.0)).transpose()?;
    let build = order.build.as_deref().map(open).transpose()?;
    let home = order.home.as_deref().map(open).transpose()?;
    let stage = order.stage.as_deref().map(open).transpose()?;
    let devices: Vec<_> =
        DEVICES.iter().map(|d| Ok((open(&Path::new("/dev").join(d))?, *d))).collect::<anyhow::Result<_>>()?;

    let root = Path::new("/tmp");
    tmpfs(root, "mode=0755")?;
    let below = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    // Ours, not that below the tmpfs.
    chdir(root).context("failed to enter the new root")?;
    for name in ["tmp", "proc", "dev", "build", "stage", "run"] {
        directory(&root.join(name))?;
    }
    // Before what is shown below it.
    tmpfs(&root.join("tmp"), "mode=1777")?;
    for (fd, path) in &read_only {
        bind(fd, &below(path))?;
    }
    for (path, target) in links {
        let at = below(&path);
        at.parent().map_or(Ok(()), directory)?;
        if at.symlink_metadata().is_err() {
            symlink(target, &at).with_context(|| format!("failed to make {}", path.display()))?;
        }
    }
    if let Some(prefix) = &prefix {
        bind(prefix, &below(&order.prefix.1))?;
    }
    for path in &order.hidden {
        let at = below(path);
        if at.is_dir() {
            tmpfs(&at, "mode=0555")?;
        }
    }
    seal(root)?;

    for (fd, at) in [(&build, BUILD), (&home, HOME)] {
        if let Some(fd) = fd {
            bind(fd, &below(Path::new(at)))?;
            flags(&below(Path::new(at)), PLAIN)?;
        }
    }
    if let Some(stage) = &stage {
        tmpfs(&below(Path::new(STAGE)), "mode=1777")?;
        let at = below(Path::new(STAGE)).join(order.prefix.1.strip_prefix("/").unwrap_or(&order.prefix.1));
        bind(stage, &at)?;
        flags(&at, PLAIN)?;
    }
    let dev = root.join("dev");
    mount("tmpfs", &dev, "tmpfs", MountFlags::NOSUID | MountFlags::NOEXEC, Some(c"mode=0755"))
        .context("failed to make /dev")?;
    for (fd, name) in &devices {
        File::create(dev.join(name)).context("failed to fill /dev")?;
        bind(fd, &dev.join(name))?;
    }
    for (target, name) in [
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
    ] {
        symlink(target, dev.join(name)).context("failed to fill /dev")?;
    }
    directory(&dev.join("shm"))?;
    tmpfs(&dev.join("shm"), "mode=1777")?;
    mount("proc", root.join("proc"), "proc", PLAIN | MountFlags::NOEXEC, None)
        .context("failed to mount /proc")?;

    // The old root lies on the new one until it is unmounted.
    pivot_root(".", ".").context("failed to change the root")?;
    unmount(".", UnmountFlags::DETACH).context("failed to leave the old root")?;
    chdir("/").context("failed to enter the new root")?;
    mount_remount("/", MountFlags::BIND | MountFlags::RDONLY | PLAIN, "").context("failed to close the root")
}

fn open(path: &Path) -> anyhow::Result<OwnedFd> {
    openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .with_context(|| format!("failed to open {}", path.display()))
}

/// A directory and those above it, where they are missing.
fn directory(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("failed to make {}", path.display()))
}

fn tmpfs(at: &Path, options: &str) -> anyhow::Result<()> {
    let options = std::ffi::CString::new(options)?;
    mount("tmpfs", at, "tmpfs", PLAIN, Some(options.as_c_str()))
        .with_context(|| format!("failed to make {}", at.display()))
}

/// Mounts what was opened at a path, which is made for it.
fn bind(fd: &OwnedFd, at: &Path) -> anyhow::Result<()> {
    let from = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    if from.is_dir() {
        directory(at)?;
    } else if !at.exists() {
        at.parent().map_or(Ok(()), directory)?;
        File::create(at).with_context(|| format!("failed to make {}", at.display()))?;
    }
    mount_bind_recursive(&from, at).with_context(|| format!("failed to show {}", at.display()))
}

fn flags(at: &Path, flags: MountFlags) -> anyhow::Result<()> {
    mount_remount(at, MountFlags::BIND | flags, "")
        .with_context(|| format!("failed to restrict {}", at.display()))
}

/// Makes every mount on the new root read-only; but for itself, and /tmp on it. In a user namespace flags that a mount has
/// already may not be taken away.
fn seal(root: &Path) -> anyhow::Result<()> {
    let own = root.join("tmp");
    let table = common::mounts::read()?;
    // Not what lay at this path before: that is below our mount.
    let ours = table.iter().rfind(|mount| mount.point == root);
    let mut ids = vec![ours.context("the new root is no mount")?.id];
    for mount in &table {
        if !ids.contains(&mount.parent) {
            continue;
        }
        ids.push(mount.id);
        if mount.point == own {
            continue;
        }
        let mut all = PLAIN | MountFlags::RDONLY;
        for option in mount.flags.split(',') {
            all |= match option {
                "noexec" => MountFlags::NOEXEC,
                "noatime" => MountFlags::NOATIME,
                "nodiratime" => MountFlags::NODIRATIME,
                "relatime" => MountFlags::RELATIME,
                _ => MountFlags::empty(),
            };
        }
        flags(&mount.point, all)?;
    }
    Ok(())
}
