//! A disk that records every write and flush, and the disk as a power cut would have left it at any moment.
//!
//! qemu-storage-daemon's blklogwrites keeps the log (the format of the kernel's dm-log-writes), a FUSE export makes the
//! disk a file that a loop device can take: no device-mapper is needed. What the disk may hold after a power cut: all
//! writes up to some flush, and any of those after it.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::cmd::Cmd;

const SECTOR: u64 = 512;
/// dm-log-writes: magic, version 1.
const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// The daemon; ended when dropped.
pub struct Recorder {
    daemon: Child,
    log: PathBuf,
    /// The disk, as a file to attach a loop device to.
    pub exported: PathBuf,
}

impl Recorder {
    /// Records what is done to `disk`, a file; works in `dir`.
    pub fn start(disk: &Path, dir: &Path) -> Self {
        let (log, exported) = (dir.join("log"), dir.join("exported"));
        std::fs::write(&log, "").expect("a file for the log");
        std::fs::write(&exported, "").expect("a file to export at");
        let at = |file: &Path| file.to_string_lossy().into_owned();
        let cmd = Cmd::new(crate::oracle("qemu-storage-daemon"))
            .args(["--blockdev", &format!("driver=file,filename={},node-name=disk", at(disk))])
            .args(["--blockdev", &format!("driver=file,filename={},node-name=log", at(&log))])
            .args([
                "--blockdev",
                "driver=blklogwrites,file=disk,log=log,log-super-update-interval=1,node-name=logged",
            ])
            .args([
                "--export",
                &format!("type=fuse,id=e,node-name=logged,mountpoint={},writable=on", at(&exported)),
            ]);
        let daemon = cmd.std().stdin(Stdio::null()).spawn().expect("qemu-storage-daemon starts");
        let since = Instant::now();
        while exported.metadata().map_or(0, |m| m.len()) == 0 {
            assert!(since.elapsed() < Duration::from_secs(20), "qemu-storage-daemon exports the disk");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { daemon, log, exported }
    }

    /// What was recorded until now.
    pub fn read(&self) -> Vec<Write> {
        parse(&std::fs::read(&self.log).expect("the log"))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.daemon),
            rustix::process::Signal::TERM,
        );
        let _ = self.daemon.wait();
    }
}

/// One entry of the log.
#[derive(Debug, Clone)]
pub struct Write {
    /// Where on the disk, bytes.
    pub offset: u64,
    /// What; empty for a flush alone.
    pub bytes: Vec<u8>,
    /// All writes before it are durable.
    pub flush: bool,
    /// It is durable itself as soon as it is reported done.
    pub durable: bool,
}

fn parse(log: &[u8]) -> Vec<Write> {
    let number = |at: usize| u64::from_le_bytes(log[at..at + 8].try_into().expect("eight bytes"));
    if log.len() < SECTOR as usize {
        return Vec::new();
    }
    assert_eq!((number(0), number(8)), (MAGIC, 1), "a dm-log-writes log");
    let count = number(16);
    assert_eq!(log[24..28], 512_u32.to_le_bytes(), "its sectors");
    let mut at = SECTOR as usize;
    let mut writes = Vec::new();
    for _ in 0..count {
        let (sector, sectors, flags) = (number(at), number(at + 8), number(at + 16));
        at += SECTOR as usize;
        let len = (sectors * SECTOR) as usize;
        // A discard has no data in the log; the old content may stay, which is what an ext4 must bear anyway.
        let bytes = if flags & DISCARD == 0 { log[at..at + len].to_vec() } else { Vec::new() };
        at += bytes.len();
        let (flush, durable) = (flags & FLUSH != 0, flags & FUA != 0);
        writes.push(Write { offset: sector * SECTOR, bytes, flush, durable });
    }
    writes
}

/// A disk after a power cut: `base` with those of the writes that got there.
pub fn replay<'a>(base: &Path, disk: &Path, writes: impl Iterator<Item = &'a Write>) {
    let copy = Cmd::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(base).arg(disk);
    copy.run().expect("copied");
    let file = std::fs::File::options().write(true).open(disk).expect("opened");
    for write in writes {
        file.write_all_at(&write.bytes, write.offset).expect("written");
    }
}

/// Index behind the last flush of the first `end` entries: what was before it is certainly on the disk.
pub fn flushed(writes: &[Write], end: usize) -> usize {
    writes[..end].iter().rposition(|w| w.flush).map_or(0, |at| at + 1)
}
