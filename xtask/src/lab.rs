//! `cargo xtask lab`: the development repository, see e2e/labrepo.

use std::path::PathBuf;

use common::cmd::Cmd;

use crate::paths::Paths;
use crate::tools::Need;
use crate::{cargo, doctor};

/// Where a lab is and which key signed it.
#[derive(Debug, Clone)]
pub(crate) struct Lab {
    pub(crate) dir: PathBuf,
    pub(crate) fingerprint: String,
}

/// Makes or updates the lab; a second run without changes takes about a second.
pub(crate) fn lab(paths: &Paths, json: bool) -> anyhow::Result<Lab> {
    doctor::require(Need::Build)?;
    let labrepo = cargo::release(paths, "labrepo")?;
    let dir = paths.lab();
    let mut cmd = Cmd::new(labrepo).arg("build").arg("--out").arg(&dir);
    if json {
        cmd = cmd.arg("--json");
    }
    cmd.run()?;
    let fingerprint = common::fs::read_to_string(&dir.join("fingerprint"))?.trim().to_owned();
    Ok(Lab { dir, fingerprint })
}
