//! Exit codes of `recuki` on top of `common::cli::code` and those of leviso's stages ([`crate::exit`]).

/// The directory is no installed system, or lacks the kernel.
pub const NO_KERNEL: u8 = 10;
/// No EFI system partition was found.
pub const NO_ESP: u8 = 11;
