//! Files read back from the disk itself, in the order in which they lie on it.
//!
//! In: where each file lies (FIEMAP). Out: the same bytes that its file system would give, for a fraction of the requests:
//! thousands of small files become a few long reads, past every copy that the kernel keeps. Whatever cannot be had (another
//! file system, a file in pieces, no device to open) is read as a file by [`super::read`]. Nothing here is believed: what was
//! read has the digest that the manifest proves, or the installation fails.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;

use common::listing::Xattr;
use common::mounts::Mount;
use fiemap::{Fiemap, FiemapExtentFlags};
use rustix::fs::{FileType, IFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::read::{SECTOR, WINDOW};

/// Files so far from each other are still read at once: seeking costs more than reading what is between.
const GAP: u64 = 64 << 10;

/// Disks under the target's file systems.
#[derive(Debug, Default)]
pub(super) struct Disks(Vec<Disk>);

#[derive(Debug)]
struct Disk {
    /// Device number of the files on it.
    dev: (u32, u32),
    file: OwnedFd,
}

/// A file that lies on a disk in one piece.
#[derive(Debug)]
pub(super) struct Placed {
    /// Number of its name.
    pub(super) at: u32,
    /// What it is besides its content.
    pub(super) stat: Stat,
    /// Its extended attributes.
    pub(super) xattrs: Vec<Xattr>,
    /// Which of the disks.
    pub(super) disk: usize,
    /// Its first byte there.
    pub(super) start: u64,
}

impl Disks {
    /// Those of the file systems with these directories, as far as they can be read around their file system.
    pub(super) fn under<'d>(dirs: impl Iterator<Item = &'d OwnedFd>, mounts: &[Mount]) -> Self {
        let mut disks = Self::default();
        for dir in dirs {
            let Ok(stat) = rustix::fs::fstat(dir) else { continue };
            let dev = number(stat.st_dev);
            if !disks.0.iter().any(|disk| disk.dev == dev)
                && let Some(mount) = mounts.iter().find(|m| m.dev == dev)
            {
                disks.0.extend(open(mount).map(|file| Disk { dev, file }));
            }
        }
        disks
    }

    /// The disk under a directory.
    pub(super) fn of(&self, dir: &OwnedFd) -> Option<usize> {
        let dev = number(rustix::fs::fstat(dir).ok()?.st_dev);
        let disk = self.0.iter().position(|disk| disk.dev == dev)?;
        // With `chattr +j`, contents may be in the journal still.
        let flags = rustix::fs::ioctl_getflags(dir).ok()?;
        (!flags.contains(IFlags::JOURNALING)).then_some(disk)
    }

    /// Reads from the disk that a file is on, at that place; how many bytes came.
    pub(super) fn read(&self, file: &Placed, at: u64, into: &mut [u8]) -> rustix::io::Result<usize> {
        loop {
            match rustix::io::pread(&self.0[file.disk].file, &mut *into, at) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }
}

/// Files that one worker reads at a time.
#[derive(Debug)]
pub(super) struct Run<'p> {
    /// Whole sectors, from the first file's first to the last one's last.
    pub(super) sectors: Range<u64>,
    /// In the order of their places.
    pub(super) files: &'p [Placed],
}

impl Placed {
    pub(super) fn size(&self) -> u64 {
        self.stat.st_size.cast_unsigned()
    }

    fn sectors(&self) -> Range<u64> {
        let sector = SECTOR as u64;
        self.start / sector * sector..(self.start + self.size()).next_multiple_of(sector)
    }
}

impl Run<'_> {
    /// Where a file's bytes are, counted from the run's first sector.
    pub(super) fn bytes_of(&self, file: &Placed) -> Range<u64> {
        let from = file.start - self.sectors.start;
        from..from + file.size()
    }
}

/// Sorts files by their places and puts neighbours together, so many that they fit into one buffer; a larger file is alone.
pub(super) fn runs(files: &mut [Placed]) -> Vec<Run<'_>> {
    files.sort_unstable_by_key(|file| (file.disk, file.start));
    let mut runs = Vec::new();
    let mut rest = &*files;
    while let Some(first) = rest.first() {
        let mut all = first.sectors();
        let is_near = |file: &&Placed| {
            let place = file.sectors();
            let end = all.end.max(place.end);
            let is_in =
                file.disk == first.disk && place.start <= all.end + GAP && end - all.start <= WINDOW as u64;
            if is_in {
                all.end = end;
            }
            is_in
        };
        let count = 1 + rest[1..].iter().take_while(is_near).count();
        runs.push(Run { sectors: all, files: &rest[..count] });
        rest = &rest[count..];
    }
    runs
}

/// The place of a file's first byte, if all others follow it.
pub(super) fn start(file: &OwnedFd, size: u64) -> Option<u64> {
    let mut start = None;
    let mut len = 0;
    for extent in Fiemap::new(file) {
        let extent = extent.ok()?;
        let is_plain = FiemapExtentFlags::LAST.union(FiemapExtentFlags::SHARED).contains(extent.fe_flags);
        let first = *start.get_or_insert(extent.fe_physical);
        if !is_plain || extent.fe_logical != len || extent.fe_physical != first + len {
            return None;
        }
        len += extent.fe_length;
    }
    start.filter(|start| len >= size && start.checked_add(size).is_some())
}

/// Opens the device that is mounted, if it is there under the kernel's own name and contents are on it as they are in files.
fn open(mount: &Mount) -> Option<OwnedFd> {
    let (major, minor) = mount.dev;
    let about = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/uevent")).ok()?;
    let name = about.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
    if !is_plain(mount, name) {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECT | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(Path::new("/dev").join(name), flags, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    let is_block = FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice;
    (is_block && number(stat.st_rdev) == mount.dev).then_some(file)
}

/// Contents that are in a journal still, or on a second device, are not where FIEMAP says.
fn is_plain(mount: &Mount, device: &str) -> bool {
    match mount.fstype.as_str() {
        "ext4" => {
            // All options: a mount does not show those that the file system has by itself (`tune2fs -o journal_data`).
            let path = format!("/proc/fs/ext4/{}/options", device.replace('/', "!"));
            std::fs::read_to_string(path).is_ok_and(|all| !all.lines().any(|line| line == "data=journal"))
        }
        "xfs" => !mount.options.split(',').any(|option| option.starts_with("rtdev=")),
        _ => false,
    }
}

fn number(dev: u64) -> (u32, u32) {
    (rustix::fs::major(dev), rustix::fs::minor(dev))
}
