//! Where the texts come from: the system's tools, or files.
//!
//! findmnt and lsblk instead of /proc/self/mountinfo and /run/udev: they merge what only user space knows (`x-...`
//! options in /run/mount/utab, udev's database, names of mappings), and their JSON is free of escapes. Both are in
//! util-linux, which no system lacks that can mount.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use common::cli::Mark;
use common::cmd::{Cmd, which};
use common::fs::read_to_string;

use super::cli::code;
use super::devices::{self, Devices};
use super::entries::System;
use super::{kinds, mounts, swaps};

/// Everything that decides about the output, beside the command line.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// `findmnt --json --list`
    pub(super) findmnt: String,
    /// `lsblk --json`
    pub(super) lsblk: String,
    /// /proc/swaps
    pub(super) swaps: String,
    /// `blkid --probe --output udev` of devices that lsblk knows nothing about
    pub(super) blkid: String,
}

impl Texts {
    /// Reads the files `findmnt.json`, `lsblk.json`, `swaps` and (if it is there) `blkid` of a directory.
    pub(super) fn from_files(dir: &Path) -> anyhow::Result<Self> {
        let read = |name| read_to_string(&dir.join(name));
        let blkid = dir.join("blkid");
        let blkid = if blkid.exists() { read_to_string(&blkid)? } else { String::new() };
        Ok(Self { findmnt: read("findmnt.json")?, lsblk: read("lsblk.json")?, swaps: read("swaps")?, blkid })
    }

    /// Asks the system.
    pub(super) fn of_system(root: &Path) -> anyhow::Result<Self> {
        for tool in ["findmnt", "lsblk"] {
            which(tool)
                .with_context(|| format!("`{tool}` is not installed"))
                .exit(code::NO_TOOL)
                .hint(format!("{tool} is part of util-linux"))?;
        }
        wake(root);
        let findmnt = ask(Cmd::new("findmnt").args([
            "--kernel",
            "--json",
            "--list",
            "--nofsroot",
            "--output",
            mounts::COLUMNS,
        ]))?;
        let lsblk = ask(Cmd::new("lsblk").args(["--json", "--output", devices::COLUMNS]))?;
        let swaps = match std::fs::read("/proc/swaps") {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            // A kernel without swap.
            Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e).context("failed to read /proc/swaps"),
        };
        let mut texts = Self { findmnt, lsblk, swaps, blkid: String::new() };
        texts.blkid = probe(&texts.parse()?, root)?;
        Ok(texts)
    }

    /// Understands the texts.
    pub(super) fn parse(&self) -> anyhow::Result<System> {
        self.parsed()
            .exit(code::NOT_UNDERSTOOD)
            .hint("please report it, with the texts that `recfstab --help` names at --from")
    }

    fn parsed(&self) -> anyhow::Result<System> {
        let mut devices = Devices::parse(&self.lsblk)?;
        devices.learn(&self.blkid)?;
        Ok(System { mounts: mounts::parse(&self.findmnt)?, devices, swaps: swaps::parse(&self.swaps)? })
    }
}

/// The output of a tool. Bytes that are no UTF-8 are replaced: a strange mount elsewhere is no reason to fail.
fn ask(cmd: Cmd) -> anyhow::Result<String> {
    let out = cmd.output().exit(code::NO_TOOL)?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        return Err(anyhow::anyhow!("`{}` failed ({})\n{}", cmd.display(), out.status, said.trim()))
            .exit(code::NO_TOOL);
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Looks into the directories where an ESP may be mounted on first use, so that it is mounted.
fn wake(root: &Path) {
    for dir in kinds::BOOT_DIRS {
        // Its content is of no interest, and it need not exist.
        let _ = std::fs::read_dir(root.join(dir.trim_start_matches('/')));
    }
}

/// Reads the superblock of devices that are mounted below `root` (or swapped on), and of what they lie on, where lsblk
/// knows nothing: udev does not run, or is not that far yet after a mkfs.
fn probe(system: &System, root: &Path) -> anyhow::Result<String> {
    let root = root.to_string_lossy();
    let mounted = system.mounts.iter().filter(|m| mounts::is_below(&m.target, &root));
    let mounted = mounted.filter_map(|m| system.devices.of_mount(&m.source, &m.number));
    let used =
        mounted.chain(system.swaps.iter().filter_map(|s| system.devices.of_path(&s.device_path(&root))));
    let mut unknown: Vec<_> =
        used.flat_map(|d| system.devices.stack(d)).filter(|d| d.is_unknown()).map(|d| &d.path).collect();
    unknown.sort();
    unknown.dedup();
    if unknown.is_empty() || which("blkid").is_none() {
        return Ok(String::new());
    }
    let mut text = String::new();
    for path in unknown {
        // It exits 2 when it finds nothing, as on a disk with partitions; a device that cannot be read is no reason to
        // fail either, it is then named by its path.
        let out = Cmd::new("blkid").args(["--probe", "--output", "udev"]).arg(path).output()?;
        text.push_str(&format!("DEVNAME={path}\n{}", String::from_utf8_lossy(&out.stdout)));
    }
    Ok(text)
}
