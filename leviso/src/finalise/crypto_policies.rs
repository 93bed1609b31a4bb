//! Enterprise Linux's system-wide crypto policy, set to DEFAULT as its scriptlet would (update-crypto-policies(8)).
//!
//! Without the back-end links OpenSSL, OpenSSH and GnuTLS refuse to start or fall back to what they were built with.
//! Nothing to do where the package crypto-policies is absent.

use crate::tree::{Origin, Tree};

const ORIGIN: Origin = Origin::Generated("crypto-policies");

/// The policies of the package, ready to use: one `BACKEND.txt` each.
const POLICY: &str = "/usr/share/crypto-policies/DEFAULT";

/// Links every back-end to the DEFAULT policy, unless something is there already.
///
/// # Errors
/// /etc/crypto-policies is not a directory.
pub fn apply(tree: &mut Tree) -> anyhow::Result<()> {
    let backends: Vec<String> = tree
        .list(POLICY)
        .into_iter()
        .filter_map(|name| std::str::from_utf8(name).ok()?.strip_suffix(".txt").map(str::to_owned))
        .collect();
    if backends.is_empty() {
        return Ok(());
    }
    for backend in backends {
        let path = format!("/etc/crypto-policies/back-ends/{backend}.config");
        if tree.lstat(&path).is_err() {
            tree.symlink(&path, format!("{POLICY}/{backend}.txt"), ORIGIN)?;
        }
    }
    for path in ["/etc/crypto-policies/config", "/etc/crypto-policies/state/current"] {
        if !tree.exists(path) {
            tree.write(path, "DEFAULT\n", 0o644, ORIGIN)?;
        }
    }
    Ok(())
}
