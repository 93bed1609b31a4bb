//! Where OVMF, UEFI for virtual machines, is on this host: read-only code, and a variable store to copy.

use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cli::Mark;

/// Code images we know, best first: Debian and Ubuntu, Fedora and EL, Arch, openSUSE.
pub const CODE_PATHS: &[&str] = &[
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/share/edk2/ovmf/OVMF_CODE.fd",
    "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
    "/usr/share/qemu/ovmf-x86_64-code.bin",
    "/usr/share/OVMF/OVMF_CODE.fd",
];

/// A firmware: code, and the empty variable store that belongs to it.
#[derive(Debug, Clone)]
pub struct Firmware {
    /// Read-only flash image.
    pub code: PathBuf,
    /// Template of the writable flash image.
    pub vars: PathBuf,
}

impl Firmware {
    /// Finds one.
    ///
    /// # Errors
    /// None of [`CODE_PATHS`] exists with its variable store beside it.
    pub fn find() -> anyhow::Result<Self> {
        let candidates = CODE_PATHS.iter().map(|code| Self {
            code: PathBuf::from(code),
            vars: PathBuf::from(code.replace("CODE", "VARS").replace("-code", "-vars")),
        });
        let found = candidates.into_iter().find(|f| f.code.exists() && f.vars.exists());
        found
            .with_context(|| {
                format!("no UEFI firmware for virtual machines; looked for {}", CODE_PATHS.join(", "))
            })
            .hint("run `cargo xtask doctor --install` (Debian: package ovmf)")
    }

    /// Copies the empty variable store to `file`, where one machine may write to it.
    ///
    /// # Errors
    /// The copy cannot be written.
    pub fn new_variables(&self, file: &Path) -> anyhow::Result<()> {
        let context = || format!("failed to copy {} to {}", self.vars.display(), file.display());
        std::fs::copy(&self.vars, file).map(drop).with_context(context)
    }
}
