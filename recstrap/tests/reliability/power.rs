//! The power goes: at every flush, at every write, and with any half of the writes since the last flush lost.

use std::path::Path;
use std::time::{Duration, Instant};

use common::cmd::Cmd;

use crate::image::Image;
use crate::program::{State, install, judge, settle};
use crate::random::Random;
use crate::scratch::{self, Mount};
use crate::target::{self, FileSystem, ROOMY, Target};
use crate::write_log::{Recorder, Write, flushed, replay};
use crate::{canary, root_or_skip};
use testkit::ledger::{Row, full, planned};
use testkit::strace::{Injection, attack};

/// What a run wrote, and how many entries of it were there when the program had ended with exit 0.
struct Recording {
    writes: Vec<Write>,
    done: usize,
}

/// How long the machine stays on after exit 0: long enough for the kernel to write metadata by itself (commit=1; xfs takes
/// longer, and its hardest state is the one right after exit 0), not long enough for it to write data that nobody asked it to (30 s).
const AFTERWARDS: Duration = Duration::from_millis(2500);

/// Records a run on a disk of this type whose start is `base`. `sync` false: every fsync, fdatasync and syncfs reports success and
/// does nothing.
fn record(fs: &FileSystem, image: &Image, base: &Path, sync: bool) -> Recording {
    let dir = scratch::dir();
    let disk = dir.path().join("disk");
    Cmd::new("cp").arg("--sparse=always").arg(base).arg(&disk).run().expect("copied");
    let recorder = Recorder::start(&disk, dir.path());
    let mounts = scratch::mount_dir();
    let path = mounts.path().join("target");
    let mount =
        Mount::of_file(fs.name, fs.busy, &recorder.exported, &path).expect("the recorded disk mounts");
    let cmd = install(image, &path);
    let status = if sync {
        cmd.output().expect("recstrap starts").status
    } else {
        let name = "fsync,fdatasync,syncfs,sync,sync_file_range,msync".to_owned();
        let lie = Injection { name, action: "retval=0".into(), when: String::new(), main: false, path: None };
        let run = attack(&cmd, &lie, &dir.path().join("strace"));
        assert!(!run.injected.is_empty(), "the canary syncs nothing");
        run.status
    };
    assert!(status.success(), "a run without a power cut ends with {status}");
    let done = recorder.read().len();
    std::thread::sleep(AFTERWARDS);
    let writes = recorder.read();
    // The unmount writes too; the power has gone before.
    drop(mount);
    Recording { writes, done }
}

/// A state of the disk: writes before `sure` are there, of those up to `end` the ones that `lost` does not name.
struct Cut {
    end: usize,
    lost: Vec<usize>,
}

/// All states of a recording that are looked at.
fn cuts(recording: &Recording, random: &mut Random, reordered: usize) -> Vec<Cut> {
    let writes = &recording.writes;
    let mut cuts: Vec<Cut> = (0..=writes.len()).map(|end| Cut { end, lost: Vec::new() }).collect();
    for _ in 0..reordered {
        let end = random.below(writes.len() as u64 + 1) as usize;
        let open = (flushed(writes, end)..end).filter(|&i| !writes[i].durable);
        let lost: Vec<usize> = open.filter(|_| random.below(2) == 0).collect();
        cuts.push(Cut { end, lost });
    }
    // Right after exit 0, and until the end, with everything lost that no flush covers: the hardest state of all.
    cuts.extend(
        (recording.done..=writes.len()).map(|end| Cut { end, lost: (flushed(writes, end)..end).collect() }),
    );
    cuts
}

/// What a cut left, judged; `again`: also run recstrap on what it left.
fn look(
    fs: &FileSystem,
    recording: &Recording,
    cut: &Cut,
    base: &Path,
    image: &Image,
    again: bool,
) -> Result<&'static str, String> {
    let (dir, mounts) = (scratch::dir(), scratch::mount_dir());
    let (disk, path) = (dir.path().join("disk"), mounts.path().join("target"));
    let there = recording.writes[..cut.end].iter().enumerate();
    replay(base, &disk, there.filter(|(i, _)| !cut.lost.contains(i)).map(|(_, write)| write));
    let Some(_mount) = Mount::of_file(fs.name, "rw", &disk, &path) else {
        return Err("the file system does not mount".to_owned());
    };
    let state = judge(&path, image)?;
    if cut.end >= recording.done && state != State::Installed {
        return Err(format!("exit 0 was before, but the target is {}", state.name()));
    }
    if again && state != State::Installed {
        settle(std::os::unix::process::ExitStatusExt::from_raw(9), &path, image)?;
    }
    Ok(state.name())
}

#[test]
fn power_cut_ext4() {
    sweep("power cut on ext4: every write, and random halves within flushes", &target::EXT4);
}

#[test]
fn power_cut_xfs() {
    sweep("power cut on xfs: every write, and random halves within flushes", &target::XFS);
}

#[test]
fn power_cut_btrfs() {
    sweep("power cut on btrfs: every write, and random halves within flushes", &target::BTRFS);
}

fn sweep(name: &'static str, fs: &FileSystem) {
    if !root_or_skip(name) {
        return;
    }
    let image = Image::new();
    let mut target = Target::new(ROOMY);
    let dir = scratch::dir();
    let base = dir.path().join("base");
    target::format(fs, &base, fs.bytes);
    let recording = record(fs, &image, &base, true);
    let mut random = Random::new(7);
    let all = cuts(&recording, &mut random, planned(1000, 300));
    let mut chosen: Vec<_> = all.iter().collect();
    if !full() {
        random.shuffle(&mut chosen);
        chosen.truncate(60);
        // The moment of exit 0 is in every sample.
        chosen.extend(all.iter().filter(|c| c.end == recording.done));
    }
    let mut row = Row::new(name, all.len() as u64, chosen.len() as u64);
    canary::judge_sees(&mut row, &image, &mut target);
    for (i, cut) in chosen.iter().enumerate() {
        let result = look(fs, &recording, cut, &base, &image, i % 10 == 0);
        row.outcome(&format!("power gone after write {} without {:?}", cut.end, cut.lost), result);
    }
    let flushes = recording.writes.iter().filter(|w| w.flush).count();
    let (writes, done) = (recording.writes.len(), recording.done);
    row.note(format!("{writes} writes recorded, {done} before exit 0, {flushes} flushes"));
    let since = Instant::now();
    let blind = record(fs, &image, &base, false);
    let mut states = cuts(&blind, &mut random, 200);
    states.reverse();
    states.truncate(planned(400, 25));
    let lies = states.iter().filter(|cut| look(fs, &blind, cut, &base, &image, false).is_err()).count();
    row.canary(lies > 0);
    let (seconds, count) = (since.elapsed().as_secs(), states.len());
    row.note(format!("canary without syncing: {lies} of {count} states are lies, {seconds} s"));
    row.finish();
}
