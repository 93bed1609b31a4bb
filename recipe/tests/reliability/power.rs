//! The power goes: after every write, and with any half of the writes since the last flush lost.
//!
//! A disk with prefix and recipes is recorded (`testkit::power`) while `recipe` works on it. Each state that a power cut may leave is
//! mounted, which replays the file system's journal; then `recipe repair` has to bring it to old or new. From exit 0 on it is new.

use testkit::disk::{BTRFS, EXT4, FileSystem, XFS};
use testkit::ledger::{Row, full, planned};
use testkit::power::{Cut, Recording, record};
use testkit::random::Random;
use testkit::scratch::{self, Mount};

use crate::world::{Operation, World};

const SEED: u64 = 29;
/// More files than are made durable one by one.
const MANY: usize = 60;

#[test]
fn power_cut_ext4() {
    sweep("power cut on ext4: every write, and random halves within flushes", &EXT4, &[(Operation::Upgrade, 0)]);
}

#[test]
fn power_cut_btrfs() {
    sweep("power cut on btrfs: every write, and random halves within flushes", &BTRFS, &[(Operation::Pair, 0)]);
}

#[test]
fn power_cut_xfs() {
    sweep("power cut on xfs: every write, and random halves within flushes", &XFS, &[(Operation::Undo, MANY)]);
}

/// What is attacked: all of it, or of a sample so much.
fn worlds(sample: &[(Operation, usize)]) -> Vec<(Operation, usize)> {
    use Operation::{Install, Pair, Remove, Undo, Upgrade};
    let all = [Install, Upgrade, Remove, Undo, Pair];
    if full() { [0, MANY].iter().flat_map(|n| all.map(|o| (o, *n))).collect() } else { sample.to_vec() }
}

fn sweep(name: &'static str, fs: &FileSystem, sample: &[(Operation, usize)]) {
    if !testkit::is_root() {
        testkit::skip(name, "mounting needs root");
        return;
    }
    let (mut random, dir) = (Random::new(SEED), scratch::dir());
    let base = dir.path().join("base");
    let (mut looked, mut violations, mut canaries, mut lies) = (Vec::new(), 0, Vec::new(), Vec::new());
    let (mut ordered, mut population, mut notes) = (0, 0, Vec::new());
    for (operation, more) in worlds(sample) {
        let world = World::sized(operation, more);
        lies.extend(world.lies());
        let at = world.on_disk(fs, &base);
        let recording = record(fs, &world.command(), &base, &at, true);
        let all = recording.cuts(&mut random, planned(340, 40));
        population += all.len();
        ordered += recording.writes.len() + 1;
        let mut chosen: Vec<_> = all.iter().collect();
        if !full() {
            random.shuffle(&mut chosen);
            chosen.truncate(14);
            // The moment of exit 0 is in every sample.
            chosen.extend(all.iter().rev().filter(|c| c.end == recording.done).take(1));
        }
        for (i, cut) in chosen.into_iter().enumerate() {
            let result = look(&world, fs, &recording, cut, &base, i % 10 == 0);
            violations += usize::from(result.is_err());
            let Cut { end, lost } = cut;
            looked.push((format!("{operation:?} of {more}: power gone after write {end} without {lost:?}"), result));
        }
        let (writes, done, flushes) = (recording.writes.len(), recording.done, recording.flushes());
        notes.push(format!("{operation:?}, {more} files more: {writes} writes, {done} before exit 0, {flushes} flushes"));
        // The same without syncing: states of it must be lies, the first of all that right after exit 0.
        let blind = record(fs, &world.command(), &base, &at, false);
        let mut states = blind.cuts(&mut random, 60);
        states.reverse();
        states.truncate(planned(60, 8));
        let of = states.len();
        let seen = states.iter().filter(|cut| look(&world, fs, &blind, cut, &base, false).is_err()).count();
        canaries.push((seen > 0, format!("{operation:?}, {more} files more, without syncing: {seen} of {of} states are lies")));
    }
    let mut row = Row::new(name, population as u64, looked.len() as u64).seeded(SEED);
    for (lie, seen) in lies {
        row.canary(seen);
        assert!(seen, "the judge did not see {lie}");
    }
    looked.into_iter().for_each(|(attack, result)| row.outcome(&attack, result));
    notes.into_iter().for_each(|note| row.note(note));
    row.note(format!("{ordered} states in order, the rest reordered; {violations} violations"));
    for (seen, note) in canaries {
        row.canary(seen);
        row.note(note);
    }
    row.finish();
}

/// What a cut left, judged after `repair`; `again`: the operation must also work then.
fn look(
    world: &World,
    fs: &FileSystem,
    recording: &Recording,
    cut: &Cut,
    base: &std::path::Path,
    again: bool,
) -> Result<&'static str, String> {
    let dir = scratch::dir();
    let disk = dir.path().join("disk");
    cut.make(recording, base, &disk);
    let Some(_mount) = Mount::of_file(fs.name, "rw", &disk, &world.disk()) else {
        return Err("the file system does not mount".to_owned());
    };
    let state = if again { world.settle()? } else { world.recover()? };
    if cut.end >= recording.done && state != "new" {
        return Err(format!("exit 0 was before, but the state is {state}"));
    }
    Ok(state)
}
