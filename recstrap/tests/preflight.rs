//! Each refusal, by the real program on real mounts.

use std::path::Path;

use common::cmd::Cmd;

/// Codes that the program prints for a target.
fn codes(target: &Path) -> Vec<String> {
    let out = Cmd::new(env!("CARGO_BIN_EXE_recstrap")).args(["--check", "--json"]).arg(target).output();
    let out = out.expect("recstrap starts");
    let list: serde_json::Value = serde_json::from_slice(&out.stdout).expect("it prints JSON");
    let codes: Vec<_> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|r| r["code"].as_str().expect("a code").to_owned())
        .collect();
    assert_eq!(out.status.code(), Some(if codes.is_empty() { 0 } else { 10 }));
    codes.into_iter().filter(|c| c != "E01").collect()
}

#[test]
fn refuses_what_is_no_target() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    assert_eq!(codes(&dir.path().join("nothing")), ["E02"]);
    assert_eq!(codes(&file), ["E03"]);
    assert_eq!(codes(Path::new("/usr")), ["E04"]);
    assert_eq!(codes(Path::new("/proc/../usr/")), ["E04"]);
    assert_eq!(codes(dir.path()), ["E05", "E06"]);
}

/// A tmpfs that is unmounted again.
struct Tmpfs(tempfile::TempDir);

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Cmd::new("umount").args(["--recursive"]).arg(self.0.path()).run();
    }
}

#[test]
fn accepts_an_empty_mount_and_what_may_be_in_it() {
    if !testkit::is_root() {
        return testkit::skip("recstrap preflight on real mounts", "mounting needs root");
    }
    let mount = Tmpfs(tempfile::tempdir().expect("a temporary directory"));
    let path = mount.0.path().to_owned();
    Cmd::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&path).run().expect("mounted");
    assert_eq!(codes(&path), [""; 0]);
    for dir in ["lost+found", "boot", "home"] {
        std::fs::create_dir(path.join(dir)).expect("made");
    }
    assert_eq!(codes(&path), [""; 0]);
    std::fs::write(path.join("home/file"), "").expect("written");
    assert_eq!(codes(&path), ["E06"]);
    Cmd::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(path.join("home")).run().expect("mounted");
    std::fs::write(path.join("home/file"), "").expect("written");
    assert_eq!(codes(&path), [""; 0], "a mounted /home is kept");
    Cmd::new("mount").args(["-o", "remount,ro"]).arg(&path).run().expect("remounted");
    assert_eq!(codes(&path), ["E07"]);
}
