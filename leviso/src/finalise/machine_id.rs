//! Who this machine is: nobody yet. An empty /etc/machine-id, the profile's hostname, a minimal /etc/hosts.
//!
//! Empty means that systemd makes an id at every boot of the live system and at the first one of an installed system,
//! without calling it a first boot (machine-id(5)): units stay as the image enables them.

use anyhow::ensure;
use common::cli::Mark;

use crate::exit;
use crate::tree::{Origin, Tree};

const ORIGIN: Origin = Origin::Generated("machine-id");

/// The longest name the kernel takes (HOST_NAME_MAX).
const HOSTNAME_MAX: usize = 64;

/// Writes /etc/machine-id and /etc/hostname, and /etc/hosts if there is none.
///
/// # Errors
/// The hostname is not one (hostname(5)); exit code [`exit::PROFILE`].
pub fn apply(tree: &mut Tree, hostname: &str) -> anyhow::Result<()> {
    is_hostname(hostname).exit(exit::PROFILE)?;
    tree.write("/etc/machine-id", "", 0o444, ORIGIN)?;
    tree.write("/etc/hostname", format!("{hostname}\n"), 0o644, ORIGIN)?;
    if !tree.exists("/etc/hosts") {
        tree.write("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n", 0o644, ORIGIN)?;
    }
    Ok(())
}

fn is_hostname(name: &str) -> anyhow::Result<()> {
    let label = |l: &str| {
        !l.is_empty()
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let valid = name.len() <= HOSTNAME_MAX && name.split('.').all(label);
    ensure!(valid, "expected a hostname of a-z, 0-9 and `-`, at most {HOSTNAME_MAX} long, found {name:?}");
    Ok(())
}
