//! The disc on every kind of machine it is started on: `cargo xtask e2e --boots`.
//!
//! Disc, filter -> a row a machine: seconds to the root prompt, memory left, or what went wrong. Each must run with no failed unit
//! and prove what is special about it. One machine after another; not part of the default run, which boots from an optical disc and
//! from a stick with 1 GiB.

mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use common::cmd::Cmd;
use serde::Serialize;
use serde_json::json;

pub use table::{all_passed, table};

use crate::accel::Accel;
use crate::boot::{self, COMMAND, SETTLE};
use crate::disk::Disk;
use crate::qemu::{Display, Machine, Medium};
use crate::tpm;
use crate::vm::Vm;

/// A machine, and what is special about it.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Its name.
    pub name: &'static str,
    /// How the disc is attached.
    pub medium: Medium,
    /// MiB of memory.
    pub memory: u32,
    /// Kernel parameters besides the disc's own.
    pub parameters: &'static str,
    /// What else there is.
    pub setting: Setting,
    /// Commands that must succeed at the prompt.
    pub proofs: &'static [&'static str],
}

/// What there is besides the disc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Nothing.
    Plain,
    /// No screen at all: only the serial line.
    SerialOnly,
    /// The same disc once more, as a virtio disk.
    Twice,
    /// A disk of the label STORE with the disc as a file on it.
    File,
    /// The disc is taken out at the prompt.
    TakenOut,
    /// A TPM 2.0, new.
    Tpm,
}

const PLAIN: Start = Start {
    name: "optical",
    medium: Medium::Optical,
    memory: 2048,
    parameters: "",
    setting: Setting::Plain,
    proofs: &["findmnt -no FSTYPE /run/levitate/medium | grep -x iso9660"],
};

/// Everything that is read of the system once more, from wherever it comes.
const READ_ALL: &str =
    "find /usr/bin /usr/sbin /usr/lib64 -xdev -type f -exec cat {} + | sha256sum > /dev/null";

/// All of them.
pub const STARTS: &[Start] = &[
    PLAIN,
    Start {
        name: "usb-stick",
        medium: Medium::Usb,
        proofs: &["lsblk -ndo TRAN /dev/sda | grep -x usb"],
        ..PLAIN
    },
    Start { name: "virtio-disk", medium: Medium::Virtio, proofs: &["test -b /dev/vda"], ..PLAIN },
    // The floor: with 128 MiB the kernel cannot be decompressed.
    Start { name: "memory-160", medium: Medium::Usb, memory: 160, proofs: &[], ..PLAIN },
    Start { name: "memory-384", medium: Medium::Usb, memory: 384, proofs: &[], ..PLAIN },
    Start { name: "memory-512", medium: Medium::Usb, memory: 512, proofs: &[], ..PLAIN },
    Start { name: "memory-768", medium: Medium::Usb, memory: 768, proofs: &[], ..PLAIN },
    Start { name: "memory-1024", medium: Medium::Usb, memory: 1024, proofs: &[], ..PLAIN },
    Start { name: "memory-4096", medium: Medium::Usb, memory: 4096, proofs: &[], ..PLAIN },
    Start {
        name: "copied-to-ram",
        parameters: "levitate.toram",
        setting: Setting::TakenOut,
        proofs: &["! findmnt /run/levitate/medium", READ_ALL, "! head -c 1 /dev/sr0"],
        ..PLAIN
    },
    Start { name: "serial-only", setting: Setting::SerialOnly, proofs: &["! test -e /dev/fb0"], ..PLAIN },
    Start {
        name: "two-discs",
        setting: Setting::Twice,
        proofs: &["cmp --bytes=1048576 /dev/sr0 /dev/vda"],
        ..PLAIN
    },
    Start {
        name: "tpm",
        setting: Setting::Tpm,
        proofs: &[
            "test -c /dev/tpmrm0",
            "grep -x 2 /sys/class/tpm/tpm0/tpm_version_major",
            "systemd-analyze has-tpm2 | grep -x '+firmware'",
            "systemd-analyze has-tpm2 | grep -x '+driver'",
            // What systemd-stub measures the sections of the UKI into; a PCR that nobody extended is zero.
            "grep '[1-9A-F]' /sys/class/tpm/tpm0/pcr-sha256/11",
            "bootctl status | grep 'Measured UKI: yes'",
        ],
        ..PLAIN
    },
    Start {
        name: "disc-in-a-file",
        parameters: "levitate.iso=LABEL=STORE/discs/os.iso",
        setting: Setting::File,
        proofs: &["losetup --noheadings --output BACK-FILE | grep /discs/os.iso"],
        ..PLAIN
    },
];

/// What came of one.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// MiB of memory it had.
    pub memory: u32,
    /// Seconds from power on to the root prompt.
    pub prompt: Option<f64>,
    /// Seconds until every unit had started.
    pub settled: Option<f64>,
    /// MiB of memory that were left then.
    pub free: Option<u64>,
    /// What went wrong.
    pub failure: Option<String>,
    /// What is missing on this host, so that it was not started.
    pub skipped: Option<String>,
}

/// Starts all whose name contains `filter`; tells `progress` what begins and what failed.
///
/// # Errors
/// None has such a name. That a machine does not come up is a row.
pub fn run(
    iso: &Path,
    dir: &Path,
    filter: Option<&str>,
    progress: &dyn Fn(&str),
) -> anyhow::Result<Vec<Row>> {
    let wanted = |s: &&Start| filter.is_none_or(|filter| s.name.contains(filter));
    let starts: Vec<_> = STARTS.iter().filter(wanted).collect();
    let names = || STARTS.iter().map(|s| s.name).collect::<Vec<_>>().join(", ");
    ensure!(
        !starts.is_empty(),
        "no machine is called {:?}; there are {}",
        filter.unwrap_or_default(),
        names()
    );
    let accel = Accel::probe()?;
    let mut rows = Vec::new();
    for start in starts {
        progress(&format!("{}: begins", start.name));
        let mut row = Row {
            name: start.name,
            memory: start.memory,
            prompt: None,
            settled: None,
            free: None,
            failure: None,
            skipped: start.missing(),
        };
        if let Some(why) = &row.skipped {
            progress(&format!("{}: SKIPPED: {why}", start.name));
        } else if let Err(why) = start.run(accel, iso, &dir.join(start.name), &mut row) {
            progress(&format!("{}: FAILED: {why:#}", start.name));
            row.failure = Some(format!("{why:#}"));
        }
        rows.push(row);
    }
    Ok(rows)
}

impl Start {
    /// What this host lacks to start it.
    fn missing(&self) -> Option<String> {
        let lacks = self.setting == Setting::Tpm && !tpm::is_there();
        lacks.then(|| format!("{} is not installed (Debian package swtpm)", tpm::SWTPM))
    }

    fn run(&self, accel: Accel, iso: &Path, dir: &Path, row: &mut Row) -> anyhow::Result<()> {
        let mut machine = Machine::new(accel)
            .memory(self.memory)
            .disc(self.medium, iso)
            .parameters(self.parameters)
            .isolated();
        match self.setting {
            Setting::Plain | Setting::TakenOut => {}
            Setting::SerialOnly => machine = machine.display(Display::None),
            Setting::Twice => machine = machine.disk(&Disk::read_only(iso)),
            Setting::Tpm => machine = machine.tpm(new_tpm(dir)?),
            Setting::File => machine = machine.disk(&store(iso, &dir.with_extension("store"))?),
        }
        let mut vm = Vm::start(&machine, dir)?;
        boot::live(&mut vm)?;
        row.prompt = Some(vm.seconds());
        boot::settled(&mut vm.console)?;
        row.settled = Some(vm.seconds());
        let free = vm.console.check("awk '/^MemAvailable/ { print $2 }' /proc/meminfo", COMMAND)?;
        row.free = Some(free.parse::<u64>().context("free memory is a number")? / 1024);
        for word in self.parameters.split_whitespace() {
            vm.console.check(&format!("grep -wF {word} /proc/cmdline"), COMMAND)?;
        }
        if self.setting == Setting::TakenOut {
            vm.qmp.call("eject", &json!({ "device": "disc", "force": true }))?;
            vm.console.check("echo 3 > /proc/sys/vm/drop_caches", COMMAND)?;
        }
        for proof in self.proofs {
            vm.console.check(proof, SETTLE).with_context(|| format!("not so: {proof}"))?;
        }
        vm.reached("checked")
    }
}

/// A directory for the memory of a TPM that was never switched on.
fn new_tpm(dir: &Path) -> anyhow::Result<PathBuf> {
    let memory = dir.with_extension("memory");
    if memory.exists() {
        std::fs::remove_dir_all(&memory).with_context(|| format!("failed to empty {}", memory.display()))?;
    }
    Ok(memory)
}

/// A disk with the disc as a file on it.
fn store(iso: &Path, dir: &Path) -> anyhow::Result<Disk> {
    let tree = dir.join("tree");
    std::fs::create_dir_all(tree.join("discs"))
        .with_context(|| format!("failed to make {}", tree.display()))?;
    let copy = tree.join("discs/os.iso");
    std::fs::copy(iso, &copy).with_context(|| format!("failed to copy {}", iso.display()))?;
    let image: PathBuf = dir.join("store.ext4");
    let disk = Disk::create(&image, 1024)?;
    Cmd::new("mkfs.ext4").args(["-q", "-F", "-L", "STORE", "-d"]).arg(&tree).arg(&image).read()?;
    std::fs::remove_file(&copy).with_context(|| format!("failed to remove {}", copy.display()))?;
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_has_is_an_error() {
        let nowhere = Path::new("/nonexistent");
        let err = run(nowhere, nowhere, Some("floppy"), &|_| ()).unwrap_err().to_string();
        assert!(err.contains("floppy") && err.contains("usb-stick, virtio-disk"), "{err}");
    }
}
