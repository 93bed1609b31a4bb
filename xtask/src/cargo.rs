//! Building our own programs, in the release profile.

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
    cargo(paths).args(["build", "--release", "--quiet", "--locked", "--package", name]).run()?;
    Ok(paths.target.join("release").join(name))
}
