//! The power goes: after every write, and with any half of the writes since the last flush lost.
//!
//! A disk with prefix and recipes is recorded (`testkit::power`) while `recipe` works on it. Each state that a power cut may leave is
//! mounted, which replays the file system's journal; then `recipe repair` has to bring it to old or new. From exit 0 on it is new.

use std::path::Path;

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
    sweep(
        "power cut on ext4: every write, and random halves within flushes",
        &EXT4,
        &[(Operation::Upgrade, 0)],
    );
}

#[test]
fn power_cut_btrfs() {
    sweep(
        "power cut on btrfs: every write, and random halves within flushes",
        &BTRFS,
        &[(Operation::Pair, 0)],
    );
}

#[test]
fn power_cut_xfs() {
    sweep(
        "power cut on xfs: every write, and random halves within flushes",
        &XFS,
        &[(Operation::Undo, MANY)],
    );
}

/// What is attacked: all of it, or of a sample so much.
fn worlds(sample: &[(Operation, usize)]) -> Vec<(Operation, usize)> {
    use Operation::{Install, Move, MoveBack, Pair, Pin, Remove, Undo, Upgrade};
    let all = [Install, Upgrade, Remove, Undo, Pair, Pin, Move, MoveBack];
    if full() { [0, MANY].iter().flat_map(|n| all.map(|o| (o, *n))).collect() } else { sample.to_vec() }
}

fn sweep(name: &'static str, fs: &FileSystem, sample: &[(Operation, usize)]) {
    if !testkit::is_root() {
        testkit::skip(name, "mounting needs root");
        return;
    }
    let (mut random, dir) = (Random::new(SEED), scratch::dir());
    let base = dir.path().join("base");
    let mut row = Row::new(name, 0, 0).seeded(SEED);
    let mut whole = 0;
    for (operation, more) in worlds(sample) {
        let world = World::sized(operation, more);
        // A sample leaves these to the sweeps of kills and errors, which have the same judge.
        for (lie, seen) in if full() { world.lies() } else { Vec::new() } {
            row.canary(seen);
            assert!(seen, "the judge did not see {lie}");
        }
        let what = format!("{operation:?} of a package with {more} files more");
        let at = world.on_disk(fs, &base);
        let recording = record(fs, &world.command(), &base, &at, true);
        let all = recording.cuts(&mut random, planned(340, 40));
        let chosen = choose(&all, &recording, &mut random);
        row.plan(all.len() as u64, chosen.len() as u64);
        for (i, cut) in chosen.into_iter().enumerate() {
            whole += usize::from(cut.lost.is_empty());
            let result = look(&world, fs, &recording, cut, &base, i % 10 == 0);
            row.outcome(
                &format!("{what}: power gone after write {} without {:?}", cut.end, cut.lost),
                result,
            );
        }
        let (writes, done, flushes) = (recording.writes.len(), recording.done, recording.flushes());
        row.note(format!("{what}: {writes} writes, {done} before exit 0, {flushes} flushes"));
        row.canary(unsynced(&world, fs, &base, &mut random) > 0);
    }
    row.note(format!("{whole} states lost nothing, the others some writes since the last flush"));
    row.finish();
}

/// All states, or a sample of them with the moment of exit 0.
fn choose<'a>(all: &'a [Cut], recording: &Recording, random: &mut Random) -> Vec<&'a Cut> {
    let mut chosen: Vec<_> = all.iter().collect();
    if !full() {
        random.shuffle(&mut chosen);
        chosen.truncate(9);
        chosen.extend(all.iter().rev().filter(|c| c.end == recording.done).take(1));
    }
    chosen
}

/// How many states are lies when the operation syncs nothing, of the last ones: those from exit 0 on, and reordered ones.
fn unsynced(world: &World, fs: &FileSystem, base: &Path, random: &mut Random) -> usize {
    let blind = record(fs, &world.command(), base, &world.disk(), false);
    let mut states = blind.cuts(random, 60);
    states.reverse();
    states.truncate(planned(60, 5));
    let is_lie = |cut: &&Cut| look(world, fs, &blind, cut, base, false).is_err_and(|e| e != NO_MOUNT);
    states.iter().filter(is_lie).count()
}

const NO_MOUNT: &str = "the file system does not mount";

/// What a cut left, judged after `repair`; `again`: the operation must also work then.
fn look(
    world: &World,
    fs: &FileSystem,
    recording: &Recording,
    cut: &Cut,
    base: &Path,
    again: bool,
) -> Result<&'static str, String> {
    let dir = scratch::dir();
    let disk = dir.path().join("disk");
    cut.make(recording, base, &disk);
    let Some(_mount) = Mount::of_file(fs.name, "rw", &disk, &world.disk()) else {
        return Err(NO_MOUNT.to_owned());
    };
    let state = if again { world.settle()? } else { world.recover()? };
    if cut.end >= recording.done && state != "new" {
        return Err(format!("exit 0 was before, but the state is {state}"));
    }
    Ok(state)
}
