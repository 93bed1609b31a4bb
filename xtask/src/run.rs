//! `cargo xtask run`: watch the ISO boot.

use std::process::ExitCode;

use anyhow::Context;
use common::cli::Mark;
use common::cmd::Cmd;
use e2e::accel::Accel;
use e2e::disk::Disk;
use e2e::qemu::{Display, Machine};

use crate::cli::RunArgs;
use crate::doctor;
use crate::paths::Paths;
use crate::tools::Need;

/// Starts QEMU in the foreground; its exit code is ours.
pub(crate) fn run(paths: &Paths, args: &RunArgs) -> anyhow::Result<ExitCode> {
    doctor::require(Need::Run)?;
    let iso = match &args.iso {
        Some(iso) => iso.clone(),
        None => paths
            .newest_iso()?
            .ok_or_else(|| anyhow::anyhow!("there is no ISO in {}", paths.iso_dir().display()))
            .hint("run `cargo xtask iso` first")?,
    };
    let state = tempfile::tempdir().context("failed to make a directory for the machine's state")?;
    let accel = Accel::probe()?;
    let display = if args.gui { Display::Window } else { Display::Terminal };
    let mut machine = Machine::new(accel).memory(args.memory).display(display).cdrom(&iso);
    if let Some(disk) = &args.disk {
        if !disk.exists() {
            Cmd::new("qemu-img").args(["create", "-q", "-f", "qcow2"]).arg(disk).arg("20G").run()?;
        }
        machine = machine.disk(&Disk::qcow2(disk));
    }
    let cmd = machine.command(state.path())?;
    if args.dry_run {
        doctor::print(&cmd.display());
        return Ok(ExitCode::SUCCESS);
    }
    doctor::eprintln_step(&format!("booting {} ({accel}); leave with Ctrl-A X", iso.display()));
    let status = cmd.interactive()?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}
