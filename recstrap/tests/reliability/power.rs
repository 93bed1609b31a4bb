//! The power goes: at every flush, at every write, and with any half of the writes since the last flush lost.

use std::path::Path;
use std::time::Instant;

use crate::image::Image;
use crate::program::{State, install, judge, settle};
use crate::random::Random;
use crate::scratch::{self, Mount};
use crate::target::{self, FileSystem, ROOMY, Target};
use crate::{canary, root_or_skip};
use testkit::ledger::{Row, full, planned};
use testkit::power::{Cut, Recording, record};

/// Records a run of recstrap on an empty disk of this type.
fn recorded(fs: &FileSystem, image: &Image, base: &Path, sync: bool) -> Recording {
    let mounts = scratch::mount_dir();
    let path = mounts.path().join("target");
    record(fs, &install(image, &path), base, &path, sync)
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
    cut.make(recording, base, &disk);
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
    let recording = recorded(fs, &image, &base, true);
    let mut random = Random::new(7);
    let all = recording.cuts(&mut random, planned(1000, 300));
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
    let flushes = recording.flushes();
    let (writes, done) = (recording.writes.len(), recording.done);
    row.note(format!("{writes} writes recorded, {done} before exit 0, {flushes} flushes"));
    let since = Instant::now();
    let blind = recorded(fs, &image, &base, false);
    let mut states = blind.cuts(&mut random, 200);
    states.reverse();
    states.truncate(planned(400, 25));
    let lies = states.iter().filter(|cut| look(fs, &blind, cut, &base, &image, false).is_err()).count();
    row.canary(lies > 0);
    let (seconds, count) = (since.elapsed().as_secs(), states.len());
    row.note(format!("canary without syncing: {lies} of {count} states are lies, {seconds} s"));
    row.finish();
}
