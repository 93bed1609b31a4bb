//! Boots LevitateOS in QEMU and types at its serial console, as a person would.
//!
//! - [`firmware`]: where OVMF is on this host
//! - [`accel`]: which accelerator really works
//! - [`disc`]: files on discs, and bad copies of discs
//! - [`disk`]: writable disks and the buses they are on
//! - [`qemu`]: the command line of a machine
//! - [`tpm`]: a TPM beside it
//! - [`console`]: the serial console: wait for a prompt, type, get output and exit status
//! - [`qmp`]: QEMU's control socket: screenshots, power
//! - [`vm`]: a running machine: process group, console, QMP, artefacts
//! - [`boot`]: from power on to a prompt, and how far it got where there is none
//! - [`guide`]: the installation guide as commands
//! - [`place`]: where the root is on a disk
//! - [`expected`]: in what an installed system differs from the image, and why
//! - [`layout`]: layouts of disks to install to
//! - [`install`]: an installation as the guide says, phase by phase
//! - [`installed`]: what must be true in a system that was installed
//! - [`compare`]: what differs between the image and an installed disk, as the host sees them
//! - [`verify`]: the installed disk through all checks, from outside and from inside
//! - [`matrix`]: installations on every layout
//! - [`phases`]: one installation in phases, with snapshots to go on from
//! - [`boots`]: the disc on every kind of machine
//! - [`twins`]: installations with one thing wrong, which must be noticed
//!
//! It drives programs (QEMU, and inside it the disc's own), never our libraries.

mod group;
pub mod firmware;
pub mod accel;
pub mod disk;
pub mod disc;
pub mod qemu;
pub mod tpm;
pub mod console;
pub mod qmp;
pub mod vm;
pub mod boot;
pub mod guide;
pub mod place;
pub mod expected;
pub mod layout;
pub mod install;
pub mod installed;
pub mod compare;
pub mod verify;
pub mod matrix;
pub mod phases;
pub mod boots;
pub mod twins;

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The newest `*.iso` of a directory, if there is one.
///
/// # Errors
/// The directory exists but cannot be read.
pub fn newest_iso(dir: &Path) -> anyhow::Result<Option<PathBuf>> {
    if !dir.exists() {
        return Ok(None);
    }
    let context = || format!("failed to list {}", dir.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.extension().is_some_and(|e| e == "iso") {
            found.push((path.metadata().with_context(context)?.modified().with_context(context)?, path));
        }
    }
    Ok(found.into_iter().max().map(|(_, path)| path))
}
