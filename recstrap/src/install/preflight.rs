//! Target directory -> the refusals that speak against installing there, each with a stable code.
//!
//! Nothing is changed. All refusals are found, not only the first, so that one look is enough.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// Directories that are the running system's own.
const SYSTEM: &[&str] = &[
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root", "/run",
    "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var",
];

/// What may be in a target that counts as empty: mkfs's own directory, and mount points of other partitions.
const ALLOWED: &[&str] = &["lost+found", "boot", "efi", "home"];

/// Why a target cannot be installed to. The codes are documented and never renumbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// E01: only root can give files their owners.
    NotRoot,
    /// E02: there is nothing at this path.
    Missing(PathBuf),
    /// E03: it is not a directory.
    NotADirectory(PathBuf),
    /// E04: it belongs to the running system.
    SystemPath(PathBuf),
    /// E05: nothing is mounted there: the files would land in the live system's RAM.
    NotAMountPoint(PathBuf),
    /// E06: there are files already; the first one is named.
    NotEmpty(PathBuf),
    /// E07: it is mounted read-only.
    ReadOnly(PathBuf),
    /// E08: it cannot be examined.
    Unreadable(PathBuf, String),
}

impl Refusal {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotRoot => "E01",
            Self::Missing(_) => "E02",
            Self::NotADirectory(_) => "E03",
            Self::SystemPath(_) => "E04",
            Self::NotAMountPoint(_) => "E05",
            Self::NotEmpty(_) => "E06",
            Self::ReadOnly(_) => "E07",
            Self::Unreadable(..) => "E08",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotRoot => "run it as root",
            Self::Missing(_) | Self::NotADirectory(_) => {
                "make the directory and mount the new root file system on it"
            }
            Self::SystemPath(_) => "choose another directory, /mnt for example",
            Self::NotAMountPoint(_) => "mount the new root file system on it",
            Self::NotEmpty(_) => "make a new file system on the partition",
            Self::ReadOnly(_) => "mount it again with `mount -o remount,rw`",
            Self::Unreadable(..) => "look for errors of the disk in `dmesg`",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot => f.write_str("installing needs root"),
            Self::Missing(p) => write!(f, "{} does not exist", p.display()),
            Self::NotADirectory(p) => write!(f, "{} is not a directory", p.display()),
            Self::SystemPath(p) => write!(f, "{} belongs to the running system", p.display()),
            Self::NotAMountPoint(p) => write!(f, "nothing is mounted on {}", p.display()),
            Self::NotEmpty(p) => write!(f, "the target is not empty: {} is there", p.display()),
            Self::ReadOnly(p) => write!(f, "{} is mounted read-only", p.display()),
            Self::Unreadable(p, why) => write!(f, "{} cannot be examined: {why}", p.display()),
        }
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut s = serializer.serialize_struct("Refusal", 3)?;
        s.serialize_field("code", self.code())?;
        s.serialize_field("message", &self.to_string())?;
        s.serialize_field("hint", self.hint())?;
        s.end()
    }
}

/// Everything that speaks against installing to `target`; empty: it may be done.
#[must_use]
pub fn check(target: &Path) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if !rustix::process::geteuid().is_root() {
        refusals.push(Refusal::NotRoot);
    }
    // Symlinks first: /mnt may be one, and what it points to is what would be written.
    let target = match target.canonicalize() {
        Ok(target) => target,
        Err(e) => {
            let missing = e.kind() == std::io::ErrorKind::NotFound;
            let target = target.to_owned();
            refusals.push(if missing {
                Refusal::Missing(target)
            } else {
                Refusal::Unreadable(target, e.to_string())
            });
            return refusals;
        }
    };
    if !target.is_dir() {
        refusals.push(Refusal::NotADirectory(target));
        return refusals;
    }
    if SYSTEM.iter().any(|s| target == Path::new(s)) {
        refusals.push(Refusal::SystemPath(target));
        return refusals;
    }
    let examined = examine(&target, &mut refusals);
    if let Err(e) = examined {
        refusals.push(Refusal::Unreadable(target, e.to_string()));
    }
    refusals
}

fn examine(target: &Path, refusals: &mut Vec<Refusal>) -> std::io::Result<()> {
    if !is_mount_point(target)? {
        refusals.push(Refusal::NotAMountPoint(target.to_owned()));
    }
    if rustix::fs::statvfs(target)?.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        refusals.push(Refusal::ReadOnly(target.to_owned()));
    }
    let mut names = std::fs::read_dir(target)?.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    names.sort();
    for path in names {
        if !is_allowed(&path)? {
            refusals.push(Refusal::NotEmpty(path));
            break;
        }
    }
    Ok(())
}

/// `lost+found`, or a mount point of another partition, or the empty directory for one.
fn is_allowed(path: &Path) -> std::io::Result<bool> {
    let name = path.file_name().unwrap_or_default();
    if !ALLOWED.iter().any(|a| name == *a) || !path.symlink_metadata()?.is_dir() {
        return Ok(false);
    }
    Ok(name == "lost+found" || is_mount_point(path)? || std::fs::read_dir(path)?.next().is_none())
}

/// Whether something is mounted exactly here (statx(2), STATX_ATTR_MOUNT_ROOT; Linux 5.8).
fn is_mount_point(path: &Path) -> std::io::Result<bool> {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    let stat = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE)?;
    Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}
