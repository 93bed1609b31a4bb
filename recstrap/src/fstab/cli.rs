//! What can be typed, what is printed, and which exit code it means.

use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use common::cli::{Mark, tell};
use common::fs::read_to_string;

use super::devices::Tag;
use super::entries::{Request, entries};
use super::file::Table;
use super::merge::{Merge, merge};
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
    /// `--check`: /etc/fstab of ROOT is not what is mounted.
    pub const DIFFERS: u8 = 14;
    /// `--write` would replace lines, and `--force` was not given.
    pub const WOULD_REPLACE: u8 = 15;
    /// /etc/fstab of ROOT cannot be read, or is nothing that could be replaced.
    pub const NO_TABLE: u8 = 16;
}

/// Prints the fstab(5) of a system whose file systems are mounted below ROOT.
///
/// Mount the new system as it shall be, then: recfstab -U /mnt >> /mnt/etc/fstab, or recfstab -U --write /mnt, which may
/// be repeated.
#[derive(Debug, Parser)]
#[command(
    name = "recfstab",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes are in --help and in the manual.",
    after_long_help = "Exit codes, all but 0 and 14 without any output:\n  \
        0   the whole fstab is written; with --check: the file has all of it\n  \
        1   failed in another way\n  \
        2   wrong command line\n  \
        10  nothing at or below ROOT belongs into fstab\n  \
        11  ROOT is not a mount point\n  \
        12  findmnt or lsblk is missing, or failed\n  \
        13  what findmnt, lsblk or the kernel said was not understood\n  \
        14  --check: the file is not what is mounted\n  \
        15  --write: lines would be replaced, and --force was not given\n  \
        16  /etc/fstab of ROOT cannot be read, or is nothing that could be replaced"
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
    /// Compare with /etc/fstab of ROOT, and print what would change there, as diff marks it.
    ///
    /// Lines are compared by what they mount: by the device, however it is named, and by options that matter. Lines about what
    /// is not mounted are not looked at.
    #[arg(long)]
    check: bool,
    /// Bring /etc/fstab of ROOT up to date, at once and durably: add what is missing, keep all else.
    #[arg(long, conflicts_with_all = ["check", "json", "from"])]
    write: bool,
    /// Replace lines that mount something else at the same place, or otherwise.
    #[arg(long, requires = "write")]
    force: bool,
    /// Read files in DIR instead of asking the system.
    ///
    /// For tests and bug reports: findmnt.json has the output of `findmnt --kernel --json --list --nofsroot --output
    /// ID,PARENT,MAJ:MIN,SOURCE,TARGET,FSTYPE,OPTIONS,VFS-OPTIONS,FSROOT`; lsblk.json that of `lsblk --json --output
    /// NAME,KNAME,PATH,MAJ:MIN,TYPE,FSTYPE,LABEL,UUID,PARTLABEL,PARTUUID,PARTTYPE`; swaps is a copy of /proc/swaps;
    /// blkid need not be there. --check takes the file `fstab` there for that of ROOT.
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
        let name = root.to_str().with_context(|| format!("{} is not UTF-8", root.display()))?;
        let request = Request { root: name, tag: self.tag(), pseudo: self.pseudo, prefix: &self.prefix };
        let system = texts.parse()?;
        let outcome = entries(&system, &request)?;
        outcome.notes.iter().for_each(|note| tell(&format!("note: {note}")));
        if !self.check && !self.write {
            print(&if self.json { json(&outcome.entries)? } else { render::fstab(&outcome.entries) })?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(dir) = &self.from {
            let path = dir.join("fstab");
            let merge =
                merge(&read_to_string(&path).exit(code::NO_TABLE)?, &outcome.entries, &system.devices);
            return self.report(&merge);
        }
        let table = Table::open(&root)?;
        let merge = merge(&table.text, &outcome.entries, &system.devices);
        if self.check { self.report(&merge) } else { self.update(&table, &merge) }
    }

    /// What `--check` found.
    fn report(&self, merge: &Merge) -> anyhow::Result<ExitCode> {
        tell_notes(merge);
        print(&if self.json { json(&merge.changes)? } else { merge.diff() })?;
        Ok(ExitCode::from(if merge.changes.is_empty() { 0 } else { code::DIFFERS }))
    }

    /// `--write`.
    fn update(&self, table: &Table, merge: &Merge) -> anyhow::Result<ExitCode> {
        tell_notes(merge);
        let (path, replaced, added) = (table.path.display(), merge.replaced(), merge.added());
        if replaced > 0 && !self.force {
            let lines = if replaced == 1 { "a line" } else { "lines" };
            return Err(anyhow::anyhow!(
                "{path} has {lines} that would be replaced\n{}",
                merge.diff().trim_end()
            ))
            .exit(code::WOULD_REPLACE)
            .hint("nothing was written; --force replaces them, or edit the file");
        }
        if merge.changes.is_empty() {
            tell(&format!("recfstab: {path} has all of it"));
            return Ok(ExitCode::SUCCESS);
        }
        table.write(&merge.text)?;
        tell(&format!("recfstab: {path}: {added} added, {replaced} replaced"));
        if self.root == Path::new("/") {
            tell("note: `systemctl daemon-reload` makes systemd read it");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn tag(&self) -> Option<Tag> {
        let short = self.uuid.then_some(Tag::Uuid).or(self.label.then_some(Tag::Label));
        short.or(self.tag)
    }
}

fn tell_notes(merge: &Merge) {
    merge.notes.iter().for_each(|note| tell(&format!("note: fstab, {note}")));
}

fn json(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("failed to write to stdout")
}

/// A path as text, without `.` and trailing slashes: what it would be called if it were here.
fn lexical(path: &Path) -> PathBuf {
    path.components().filter(|c| *c != Component::CurDir).collect()
}
