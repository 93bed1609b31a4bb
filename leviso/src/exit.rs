//! leviso's own exit codes, on top of `common::cli::code`. Listed in the manual; never renumbered.

/// The profile or lock file is wrong: bad TOML, unknown key, missing field.
pub const PROFILE: u8 = 10;
/// No set of packages satisfies the profile.
pub const RESOLVE: u8 = 11;
/// Something could not be fetched: no mirror reachable, timeout, not found.
pub const FETCH: u8 = 12;
/// Something is not what was promised: digest, signature, signer or identity of repository metadata or a package.
pub const VERIFY: u8 = 13;
/// A verified package cannot be extracted: unknown compression, damaged payload, file conflict.
pub const EXTRACT: u8 = 14;
/// The tree cannot become a bootable system: no kernel, no stub, a library or account is missing.
pub const SYSTEM: u8 = 15;
/// An image could not be written, other than for lack of space.
pub const IMAGE: u8 = 16;
