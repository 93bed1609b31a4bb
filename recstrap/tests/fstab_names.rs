//! Names of any kind, written by `recfstab` and read back by libmount (findmnt): they must be what they were.

use common::cmd::Cmd;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Names as a mount point or a label may have them: everything but `/` and NUL.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![r"[ \\#\t\n\r0-7x=,é\u{a0}-]{1,12}", r"[^/\x00\u{fffd}]{1,12}"]
        .prop_filter("no component of a path", |n: &String| n != "." && n != "..")
}

/// Mounts with these names, as findmnt and lsblk show them.
fn texts(names: &[(String, String)]) -> (Value, Value) {
    let mount = |id: usize, parent: usize, target: &str| {
        json!({"id": id, "parent": parent, "maj:min": format!("8:{id}"), "source": format!("/dev/sd{id}"), "target": target,
            "fstype": "ext4", "options": "rw,noatime", "vfs-options": "rw", "fsroot": "/"})
    };
    let mounts = names.iter().enumerate().map(|(i, (name, _))| mount(i + 2, 1, &format!("/mnt/{i}{name}")));
    let devices = names.iter().enumerate().map(|(i, (_, label))| {
        json!({"name": format!("sd{}", i + 2), "kname": format!("sd{}", i + 2), "path": format!("/dev/sd{}", i + 2),
            "maj:min": format!("8:{}", i + 2), "type": "disk", "fstype": "ext4", "label": label})
    });
    let mounts: Vec<_> = std::iter::once(mount(1, 0, "/mnt")).chain(mounts).collect();
    (json!({"filesystems": mounts}), json!({"blockdevices": devices.collect::<Vec<_>>()}))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn libmount_reads_what_was_meant(names in proptest::collection::vec((name(), name()), 1..20)) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (findmnt, lsblk) = texts(&names);
        for (file, text) in [("findmnt.json", findmnt.to_string()), ("lsblk.json", lsblk.to_string()), ("swaps", String::new())] {
            std::fs::write(dir.path().join(file), text).expect("written");
        }
        let recfstab = Cmd::new(env!("CARGO_BIN_EXE_recfstab")).arg("--from").arg(dir.path()).args(["-L", "/mnt"]);
        let tab = dir.path().join("fstab");
        std::fs::write(&tab, recfstab.read().expect("recfstab succeeds")).expect("written");
        let read = Cmd::new(testkit::oracle("findmnt")).args(["--json", "--list", "-o", "SOURCE,TARGET", "--tab-file"]);
        let read: Value = serde_json::from_str(&read.arg(&tab).read().expect("findmnt reads it")).expect("JSON");
        let read = read["filesystems"].as_array().expect("a list").iter().skip(1);
        let read: Vec<_> = read.map(|m| (m["target"].as_str().expect("text").to_owned(), m["source"].as_str().expect("text").to_owned())).collect();
        let meant: Vec<_> = names.iter().enumerate().map(|(i, (n, l))| (format!("/{i}{n}"), format!("LABEL={l}"))).collect();
        prop_assert_eq!(read, meant);
    }
}
