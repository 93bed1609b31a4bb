//! leviso: signed RPMs in, bootable ISO out; no root, no chroot, nothing downloaded is executed.
//!
//! One module a stage, in the order in which `pipeline` calls them:
//!
//! ```text
//! profile -> resolve -> fetch -> verify -> extract -> finalise -> audit -> installed -> erofs -> initramfs -> uki -> iso -> manifest
//! ```
//!
//! What the stages hand on: [`profile::Profile`], [`lock::Lock`], `verify::VerifiedRpm`, [`tree::Tree`], files.

#[cfg(feature = "build")]
pub mod pipeline;
pub mod exit;
pub mod epoch;
#[cfg(feature = "build")]
pub mod ids;
mod base64;
pub mod progress;
#[cfg(feature = "build")]
pub mod workdir;
pub mod profile;
#[cfg(feature = "build")]
pub mod repodata;
#[cfg(feature = "build")]
pub mod lock;
#[cfg(feature = "build")]
pub mod resolve;
#[cfg(feature = "build")]
pub mod compression;
#[cfg(feature = "build")]
pub mod fetch;
#[cfg(feature = "build")]
pub mod sync;
#[cfg(feature = "build")]
pub mod verify;
pub mod tree;
#[cfg(feature = "build")]
pub mod extract;
pub mod elf;
mod glob;
pub mod finalise;
pub mod kmod;
pub mod audit;
#[cfg(feature = "build")]
pub mod erofs;
pub mod initramfs;
pub mod uki;
pub mod recuki;
#[cfg(feature = "build")]
pub mod esp;
#[cfg(feature = "build")]
pub mod iso;
#[cfg(feature = "build")]
pub mod manifest;
