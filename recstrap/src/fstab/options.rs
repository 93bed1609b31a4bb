//! Mount options as a list, and what must be mended in them before they go into a file.
//!
//! The kernel shows more than was asked for: what SELinux adds, what a build of the kernel has as default, what a FUSE
//! helper passed on. Such options would tie the file to this kernel, or stop another one from mounting.

use std::fmt;

/// The fourth field of fstab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options(Vec<String>);

impl Options {
    /// Splits at commas that are not within double quotes (SELinux contexts have such).
    pub(super) fn parse(text: &str) -> Self {
        let mut quoted = false;
        let parts = text.split(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        Self(parts.filter(|p| !p.is_empty()).map(str::to_owned).collect())
    }

    /// The value of `name=value`; `""` of a bare `name`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|o| {
            let (key, value) = o.split_once('=').unwrap_or((o, ""));
            (key == name).then_some(value)
        })
    }

    /// Removes `name` and `name=value` of each of `names`.
    pub(super) fn remove(&mut self, names: &[&str]) {
        self.retain(|name| !names.contains(&name));
    }

    /// Keeps the options whose name (without value) is wanted.
    pub(super) fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.0.retain(|o| wanted(o.split_once('=').map_or(o.as_str(), |(key, _)| key)));
    }

    /// Sets `name=value` where it stands, or at the end.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let new = if value.is_empty() { name.to_owned() } else { format!("{name}={value}") };
        match self.0.iter_mut().find(|o| o.split('=').next() == Some(name)) {
            Some(old) => *old = new,
            None => self.0.push(new),
        }
    }

    /// Appends those of `other` that are not there.
    pub(super) fn extend(&mut self, other: Self) {
        for option in other.0 {
            if !self.0.contains(&option) {
                self.0.push(option);
            }
        }
    }
}

impl IntoIterator for Options {
    type Item = String;
    type IntoIter = std::vec::IntoIter<String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("defaults") } else { f.write_str(&self.0.join(",")) }
    }
}

/// What the quirks depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    /// The type that goes into the file.
    pub(super) fstype: &'a str,
    /// A FUSE helper mounted it, the kernel only knows `fuseblk`.
    pub(super) by_fuse: bool,
    /// It lies on a block device, and is no bind mount.
    pub(super) on_device: bool,
    /// It is (or stands in for) the EFI system partition or the boot partition.
    pub(super) is_boot: bool,
}

/// Mends what the kernel shows.
pub(super) fn mend(options: &mut Options, facts: Facts<'_>) {
    // `seclabel` says that SELinux runs here, not that it will there. `uhelper` and `helper` belong to whoever
    // mounted it.
    options.remove(&["seclabel", "uhelper", "helper"]);
    // Shown for every file system in memory, whether it has access times or not.
    if !facts.on_device {
        options.remove(&["relatime"]);
    }
    if facts.by_fuse {
        // Between helper and kernel; the helper sets them again, and a driver in the kernel refuses them.
        options.remove(&["user_id", "group_id", "blksize", "max_read", "allow_other", "default_permissions"]);
    }
    match facts.fstype {
        // The identifier changes at a rollback, the path does not.
        "btrfs" if options.get("subvol").is_some() => options.remove(&["subvolid"]),
        // How the kernel was built, and what it decided at mount time.
        "f2fs" => options.remove(&["acl", "noacl", "user_xattr", "nouser_xattr", "atgc"]),
        // Always on; older kernels show it for all, newer ones warn that it will go.
        "xfs" => options.remove(&["attr2"]),
        "vfat" => mend_vfat(options, facts.is_boot),
        _ => {}
    }
}

fn mend_vfat(options: &mut Options, is_boot: bool) {
    // Kernels before 3.8 show `cp437`, which none accepts.
    if let Some(page) = options.get("codepage").and_then(|p| p.strip_prefix("cp")).map(str::to_owned) {
        options.set("codepage", &page);
    }
    // The ESP holds systemd-boot's random seed, and bootctl warns when everybody can read it. 0022 is what the kernel
    // shows when root chose nothing; any other mask was chosen.
    let unchosen = |name| options.get(name).is_none_or(|mask| mask == "0022");
    if is_boot && unchosen("fmask") && unchosen("dmask") && options.get("umask").is_none() {
        options.set("fmask", "0177");
        options.set("dmask", "0077");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_quotes_is_no_separator() {
        let mut options = Options::parse(r#"rw,context="a:s0:c1,c2",seclabel,,relatime"#);
        options.remove(&["seclabel"]);
        assert_eq!(options.to_string(), r#"rw,context="a:s0:c1,c2",relatime"#);
        assert_eq!(options.get("context"), Some(r#""a:s0:c1,c2""#));
        assert_eq!(Options::parse("").to_string(), "defaults");
    }
}
