//! The target: an ext4 on a loop device whose file is as large as needed and written once before.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cmd::Cmd;

/// A disk: a file.
pub(super) struct Disk {
    file: PathBuf,
    mount: PathBuf,
    /// MB/s it is slowed down to.
    rate: Option<u64>,
}

/// A fresh file system on it, mounted; unmounted at the latest when dropped.
pub(super) struct Target {
    /// Where.
    pub(super) path: PathBuf,
    mounted: bool,
    /// The device's number, if it was slowed down.
    slow: Option<String>,
}

impl Disk {
    /// Makes the file in `dir`; `rate`: MB/s to slow it down to.
    pub(super) fn new(dir: &Path, bytes: u64, rate: Option<u64>) -> anyhow::Result<Self> {
        let file = dir.join("disk");
        let disk = File::create(&file).with_context(|| format!("failed to create {}", file.display()))?;
        // Allocated, so that no run pays for finding room in the file system around it.
        rustix::fs::fallocate(&disk, rustix::fs::FallocateFlags::empty(), 0, bytes)
            .with_context(|| format!("failed to reserve {bytes} bytes for {}", file.display()))?;
        let mount = dir.join("target");
        std::fs::create_dir(&mount)?;
        Ok(Self { file, mount, rate })
    }

    /// A new file system, mounted.
    pub(super) fn fresh(&self) -> anyhow::Result<Target> {
        // All of it is written now: lazily, the kernel would do it while a run is measured.
        let mkfs = Cmd::new("mkfs.ext4").args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"]);
        mkfs.arg(&self.file).run()?;
        // Past the kernel's copy of the file around it: a disk has no second cache that reads and writes end in.
        let device =
            Cmd::new("losetup").args(["--find", "--show", "--direct-io=on"]).arg(&self.file).read()?;
        let device = device.trim();
        let mounted = Cmd::new("mount").arg(device).arg(&self.mount).run();
        let number = Cmd::new("lsblk").args(["--noheadings", "--nodeps", "--output=MAJ:MIN", device]).read();
        // Goes when it is unmounted.
        let detached = Cmd::new("losetup").args(["--detach", device]).run();
        mounted.and(detached)?;
        let mut target = Target { path: self.mount.clone(), mounted: true, slow: None };
        if let Some(rate) = self.rate {
            let number = number?.trim().to_owned();
            // What slows it down outlives the device: it is taken back also when only half of it was done.
            target.slow = Some(number.clone());
            throttle(&number, rate * 1_000_000)?;
        }
        Ok(target)
    }
}

/// Bytes per second that everybody together may read, and write, from and to a device; 0: no limit (blkio of cgroup v1, the root group).
fn throttle(number: &str, bytes: u64) -> anyhow::Result<()> {
    for way in ["read", "write"] {
        let file = format!("/sys/fs/cgroup/blkio/blkio.throttle.{way}_bps_device");
        std::fs::write(&file, format!("{number} {bytes}"))
            .with_context(|| format!("--disk-rate needs the blkio controller of cgroup v1: {file}"))?;
    }
    Ok(())
}

impl Target {
    /// Everything in it is on the disk.
    pub(super) fn sync(&self) -> anyhow::Result<()> {
        let dir = File::open(&self.path)?;
        rustix::fs::syncfs(dir.as_fd()).with_context(|| format!("failed to sync {}", self.path.display()))
    }

    /// Unmounts it.
    pub(super) fn unmount(mut self) -> anyhow::Result<()> {
        self.mounted = false;
        self.unlimited()?;
        Cmd::new("umount").arg(&self.path).run()
    }

    fn unlimited(&mut self) -> anyhow::Result<()> {
        self.slow.take().map_or(Ok(()), |number| throttle(&number, 0))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.mounted {
            return;
        }
        let ended = [self.unlimited(), Cmd::new("umount").arg(&self.path).run()];
        for e in ended.into_iter().filter_map(Result::err) {
            super::say(&format!("{e:#}"));
        }
    }
}

/// Writes a file of so many bytes that do not compress, and syncs it.
pub(super) fn write_file(path: &Path, bytes: u64) -> anyhow::Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let buffer: Vec<u8> = (0..1 << 17).flat_map(|_| next()).collect();
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut left = bytes;
    while left > 0 {
        let part = left.min(buffer.len() as u64) as usize;
        file.write_all(&buffer[..part])?;
        left -= part as u64;
    }
    file.sync_all().with_context(|| format!("failed to sync {}", path.display()))
}

/// Reads a file from the disk, past what memory has of it.
pub(super) fn read_file(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path)?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    let mut buffer = vec![0; 1 << 20];
    let mut file = file;
    while file.read(&mut buffer).with_context(|| format!("failed to read {}", path.display()))? > 0 {}
    Ok(())
}

/// How many names are in a directory and all below, `lost+found` in the first one and what recstrap adds left out.
pub(super) fn names(dir: &Path) -> anyhow::Result<u64> {
    let mut dirs = vec![dir.to_owned()];
    let mut count = 0;
    while let Some(next) = dirs.pop() {
        for entry in next.read_dir().with_context(|| format!("failed to list {}", next.display()))? {
            let entry = entry?;
            if next == dir && entry.file_name() == "lost+found" {
                continue;
            }
            count += 1;
            if entry.file_type()?.is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    Ok(count)
}
