//! hwdb.bin against the host's `systemd-hwdb --root=DIR update`: the same bytes.

#[path = "support/disk.rs"]
mod disk;

use std::path::Path;

use common::cmd::Cmd;
use leviso::finalise::hwdb;
use leviso::tree::{Origin, Tree};
use proptest::prelude::*;

const TEST: Origin = Origin::Generated("test");

/// What systemd-hwdb makes of the tree's sources.
fn reference(tree: &Tree, root: &Path) -> Vec<u8> {
    disk::write(tree, root);
    let tool = Cmd::new(testkit::oracle("systemd-hwdb")).arg(format!("--root={}", root.display()));
    let out = tool.args(["--usr", "update"]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    std::fs::read(root.join("usr/lib/udev/hwdb.bin")).unwrap()
}

/// What we make of the same sources. systemd-hwdb before 259 puts the root into the names of the sources.
fn ours(paths: &[&str], tree: &Tree, root: &Path, version: u64) -> Vec<u8> {
    let named: Vec<_> = paths.iter().map(|p| format!("{}{p}", root.display())).collect();
    let sources: Vec<_> =
        named.iter().zip(paths).map(|(n, p)| (n.as_bytes(), tree.read(p).unwrap_or_default())).collect();
    hwdb::compile(&sources, version)
}

/// Compares, without printing megabytes. The version is whatever the host's tool says.
fn agrees(paths: &[&str], tree: &Tree) {
    let root = tempfile::tempdir().unwrap();
    let theirs = reference(tree, root.path());
    let version = u64::from_le_bytes(theirs[8..16].try_into().unwrap());
    let ours = ours(paths, tree, root.path(), version);
    let differ = ours.iter().zip(&theirs).position(|(a, b)| a != b);
    assert_eq!((ours.len(), differ), (theirs.len(), None));
}

fn tree(files: &[(&str, &[u8])]) -> Tree {
    let mut tree = Tree::new(0);
    tree.mkdir_p("/usr/lib/udev/hwdb.d", &TEST).unwrap();
    // Debian 12's systemd-hwdb looks in /lib.
    tree.symlink("/lib", "usr/lib", TEST).unwrap();
    for (path, content) in files {
        tree.write(path, content.to_vec(), 0o644, TEST).unwrap();
    }
    tree
}

/// The hardware database the host's udev package ships, some 9 MB of text.
fn host_tree() -> (Tree, Vec<String>) {
    let mut tree = tree(&[]);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/udev/hwdb.d").unwrap() {
        let path = entry.unwrap().path();
        tree.write(path.to_str().unwrap(), std::fs::read(&path).unwrap(), 0o644, TEST).unwrap();
        paths.push(path.into_os_string().into_string().unwrap());
    }
    paths.sort();
    (tree, paths)
}

#[test]
fn the_hosts_own_database_gives_the_same_bytes() {
    let (tree, paths) = host_tree();
    assert!(paths.len() > 20, "the host's udev ships few hwdb files: {paths:?}");
    agrees(&paths.iter().map(String::as_str).collect::<Vec<_>>(), &tree);
}

#[test]
fn odd_lines_are_read_as_systemd_reads_them() {
    let long = [&b"long:"[..], &vec![b'x'; 1 << 20], b"\n LOST=1\n"].concat();
    let files: [(&str, &[u8]); 7] = [
        (
            "/usr/lib/udev/hwdb.d/10-odd.hwdb",
            b"# comment\n INDENTED=first\nmatch:a*\nmatch:ab*\n KEY=1\n   SPACES = padded \t\n\tTAB=no\n AFTER=lost\n\n\
              match:none\n\nmatch:a*\n KEY=2 # trailing\n =empty\n  =empty\n NOEQUALS\n EMPTY=\n   # ends the record\n \
              GONE=1\n\nmatch:trailing \x0b\n V=1\n#in between\n W=a=b\n",
        ),
        ("/usr/lib/udev/hwdb.d/20-ends.hwdb", b"crlf:*\r\n A=1\r\n B=2\r\n\r\nnul:\0 C=3\0\0\ncr:\r D=4\r\rlast:*\n E=5"),
        ("/usr/lib/udev/hwdb.d/30-bytes.hwdb", b"\xff\xfe\x80:*\n N\xc3\xa4me=\xe9\xff\n\nmatch:\n X=1\nm\n"),
        ("/usr/lib/udev/hwdb.d/40-empty.hwdb", b""),
        ("/usr/lib/udev/hwdb.d/50-hidden.hwdb", b"vendor:*\n A=vendor\n"),
        ("/etc/udev/hwdb.d/50-hidden.hwdb", b"vendor:*\n A=admin\n"),
        ("/etc/udev/hwdb.d/05-long.hwdb", &[&b"kept:*\n A=1\n\n"[..], &long, b"\nlost:*\n A=1\n"].concat()),
    ];
    agrees(
        &[
            "/etc/udev/hwdb.d/05-long.hwdb",
            "/usr/lib/udev/hwdb.d/10-odd.hwdb",
            "/usr/lib/udev/hwdb.d/20-ends.hwdb",
            "/usr/lib/udev/hwdb.d/30-bytes.hwdb",
            "/usr/lib/udev/hwdb.d/40-empty.hwdb",
            "/etc/udev/hwdb.d/50-hidden.hwdb",
        ],
        &tree(&files),
    );
}

#[test]
fn apply_writes_what_the_real_reader_finds() {
    let mut tree = tree(&[
        ("/usr/lib/udev/hwdb.d/20-a.hwdb", b"usb:v1D6B*\n ID_VENDOR=vendor\n ID_KEPT=yes\n"),
        ("/usr/lib/udev/hwdb.d/60-b.hwdb", b"hidden\n X=1\n"),
        ("/usr/lib64/systemd/libsystemd-shared-257.9-2.el10.so", b""),
        ("/etc/udev/hwdb.d/90-local.hwdb", b"usb:v1D6Bp000?*\n ID_VENDOR=local\n"),
    ]);
    tree.symlink("/etc/udev/hwdb.d/60-b.hwdb", "/dev/null", TEST).unwrap();
    hwdb::apply(&mut tree).unwrap();
    let id = tree.stat("/usr/lib/udev/hwdb.bin").unwrap();
    assert_eq!(tree.inode(id).meta.mode, 0o444);
    let database = tree.read("/usr/lib/udev/hwdb.bin").unwrap();
    assert_eq!(database[8..16], 257u64.to_le_bytes());

    let root = tempfile::tempdir().unwrap();
    disk::write(&tree, root.path());
    let query = Cmd::new(testkit::oracle("systemd-hwdb")).arg(format!("--root={}", root.path().display()));
    let found = query.args(["query", "usb:v1D6Bp0002"]).read().unwrap();
    let mut found: Vec<_> = found.lines().collect();
    found.sort_unstable();
    assert_eq!(found, ["ID_KEPT=yes", "ID_VENDOR=local"]);
}

#[test]
fn no_sources_make_no_database() {
    let mut tree = tree(&[]);
    hwdb::apply(&mut tree).unwrap();
    assert!(!tree.exists("/usr/lib/udev/hwdb.bin"));
}

#[test]
fn deeply_nested_matches_do_not_exhaust_the_stack() {
    // Each match is one byte longer than the one before: the trie is as deep as there are matches.
    let source: Vec<u8> = (1..4000).flat_map(|n| [&vec![b'a'; n], &b"\n A=1\n\n"[..]].concat()).collect();
    let small = std::thread::Builder::new().stack_size(64 * 1024);
    let database = small.spawn(move || hwdb::compile(&[(b"x", &source)], 0)).unwrap().join().unwrap();
    assert!(database.len() > 4000 * 24);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Few letters, so that prefixes split and tails are shared in every way.
    #[test]
    fn random_sources_give_the_same_bytes(
        records in prop::collection::vec(("[ab*:]{1,6}", prop::collection::vec("[AB]{0,3}=[abAB]{0,4}", 0..4)), 0..60),
        junk in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut text = Vec::new();
        for (pattern, properties) in &records {
            text.extend(format!("{pattern}\n").bytes());
            properties.iter().for_each(|p| text.extend(format!(" {p}\n").bytes()));
            text.push(b'\n');
        }
        text.extend_from_slice(&junk);
        agrees(&["/usr/lib/udev/hwdb.d/a.hwdb"], &tree(&[("/usr/lib/udev/hwdb.d/a.hwdb", &text)]));
    }
}
