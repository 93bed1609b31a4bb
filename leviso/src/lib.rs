//! leviso: signed RPMs in, bootable ISO out; no root, no chroot, nothing downloaded is executed.
//!
//! One module a stage, in the order in which `pipeline` calls them:
//!
//! ```text
//! profile -> resolve -> fetch -> verify -> extract -> finalise -> audit -> installed -> erofs -> initramfs -> uki -> iso -> manifest
//! ```
//!
//! What the stages hand on: [`profile::Profile`], [`lock::Lock`], `verify::VerifiedRpm`, [`tree::Tree`], files.

pub mod pipeline;
pub mod exit;
pub mod epoch;
pub mod ids;
mod base64;
pub mod progress;
pub mod workdir;
pub mod profile;
pub mod repodata;
pub mod lock;
pub mod resolve;
pub mod compression;
pub mod fetch;
pub mod sync;
pub mod verify;
pub mod tree;
pub mod extract;
pub mod elf;
mod glob;
pub mod finalise;
pub mod kmod;
pub mod audit;
pub mod erofs;
pub mod initramfs;
pub mod uki;
pub mod recuki;
pub mod esp;
pub mod iso;
pub mod manifest;
