//! Boot entries: read as efibootmgr wrote them, missed where they are missing.

use std::fs;

use common::cmd::Cmd;
use recstrap::chroot::efi::{Entries, parse_load_option, parse_order};

use crate::target::{Target, text};

const PARTITION: &str = "11111111-2222-3333-4444-555555555555";

/// A disk image as a loop device; detached when dropped.
struct Loop(String);

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Cmd::new("losetup").args(["--detach", &self.0]).run();
    }
}

#[test]
fn entries_are_read_as_efibootmgr_writes_them() {
    if !testkit::is_root() {
        return testkit::skip("boot entries written by efibootmgr", "loop devices need root");
    }
    let (efibootmgr, sgdisk) = (testkit::oracle("efibootmgr"), testkit::oracle("sgdisk"));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (image, vars) = (dir.path().join("disk"), dir.path().join("efivars"));
    fs::create_dir(&vars).expect("made");
    fs::File::create(&image).and_then(|f| f.set_len(64 << 20)).expect("made");
    let partition = ["--new=1:2048:+32M", "--typecode=1:ef00", &format!("--partition-guid=1:{PARTITION}")];
    Cmd::new(sgdisk).args(partition).arg(&image).read().expect("partitioned");
    let disk = Cmd::new("losetup").args(["--find", "--show"]).arg(&image).read().expect("attached");
    let disk = Loop(disk.trim().to_owned());
    for (label, loader) in
        [("Linux Boot Manager", r"\EFI\systemd\systemd-bootx64.efi"), ("Zweite ä", r"\EFI\x\grubx64.efi")]
    {
        let mut path = vars.display().to_string();
        path.push('/');
        let cmd = Cmd::new(&efibootmgr).env("EFIVARFS_PATH", path).env("LIBEFIVAR_OPS", "efivarfs");
        cmd.args(["--create", "--disk", &disk.0, "--part", "1", "--label", label, "--loader", loader])
            .read()
            .expect("written");
    }
    let entries = Entries::read(&vars);
    assert_eq!(entries.options.len(), 2, "{entries:?}");
    let first = &entries.options[&0];
    assert_eq!((first.active, first.description.as_str()), (true, "Linux Boot Manager"));
    assert_eq!(first.partition.as_deref(), Some(PARTITION));
    assert_eq!(first.file.as_deref(), Some(r"\EFI\systemd\systemd-bootx64.efi"));
    assert_eq!(entries.options[&1].description, "Zweite ä");
    assert_eq!(entries.order.len(), 2);

    // What the firmware would start.
    let file = "/EFI/systemd/systemd-bootx64.efi";
    assert!(entries.point_at(file, Some(PARTITION)));
    assert!(entries.point_at("/efi/SYSTEMD/systemd-bootx64.EFI", Some(PARTITION)), "FAT knows no case");
    assert!(entries.point_at(file, None));
    assert!(!entries.point_at(file, Some("99999999-2222-3333-4444-555555555555")), "another disk");
    assert!(!entries.point_at("/EFI/systemd/other.efi", Some(PARTITION)));
    let mut unordered = entries.clone();
    unordered.order.retain(|n| *n != 0);
    assert!(!unordered.point_at(file, Some(PARTITION)), "an entry out of the order is not tried");
    let mut inactive = entries;
    inactive.options.get_mut(&0).expect("it is there").active = false;
    assert!(!inactive.point_at(file, Some(PARTITION)));

    // Every prefix of a real variable, and every byte of it changed: never a panic.
    let name = "Boot0000-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let value = fs::read(vars.join(name)).expect("read").split_off(4);
    assert!(parse_load_option(&value).is_some());
    for len in 0..value.len() {
        let _ = parse_load_option(&value[..len]);
    }
    for (at, byte) in (0..value.len()).flat_map(|at| [0, 1, 0x7f, 0xff].map(|b| (at, b))) {
        let mut broken = value.clone();
        broken[at] = byte;
        let _ = parse_load_option(&broken);
    }
    assert_eq!(parse_order(&[1, 0, 2, 0, 9]), [1, 2]);
}

#[test]
fn a_firmware_without_variables_has_no_entries() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("Boot00XX-8be4df61-93ca-11d2-aa0d-00e098032b8c"), "????").expect("written");
    fs::write(dir.path().join("Boot0001-8be4df61-93ca-11d2-aa0d-00e098032b8c"), "??").expect("written");
    assert_eq!(Entries::read(dir.path()), Entries::default());
    assert_eq!(Entries::read(&dir.path().join("nowhere")), Entries::default());
}

#[test]
fn an_entry_that_cannot_be_made_is_said() {
    let Some(target) = Target::new("recchroot bootctl on BIOS") else { return };
    if std::path::Path::new("/sys/firmware/efi").exists() {
        return testkit::cannot("recchroot bootctl on BIOS", "this machine was started by UEFI");
    }
    target.submount("boot");
    let install = "mkdir -p /boot/EFI/systemd && echo x > /boot/EFI/systemd/systemd-bootx64.efi";
    let install = install.replace("mkdir", "busybox mkdir");
    fs::write(target.join("usr/bin/bootctl"), format!("#!/bin/sh\n{install}\n")).expect("written");
    Cmd::new("chmod").arg("755").arg(target.join("usr/bin/bootctl")).run().expect("set");
    // Before the command, when it is known what it wants; once.
    let out = target.run(&[], &["bootctl", "install"]);
    let said = text(&out.stderr);
    assert!(
        said.contains("`bootctl` can make no boot entry") && said.contains("not started by UEFI"),
        "{said}"
    );
    assert_eq!(said.matches("warning").count(), 1, "{said}");
    // After a shell in which it happened.
    let out = target.run(&[], &["sh", "-c", "bootctl install"]);
    let said = text(&out.stderr);
    assert!(said.contains("/EFI/systemd/systemd-bootx64.efi was installed, but no boot entry"), "{said}");
    // Nothing new, nothing said; what a loader starts needs no entry.
    let other = "busybox mkdir -p /boot/EFI/Linux /boot/EFI/BOOT; touch /boot/EFI/Linux/a.efi /boot/EFI/BOOT/BOOTX64.EFI";
    assert_eq!(text(&target.run(&[], &["sh", "-c", other]).stderr), "");
}
