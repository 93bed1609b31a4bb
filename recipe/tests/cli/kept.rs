//! Texts of recipe files that are kept in the cache: quick, and never another text than the file has.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use common::cmd::Cmd;

use crate::rig::Rig;

/// More than it takes for texts to be kept.
const COUNT: usize = 300;

fn text(i: usize, version: &str) -> String {
    format!("let pkg = #{{ name: \"p{i:03}\", version: \"{version}\" }};\nfn install() {{}}\n")
}

fn file(i: usize) -> String {
    format!("recipes/p{i:03}.rhai")
}

fn many() -> Rig {
    let rig = Rig::new();
    for i in 0..COUNT {
        rig.write(&file(i), text(i, "1"));
    }
    rig
}

/// As [`many`], after the files are old enough to be kept, and were listed.
fn kept() -> (Rig, PathBuf) {
    let rig = many();
    std::thread::sleep(Duration::from_secs(5));
    rig.run(&["list"]).ok();
    let texts: Vec<_> =
        rig.path("cache/texts").read_dir().expect("kept").map(|e| e.expect("read").path()).collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    (rig, texts[0].clone())
}

/// Which recipe files a command opens.
fn opened(rig: &Rig, args: &[&str]) -> BTreeSet<String> {
    let log = rig.path("strace.log");
    let strace = testkit::oracle("strace");
    let trace = ["-f", "-e", "trace=openat", "-o", log.to_str().expect("UTF-8")];
    rig.ran(rig.cmd(args).under(strace.to_str().expect("UTF-8"), &trace)).ok();
    let log = rig.read("strace.log");
    assert!(log.contains("exited with 0"), "{log}");
    let names = log.lines().filter_map(|line| line.split('"').nth(1)).filter(|name| name.ends_with(".rhai"));
    names.map(str::to_owned).collect()
}

/// `list` as it is without anything kept.
fn really(rig: &Rig) -> String {
    let empty = rig.path("empty-cache");
    let mut cmd = Cmd::new(env!("CARGO_BIN_EXE_recipe")).arg("list").arg("--cache").arg(&empty);
    cmd = cmd.arg("--recipes").arg(rig.path("recipes")).arg("--prefix").arg(rig.path("prefix"));
    let out = rig.ran(cmd).ok();
    let _ = std::fs::remove_dir_all(empty);
    out.stdout
}

/// What it may say: the truth.
fn check(rig: &Rig, what: &str) {
    assert_eq!(rig.run(&["list"]).ok().stdout, really(rig), "{what}");
}

#[test]
fn files_that_nobody_changed_are_not_opened_again() {
    let (rig, texts) = kept();
    assert_eq!(texts.metadata().expect("there").mode() & 0o777, 0o600);
    assert_eq!(opened(&rig, &["list"]), BTreeSet::new());
    assert_eq!(opened(&rig, &["search", "p"]), BTreeSet::new());
    rig.write(&file(7), text(7, "2"));
    assert_eq!(opened(&rig, &["list"]), BTreeSet::from(["p007.rhai".to_owned()]));
    check(&rig, "one is new");
    // What something is decided by is read.
    assert_eq!(opened(&rig, &["check"]).len(), COUNT);
}

#[test]
fn files_that_were_just_written_are_not_kept() {
    let rig = many();
    rig.run(&["list"]).ok();
    assert!(!rig.path("cache/texts").exists());
    // And few are not worth it.
    let few = Rig::new();
    few.add("a", "1", "");
    std::thread::sleep(Duration::from_secs(5));
    few.run(&["list"]).ok();
    assert!(!few.path("cache/texts").exists());
}

/// Whatever is done to a file, even with its size and its time of modification as before.
#[test]
fn a_changed_file_is_seen() {
    let (rig, _) = kept();
    let path = |i: usize| rig.path(&file(i));
    // Changes a file, and gives it the time of modification back that it had.
    let secretly = |i: usize, change: &dyn Fn()| {
        let time = path(i).metadata().and_then(|meta| meta.modified()).expect("a time");
        change();
        let file = std::fs::File::options().write(true).open(path(i)).expect("opened");
        file.set_modified(time).expect("set");
    };
    // Written in place.
    secretly(1, &|| std::fs::write(path(1), text(1, "2")).expect("written"));
    // Replaced by another file, as editors do.
    rig.write("new", text(2, "3"));
    secretly(2, &|| std::fs::rename(rig.path("new"), path(2)).expect("renamed"));
    // Gone, and new.
    std::fs::remove_file(path(3)).expect("removed");
    rig.write(&file(COUNT), text(COUNT, "4"));
    check(&rig, "changed, replaced, gone and new");
    let out = rig.run(&["list"]).ok();
    for (i, version) in [(1, "2"), (2, "3"), (COUNT, "4")] {
        assert!(out.stdout.contains(&format!("p{i:03}  {version}\n")), "{}", out.stdout);
    }
    assert!(!out.stdout.contains("p003"), "{}", out.stdout);
    // One file under two names is a mistake under one of them, as it is when it is read.
    std::fs::hard_link(path(4), rig.path("recipes/other.rhai")).expect("linked");
    rig.run(&["list"])
        .fails(10, "other.rhai:1:1: expected `pkg.name` to be the file's name \"other\", found \"p004\"");
    std::fs::remove_file(rig.path("recipes/other.rhai")).expect("removed");
    // A symlink is what it leads to.
    std::fs::rename(path(5), rig.path("p005.rhai")).expect("moved");
    std::os::unix::fs::symlink(rig.path("p005.rhai"), path(5)).expect("linked");
    check(&rig, "a symlink");
    rig.write("p005.rhai", text(5, "5"));
    check(&rig, "what a symlink leads to was changed");
    assert!(rig.run(&["list"]).ok().stdout.contains("p005  5\n"));
}

/// A cache that lies, is torn, or somebody else's gives nothing.
#[test]
fn what_is_kept_is_not_believed_if_it_is_damaged() {
    let (rig, texts) = kept();
    let whole = std::fs::read(&texts).expect("read");
    let truth = really(&rig);
    let try_it = |bytes: &[u8], what: &str| {
        std::fs::write(&texts, bytes).expect("written");
        assert_eq!(rig.run(&["list"]).ok().stdout, truth, "{what}");
    };
    let rows = 16 + COUNT * 48;
    let places = (0..16).chain((16..rows).step_by(1009)).chain((rows..whole.len()).step_by(997));
    for at in places {
        for bit in [0, 7] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            try_it(&bytes, &format!("bit {bit} of byte {at}"));
        }
    }
    for len in [0, 1, 15, 16, 17, rows - 1, rows, rows + 1, whole.len() - 1] {
        try_it(&whole[..len], &format!("cut to {len}"));
    }
    try_it(&[&whole[..], b"more"].concat(), "longer");
    try_it(&[&whole[..8], &[0xff; 8], &whole[16..]].concat(), "more rows than there can be");
    // The whole one is believed again; what it says is the proof that the others were not.
    let lie = String::from_utf8_lossy(&whole[rows..]).replacen("version: \"1\"", "version: \"9\"", 1);
    assert_ne!(lie.as_bytes(), &whole[rows..]);
    try_it(&[&whole[..rows], lie.as_bytes()].concat(), "a text that was changed");
    std::fs::write(&texts, &whole).expect("written");
    assert!(opened(&rig, &["list"]).is_empty());
    if !testkit::is_root() {
        return testkit::skip("a cache that is somebody else's", "only root can give a file away");
    }
    std::os::unix::fs::chown(&texts, Some(12345), None).expect("given away");
    assert_eq!(opened(&rig, &["list"]).len(), COUNT, "somebody else's is not believed");
}

/// What cannot be kept is read again, and said by nobody; what was kept can be removed.
#[test]
fn it_is_only_a_cache() {
    let (rig, texts) = kept();
    let shown = rig.run(&["cache", "info"]).ok();
    let name = texts.file_name().expect("a name").to_string_lossy();
    assert!(shown.stdout.starts_with(&format!("texts/{name}  ")), "{shown:#?}");
    let json: serde_json::Value =
        serde_json::from_str(&rig.run(&["cache", "info", "--json"]).ok().stdout).expect("JSON");
    assert_eq!(
        (&json["texts"][0]["name"], &json["texts"][0]["size"]),
        (&(*name).into(), &texts.metadata().expect("there").len().into())
    );
    assert!(rig.run(&["cache", "clean", "-n"]).ok().stdout.starts_with("texts/"));
    assert!(texts.exists());
    rig.run(&["cache", "clean"]).ok();
    assert!(!texts.exists());
    // Something else is in the way.
    std::fs::remove_dir_all(rig.path("cache/texts")).expect("removed");
    rig.write("cache/texts", "a file");
    let out = rig.run(&["list"]).ok();
    assert_eq!((out.stdout.lines().count(), out.stderr.as_str()), (COUNT, ""));
    rig.run(&["cache", "info"]).fails(1, "failed to list");
}
