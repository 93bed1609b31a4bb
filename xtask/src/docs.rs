//! `cargo xtask docs`: man pages and shell completions of the tools that users run, into target/dist.

use common::cmd::Cmd;

use crate::paths::Paths;
use crate::{cargo, doctor};

/// The tools that have a command line for users.
const TOOLS: &[&str] = &["leviso"];

/// Writes `share/man/man1` and completions under target/dist.
pub(crate) fn docs(paths: &Paths) -> anyhow::Result<()> {
    let out = paths.target.join("dist");
    for tool in TOOLS {
        let binary = cargo::release(paths, tool)?;
        Cmd::new(binary).arg("docs").arg(&out).run()?;
    }
    doctor::eprintln_step(&format!("wrote {}", out.display()));
    Ok(())
}
