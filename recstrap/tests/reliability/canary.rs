//! Lies that the harness tells itself before it judges anyone: each must be found by the same judge.

use std::os::unix::fs::FileExt;
use std::path::Path;

use common::layout::{INCOMPLETE_MARKER, INSTALLED_RECORD};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use crate::image::Image;
use crate::program::{State, install, judge};
use crate::target::{ROOMY, Target};
use testkit::ledger::{Row, full};

/// Installs once, then spoils what was installed in every way there is, one at a time. A sample tells one lie, another in
/// each sweep; `all_lies_are_seen` tells all of them in any case.
pub(crate) fn judge_sees(row: &mut Row, image: &Image, target: &mut Target) {
    let (first, count) = if full() { (0, usize::MAX) } else { (row.number() % 8, 1) };
    lies(row, image, target, first, count);
}

/// What is done to a target, and how.
type Lie = (&'static str, fn(&Path));

fn lies(row: &mut Row, image: &Image, target: &mut Target, first: usize, count: usize) {
    let lies: [Lie; 8] = [
        ("a flipped bit", |root| {
            let path = root.join("usr/lib/large");
            let time = times(&path);
            let file = std::fs::File::options().read(true).write(true).open(&path).expect("opened");
            let mut byte = [0];
            file.read_exact_at(&mut byte, 1_000_003).expect("read");
            file.write_all_at(&[byte[0] ^ 1], 1_000_003).expect("written");
            set_times(&path, &time);
        }),
        ("another mode", |root| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(root.join("usr/bin/tool-1"), mode).expect("set");
        }),
        ("another time", |root| {
            let path = root.join("usr/bin/link-1");
            let mut time = times(&path);
            time.last_modification.tv_nsec += 1;
            set_times(&path, &time);
        }),
        ("a lost attribute", |root| {
            rustix::fs::lremovexattr(root.join("usr/bin/tool-9"), "security.capability").expect("removed");
        }),
        ("a hard link that is a copy", |root| {
            let path = root.join("usr/lib/linked-3");
            let copy = root.join("usr/lib/copy");
            common::cmd::Cmd::new("cp").arg("-a").arg(&path).arg(&copy).run().expect("copied");
            std::fs::rename(copy, path).expect("renamed");
        }),
        ("a lost file", |root| std::fs::remove_file(root.join("etc/conf.d/007.conf")).expect("removed")),
        ("a file too many", |root| std::fs::write(root.join("etc/extra"), "").expect("written")),
        ("neither record nor marker", |root| {
            std::fs::remove_file(root.join(INSTALLED_RECORD)).expect("removed");
        }),
    ];
    let out = install(image, &target.path()).output().expect("recstrap starts");
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "a run without an attack ends with {}: {stderr}", out.status);
    assert_eq!(judge(&target.path(), image), Ok(State::Installed), "after a run without an attack");
    target.unmount();
    let good = target.disk.with_extension("good");
    std::fs::copy(&target.disk, &good).expect("copied");
    for (name, lie) in lies.into_iter().skip(first).take(count) {
        std::fs::copy(&good, &target.disk).expect("copied");
        assert!(target.remount(), "what was installed mounts");
        lie(&target.path());
        let found = judge(&target.path(), image);
        row.canary(found.is_err());
        assert!(found.is_err(), "the judge did not see {name}");
        target.unmount();
    }
    std::fs::copy(&good, &target.disk).expect("copied");
    assert!(target.remount(), "what was installed mounts");
    std::fs::write(target.path().join(INCOMPLETE_MARKER), "").expect("written");
    row.canary(judge(&target.path(), image) == Ok(State::Incomplete));
    std::fs::remove_file(good).expect("removed");
    target.fresh(ROOMY);
}

/// All of them, in a sample too.
#[test]
fn all_lies_are_seen() {
    if !crate::root_or_skip("the canaries of the judge") {
        return;
    }
    let image = Image::new();
    let mut target = Target::new(ROOMY);
    lies(&mut Row::new("canaries of the judge", 9, 9), &image, &mut target, 0, usize::MAX);
}

fn times(path: &Path) -> Timestamps {
    use std::os::unix::fs::MetadataExt;
    let meta = path.symlink_metadata().expect("it is there");
    let time = Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() as _ };
    Timestamps { last_access: time, last_modification: time }
}

fn set_times(path: &Path, times: &Timestamps) {
    rustix::fs::utimensat(CWD, path, times, AtFlags::SYMLINK_NOFOLLOW).expect("a time");
}
