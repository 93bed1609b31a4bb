//! Power cuts: a command's writes, recorded; every state that a power cut may leave, made again.
//!
//! A power cut leaves all writes up to the last flush, and any of those after it. The canary of a sweep is the same command with
//! every fsync, fdatasync and syncfs made to report success and do nothing.

use std::path::Path;
use std::time::Duration;

use common::cmd::Cmd;

use crate::disk::FileSystem;
use crate::random::Random;
use crate::scratch::{self, Mount};
use crate::strace::{Injection, attack};
use crate::write_log::{Recorder, Write, flushed, replay};

/// What a run wrote, and how many entries of it were there when the program had ended with exit 0.
pub struct Recording {
    /// All entries.
    pub writes: Vec<Write>,
    /// Those before exit 0.
    pub done: usize,
}

/// How long the machine stays on after exit 0: long enough for the kernel to write metadata by itself (commit=1; xfs takes
/// longer, and its hardest state is the one right after exit 0), not long enough for it to write data that nobody asked it to (30 s).
const AFTERWARDS: Duration = Duration::from_millis(2500);

/// Records a command that works on a disk of this type, whose start is `base` and which is mounted `at`. `sync` false: every
/// fsync, fdatasync and syncfs reports success and does nothing.
///
/// # Panics
/// The command fails.
pub fn record(fs: &FileSystem, cmd: &Cmd, base: &Path, at: &Path, sync: bool) -> Recording {
    let dir = scratch::dir();
    let disk = dir.path().join("disk");
    Cmd::new("cp").arg("--sparse=always").arg(base).arg(&disk).run().expect("copied");
    let recorder = Recorder::start(&disk, dir.path());
    let mount = Mount::of_file(fs.name, fs.busy, &recorder.exported, at).expect("the recorded disk mounts");
    let (status, stderr) = if sync {
        let out = cmd.output().expect("the command starts");
        (out.status, String::from_utf8_lossy(&out.stderr).into_owned())
    } else {
        let name = "fsync,fdatasync,syncfs,sync,sync_file_range,msync".to_owned();
        let lie = Injection { name, action: "retval=0".into(), when: String::new(), main: false, path: None };
        let run = attack(cmd, &lie, &dir.path().join("strace"));
        assert!(!run.injected.is_empty(), "the canary syncs nothing");
        (run.status, run.stderr)
    };
    assert!(status.success(), "a run without a power cut ends with {status}: {stderr}");
    let done = recorder.read().len();
    std::thread::sleep(AFTERWARDS);
    let writes = recorder.read();
    // The unmount writes too; the power has gone before.
    drop(mount);
    Recording { writes, done }
}

/// A state of the disk: of the writes up to `end` those are there that `lost` does not name.
pub struct Cut {
    /// So many entries had been written.
    pub end: usize,
    /// These of them did not get there.
    pub lost: Vec<usize>,
}

impl Cut {
    /// Makes the disk that it leaves.
    pub fn make(&self, recording: &Recording, base: &Path, disk: &Path) {
        let there = recording.writes[..self.end].iter().enumerate();
        replay(base, disk, there.filter(|(i, _)| !self.lost.contains(i)).map(|(_, write)| write));
    }
}

impl Recording {
    /// All states that are looked at: after each write; `reordered` ones after a random write, with random halves of those since the
    /// last flush lost; and from exit 0 on with all of those lost.
    pub fn cuts(&self, random: &mut Random, reordered: usize) -> Vec<Cut> {
        let writes = &self.writes;
        let mut cuts: Vec<Cut> = (0..=writes.len()).map(|end| Cut { end, lost: Vec::new() }).collect();
        for _ in 0..reordered {
            let end = random.below(writes.len() as u64 + 1) as usize;
            let open = (flushed(writes, end)..end).filter(|&i| !writes[i].durable);
            let lost: Vec<usize> = open.filter(|_| random.below(2) == 0).collect();
            cuts.push(Cut { end, lost });
        }
        // Right after exit 0, and until the end, with everything lost that no flush covers: the hardest state of all.
        let all_lost = |end| Cut { end, lost: (flushed(writes, end)..end).collect() };
        cuts.extend((self.done..=writes.len()).map(all_lost));
        cuts
    }

    /// How many flushes are in it.
    pub fn flushes(&self) -> usize {
        self.writes.iter().filter(|w| w.flush).count()
    }
}
