//! What can be typed after `cargo xtask`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::paths::Paths;
use crate::phases::PhaseArgs;

/// Build, run and test LevitateOS.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the ISO: from Rocky 10 when a mirror answers, else from the lab.
    Iso(IsoArgs),
    /// Boot the newest ISO in QEMU, on this terminal (-nographic) or in a window.
    Run(RunArgs),
    /// Run every test: units, oracles, and a boot of the ISO in QEMU.
    Test,
    /// Boot the ISO in QEMU and check it over the serial console.
    E2e {
        /// Install it on every layout of disks instead, as root (an hour without KVM); prints a table.
        #[arg(long)]
        matrix: bool,
        /// Start the disc on every kind of machine instead (media, memory, no screen, copied to RAM, a TPM); prints a table.
        #[arg(long, conflicts_with = "matrix")]
        boots: bool,
        /// Install once, and demand that installations with one thing wrong are stopped where they should be, as root; prints a table.
        #[arg(long, conflicts_with_all = ["matrix", "boots"])]
        twins: bool,
        /// How many layouts at a time; default: as many as processors and memory are there for.
        #[arg(long, requires = "matrix", value_parser = clap::value_parser!(u8).range(1..))]
        jobs: Option<u8>,
        #[command(flatten)]
        phases: PhaseArgs,
        /// Only tests (with --matrix: layouts; with --boots: machines; with --twins: twins) whose name contains this.
        filter: Option<String>,
    },
    /// Attack recstrap in every way that is planned; `test` runs a sample. Prints a table.
    Reliability {
        /// Only sweeps whose name contains this.
        filter: Option<String>,
        /// Print JSON on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Attack a program while it works, and count how it ended. Prints a table and writes target/torture/.
    Torture {
        #[command(subcommand)]
        what: Torture,
    },
    /// List every promise that a test protects, how it could be cheated, and how the test ended last.
    Cheats {
        /// Print JSON on stdout.
        #[arg(long, conflicts_with = "write")]
        json: bool,
        /// Renew docs/promises.md instead.
        #[arg(long)]
        write: bool,
    },
    /// Plant each sabotage in a copy of the workspace and demand that the test that names it notices. Prints a table.
    Sabotage(crate::sabotage::SabotageArgs),
    /// Make or update the lab: a signed RPM repository from Debian packages.
    Lab {
        /// Print a JSON summary on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Make or renew the RPMs of our own tools: static programs, manual pages, completions, signed.
    Packages {
        /// Print a JSON summary on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Say which host tools are there, which are missing, and how to get them.
    Doctor {
        /// Install what is missing (root and apt).
        #[arg(long)]
        install: bool,
        /// Print JSON on stdout.
        #[arg(long)]
        json: bool,
    },
    /// What CI runs before `test`: format, tidy, lints.
    Ci,
    /// Check facts that drift: file headers, links from documents to code, host names.
    Tidy,
    /// Measure against rivals, on this machine.
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// Write man pages, completions and reference pages to target/dist.
    Docs,
}

/// What to attack.
#[derive(Debug, Subcommand)]
enum Torture {
    /// recipe: killed, failing system calls, power cuts, two at a time, hostile archives, links that change.
    Recipe(crate::torture::RecipeArgs),
}

/// What to measure.
#[derive(Debug, Subcommand)]
enum Bench {
    /// Filling a disk from the image: recstrap, cp, rsync, fsck.erofs, unsquashfs, tar, and the floors. Needs root.
    Extract(crate::bench::ExtractArgs),
    /// recipe against pacman: start, list and search, plan, install. Needs root.
    Recipe(crate::bench::RecipeArgs),
}

/// How to build.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct IsoArgs {
    /// `rocky10`, `lab`, or the path of a profile; without it Rocky 10 when a mirror answers, else the lab.
    #[arg(long)]
    pub(crate) profile: Option<String>,
    /// Resolve anew although a lock exists.
    #[arg(long)]
    pub(crate) update: bool,
    /// Print the manifest of the build as JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How to boot.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RunArgs {
    /// The ISO; default: the newest one that `cargo xtask iso` built.
    #[arg(long)]
    pub(crate) iso: Option<PathBuf>,
    /// A window instead of the terminal.
    #[arg(long)]
    pub(crate) gui: bool,
    /// RAM in MiB.
    #[arg(long, default_value_t = 2048)]
    pub(crate) memory: u32,
    /// Attach this disk image (made with 20 GiB if it does not exist).
    #[arg(long)]
    pub(crate) disk: Option<PathBuf>,
    /// Print the QEMU command instead of running it.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl Cli {
    /// Runs the task.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let paths = Paths::find()?;
        match self.task {
            Task::Iso(args) => crate::iso::iso(&paths, &args).map(drop)?,
            Task::Run(args) => return crate::run::run(&paths, &args),
            Task::Test => crate::test::test(&paths)?,
            Task::E2e { phases, .. } if phases.wanted() => crate::phases::phases(&paths, &phases)?,
            Task::E2e { boots: true, filter, .. } => crate::test::boots(&paths, filter.as_deref())?,
            Task::E2e { twins: true, filter, .. } => crate::test::twins(&paths, filter.as_deref())?,
            Task::E2e { matrix: false, filter, .. } => crate::test::e2e(&paths, filter.as_deref())?,
            Task::E2e { matrix: true, jobs, filter, .. } => {
                crate::test::matrix(&paths, filter.as_deref(), jobs.map(usize::from))?;
            }
            Task::Reliability { filter, json } => {
                crate::reliability::reliability(&paths, filter.as_deref(), json)?;
            }
            Task::Torture { what: Torture::Recipe(args) } => crate::torture::recipe(&paths, &args)?,
            Task::Cheats { json, write } => crate::cheats::cheats(&paths, json, write)?,
            Task::Sabotage(args) => crate::sabotage::sabotage(&paths, &args)?,
            Task::Lab { json } => crate::lab::lab(&paths, json).map(drop)?,
            Task::Packages { json } => crate::packages::packages(&paths, json).map(drop)?,
            Task::Doctor { install, json } => return crate::doctor::doctor(install, json),
            Task::Ci => crate::ci::ci(&paths)?,
            Task::Tidy => crate::tidy::tidy(&paths)?,
            Task::Bench { what: Bench::Extract(args) } => crate::bench::extract(&paths, &args)?,
            Task::Bench { what: Bench::Recipe(args) } => crate::bench::recipe(&paths, &args)?,
            Task::Docs => crate::docs::run(&paths)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
