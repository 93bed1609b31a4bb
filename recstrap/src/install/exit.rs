//! Exit codes of recstrap, on top of the common ones ([`common::cli::code`]). Never renumbered.

/// The target, the image or both are refused (E01 and so on); nothing was written.
pub const REFUSED: u8 = 10;
/// The image is damaged, or is not the one its manifest describes.
pub const IMAGE: u8 = 11;
/// What was read back from the target is not what was written.
pub const DIFFERENT: u8 = 12;
/// The target could not be written or read, for another reason than space.
pub const TARGET: u8 = 13;

/// All codes with their meaning, for `--help` and the manual.
pub const TABLE: &[(u8, &str)] = &[
    (common::cli::code::OK, "installed, verified and on the disk; with --check: it can be installed"),
    (common::cli::code::FAILURE, "failed for a reason without a code of its own"),
    (common::cli::code::USAGE, "wrong command line"),
    (common::cli::code::NO_SPACE, "the target is full"),
    (REFUSED, "refused, nothing was written; the codes E01.. say why"),
    (IMAGE, "the image is damaged, or is not the one its manifest describes"),
    (DIFFERENT, "what was read back from the target is not what was written"),
    (TARGET, "the target could not be written or read"),
    (common::cli::code::INTERRUPTED, "interrupted (SIGINT, SIGTERM, SIGHUP)"),
];
