//! Building our own programs, in the release profile.
//!
//! Invariant: whoever compiles for this host selects the whole workspace and names a target (`--workspace --bin leviso`), never a package.
//! What is selected decides which features the crates of others have; another selection would compile them again, and all that
//! is above them (TEAM/0030-one-selection.md).

use std::path::PathBuf;

use common::cmd::Cmd;

use crate::paths::Paths;

/// A cargo command in the workspace, with the cargo that started us.
///
/// What that cargo says of xtask's own package is kept from it: build scripts that look at such variables (ring's) would see others than at
/// the user's prompt, and what hangs on them would be compiled again at each change from one to the other.
pub(crate) fn cargo(paths: &Paths) -> Cmd {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let names = std::env::vars_os().map(|(name, _)| name);
    let of_xtask = names.filter(|name| is_of_a_package(&name.to_string_lossy()));
    of_xtask.fold(Cmd::new(program).dir(&paths.root), Cmd::without_env)
}

/// Whether cargo sets this variable for a program that it runs, after its package.
fn is_of_a_package(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Builds a binary of the workspace in the release profile and returns its path.
pub(crate) fn release(paths: &Paths, name: &str) -> anyhow::Result<PathBuf> {
    cargo(paths).args(["build", "--release", "--quiet", "--locked", "--workspace", "--bin", name]).run()?;
    Ok(paths.target.join("release").join(name))
}
