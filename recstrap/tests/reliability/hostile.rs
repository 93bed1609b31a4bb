//! Images that an attacker made, with a manifest that fits them: a tree outside of the target stays as it is.

use std::path::Path;

use common::cmd::Cmd;

use crate::image::Image;
use crate::program::{State, binary, install, judge};
use crate::random::Random;
use crate::scratch;
use crate::target::{ROOMY, Target};
use crate::{canary, root_or_skip};
use testkit::ledger::{Row, planned};

/// Name, what to look for in the image, what to put there instead (as long).
struct Forgery(&'static str, Vec<u8>, Vec<u8>);

/// Names in the image that are long and rare enough to be found, and forged.
fn populate(root: &Path, outside: &Path) {
    let write = |path: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, b"evil\n".repeat(300)).expect("written");
    };
    // Two names that become one: first a link that leads outside, then a directory that is filled.
    std::os::unix::fs::symlink(outside, root.join("AAAA-1")).expect("linked");
    write("AAAA-2/victim");
    write("BBBB/victim");
    write("CC/victim");
    write("D/victim");
    write("EEEE-victim");
    write("etc/FFFFFFFFFFFFFFFF");
    write("etc/passwd");
    // recstrap would make these, and the judge would take them for differences.
    std::fs::create_dir_all(root.join("var/lib")).expect("made");
    std::fs::write(root.join("etc/machine-id"), "uninitialized\n").expect("written");
    std::os::unix::fs::symlink("GGGGGGGGGGGGGG", root.join("etc/link")).expect("linked");
    std::fs::hard_link(root.join("etc/passwd"), root.join("etc/HHHHHHHH")).expect("linked");
    for i in 0..40 {
        write(&format!("usr/lib/file-{i}"));
    }
}

fn forgeries(outside: &Path) -> Vec<Forgery> {
    let up = |name: &str| name.as_bytes().to_vec();
    let mut long_way = up("../../../../../..");
    long_way.truncate(16);
    vec![
        Forgery("a link, then a directory of the same name", up("AAAA-2"), up("AAAA-1")),
        Forgery("names out of order", up("AAAA-1"), up("zzzz-1")),
        Forgery("a name with slashes", up("BBBB"), up("/tmp")),
        Forgery("a name that is `..`", up("CC"), up("..")),
        Forgery("a name that leads up", up("EEEE-victim"), up("../../victi")),
        Forgery("a name with NUL", up("EEEE-victim"), up("EE\0E-victim")),
        Forgery("a name with many `..`", up("FFFFFFFFFFFFFFFF"), long_way),
        Forgery("a link's target with NUL", up("GGGGGGGGGGGGGG"), up("/etc\0GGGGGGGGG")),
        Forgery("a link that leads outside", up("GGGGGGGGGGGGGG"), up("/proc/self/cwd")),
        Forgery("a hard link's name that leads up", up("HHHHHHHH"), up("../../HH")),
        Forgery(
            "a link and its directory, by the outside's own path",
            outside.as_os_str().as_encoded_bytes().into(),
            {
                let mut path = outside.as_os_str().as_encoded_bytes().to_vec();
                path.reverse();
                path
            },
        ),
    ]
}

#[test]
fn hostile() {
    let name = "forged images: names, links, directories, random metadata";
    if !root_or_skip(name) {
        return;
    }
    let mut target = Target::new(ROOMY);
    let good = Image::new();
    let random_count = planned(500, 20) as u64;
    let outside = scratch::dir();
    for name in ["victim", "file"] {
        std::fs::write(outside.path().join(name), "as it was\n").expect("written");
    }
    std::fs::create_dir(outside.path().join("dir")).expect("made");
    let sentinel =
        |place: &Path| testkit::tree::read(place, |_| false).expect("the sentinel can be read").digest;
    // Beside the target, where `..` leads: all of its directory but the target and its disk.
    let beside = target.path().parent().expect("a parent").join("beside");
    std::fs::create_dir(&beside).expect("made");
    std::fs::write(beside.join("victim"), "as it was\n").expect("written");
    let sentinel_path = target.path();
    let sentinels = || (sentinel(outside.path()), sentinel(&beside), names(&sentinel_path));
    let before = sentinels();
    let image = Image::of("", &["-Enosbcrc"], |root| populate(root, outside.path()));
    let whole = std::fs::read(&image.path).expect("an image");
    let forgeries = forgeries(outside.path());
    let planned = 2 * (forgeries.len() as u64 + random_count);
    let mut row = Row::new(name, forgeries.len() as u64 + whole.len() as u64 * 8, planned);
    canary::judge_sees(&mut row, &good, &mut target);
    let mut random = Random::new(66);
    let flips = (0..random_count).map(|i| {
        let mut bytes = whole.clone();
        // Metadata lies first; one to three bits of it.
        for _ in 0..=i % 3 {
            let bit = random.below(8 * (32 << 10).min(bytes.len() as u64));
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
        (format!("random metadata {i}"), bytes)
    });
    let forged = forgeries.iter().map(|Forgery(name, from, to)| {
        let mut bytes = whole.clone();
        let places: Vec<_> =
            bytes.windows(from.len()).enumerate().filter(|(_, w)| w == from).map(|(i, _)| i).collect();
        assert!(!places.is_empty() && from.len() == to.len(), "{name}: found in the image");
        places.iter().for_each(|&at| bytes[at..at + to.len()].copy_from_slice(to));
        ((*name).to_owned(), bytes)
    });
    for (attack, bytes) in forged.chain(flips) {
        std::fs::write(&image.path, bytes).expect("forged");
        image.seal();
        // Without a manifest only the reader stands between the image and the machine: it may install what it was
        // given, and must not touch anything else.
        let alone = Cmd::new(binary()).args(["-q", "--no-manifest", "--image"]).arg(&image.path);
        let out = alone.arg(target.path()).output().expect("recstrap starts");
        let stderr = String::from_utf8_lossy(&out.stderr);
        let result = match out.status.code() {
            _ if sentinels() != before => Err("something outside of the target changed".to_owned()),
            _ if stderr.contains("panicked") => Err(format!("panic: {stderr}")),
            Some(0) => Ok("without a manifest: installed, nothing outside changed"),
            Some(_) => Ok("without a manifest: refused"),
            None => Err(out.status.to_string()),
        };
        row.outcome(&format!("{attack}, without a manifest"), result);
        target.empty();
        let out = install(&image, &target.path()).output().expect("recstrap starts");
        let stderr = String::from_utf8_lossy(&out.stderr);
        let result = match (out.status.code(), judge(&target.path(), &image)) {
            _ if sentinels() != before => Err("something outside of the target changed".to_owned()),
            _ if stderr.contains("panicked") => Err(format!("panic: {stderr}")),
            (Some(0), Ok(State::Installed)) => Ok("harmless: the tree is the same"),
            (_, Err(lie)) => Err(lie),
            (Some(0) | None, Ok(state)) => Err(format!("{}, target {}", out.status, state.name())),
            (Some(_), Ok(State::Installed)) => Err("refused, but installed".to_owned()),
            (Some(_), Ok(_)) => Ok("refused"),
        };
        row.outcome(&attack, result);
        target.empty();
    }
    row.finish();
}

/// What lies beside the target.
fn names(target: &Path) -> Vec<std::ffi::OsString> {
    let list = target.parent().expect("a parent").read_dir().expect("read");
    let mut names: Vec<_> = list.map(|e| e.expect("read").file_name()).collect();
    names.sort();
    names
}
