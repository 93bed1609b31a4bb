//! /etc/resolv.conf: a link to who resolves names on this system.
//!
//! Runs after the presets: systemd-resolved counts only when it is enabled.

use crate::tree::{Origin, Tree};

/// Links it, unless a package or an overlay has one.
///
/// # Errors
/// /etc is not a directory.
pub fn apply(tree: &mut Tree) -> anyhow::Result<()> {
    // systemd-resolved.service has this alias when it is enabled.
    let resolved = tree.exists("/usr/lib/systemd/systemd-resolved")
        && tree.lstat("/etc/systemd/system/dbus-org.freedesktop.resolve1.service").is_ok();
    let target = if resolved {
        "../run/systemd/resolve/stub-resolv.conf"
    } else if tree.exists("/usr/sbin/NetworkManager") {
        "../run/NetworkManager/resolv.conf"
    } else {
        return Ok(());
    };
    if tree.lstat("/etc/resolv.conf").is_err() {
        tree.symlink("/etc/resolv.conf", target, Origin::Generated("resolv.conf"))?;
    }
    Ok(())
}
