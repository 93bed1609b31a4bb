//! `recuki`'s command line, and what it prints.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use common::cli::tell;
use serde::Serialize;

use super::run::{Outcome, Request, run};

/// Put a bootable image of this system's kernel on the EFI system partition.
///
/// Makes a unified kernel image (UKI) of an installed system: its kernel, an initramfs that finds the root file system,
/// and the command line. It goes to EFI/Linux on the EFI system partition (or the XBOOTLDR partition, where /boot is
/// one), where systemd-boot finds it.
///
/// The image that came with the kernel (/usr/lib/modules/KVER/levitateos.efi) is copied when nothing differs from what
/// it was made of. A new one is built when /etc/kernel/cmdline, /etc/os-release, the kernel, its modules, or a program
/// in the initramfs is another one, or /etc/vconsole.conf names a keymap: passphrases are typed with it. The words of
/// /etc/kernel/cmdline replace the built-in command line.
///
/// A new image gets three tries to reach a working system; systemd-boot goes back to the previous one then. Run it again
/// after a change to the kernel, to cryptsetup, lvm2, mdadm, to /etc/kernel/cmdline or the keymap.
#[derive(Debug, Parser)]
#[command(name = "recuki", version, after_long_help = EXIT_CODES)]
struct Cli {
    /// The system's root directory.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,

    /// The kernel (as uname -r names it) [default: the newest].
    #[arg(long, value_name = "KVER")]
    kernel: Option<String>,

    /// Where the EFI system partition is mounted [default: /boot, /efi or /boot/efi below DIR, whichever is FAT].
    #[arg(long, value_name = "DIR")]
    esp: Option<PathBuf>,

    /// Kernel command line, instead of /etc/kernel/cmdline and the built-in one.
    #[arg(long, value_name = "TEXT")]
    cmdline: Option<String>,

    /// Write the image to a file and leave the EFI system partition alone.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["esp", "tries", "no_counting", "prune"])]
    output: Option<PathBuf>,

    /// How often systemd-boot tries the new image before it goes back to another.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    tries: u32,

    /// Trust the new image from the start.
    #[arg(long, conflicts_with = "tries")]
    no_counting: bool,

    /// Also remove images of kernels that are no longer installed.
    #[arg(long)]
    prune: bool,

    /// Only say what would be done.
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Print JSON on stdout.
    #[arg(long)]
    json: bool,

    /// Errors only.
    #[arg(short, long)]
    quiet: bool,
}

/// The documented exit codes; [`super::exit`] and `common::cli::code` define them.
const EXIT_CODES: &str = "\
Files:
  /etc/kernel/cmdline                      kernel command line; lines that begin with # are comments
  /etc/vconsole.conf                       KEYMAP= for passphrases
  /usr/lib/levitate/initramfs/             what the initramfs is made from
  /usr/lib/modules/KVER/levitateos.efi     the image that came with the kernel
  EFI/Linux/levitateos-KVER+3.efi          the new image, with its tries; the number goes after a good start
  EFI/Linux/levitateos-KVER~previous.efi   the one before it

Exit codes:
    0   everything that was asked for is done
    1   failure that no other code covers
    2   wrong command line
    3   not enough room on the EFI system partition
   10   DIR has no such kernel, or is no installed system
   11   no EFI system partition
   15   the files of the system do not make a bootable image
   16   the initramfs is too large
  130   interrupted";

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'o> {
    kernel: &'o str,
    source: &'static str,
    cmdline: &'o str,
    path: &'o PathBuf,
    size: usize,
    sha256: String,
    changed: bool,
    previous: &'o Option<PathBuf>,
    gone: &'o [PathBuf],
    pruned: bool,
    dry_run: bool,
}

/// The command line, for man pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// The program.
///
/// # Errors
/// As [`run`].
pub fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let request = Request {
        root: cli.root,
        kernel: cli.kernel,
        esp: cli.esp,
        cmdline: cli.cmdline,
        output: cli.output,
        tries: (!cli.no_counting).then_some(cli.tries),
        prune: cli.prune,
        dry_run: cli.dry_run,
    };
    let outcome = run(&request)?;
    if cli.json {
        print(&serde_json::to_string_pretty(&report(&outcome, &request)).context("failed to encode JSON")?)?;
    } else if !cli.quiet {
        explain(&outcome, &request);
    }
    Ok(ExitCode::SUCCESS)
}

fn report<'o>(outcome: &'o Outcome, request: &Request) -> Report<'o> {
    Report {
        kernel: &outcome.kernel,
        source: outcome.source.name(),
        cmdline: &outcome.cmdline,
        path: &outcome.path,
        size: outcome.size,
        sha256: outcome.sha256.to_string(),
        changed: outcome.changed,
        previous: &outcome.previous,
        gone: &outcome.gone,
        pruned: request.prune && !request.dry_run,
        dry_run: request.dry_run,
    }
}

fn explain(outcome: &Outcome, request: &Request) {
    let path = outcome.path.display();
    let verb = match (outcome.changed, request.dry_run) {
        (false, _) => "is up to date:",
        (true, false) => "is now",
        (true, true) => "would be",
    };
    let source = outcome.source.words();
    tell(&format!(
        "kernel {} {verb} {path} ({} MiB, {source})",
        outcome.kernel,
        outcome.size.div_ceil(1 << 20)
    ));
    tell(&format!("command line: {}", outcome.cmdline));
    if let Some(previous) = &outcome.previous {
        tell(&format!("the one before it: {}", previous.display()));
    }
    for gone in &outcome.gone {
        let done = match (request.prune, request.dry_run) {
            (true, false) => "removed",
            (true, true) => "would be removed",
            (false, _) => "left alone; --prune removes it",
        };
        tell(&format!("{} has no kernel any more: {done}", gone.display()));
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").context("failed to write to stdout")
}
