//! Language and time zone until the owner chooses: C.UTF-8, which glibc has built in, and UTC.

use crate::tree::{Origin, Tree};

const ORIGIN: Origin = Origin::Generated("locale");

/// Writes /etc/locale.conf and links /etc/localtime, each unless a package or an overlay has it.
///
/// # Errors
/// /etc is not a directory.
pub fn apply(tree: &mut Tree) -> anyhow::Result<()> {
    if !tree.exists("/etc/locale.conf") {
        tree.write("/etc/locale.conf", "LANG=C.UTF-8\n", 0o644, ORIGIN)?;
    }
    // Without tzdata there is nothing to link to, and UTC is what libc falls back to.
    if tree.lstat("/etc/localtime").is_err() && tree.exists("/usr/share/zoneinfo/UTC") {
        tree.symlink("/etc/localtime", "../usr/share/zoneinfo/UTC", ORIGIN)?;
    }
    Ok(())
}
