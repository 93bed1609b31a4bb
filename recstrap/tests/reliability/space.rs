//! Targets that are too small: by their size, by their inodes, by a small /boot mounted in them, by a disk that has
//! less than it says.

use common::cmd::Cmd;
use common::layout::INSTALLED_RECORD;

use crate::image::Image;
use crate::program::{State, install, judge, settle};
use crate::scratch::{self, Mount};
use crate::target::{self, ROOMY, Target};
use crate::{canary, root_or_skip};
use testkit::ledger::{Row, full, planned};

/// Preflight's exit code: refused before anything was written.
const REFUSED: i32 = 10;
const NO_SPACE: i32 = 3;

/// What an installation to a small target may come to.
fn verdict(run: &std::process::Output, state: Result<State, String>) -> Result<&'static str, String> {
    let stderr = String::from_utf8_lossy(&run.stderr);
    match (run.status.code(), state?) {
        (Some(0), State::Installed) => Ok("installed"),
        (Some(REFUSED), State::Untouched) => Ok("refused by preflight"),
        (Some(NO_SPACE), State::Incomplete) => Ok("exit 3, incomplete"),
        (Some(NO_SPACE), State::Untouched) => Ok("exit 3, untouched"),
        (code, state) => Err(format!("exit {code:?}, target {}: {stderr}", state.name())),
    }
}

#[test]
fn sizes() {
    let name = "50 target sizes, 1 % to 101 % of what is needed";
    if !root_or_skip(name) {
        return;
    }
    let image = Image::new();
    let mut target = Target::new(ROOMY);
    let mut row = Row::new(name, 50, planned(50, 6) as u64);
    canary::judge_sees(&mut row, &image, &mut target);
    let mut fits = |bytes: u64| {
        target.fresh(bytes);
        let run = install(&image, &target.path()).output().expect("recstrap starts");
        verdict(&run, judge(&target.path(), &image))
    };
    // The smallest that succeeds, to 0.5 %.
    let (mut small, mut enough) = (1 << 20, ROOMY);
    while enough - small > enough / 200 {
        let middle = (small + enough) / 2;
        let worked = fits(middle) == Ok("installed");
        *(if worked { &mut enough } else { &mut small }) = middle;
    }
    row.note(format!("needed: {} KiB of ext4 for {} names", enough >> 10, image.lines.len()));
    let step = if full() { 1 } else { 10 };
    for i in (0..50).step_by(step).chain((!full()).then_some(49)) {
        // mkfs.ext4 makes none smaller than 300 KiB.
        let bytes = (enough * (100 + i * 10_000 / 49) / 10_000).next_multiple_of(4096).max(300 << 10);
        let result = fits(bytes);
        let result = match result {
            Ok("installed") if i < 49 && bytes < small => Err("installed to less than is needed".to_owned()),
            Ok(outcome) if i == 49 && outcome != "installed" => Err(format!("101 %: {outcome}")),
            other => other,
        };
        row.outcome(&format!("{bytes} bytes"), result);
    }
    row.finish();
}

#[test]
fn inodes() {
    let name = "targets with too few inodes";
    if !root_or_skip(name) {
        return;
    }
    let image = Image::new();
    let mut target = Target::new(ROOMY);
    let count = planned(20, 3) as u64;
    let mut row = Row::new(name, 20, count);
    canary::judge_sees(&mut row, &image, &mut target);
    for i in 0..count {
        target.unmount();
        let inodes = 16 + i * image.lines.len() as u64 / count;
        let mkfs = Cmd::new("mkfs.ext4").args(["-q", "-F", "-b", "4096", "-N", &inodes.to_string()]);
        mkfs.arg(&target.disk).read().expect("mkfs.ext4 makes a file system");
        assert!(target.remount(), "it mounts");
        let run = install(&image, &target.path()).output().expect("recstrap starts");
        let result = verdict(&run, judge(&target.path(), &image));
        // mkfs.ext4 rounds up, so the last may have enough.
        row.outcome(&format!("{inodes} inodes"), result);
    }
    row.finish();
}

#[test]
fn small_boot() {
    let name = "a small /boot mounted in a large target";
    if !root_or_skip(name) {
        return;
    }
    let image = Image::new();
    let mut target = Target::new(ROOMY);
    let count = planned(20, 4) as u64;
    let mut row = Row::new(name, 20, count);
    canary::judge_sees(&mut row, &image, &mut target);
    for i in 0..count {
        target.fresh(ROOMY);
        // /boot of the image is 1.4 MB; from nothing to enough.
        let bytes = (300 << 10) + i * (2000 << 10) / count;
        let disk = target.disk.with_extension("boot");
        target::format(&target::EXT4, &disk, bytes);
        let mount = Mount::of_file("ext4", "rw", &disk, &target.path().join("boot"));
        let run = install(&image, &target.path()).output().expect("recstrap starts");
        let result = verdict(&run, judge(&target.path(), &image));
        row.outcome(&format!("/boot of {bytes} bytes"), result);
        drop(mount);
    }
    row.finish();
}

#[test]
fn thin_disk() {
    let name = "a disk that has less than it says (writes fail after they were accepted)";
    if !root_or_skip(name) {
        return;
    }
    let image = Image::new();
    let mut target = Target::new(ROOMY);
    let count = planned(30, 3) as u64;
    let mut row = Row::new(name, 30, count);
    canary::judge_sees(&mut row, &image, &mut target);
    drop(target);
    let (dir, mounts) = (scratch::dir(), scratch::mount_dir());
    let (at, disk) = (dir.path().join("thin"), dir.path().join("thin/disk"));
    let mut broke = 0;
    for i in 0..count {
        let tmpfs = Mount::new(&["-t", "tmpfs", "-o", "size=64m"], "tmpfs".as_ref(), &at).expect("a tmpfs");
        target::format(&target::EXT4, &disk, ROOMY);
        let used = std::os::unix::fs::MetadataExt::blocks(&disk.metadata().expect("metadata")) * 512;
        // ext4 believes in 48 MiB; behind it is room for what mkfs wrote and a part of the image.
        let room = used + (i + 1) * (9 << 20) / count;
        let option = format!("remount,size={room}");
        Cmd::new("mount").args(["-o", &option]).arg(&at).run().expect("remounted");
        let path = mounts.path().join("target");
        let ext4 = Mount::of_file("ext4", "rw", &disk, &path).expect("it mounts");
        let run = install(&image, &path).output().expect("recstrap starts");
        // What the disk really has, not what the page cache says.
        drop(ext4);
        let ext4 = Mount::of_file("ext4", "rw", &disk, &path);
        let code = run.status.code();
        let stderr = String::from_utf8_lossy(&run.stderr);
        let attack = format!("{room} bytes behind it");
        let result = match &ext4 {
            None if code == Some(0) => Err("exit 0, but the disk does not mount".to_owned()),
            None => Ok("reported, does not mount"),
            Some(_) => match (code, judge(&path, &image)) {
                (Some(0), Ok(State::Installed)) => Ok("installed"),
                (Some(0), other) => Err(format!("exit 0, but {other:?}")),
                (_, Ok(State::Installed)) => Ok("reported, all in place"),
                (Some(_), Ok(state)) => Ok(state.name()),
                // A file system whose journal could not be written may hold anything; only a claim is a lie.
                (Some(_), Err(_)) if !path.join(INSTALLED_RECORD).exists() => {
                    Ok("reported, file system damaged")
                }
                (code, Err(lie)) => Err(format!("exit {code:?}: {lie}")),
                (None, _) => Err(format!("{}: {stderr}", run.status)),
            },
        };
        broke += u64::from(code != Some(0));
        row.outcome(&attack, result);
        drop((ext4, tmpfs));
    }
    row.note(format!("{broke} of {count} disks were too thin"));
    row.canary(broke > 0);
    row.finish();
}

/// The same command on a target with enough room goes on where a full disk stopped: it starts over.
#[test]
fn grown_disk() {
    let name = "a full disk, grown, and the same command again";
    if !root_or_skip(name) {
        return;
    }
    let image = Image::new();
    let mut target = Target::new(ROOMY);
    let count = planned(10, 2) as u64;
    let mut row = Row::new(name, 10, count);
    canary::judge_sees(&mut row, &image, &mut target);
    for i in 0..count {
        target.fresh(ROOMY);
        // Preflight sees a roomy disk; what fills it comes while recstrap works, as another program's file would.
        let ballast = target.path().join("lost+found/ballast");
        let mut child = install(&image, &target.path()).std().spawn().expect("recstrap starts");
        let marker = target.path().join(common::layout::INCOMPLETE_MARKER);
        while !marker.exists() && child.try_wait().expect("waited").is_none() {
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        let room = ROOMY - (9 << 20) + i * (1 << 20);
        while room > 0 && child.try_wait().expect("waited").is_none() {
            if Cmd::new("fallocate").args(["-l", &room.to_string()]).arg(&ballast).output().is_ok() {
                break;
            }
        }
        let status = child.wait().expect("waited");
        let state = judge(&target.path(), &image);
        std::fs::remove_file(&ballast).expect("removed");
        let result = match (status.code(), state) {
            (_, Err(lie)) => Err(lie),
            (Some(0), Ok(State::Installed)) => Ok("installed before it was full"),
            (Some(NO_SPACE), Ok(_)) => {
                settle(status, &target.path(), &image).map(|_| "exit 3, then installed")
            }
            (code, Ok(state)) => Err(format!("exit {code:?}, target {}", state.name())),
        };
        row.outcome(&format!("{room} bytes taken away"), result);
    }
    row.finish();
}
