//! The writer against plans that no honest image gives: the reader refuses such images, but the writer does not count on it.
//!
//! Beside the target is a directory that must not change, whatever is tried.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use recstrap::install::builder::Builder;
use recstrap::install::control::Control;
use recstrap::install::extract::{Hash, Job};
use recstrap::install::plan::{Fate, Node, What};
use recstrap::install::progress::Progress;
use recstrap::install::root::Root;
use recstrap::install::source::{Sink, Source};
use recstrap::install::writeback::Writeback;

use crate::lab::{listing, write};

/// Gives every file this content.
struct Mock(&'static [u8]);

impl Source for Mock {
    type Scratch = ();

    fn read(&self, _: u64, (): &mut (), sink: &mut dyn Sink) -> anyhow::Result<()> {
        sink.data(self.0.len(), &mut |room| {
            room.copy_from_slice(self.0);
            Ok(())
        })
    }
}

fn node(parent: u32, name: &[u8], what: What) -> Node {
    Node {
        parent,
        name: name.into(),
        id: 0,
        what,
        mode: 0o4777,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        mtime: 1,
        nsec: 2,
        xattrs: [].into(),
        first: None,
        fate: Fate::Install,
        place: 0,
        link_to: None,
    }
}

fn file(parent: u32, name: &[u8]) -> Node {
    node(parent, name, What::File(4))
}

fn extract(target: &Path, nodes: Vec<Node>, source: &Mock) -> anyhow::Result<()> {
    let root = Root::open(target)?;
    let mut all = vec![node(0, b"", What::Dir)];
    all.extend(nodes);
    let plan = Builder { nodes: all }.seal(Vec::new());
    let (control, progress) = (&Control::default(), &Progress::new(true));
    let (root, plan, writeback) = (&root, &plan, &Writeback::default());
    Job { root, plan, source, hash: Hash::All, writeback, control, progress }.run(2).map(drop)
}

/// A target beside a directory with a file.
fn scene() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (target, outside) = (dir.path().join("target"), dir.path().join("outside"));
    std::fs::create_dir(&target).expect("made");
    write(&outside.join("victim"), b"precious");
    (dir, target, outside)
}

#[test]
fn nothing_outside_changes_and_it_is_an_error() {
    let link = |name: &[u8]| node(0, name, What::Symlink(b"../outside"[..].into()));
    let dir = |name: &[u8]| node(0, name, What::Dir);
    let hard = |parent, name: &[u8], first| Node { first: Some(first), ..file(parent, name) };
    let mut cases: Vec<(String, Vec<Node>)> = Vec::new();
    for name in [
        &b".."[..],
        b".",
        b"",
        b"a/b",
        b"../outside/new",
        b"/tmp/levitate-hostile",
        b"nul\0nul",
        b"../outside/victim",
    ] {
        let shown = String::from_utf8_lossy(name).into_owned();
        cases.push((format!("a file {shown:?}"), vec![file(0, name)]));
        cases.push((format!("a directory {shown:?}"), vec![dir(name), file(1, b"new")]));
        cases.push((format!("a symlink {shown:?}"), vec![node(0, name, What::Symlink(b"x"[..].into()))]));
        cases.push((format!("a pipe {shown:?}"), vec![node(0, name, What::Fifo)]));
        cases.push((format!("a link {shown:?}"), vec![file(0, b"a"), hard(0, name, 1)]));
    }
    cases.push(("a file through a symlink".into(), vec![link(b"s"), file(1, b"new")]));
    cases.push(("a file over one through a symlink".into(), vec![link(b"s"), file(1, b"victim")]));
    cases.push(("a directory through a symlink".into(), vec![link(b"s"), node(1, b"d", What::Dir)]));
    cases
        .push(("a symlink and a directory of one name".into(), vec![dir(b"s"), link(b"s"), file(2, b"new")]));
    cases.push(("one name twice".into(), vec![file(0, b"a"), file(0, b"a")]));
    cases.push(("a file over a symlink".into(), vec![link(b"s"), file(0, b"s")]));
    cases.push(("a link to a file outside".into(), vec![link(b"s"), file(1, b"victim"), hard(0, b"a", 2)]));
    cases.push(("a file below a file".into(), vec![file(0, b"a"), file(1, b"new")]));
    cases.push(("a content that is too long".into(), vec![node(0, b"a", What::File(3))]));
    cases.push(("a content that is too short".into(), vec![node(0, b"a", What::File(5))]));
    for (what, nodes) in cases {
        let (_dir, target, outside) = scene();
        let before = listing(&outside).digest;
        let result = extract(&target, nodes, &Mock(b"evil"));
        assert!(result.is_err(), "{what}: installed");
        assert_eq!(listing(&outside).digest, before, "{what}: something outside changed");
        assert!(!Path::new("/tmp/levitate-hostile").exists(), "{what}");
    }
}

#[test]
fn the_longest_name_arrives() {
    let (_dir, target, _) = scene();
    extract(&target, vec![file(0, &[b'x'; 255])], &Mock(b"good")).expect("installed");
    assert_eq!(std::fs::read(target.join("x".repeat(255))).expect("there"), b"good");
    assert!(extract(&target, vec![file(0, &[b'y'; 256])], &Mock(b"good")).is_err());
}

#[test]
fn links_that_are_there_already_lead_nowhere() {
    for at in ["etc", "etc/passwd"] {
        let (_dir, target, outside) = scene();
        if at == "etc" {
            symlink("../outside", target.join("etc")).expect("linked");
        } else {
            std::fs::create_dir(target.join("etc")).expect("made");
            symlink("../../outside/victim", target.join("etc/passwd")).expect("linked");
        }
        let before = listing(&outside).digest;
        let nodes = vec![node(0, b"etc", What::Dir), file(1, b"passwd"), file(1, b"victim")];
        assert!(extract(&target, nodes, &Mock(b"evil")).is_err(), "{at}");
        assert_eq!(listing(&outside).digest, before, "{at}");
    }
}

#[test]
fn no_part_of_a_path_is_followed_out() {
    let (_dir, target, outside) = scene();
    std::fs::create_dir(outside.join("sub")).expect("made");
    std::fs::create_dir(target.join("in")).expect("made");
    symlink("../outside", target.join("s")).expect("linked");
    symlink("in", target.join("inner")).expect("linked");
    symlink(&outside, target.join("absolute")).expect("linked");
    symlink("/proc/self/cwd", target.join("magic")).expect("linked");
    let root = Root::open(&target).expect("opened");
    assert!(root.dir(b"in").is_ok() && root.dir(b"").is_ok());
    for path in [
        &b"s"[..],
        b"s/sub",
        b"absolute/sub",
        b"..",
        b"in/../..",
        b"../outside/sub",
        b"/",
        b"/tmp",
        b"magic/.",
        b"inner/.",
    ] {
        assert!(root.dir(path).is_err(), "{}", String::from_utf8_lossy(path));
    }
}

/// A directory of the target is swapped with a symlink to outside, again and again, while files are written below it.
/// Outside has directories of the same names, so that only how a path is looked up keeps the files in.
#[test]
fn a_swapped_directory_leads_nowhere() {
    let (_dir, target, outside) = scene();
    std::fs::create_dir(outside.join("e")).expect("made");
    let before = listing(&outside).digest;
    symlink("../outside", target.join("swap")).expect("linked");
    let stop = AtomicBool::new(false);
    let (mut swaps, mut refused) = (0_u64, 0);
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            let mut swaps = 0;
            while !stop.load(Ordering::Relaxed) {
                let (a, b) = (target.join("d"), target.join("swap"));
                swaps += u64::from(renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).is_ok());
            }
            swaps
        });
        for _ in 0..150 {
            let mut nodes = vec![node(0, b"d", What::Dir)];
            nodes.push(node(1, b"e", What::Dir));
            nodes.extend((0..300).map(|n| file(1 + n % 2, format!("f{n}").as_bytes())));
            refused += usize::from(extract(&target, nodes, &Mock(b"evil")).is_err());
            // As it was, for the next round: std removes a symlink, and nothing behind it.
            for name in ["d", "swap"] {
                let _ = std::fs::remove_dir_all(target.join(name))
                    .or_else(|_| std::fs::remove_file(target.join(name)));
            }
            let _ = symlink("../outside", target.join("swap"));
        }
        stop.store(true, Ordering::Relaxed);
        swaps = swapper.join().expect("it ends");
    });
    assert_eq!(listing(&outside).digest, before, "something outside changed");
    assert!(swaps > 100 && refused > 0, "{swaps} swaps, {refused} refused: that was no race");
}
