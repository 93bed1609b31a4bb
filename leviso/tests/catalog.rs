//! The journal catalogue against the host's `journalctl --update-catalog --root=DIR`: the same bytes.

#[path = "support/disk.rs"]
mod disk;

use common::cmd::Cmd;
use leviso::finalise::catalog;
use leviso::tree::{Origin, Tree};

const TEST: Origin = Origin::Generated("test");
const DATABASE: &str = "/var/lib/systemd/catalog/database";

fn tree(files: &[(&str, &[u8])]) -> Tree {
    let mut tree = Tree::new(0);
    for (path, content) in files {
        tree.write(format!("/usr/lib/systemd/catalog/{path}"), content.to_vec(), 0o644, TEST).unwrap();
    }
    tree
}

fn agrees_with_journalctl(mut tree: Tree) -> Tree {
    let root = tempfile::tempdir().unwrap();
    disk::write(&tree, root.path());
    let journalctl = Cmd::new(testkit::oracle("journalctl")).arg("--update-catalog");
    let out = journalctl.arg(format!("--root={}", root.path().display())).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let theirs = std::fs::read(root.path().join(&DATABASE[1..])).unwrap();

    catalog::apply(&mut tree).unwrap();
    let ours = tree.read(DATABASE).unwrap();
    let differ = ours.iter().zip(&theirs).position(|(a, b)| a != b);
    assert_eq!((ours.len(), differ), (theirs.len(), None));
    tree
}

/// Whether the real tool refuses what we refuse, and with which words we do.
fn both_refuse(name: &str, content: &[u8]) -> String {
    let mut tree = tree(&[(name, content)]);
    let root = tempfile::tempdir().unwrap();
    disk::write(&tree, root.path());
    let journalctl = Cmd::new(testkit::oracle("journalctl")).arg("--update-catalog");
    let out = journalctl.arg(format!("--root={}", root.path().display())).output().unwrap();
    assert!(!out.status.success(), "journalctl accepts {name}");
    let err = catalog::apply(&mut tree).unwrap_err();
    assert_eq!(common::cli::exit_code(&err), leviso::exit::SYSTEM);
    assert!(!tree.exists(DATABASE));
    format!("{err:#}")
}

#[test]
fn the_hosts_own_catalogues_give_the_same_bytes() {
    let mut tree = tree(&[]);
    let mut count = 0;
    for entry in std::fs::read_dir("/usr/lib/systemd/catalog").unwrap() {
        let path = entry.unwrap().path();
        tree.write(path.to_str().unwrap(), std::fs::read(&path).unwrap(), 0o644, TEST).unwrap();
        count += 1;
    }
    assert!(count > 5, "the host has {count} catalogues");
    agrees_with_journalctl(tree);
}

#[test]
fn odd_catalogues_are_read_as_systemd_reads_them() {
    let id = "0123456789abcdef0123456789ABCDEF";
    let other = "00000000000000000000000000000001";
    let dashes = "01234567-89ab-cdef-0123-456789ab";
    let first = format!(
        "# comment\n; another\n\n\n-- {id}\nSubject: one\nDefined-By: a\n\n\nbody\n\n\n\nmore\n-- {other} is text here\n\n\
         -- {dashes} cut off here\n\n-- {other}   de  \nSubject: zwei\n\n-- not an id\n\n-- {id} de\nSubject: nur Kopf\n"
    );
    // The same ids again: headers are put together, bodies replaced unless empty.
    let second = format!("-- {id}\r\nSupport: x\r\n\r\nnew body\r\n\r\n-- {id} de\nSupport: y\n\nText\n");
    let third = format!("-- {id}\nSubject: third\n\n-- {other}\nX: y\n");
    agrees_with_journalctl(tree(&[
        ("a.catalog", first.as_bytes()),
        ("b.catalog", second.as_bytes()),
        ("c.catalog", third.as_bytes()),
        ("d.de.catalog", format!("-- {other} de\nA: unnecessary\n\n-- {id} fr\nB: different\n").as_bytes()),
        ("e.a-language-of-more-than-thirty-one-bytes.catalog", format!("-- {id}\nA: b\n\nC\n").as_bytes()),
        (
            "f.catalog",
            format!("-- {id} pl\nA: b\n\n-- {dashes} cut off here\n-- {dashes} is not\n").as_bytes(),
        ),
        ("g.catalog", b""),
        ("ignored.txt", b"text before an id"),
    ]));
}

#[test]
fn what_systemd_refuses_is_an_error_that_names_file_and_line() {
    let id = "0123456789abcdef0123456789abcdef";
    let err = both_refuse("a.catalog", b"\n# comment\nSubject: no id\n");
    assert!(err.contains("/usr/lib/systemd/catalog/a.catalog") && err.contains("line 3"), "{err}");
    both_refuse("a.catalog", format!("-- {id}\n\n-- {id}\nA: b\n").as_bytes());
    both_refuse("a.catalog", format!("-- {id}\n").as_bytes());
    both_refuse("a.catalog", format!("-- {id} x\nA: b\n").as_bytes());
    both_refuse("a.catalog", format!("-- {id} {}\nA: b\n", "x".repeat(32)).as_bytes());
    both_refuse("a.x.catalog", format!("-- {id}\nA: b\n").as_bytes());
    both_refuse("a.catalog", format!("-- {id}\n{}\n", "x".repeat(1 << 20)).as_bytes());
}

#[test]
fn no_catalogue_makes_no_database() {
    let mut tree = tree(&[]);
    catalog::apply(&mut tree).unwrap();
    assert!(!tree.exists(DATABASE));
}
