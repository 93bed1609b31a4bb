//! The directories and links every system has: mount points, /tmp, /root, /var (file-hierarchy(7)).
//!
//! Packages leave most of them to scriptlets or to systemd-tmpfiles. The root is writable at every boot (an overlay on
//! the live system, the disk on an installed one), so tmpfiles.d lines are left to systemd-tmpfiles; only what must
//! be there before it runs, or decides how the boot goes, is made here.

use common::cli::Mark;

use super::accounts::Accounts;
use crate::exit;
use crate::tree::{Entries, Inode, Kind, Meta, Origin, Owner, Tree};

const ORIGIN: Origin = Origin::Generated("directories");

/// Made when missing, with these modes.
const MISSING: [(&str, u16); 22] = [
    ("/boot", 0o755),
    ("/dev", 0o755),
    ("/efi", 0o755),
    ("/home", 0o755),
    ("/media", 0o755),
    ("/mnt", 0o755),
    ("/opt", 0o755),
    ("/proc", 0o555),
    ("/run", 0o755),
    ("/srv", 0o755),
    ("/sys", 0o555),
    ("/etc/systemd/system", 0o755),
    ("/usr/local/bin", 0o755),
    ("/usr/local/sbin", 0o755),
    ("/usr/local/lib", 0o755),
    ("/usr/local/share", 0o755),
    ("/usr/local/etc", 0o755),
    ("/usr/local/src", 0o755),
    ("/var/cache", 0o755),
    ("/var/lib", 0o755),
    ("/var/log", 0o755),
    ("/var/spool", 0o755),
];

/// Made when missing; these modes whatever a package says, because a wrong one is a hole or breaks users.
const ALWAYS: [(&str, u16); 3] = [("/root", 0o700), ("/tmp", 0o1777), ("/var/tmp", 0o1777)];

/// Links made when nothing is there.
const LINKS: [(&str, &str); 3] =
    [("/etc/mtab", "../proc/self/mounts"), ("/var/lock", "../run/lock"), ("/var/run", "../run")];

/// Makes what is missing.
///
/// # Errors
/// Something else is in the way; exit code [`exit::SYSTEM`].
pub fn apply(tree: &mut Tree, accounts: &Accounts) -> anyhow::Result<()> {
    for (path, mode) in MISSING.into_iter().filter(|(path, _)| !tree.exists(path)).collect::<Vec<_>>() {
        directory(tree, path, mode, 0)?;
    }
    for (path, mode) in ALWAYS {
        directory(tree, path, mode, 0)?;
    }
    for (path, target) in LINKS {
        if tree.lstat(path).is_err() {
            tree.symlink(path, target, ORIGIN).exit(exit::SYSTEM)?;
        }
    }
    // With this directory journald keeps the journal over reboots (journald.conf(5), Storage=auto).
    if let Some(gid) = accounts.gid("systemd-journal").filter(|_| !tree.exists("/var/log/journal")) {
        directory(tree, "/var/log/journal", 0o2755, gid)?;
    }
    Ok(())
}

fn directory(tree: &mut Tree, path: &str, mode: u16, gid: u32) -> anyhow::Result<()> {
    tree.mkdir_p(path, &ORIGIN).exit(exit::SYSTEM)?;
    let mut meta = Meta::root(mode, tree.epoch(), ORIGIN);
    meta.group = Owner::Id(gid);
    tree.insert(path, Inode { meta, kind: Kind::Dir(Entries::new()) }).exit(exit::SYSTEM)?;
    Ok(())
}
