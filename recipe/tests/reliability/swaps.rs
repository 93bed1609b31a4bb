//! Directories of prefix, stage and build become links that lead out while `recipe` works: nothing outside changes.
//!
//! What is in the prefix meanwhile is the attacker's own doing; that is not judged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use testkit::ledger::{Row, planned};
use testkit::random::Random;

use crate::rig::tree;
use crate::scene::{COMMANDS, Scene};
use crate::state::copy;

const SEED: u64 = 37;

/// Who swaps: names below the prefix for links to their mirror images outside, and back.
struct Swapper<'a> {
    scene: &'a Scene,
    running: AtomicBool,
    /// In the middle of it.
    busy: AtomicBool,
    stop: AtomicBool,
    /// Swaps that were done while a command ran.
    swaps: AtomicU64,
}

/// Ends the swapper whatever happens: the scope waits for it.
struct Stop<'a>(&'a Swapper<'a>);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

impl Swapper<'_> {
    /// Lets it work, or waits until it has stopped and everything is back in its place.
    fn run(&self, running: bool) {
        self.running.store(running, Ordering::SeqCst);
        while !running && self.busy.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }

    fn work(&self, seed: u64) {
        let mut random = Random::new(seed);
        let rig = &self.scene.rig;
        let (prefix, outside, link) = (rig.path("prefix"), rig.path("outside"), rig.path("swapped"));
        while !self.stop.load(Ordering::Relaxed) {
            self.busy.store(true, Ordering::SeqCst);
            if !self.running.load(Ordering::SeqCst) {
                self.busy.store(false, Ordering::SeqCst);
                std::thread::yield_now();
                continue;
            }
            let mut dirs = Vec::new();
            walk(&prefix, 0, &mut dirs);
            // The list is of use for a while, though what it names comes and goes.
            for _ in 0..20 {
                if !self.running.load(Ordering::SeqCst) {
                    break;
                }
                let Some(at) = dirs.get(random.below(dirs.len().max(1) as u64) as usize) else { break };
                let below = at.strip_prefix(&prefix).expect("below");
                let mirror = outside.join(below);
                let target = if mirror.is_dir() { mirror } else { outside.join("decoy") };
                let _ = std::fs::remove_file(&link);
                if std::os::unix::fs::symlink(target, &link).is_err() {
                    // A directory was left here: its place was taken by somebody else.
                    let _ = std::fs::remove_dir_all(&link);
                    continue;
                }
                if renameat_with(CWD, at, CWD, &link, RenameFlags::EXCHANGE).is_err() {
                    continue;
                }
                self.swaps.fetch_add(1, Ordering::Relaxed);
                for _ in 0..random.below(2000) {
                    std::hint::spin_loop();
                }
                let back = renameat_with(CWD, &link, CWD, at, RenameFlags::EXCHANGE);
                if back.is_err() {
                    let _ = renameat_with(CWD, &link, CWD, at, RenameFlags::NOREPLACE);
                    // A link may have stayed, and what is listed below it would be outside.
                    break;
                }
            }
            self.busy.store(false, Ordering::SeqCst);
        }
        let _ = std::fs::remove_file(&link).or_else(|_| std::fs::remove_dir_all(&link));
    }
}

/// Directories below, links not followed.
fn walk(dir: &Path, depth: usize, out: &mut Vec<PathBuf>) {
    for entry in dir.read_dir().into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            out.push(entry.path());
            if depth < 6 {
                walk(&entry.path(), depth + 1, out);
            }
        }
    }
}

/// What the links lead to: an image of the prefix, and a directory with the names that packages have.
fn mirror(scene: &Scene) -> BTreeMap<String, String> {
    let outside = scene.rig.path("outside");
    copy(&scene.rig.path("prefix"), &outside);
    for name in [
        "p",
        "a",
        "b",
        "c",
        "bin/p",
        "bin/a",
        "bin/b",
        "share/p/conf",
        "etc/p.conf",
        "journal.json",
        "new/p/x",
    ] {
        scene.rig.write(&format!("outside/decoy/{name}"), "as it was");
    }
    tree(&outside)
}

#[test]
fn swaps() {
    let scene = Scene::new();
    let before = mirror(&scene);
    let outside = scene.rig.path("outside");
    let (count, least) = (planned(2000, 40), planned(100_000, 2_000) as u64);
    let mut row = Row::new(
        "directories swapped for links that lead out, while commands run",
        count as u64 * 1000,
        count as u64,
    )
    .seeded(SEED);
    let mut random = Random::new(SEED);
    let off = || AtomicBool::new(false);
    let swapper =
        Swapper { scene: &scene, running: off(), busy: off(), stop: off(), swaps: AtomicU64::new(0) };
    std::thread::scope(|s| {
        let _stop = Stop(&swapper);
        s.spawn(|| swapper.work(SEED));
        let mut runs = 0;
        while runs < count || swapper.swaps.load(Ordering::Relaxed) < least {
            if runs % 8 == 0 {
                scene.restore();
            }
            runs += 1;
            let number = random.below(COMMANDS.len() as u64 + 1) as usize;
            let cmd =
                if number == COMMANDS.len() { scene.rig.cmd(&["repair"]) } else { scene.command(number) };
            let first = swapper.swaps.load(Ordering::Relaxed);
            swapper.run(true);
            let out = cmd.output().expect("recipe starts");
            swapper.run(false);
            if swapper.swaps.load(Ordering::Relaxed) == first {
                row.missed();
                continue;
            }
            let stderr = String::from_utf8_lossy(&out.stderr);
            let result = match out.status.code() {
                _ if tree(&outside) != before => Err(format!("outside is not as it was: {stderr}")),
                _ if stderr.contains("panicked") => Err(format!("panic: {stderr}")),
                Some(0) => Ok("done"),
                Some(code) if recipe::exit::TABLE.iter().any(|(known, _)| i32::from(*known) == code) => {
                    Ok("refused")
                }
                _ => Err(format!("{}: {stderr}", out.status)),
            };
            row.outcome(&cmd.display(), result);
        }
        // A program that trusts names is caught by the same swapper and the same eye.
        let path = scene.rig.prefix("share/p/canary");
        scene.restore();
        swapper.run(true);
        let caught = (0..2_000_000u32).any(|i| {
            let _ = std::fs::write(&path, "x");
            i % 64 == 0 && tree(&outside) != before
        });
        swapper.run(false);
        row.canary(caught);
    });
    row.note(format!("{} swaps while commands ran", swapper.swaps.load(Ordering::Relaxed)));
    row.finish();
}
