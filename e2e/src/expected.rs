//! In which names an installed system differs from the image it came from, and why. Everything else must be the same.
//!
//! `DIR/**` is for directories that the image has empty, and where the system keeps what it makes itself.

/// A name (from the root, without a slash in front) and why it differs.
pub type Listed = (&'static str, &'static str);

/// After the installation, before the first boot.
pub const INSTALLED: &[Listed] = &[
    ("etc/fstab", "recfstab"),
    ("etc/hostname", "the guide's settings"),
    ("etc/locale.conf", "the guide's settings"),
    ("etc/localtime", "the guide's settings"),
    ("etc/group", "useradd"),
    ("etc/group-", "useradd's copy of what it found"),
    ("etc/gshadow", "useradd"),
    ("etc/gshadow-", "useradd's copy of what it found"),
    ("etc/passwd", "useradd"),
    ("etc/passwd-", "useradd's copy of what it found"),
    ("etc/shadow", "passwd"),
    ("etc/shadow-", "passwd's copy of what it found"),
    ("etc/subgid", "useradd"),
    ("etc/subgid-", "useradd's copy of what it found"),
    ("etc/subuid", "useradd"),
    ("etc/subuid-", "useradd's copy of what it found"),
    ("etc/.pwd.lock", "the lock of useradd and passwd"),
    ("home/me/**", "useradd"),
    ("etc/kernel", "bootctl install makes it"),
    ("etc/kernel/entry-token", "bootctl install: by which name the boot loader knows the system"),
    ("root/.bash_history", "what was typed in recchroot"),
    ("efi", "the mount point of the ESP, which recstrap cannot see behind"),
    ("lost+found", "ext4's own"),
    ("var/lib/levitate/**", "recstrap's record"),
];

/// What the first boot adds.
pub const FIRST_BOOT: &[Listed] = &[];

/// The names of several lists.
#[must_use]
pub fn names(lists: &[&[Listed]]) -> Vec<&'static str> {
    lists.iter().flat_map(|list| list.iter().map(|(name, _)| *name)).collect()
}
