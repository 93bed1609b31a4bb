//! What can be typed, what is printed, and which exit code it means.

use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use common::cli::{Mark, tell};

use super::devices::Tag;
use super::entries::{Request, entries};
use super::render;
use super::system::Texts;

/// Exit codes of recfstab, beside the common ones.
pub mod code {
    /// Nothing at or below ROOT belongs into fstab.
    pub const NOTHING: u8 = 10;
    /// ROOT is not a mount point.
    pub const NOT_A_MOUNT_POINT: u8 = 11;
    /// findmnt or lsblk is missing, or failed.
    pub const NO_TOOL: u8 = 12;
    /// What findmnt, lsblk or the kernel said was not understood.
    pub const NOT_UNDERSTOOD: u8 = 13;
}

/// Prints the fstab(5) of a system whose file systems are mounted below ROOT.
///
/// Mount the new system as it shall be, then: recfstab -U /mnt >> /mnt/etc/fstab
#[derive(Debug, Parser)]
#[command(
    name = "recfstab",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes are in --help and in the manual.",
    after_long_help = "Exit codes, all but 0 without any output:\n  \
        0   the whole fstab is written\n  \
        1   failed in another way\n  \
        2   wrong command line\n  \
        10  nothing at or below ROOT belongs into fstab\n  \
        11  ROOT is not a mount point\n  \
        12  findmnt or lsblk is missing, or failed\n  \
        13  what findmnt, lsblk or the kernel said was not understood"
)]
struct Cli {
    /// Where the root of the new system is mounted.
    root: PathBuf,
    /// Name sources by the UUID of the file system (-t UUID).
    #[arg(short = 'U', group = "by")]
    uuid: bool,
    /// Name sources by the label of the file system (-t LABEL).
    #[arg(short = 'L', group = "by")]
    label: bool,
    /// Name sources by TAG; a device without it is named by its path.
    #[arg(short, long, group = "by", ignore_case = true)]
    tag: Option<Tag>,
    /// Leave pseudo file systems out (the default).
    #[arg(short = 'p', overrides_with = "pseudo")]
    no_pseudo: bool,
    /// Include pseudo file systems, and what is mounted in /proc, /sys, /dev and /run.
    #[arg(short = 'P')]
    pseudo: bool,
    /// Only mount points and swap devices whose path, as seen from here, starts with PREFIX.
    #[arg(short = 'f', long = "filter", value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// Print the entries as JSON.
    #[arg(long)]
    json: bool,
    /// Read files in DIR instead of asking the system.
    ///
    /// For tests and bug reports: findmnt.json has the output of `findmnt --kernel --json --list --nofsroot --output
    /// ID,PARENT,MAJ:MIN,SOURCE,TARGET,FSTYPE,OPTIONS,VFS-OPTIONS,FSROOT`; lsblk.json that of `lsblk --json --output
    /// NAME,KNAME,PATH,MAJ:MIN,TYPE,FSTYPE,LABEL,UUID,PARTLABEL,PARTUUID,PARTTYPE`; swaps is a copy of /proc/swaps;
    /// blkid need not be there.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

/// Parses the command line and does what it says.
///
/// # Errors
/// Whatever is printed as `error:`.
pub fn run() -> anyhow::Result<ExitCode> {
    Cli::parse().run()
}

/// The command line as a value: man page and completions are made from it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

impl Cli {
    fn run(self) -> anyhow::Result<ExitCode> {
        let (root, texts) = match &self.from {
            Some(dir) => (lexical(&self.root), Texts::from_files(dir)?),
            None => {
                let root = self.root.canonicalize();
                let root = root
                    .with_context(|| format!("failed to find {}", self.root.display()))
                    .exit(code::NOT_A_MOUNT_POINT)?;
                let texts = Texts::of_system(&root)?;
                (root, texts)
            }
        };
        let root = root.to_str().with_context(|| format!("{} is not UTF-8", root.display()))?;
        let request = Request { root, tag: self.tag(), pseudo: self.pseudo, prefix: &self.prefix };
        let outcome = entries(&texts.parse()?, &request)?;
        let text = if self.json {
            serde_json::to_string_pretty(&outcome.entries)? + "\n"
        } else {
            render::fstab(&outcome.entries)
        };
        outcome.notes.iter().for_each(|note| tell(&format!("note: {note}")));
        let mut stdout = std::io::stdout().lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .context("failed to write to stdout")?;
        Ok(ExitCode::SUCCESS)
    }

    fn tag(&self) -> Option<Tag> {
        let short = self.uuid.then_some(Tag::Uuid).or(self.label.then_some(Tag::Label));
        short.or(self.tag)
    }
}

/// A path as text, without `.` and trailing slashes: what it would be called if it were here.
fn lexical(path: &Path) -> PathBuf {
    path.components().filter(|c| *c != Component::CurDir).collect()
}
