//! `cargo xtask iso`: from nothing to a bootable ISO, with our own packages on it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cli::Mark;
use common::cmd::Cmd;

use crate::cli::IsoArgs;
use crate::doctor::eprintln_step;
use crate::paths::Paths;
use crate::tools::Need;
use crate::{cargo, doctor, lab, packages};

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
    let ours = packages::packages(paths, false)?;
    let file = with_our_packages(paths, &ours, &file)?;
    let lock = paths.work().join(file.file_name().unwrap_or_default()).with_extension("lock");
    cmd = cmd.arg("--profile").arg(file).arg("--lock").arg(&lock);
    cmd = cmd.arg("--work").arg(paths.work()).arg("--out").arg(paths.iso_dir());
    // The lab may have been remade since; resolving takes a fraction of a second. So may our own packages.
    if args.update || profile == "lab" || ours.is_newer_than(&lock) {
        cmd = cmd.arg("--update");
    }
    if args.json {
        cmd = cmd.arg("--json");
    }
    cmd.run()?;
    let iso = paths.newest_iso()?;
    iso.ok_or_else(|| anyhow::anyhow!("leviso left no ISO in {}", paths.iso_dir().display()))
}

/// A profile for `base` that adds the repository of our own packages; called like it, and so is what is made from it.
fn with_our_packages(paths: &Paths, ours: &packages::Repo, base: &Path) -> anyhow::Result<PathBuf> {
    let base =
        base.canonicalize().with_context(|| format!("failed to find the profile {}", base.display()))?;
    let name = base.file_name().unwrap_or_default();
    let file = paths.packages().join("profiles").join(name);
    common::fs::write_atomic(&file, ours.profile(&base).as_bytes())?;
    Ok(file)
}

/// leviso's exit code for "something cannot be fetched" (`leviso --help`).
const UNREACHABLE: i32 = 12;

/// Rocky 10 when a mirror answers, else the lab on hosts with apt; says which.
fn choose_base(paths: &Paths, leviso: &Path) -> anyhow::Result<String> {
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
