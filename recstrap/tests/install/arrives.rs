//! Everything arrives, on each file system, and what is claimed is what an independent look finds.

use std::os::unix::fs::MetadataExt;

use crate::lab::{Image, Target, can_mount, everything, listing, recstrap};

fn arrives_on(fstype: &'static str, mib: u64, image_options: &[&str]) {
    if !can_mount("everything arrives") {
        return;
    }
    let tree = everything();
    let image = Image::new(tree.path(), image_options);
    let target = Target::new(fstype, mib, &[]);
    let done = recstrap(&image, &target.mount, &["--json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let json = done.json();
    assert_eq!(json["result"], "installed");
    let digest = image.digest.to_string();
    assert_eq!(json["record"]["tree"]["image"], digest);
    assert_eq!(json["record"]["tree"]["target"], digest);
    assert_eq!(json["record"]["differences"], serde_json::json!([]));
    assert!(target.claims_to_be_done());

    // From the disk, and by another program than the one that wrote it.
    target.unmount();
    target.mount();
    assert_eq!(listing(&target.mount).digest, image.digest, "{fstype}");
    let sparse = target.path("usr/share/sparse").metadata().expect("there");
    assert_eq!(sparse.len(), (8 << 20) + 5);
    assert!(sparse.blocks() * 512 < 512 << 10, "the hole takes {} blocks", sparse.blocks());
    let caps = common::cmd::Cmd::new(testkit::oracle("getcap")).arg(target.path("usr/bin/sgid")).read();
    assert!(caps.expect("it works").ends_with("cap_net_raw=ep\n"));
    let record = std::fs::read_to_string(target.path("var/lib/levitate/installed.json")).expect("there");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&record).expect("JSON"), json["record"]);
}

#[test]
fn everything_arrives_on_ext4() {
    arrives_on("ext4", 100, &["-zlz4hc"]);
}

#[test]
fn everything_arrives_on_xfs() {
    arrives_on("xfs", 400, &["-zlz4", "-C65536"]);
}

#[test]
fn everything_arrives_on_btrfs() {
    arrives_on("btrfs", 200, &[]);
}

#[test]
fn the_same_with_one_thread_and_without_reading_back() {
    if !can_mount("one thread") {
        return;
    }
    let tree = everything();
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let target = Target::new("ext4", 100, &[]);
    let done = recstrap(&image, &target.mount, &["--jobs", "1", "--no-verify", "--json", "--quiet"]);
    assert_eq!((done.code, &*done.stderr), (Some(0), ""), "{done:?}");
    assert_eq!(done.json()["record"]["tree"]["target"], serde_json::Value::Null);
    assert_eq!(listing(&target.mount).digest, image.digest);
}
