//! Building our own programs, in the release profile.
//!
//! Invariant: whoever compiles for this host selects the whole workspace and names a target (`--workspace --bin leviso`), never a package.
//! What is selected decides which features the crates of others have; another selection would compile them again, and all that
//! is above them (TEAM/0030-one-selection.md).

use std::path::PathBuf;

use common::cmd::Cmd;

use crate::paths::Paths;

/// A cargo command in the workspace, with the cargo that started us.
pub(crate) fn cargo(paths: &Paths) -> Cmd {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Cmd::new(program).dir(&paths.root)
}

/// Builds a binary of the workspace in the release profile and returns its path.
pub(crate) fn release(paths: &Paths, name: &str) -> anyhow::Result<PathBuf> {
    cargo(paths).args(["build", "--release", "--quiet", "--locked", "--workspace", "--bin", name]).run()?;
    Ok(paths.target.join("release").join(name))
}
