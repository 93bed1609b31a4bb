//! The ESP is a FAT volume to dosfstools and mtools, and nothing but its input decides its bytes.

use common::cmd::Cmd;
use leviso::epoch::Epoch;
use leviso::esp;

const EPOCH: Epoch = Epoch(1_780_000_001);

#[test]
fn fsck_accepts_it_and_mtools_reads_every_file_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("esp");
    // Both sides of every boundary: cluster sizes, FAT16 and FAT32.
    for mib in [0, 1, 7, 9, 29, 33, 34, 36, 70, 80] {
        let big: Vec<u8> = (0..mib << 20).map(|i: u32| (i >> 8) as u8 ^ i as u8).collect();
        let mut files: Vec<(String, Vec<u8>)> = vec![
            ("EFI/BOOT/BOOTX64.EFI".into(), b"boot".to_vec()),
            ("EFI/Linux/levitateos.efi".into(), big),
            ("EFI/Linux/levitateos+3-1.efi".into(), vec![7; 4097]),
            ("loader/loader.conf".into(), b"timeout 3\n".to_vec()),
            ("loader/empty".into(), Vec::new()),
            ("a name with spaces and ünï.code.txt".into(), b"long".to_vec()),
        ];
        files.extend((0..100).map(|i| (format!("many/entry number {i}.conf"), format!("{i}").into_bytes())));
        std::fs::write(&path, build(&files)).unwrap();

        let check = Cmd::new(testkit::oracle("fsck.vfat")).args(["-n", "-v"]).arg(&path).output().unwrap();
        let text = String::from_utf8_lossy(&check.stdout);
        assert!(check.status.success(), "{mib} MiB: {text}");
        let kind = if std::fs::metadata(&path).unwrap().len() >= 36 << 20 { "32" } else { "16" };
        assert!(
            text.contains(&format!("{kind} bit entries")) || kind == "32" && text.contains("32 bit"),
            "{mib} MiB: {text}"
        );
        for (name, content) in &files {
            let read = Cmd::new(testkit::oracle("mtype"))
                .env("MTOOLSRC", "/dev/null")
                .arg("-i")
                .arg(&path)
                .arg(format!("::{name}"))
                .output()
                .unwrap();
            assert!(read.status.success(), "{mib} MiB {name}: {}", String::from_utf8_lossy(&read.stderr));
            assert!(read.stdout == *content, "{mib} MiB: {name} differs");
        }
    }
}

#[test]
fn times_label_and_serial_are_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("esp");
    std::fs::write(&path, build(&[("loader/loader.conf".into(), b"x".to_vec())])).unwrap();
    let list = |zone: &str| {
        let cmd = Cmd::new(testkit::oracle("mdir")).env("TZ", zone).env("MTOOLSRC", "/dev/null");
        cmd.arg("-i").arg(&path).arg("::loader").read().unwrap()
    };
    // 1780000001 is 2026-05-28 20:26:41 UTC; FAT has no zone, so every reader shows the same.
    for zone in ["UTC", "Asia/Tokyo"] {
        let text = list(zone);
        for wanted in ["loader.conf", "2026-05-28", "20:26", "LEVITATEOS", "1234-ABCD"] {
            assert!(text.contains(wanted), "{zone}: no {wanted} in {text}");
        }
    }
    let found = Cmd::new(testkit::oracle("blkid")).arg("-p").arg(&path).read().unwrap();
    for wanted in ["TYPE=\"vfat\"", "LABEL=\"LEVITATEOS\"", "UUID=\"1234-ABCD\""] {
        assert!(found.contains(wanted), "no {wanted} in {found}");
    }
}

#[test]
fn the_order_of_the_input_does_not_matter() {
    let mut files: Vec<(String, Vec<u8>)> =
        (0..20).map(|i| (format!("dir{}/file{i}", i % 3), vec![i; 1000])).collect();
    let first = build(&files);
    assert_eq!(first.len() % (1 << 20), 0);
    files.reverse();
    assert!(build(&files) == first);
    let other = esp::build(&borrow(&files), "LEVITATEOS", 0x1234_abcd, Epoch(EPOCH.0 + 2)).unwrap();
    assert!(other != first, "the epoch has no effect");
}

#[test]
fn what_fat_cannot_hold_is_refused() {
    let refused = |files: &[(&str, &[u8])], wanted: &str| {
        let error = format!("{:#}", esp::build(files, "ESP", 1, EPOCH).unwrap_err());
        assert!(error.contains(wanted), "{error}");
    };
    refused(&[("a/b", b""), ("A/c", b"")], "only in case");
    refused(&[("a", b""), ("a", b"")], "twice");
    refused(&[("a", b""), ("a/b", b"")], "both a file and a directory");
    refused(&[("a//b", b"")], "not a name");
    refused(&[("/a", b"")], "not a name");
    refused(&[("a:b", b"")], "not a name");
    refused(&[("..", b"")], "not a name");
    assert!(esp::build(&[], "too long a label", 1, EPOCH).is_err());
    assert!(esp::build(&[], "ESP", 1, Epoch(i64::MAX)).is_err());
}

fn borrow(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect()
}

fn build(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    esp::build(&borrow(files), "LEVITATEOS", 0x1234_abcd, EPOCH).unwrap()
}
