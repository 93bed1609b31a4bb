//! From the live image to an installed system, as three programs.
//!
//! - [`erofs`]: reads the image; hostile input
//! - [`install`]: `recstrap`: preflight, extraction, verification
//! - [`fstab`]: `recfstab`: mounts -> fstab(5)
//! - [`chroot`]: `recchroot`: a shell in the new system
//!
//! The programs in `src/bin` only call `cli::run` of their module. Why things are so: TEAM/0014-installing.md.

pub mod erofs;
pub mod install;
pub mod fstab;
pub mod chroot;
