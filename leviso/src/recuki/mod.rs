//! The UKI of an installed system: made by leviso into the image, and made anew on the running system by `recuki`.
//!
//! ```text
//! /usr/lib/levitate/initramfs/recipe.toml   what goes in: busybox, programs, command line
//! /usr/lib/levitate/initramfs/modules.list  kernel modules
//! /usr/lib/levitate/initramfs/files/        init and what it sources
//! /usr/lib/modules/KVER/levitateos.efi      the UKI as the image brings it
//! ```
//!
//! Both sides call [`build`] on a [`Tree`], so that the same files give the same bytes; leviso has all of the tree,
//! `recuki` loads what is needed of it ([`load`]).

pub mod cli;
pub mod run;
pub mod exit;
pub mod load;
pub mod recipe;
pub mod keymap;
pub mod boot;

use anyhow::Context;
use common::cli::Mark;

use crate::epoch::Epoch;
use crate::initramfs::{self, Built};
use crate::kmod::Kernel;
use crate::tree::Tree;
use crate::uki::{self, UkiParts};
use recipe::Recipe;

/// systemd's stub, in every tree.
pub const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

/// A UKI and the initramfs in it.
#[derive(Debug, Clone)]
pub struct InstalledUki {
    /// The file.
    pub uki: Vec<u8>,
    /// Its initramfs.
    pub initramfs: Built,
}

/// Builds the UKI of an installed system from its tree.
///
/// # Errors
/// As [`initramfs::build_from`] and [`uki::build`].
pub fn build(
    tree: &Tree,
    kernel: &Kernel,
    recipe: &Recipe,
    cmdline: &str,
    epoch: Epoch,
) -> anyhow::Result<InstalledUki> {
    let initramfs = initramfs::build_from(tree, kernel, &recipe.parts, epoch)?;
    let uki = uki::build(&parts(tree, kernel, cmdline, &initramfs.bytes)?)?;
    Ok(InstalledUki { uki, initramfs })
}

/// What the UKI is made of, around an initramfs.
fn parts<'a>(
    tree: &'a Tree,
    kernel: &'a Kernel,
    cmdline: &'a str,
    initrd: &'a [u8],
) -> anyhow::Result<UkiParts<'a>> {
    let needed = |path: &str| tree.read(path).context("the system cannot boot").exit(crate::exit::SYSTEM);
    Ok(UkiParts {
        stub: needed(STUB).hint("install the package that has systemd-boot")?,
        linux: needed(&kernel.vmlinuz)?,
        initrd,
        osrel: needed("/etc/os-release")?,
        uname: &kernel.version,
        cmdline,
        profiles: &[],
        sbat: None,
    })
}
