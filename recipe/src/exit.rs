//! Exit codes of `recipe` besides the common ones ([`common::cli::code`]). Never renumbered.

/// A recipe file is wrong.
pub const RECIPE: u8 = 10;
/// There is no recipe, package or file of this name.
pub const NOT_FOUND: u8 = 11;
/// Dependencies cannot be satisfied, something else needs this package, or its pin forbids the version.
pub const DEPENDENCY: u8 = 12;
/// Something cannot be downloaded.
pub const FETCH: u8 = 13;
/// A digest, an archive, or (`check`, `doctor`) what is installed is not what it should be.
pub const INTEGRITY: u8 = 14;
/// Files are in the way.
pub const CONFLICT: u8 = 15;
/// Another recipe is at work here.
pub const LOCKED: u8 = 16;
/// A recipe's own code failed.
pub const PHASE: u8 = 17;
/// An interrupted transaction could not be cleaned up by itself.
pub const RECOVERY: u8 = 18;
/// Done, but the disk did not confirm it (it may be lost in a power cut), or it could not be printed.
pub const NOT_DURABLE: u8 = 19;

/// The lock file does not have it, or has it otherwise.
pub const LOCKFILE: u8 = 20;

/// Somebody was asked whether to go on, and said no.
pub const DECLINED: u8 = 29;

/// All of them with their meaning, for `--help` and the manual.
pub const TABLE: &[(u8, &str)] = &[
    (0, "everything that was asked for is done"),
    (1, "it failed, and no more specific code applies"),
    (2, "the command line was wrong"),
    (3, "the disk is full, or a size limit was met"),
    (RECIPE, "a recipe file is wrong"),
    (NOT_FOUND, "there is no recipe, package or file of this name"),
    (
        DEPENDENCY,
        "dependencies cannot be satisfied, something needs this package, or a pin forbids the version",
    ),
    (FETCH, "something cannot be downloaded"),
    (INTEGRITY, "a digest, an archive or what is installed is not what it should be"),
    (CONFLICT, "files are in the way"),
    (LOCKED, "another recipe is at work here"),
    (PHASE, "a recipe's own code failed"),
    (RECOVERY, "an interrupted transaction could not be cleaned up"),
    (NOT_DURABLE, "done, but the disk did not confirm it, or it could not be printed"),
    (LOCKFILE, "the lock file does not have it, or has it otherwise"),
    (DECLINED, "asked whether to go on, you said no; nothing was changed"),
    (130, "ended by SIGINT; nothing was changed"),
];
