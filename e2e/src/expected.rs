//! In which names an installed system differs from the image it came from, and why. Everything else must be the same.
//!
//! `DIR/**` is all below a directory, for those that the image has empty; `DIR/*.EXT` its files of that kind; `NAME (time)` and `NAME (mode)` allow that and
//! nothing else. The lists are what was seen with images of the lab; another base may need more lines, never wider ones.

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
    ("lost+found", "ext4's own"),
    ("var/lib/levitate/**", "recstrap's record"),
];

/// What the first boot adds.
pub const FIRST_BOOT: &[Listed] = &[
    // what makes this system this one
    ("etc/machine-id", "systemd: the image's is `uninitialized`"),
    ("var/lib/dbus/machine-id", "systemd-tmpfiles: a link to it"),
    ("etc/ssh/ssh_host_ecdsa_key", "ssh-keygen"),
    ("etc/ssh/ssh_host_ecdsa_key.pub", "ssh-keygen"),
    ("etc/ssh/ssh_host_ed25519_key", "ssh-keygen"),
    ("etc/ssh/ssh_host_ed25519_key.pub", "ssh-keygen"),
    ("etc/ssh/ssh_host_rsa_key", "ssh-keygen"),
    ("etc/ssh/ssh_host_rsa_key.pub", "ssh-keygen"),
    ("var/lib/systemd/random-seed", "systemd-random-seed"),
    (
        "var/lib/NetworkManager/secret_key",
        "NetworkManager: for addresses that are stable and do not tell who",
    ),
    // what services remember
    ("var/lib/NetworkManager/NetworkManager.state", "NetworkManager"),
    ("var/lib/NetworkManager/NetworkManager-intern.conf", "NetworkManager"),
    ("var/lib/NetworkManager/timestamps", "NetworkManager: when a connection was last up"),
    ("var/lib/NetworkManager/seen-bssids", "NetworkManager"),
    ("var/lib/NetworkManager/*.lease", "NetworkManager's DHCP client"),
    ("var/lib/systemd/timesync/**", "systemd-timesyncd's clock"),
    ("var/log/journal/**", "systemd-journald"),
    // what tmpfiles.d says
    ("etc/credstore (mode)", "systemd-tmpfiles, credstore.conf: root's alone"),
    ("etc/credstore.encrypted (mode)", "systemd-tmpfiles, credstore.conf: root's alone"),
    ("etc/vconsole.conf", "systemd-tmpfiles, Debian's debian.conf: a link"),
    ("root/.ssh", "systemd-tmpfiles, provision.conf: empty"),
    ("var/cache/private", "systemd-tmpfiles: empty"),
    ("var/lib/private", "systemd-tmpfiles: empty"),
    ("var/log/private", "systemd-tmpfiles: empty"),
    ("var/log/README", "systemd-tmpfiles, legacy.conf: a link"),
    ("var/lib/libuuid", "systemd-tmpfiles, uuidd-tmpfiles.conf: empty"),
    ("var/lib/systemd/coredump", "systemd-tmpfiles: empty"),
    ("var/lib/systemd/ephemeral-trees", "systemd-tmpfiles: empty"),
    ("var/lib/systemd/linger", "systemd-tmpfiles: empty"),
    ("var/lib/systemd/network", "systemd-tmpfiles: empty"),
    ("var/lib/systemd/pstore", "systemd-tmpfiles: empty"),
    ("usr/local/share/recipes/**", "systemd-tmpfiles, recipe.conf: the recipes that come with the system"),
    ("var/tmp (time)", "the private ones of services come and go"),
];

/// What `recipe install ripgrep` adds.
pub const PACKAGE: &[Listed] = &[
    ("usr/local/bin/rg", "the program"),
    ("usr/local/.recipe/**", "recipe's own records"),
    ("var/cache/recipe/**", "what was downloaded"),
];

/// What is left of it when it was undone.
pub const UNDONE: &[Listed] = &[
    ("usr/local/bin (time)", "the program came and went"),
    ("usr/local/.recipe/**", "recipe's own records: the undoing can be undone"),
    ("var/cache/recipe/**", "what was downloaded"),
];

/// The names of several lists.
#[must_use]
pub fn names(lists: &[&[Listed]]) -> Vec<&'static str> {
    lists.iter().flat_map(|list| list.iter().map(|(name, _)| *name)).collect()
}
