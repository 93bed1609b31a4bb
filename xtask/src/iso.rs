//! `cargo xtask iso`: from nothing to a bootable ISO.

use std::path::PathBuf;

use common::cli::Mark;
use common::cmd::Cmd;

use crate::cli::IsoArgs;
use crate::doctor::eprintln_step;
use crate::paths::Paths;
use crate::tools::Need;
use crate::{cargo, doctor, lab};

/// Builds the ISO and returns its path.
pub(crate) fn iso(paths: &Paths, args: &IsoArgs) -> anyhow::Result<PathBuf> {
    doctor::require(Need::Build)?;
    let leviso = cargo::release(paths, "leviso")?;
    let profile = match args.profile.as_deref() {
        Some(name) => name.to_owned(),
        None => choose_base(paths, &leviso)?,
    };
    let mut cmd = Cmd::new(leviso).arg("build");
    if profile == "lab" {
        let lab = lab::lab(paths, false)?;
        cmd = cmd.arg("--set").arg(format!("lab={}", lab.dir.display()));
        cmd = cmd.arg("--set").arg(format!("lab-fingerprint={}", lab.fingerprint));
    }
    let file = if profile.contains('/') { PathBuf::from(&profile) } else { paths.profile(&profile) };
    cmd = cmd.arg("--profile").arg(file).arg("--work").arg(paths.work()).arg("--out").arg(paths.iso_dir());
    // The lab may have been remade since; resolving takes a fraction of a second.
    if args.update || profile == "lab" {
        cmd = cmd.arg("--update");
    }
    if args.json {
        cmd = cmd.arg("--json");
    }
    cmd.run()?;
    let iso = paths.newest_iso()?;
    iso.ok_or_else(|| anyhow::anyhow!("leviso left no ISO in {}", paths.iso_dir().display()))
}

/// leviso's exit code for "something cannot be fetched" (`leviso --help`).
const UNREACHABLE: i32 = 12;

/// Rocky 10 when a mirror answers, else the lab on hosts with apt; says which.
fn choose_base(paths: &Paths, leviso: &std::path::Path) -> anyhow::Result<String> {
    eprintln_step("looking for a Rocky 10 mirror");
    let probe = Cmd::new(leviso).args(["mirrors", "--quiet", "--profile"]).arg(paths.profile("rocky10"));
    let probed = probe.output()?;
    match probed.status.code() {
        Some(0) => {
            eprintln_step("building from Rocky 10");
            return Ok("rocky10".to_owned());
        }
        Some(UNREACHABLE) => {}
        // A mirror that answers with wrong signatures is no reason to build something else.
        _ => anyhow::bail!(
            "`{}` failed ({}):\n{}",
            probe.display(),
            probed.status,
            String::from_utf8_lossy(&probed.stderr)
        ),
    }
    if common::cmd::which("apt-get").is_none() {
        return Err(anyhow::anyhow!(
            "no Rocky 10 mirror answers, and this host has no apt to make the lab with"
        ))
        .hint("connect to a network with a mirror, or name one in leviso/profiles/rocky10.toml");
    }
    eprintln_step(
        "NO ROCKY 10 MIRROR ANSWERS: building from the LAB (Debian 13 packages as RPMs, for tests only)",
    );
    Ok("lab".to_owned())
}
