//! What can be typed: clap types only. `commands` turns them into calls of the library.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use leviso::pipeline::Stage;

/// Build a bootable LevitateOS ISO from signed RPMs: no root, no chroot, nothing downloaded is executed.
#[derive(Debug, Parser)]
#[command(name = "leviso", version, after_long_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// No progress, no table: errors only.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// What no option says, and the documented exit codes; `leviso::exit` and `common::cli::code` define them.
const AFTER_HELP: &str = "\
Environment:
  SSL_CERT_FILE, SSL_CERT_DIR   certificates of those whom https trusts, instead of the system's
  https_proxy, http_proxy, all_proxy, no_proxy
                                proxies of downloads, and hosts for which there is none

Exit codes:
    0   everything that was asked for is done
    1   failure that no other code covers
    2   wrong command line
    3   disk full
   10   wrong profile or lock file
   11   no set of packages satisfies the profile
   12   something cannot be fetched
   13   a digest, signature, signer or package identity is wrong
   14   a package cannot be extracted
   15   the packages do not make a bootable system
   16   an image cannot be made
  130   interrupted";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build the ISO.
    Build(BuildArgs),
    /// Resolve the profile's packages and write the lock.
    Lock(LockArgs),
    /// Download the locked packages into the cache.
    Fetch(ProfileArgs),
    /// Check digest, signature, signer and identity of the locked packages in the cache.
    Verify(ProfileArgs),
    /// Check that each repository can be reached and verified, and print its revision.
    Mirrors(ProfileArgs),
    /// Show what is inside a unified kernel image or a lock.
    Inspect {
        /// A `.efi` or `.lock` file.
        file: PathBuf,
        /// Print JSON on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Show what changed between two locks.
    Diff {
        /// The older lock.
        old: PathBuf,
        /// The newer lock.
        new: PathBuf,
        /// Print JSON on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Write man pages and shell completions below a directory.
    Docs {
        /// The directory: `share/man/man1` and the shells' completion directories are made in it.
        dir: PathBuf,
    },
}

/// Which profile, and where things are kept.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProfileArgs {
    /// The profile: a TOML file, or the name of a shipped one (`rocky10`).
    #[arg(short, long)]
    pub(crate) profile: PathBuf,

    /// Value of a `{NAME}` in the profile; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = name_value)]
    pub(crate) vars: Vec<(String, String)>,

    /// Directory of caches and intermediate files.
    #[arg(long, default_value = "target/leviso", env = "LEVISO_WORK")]
    pub(crate) work: PathBuf,

    /// The lock [default: NAME.lock in the work directory].
    #[arg(long)]
    pub(crate) lock: Option<PathBuf>,

    /// Use the cache only; never touch the network.
    #[arg(long)]
    pub(crate) offline: bool,

    /// Print JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,

    /// Print what would be locked and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,

    /// Directory of the finished ISO and its manifest.
    #[arg(short, long, default_value = "target/iso")]
    pub(crate) out: PathBuf,

    /// Stop after this stage.
    #[arg(long, value_enum)]
    pub(crate) until: Option<Until>,

    /// Fail unless the lock is there and fits the profile (for CI).
    #[arg(long, conflicts_with = "update")]
    pub(crate) locked: bool,

    /// Resolve anew although there is a lock.
    #[arg(long)]
    pub(crate) update: bool,

    /// Print the packages that would go in and build nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `--until`: the stages by name. The ISO gets its name with the manifest beside it, so those two are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    Profile,
    Resolve,
    Fetch,
    Verify,
    Extract,
    Finalise,
    Audit,
    Installed,
    Erofs,
    Initramfs,
    Uki,
    Manifest,
}

impl From<Until> for Stage {
    fn from(until: Until) -> Self {
        match until {
            Until::Profile => Self::Profile,
            Until::Resolve => Self::Resolve,
            Until::Fetch => Self::Fetch,
            Until::Verify => Self::Verify,
            Until::Extract => Self::Extract,
            Until::Finalise => Self::Finalise,
            Until::Audit => Self::Audit,
            Until::Installed => Self::Installed,
            Until::Erofs => Self::Erofs,
            Until::Initramfs => Self::Initramfs,
            Until::Uki => Self::Uki,
            Until::Manifest => Self::Manifest,
        }
    }
}

fn name_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}
