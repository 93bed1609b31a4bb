//! The installed system's /init: its shell functions run by busybox on partition tables that sfdisk and sgdisk made.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use common::cmd::Cmd;

const ROOT: &str = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709";
const ESP: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
const HOME: &str = "933AC7E1-2EB4-4F13-B844-0E14E2AEF915";
const UUIDS: [&str; 4] = [
    "A0000001-0B0C-4D0E-8F10-111213141516",
    "A0000002-0B0C-4D0E-8F10-111213141516",
    "A0000003-0B0C-4D0E-8F10-111213141516",
    "A0000004-0B0C-4D0E-8F10-111213141516",
];

/// A loop device, detached when the test ends however it does.
struct Loop(String);

impl Loop {
    fn attach(image: &Path, sector: u32) -> Self {
        let losetup = Cmd::new(testkit::oracle("losetup"));
        let sector = sector.to_string();
        let device = losetup.args(["--find", "--show", "--sector-size", &sector]).arg(image).read().unwrap();
        Self(device.trim().to_owned())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let detached = Cmd::new("losetup").args(["--detach", &self.0]).run();
        if !std::thread::panicking() {
            detached.unwrap();
        }
    }
}

/// Runs a script after the functions of /init, by busybox, and returns what it printed.
fn sh(script: &str, args: &[&Path]) -> String {
    let dir = testkit::workspace().join("initramfs");
    let init = fs::read_to_string(dir.join("disk/init")).unwrap();
    let functions = init.strip_suffix("main \"$@\"\n").expect("the last line starts everything");
    let functions = functions
        .replace(". /lib.sh", &format!(". {}", dir.join("common/lib.sh").display()))
        .replace(". /gpt.sh", &format!(". {}", dir.join("disk/gpt.sh").display()))
        .replace(". /layers.sh", &format!(". {}", dir.join("disk/layers.sh").display()));
    let script = format!("{functions}\nset -eu\n{script}");
    Cmd::new(testkit::oracle("busybox"))
        .args(["sh", "-c", &script, "sh"])
        .args(args.iter().copied())
        .read()
        .unwrap()
}

/// A partition table from sfdisk's own language.
fn sfdisk(disk: &Path, table: &str) {
    let script = format!(
        "echo \"$2\" | {} --quiet --wipe never --no-reread --no-tell-kernel \"$1\"",
        testkit::oracle("sfdisk").display()
    );
    let made = Cmd::new("sh").args(["-c", &script, "sh"]).arg(disk).arg(table);
    made.output().map(|o| assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr))).unwrap();
}

fn image(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
    path
}

fn three_partitions() -> String {
    format!(
        "label: gpt\n\
         size=4M, type={ESP}, uuid={}\n\
         size=4M, type={ROOT}, uuid={}, attrs=\"GUID:63\"\n\
         size=4M, type={ROOT}, uuid={}, attrs=\"GUID:60\", name=\"the root\"\n\
         size=4M, type={ROOT}, uuid={}",
        UUIDS[0], UUIDS[1], UUIDS[2], UUIDS[3]
    )
}

/// What the parser must print for [`three_partitions`].
fn expected() -> String {
    let flags = ["0000000000000000", "8000000000000000", "1000000000000000", "0000000000000000"];
    let types = [ESP, ROOT, ROOT, ROOT];
    let lines = (0..4).map(|i| format!("{} {} {} {}\n", i + 1, types[i], UUIDS[i], flags[i]).to_lowercase());
    lines.collect()
}

#[test]
fn reads_what_sfdisk_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let disk = image(dir.path(), "disk");
    sfdisk(&disk, &three_partitions());
    assert_eq!(sh("gpt_entries \"$1\" 512", &[&disk]), expected());
    assert_eq!(sh("gpt_entries \"$1\" 512 | root_number", &[&disk]), "3\n", "2 is marked no-auto");
    assert_eq!(sh("gpt_entries \"$1\" 4096 || echo none", &[&disk]), "none\n");
}

#[test]
fn reads_tables_of_disks_with_4096_byte_sectors() {
    if !testkit::is_root() {
        testkit::skip("reads_tables_of_disks_with_4096_byte_sectors", "loop devices need root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let disk = image(dir.path(), "disk");
    let device = Loop::attach(&disk, 4096);
    sfdisk(Path::new(&device.0), &three_partitions());
    assert_eq!(sh("gpt_entries \"$1\" 4096", &[Path::new(&device.0)]), expected());
    assert_eq!(sh("gpt_entries \"$1\" 512 || echo none", &[Path::new(&device.0)]), "none\n");
}

#[test]
fn reads_what_sgdisk_wrote_with_gaps_and_another_table_size() {
    let dir = tempfile::tempdir().unwrap();
    let disk = image(dir.path(), "disk");
    let unique = format!("7:{}", UUIDS[3]);
    let sgdisk = Cmd::new(testkit::oracle("sgdisk")).args(["--clear", "--resize-table=256", "--new=7:0:+4M"]);
    let sgdisk = sgdisk.args(["--typecode=7:8304", &format!("--partition-guid={unique}"), "--new=200:0:+4M"]);
    sgdisk.args(["--typecode=200:8302"]).arg(&disk).read().unwrap();
    let printed = sh("gpt_entries \"$1\" 512", &[&disk]);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 2, "{printed}");
    assert_eq!(lines[0], format!("7 {ROOT} {} 0000000000000000", UUIDS[3]).to_lowercase());
    assert!(lines[1].starts_with(&format!("200 {HOME} ").to_lowercase()), "{printed}");
    assert_eq!(sh("gpt_entries \"$1\" 512 | root_number", &[&disk]), "7\n");
}

#[test]
fn a_table_that_lies_about_itself_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let disk = image(dir.path(), "disk");
    assert_eq!(sh("gpt_entries \"$1\" 512 || echo none", &[&disk]), "none\n", "no table at all");
    sfdisk(&disk, &three_partitions());
    let whole = fs::read(&disk).unwrap();
    // Number of entries at 80, size of one at 84: as large as can be, and nothing.
    for (at, value) in [(80, u32::MAX), (84, u32::MAX), (84, 0), (84, 64)] {
        let mut bytes = whole.clone();
        bytes[512 + at..512 + at + 4].copy_from_slice(&value.to_le_bytes());
        fs::write(&disk, bytes).unwrap();
        assert_eq!(sh("gpt_entries \"$1\" 512 || echo none", &[&disk]), "none\n", "{value} at {at}");
    }
}

/// A disk: kernel name, image, partitions by number and kernel name.
type Disk<'a> = (&'a str, &'a Path, &'a [(u32, &'a str)]);

/// What the kernel would show of disks, as a directory: name, image, partitions (number, name).
fn machine(dir: &Path, disks: &[Disk<'_>]) {
    for (name, image, partitions) in disks {
        fs::create_dir_all(dir.join("dev")).unwrap();
        symlink(image, dir.join("dev").join(name)).unwrap();
        let node = dir.join("sys/class/block").join(name);
        fs::create_dir_all(node.join("queue")).unwrap();
        fs::write(node.join("queue/logical_block_size"), "512\n").unwrap();
        for (number, partition) in *partitions {
            for at in [node.join(partition), dir.join("sys/class/block").join(partition)] {
                fs::create_dir_all(&at).unwrap();
                fs::write(at.join("partition"), format!("{number}\n")).unwrap();
            }
        }
    }
}

/// As firmware's variable: attributes, then UTF-16 in capitals.
fn started_from(dir: &Path, uuid: &str) {
    let vars = dir.join("sys/firmware/efi/efivars");
    fs::create_dir_all(&vars).unwrap();
    let mut bytes = vec![6, 0, 0, 0];
    bytes.extend(uuid.to_uppercase().encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    fs::write(vars.join("LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"), bytes).unwrap();
}

fn discoverable(dir: &Path) -> String {
    let script = "sys=$1/sys dev=$1/dev device=\nif discoverable; then echo \"${device#\"$1\"}\"; else echo \"$note\"; fi";
    sh(script, &[dir]).trim_end().to_owned()
}

#[test]
fn the_root_is_on_the_disk_that_was_started_from() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (image(dir.path(), "first"), image(dir.path(), "second"));
    let table = |esp: &str| format!("label: gpt\nsize=4M, type={ESP}, uuid={esp}\nsize=4M, type={ROOT}");
    sfdisk(&first, &table(UUIDS[0]));
    sfdisk(&second, &table(UUIDS[1]));
    machine(
        dir.path(),
        &[
            ("nvme0n1", &first, &[(1, "nvme0n1p1"), (2, "nvme0n1p2")]),
            ("sda", &second, &[(1, "sda1"), (2, "sda2")]),
        ],
    );
    let said = discoverable(dir.path());
    assert!(said.contains("several have a root partition: nvme0n1p2 sda2"), "{said}");
    started_from(dir.path(), UUIDS[0]);
    assert_eq!(discoverable(dir.path()), "/dev/nvme0n1p2");
    started_from(dir.path(), UUIDS[1]);
    assert_eq!(discoverable(dir.path()), "/dev/sda2");
    // Another disk's root is not this system's, whatever it is.
    sfdisk(&second, &format!("label: gpt\nsize=4M, type={ESP}, uuid={}\nsize=4M, type={HOME}", UUIDS[1]));
    let said = discoverable(dir.path());
    assert!(said.contains("/dev/sda, has no partition of the type 'Linux root (x86-64)'"), "{said}");
}

#[test]
fn without_firmware_the_only_root_there_is_will_do() {
    let dir = tempfile::tempdir().unwrap();
    let disk = image(dir.path(), "disk");
    machine(dir.path(), &[("vda", &disk, &[(1, "vda1"), (3, "vda3")]), ("loop0", &disk, &[])]);
    let said = discoverable(dir.path());
    assert!(said.contains("No disk has a partition table"), "{said}");
    sfdisk(&disk, &three_partitions());
    assert_eq!(discoverable(dir.path()), "/dev/vda3");
}

#[test]
fn names_of_the_root_without_udev() {
    for (given, meant) in [
        ("gpt-auto", ""),
        ("/dev/disk/by-uuid/ab-12", "UUID=ab-12"),
        ("/dev/disk/by-label/my_root", "LABEL=my_root"),
        ("\"UUID=ab-12\"", "UUID=ab-12"),
        ("PARTUUID=ABCD-01", "PARTUUID=abcd-01"),
        ("/dev/disk/by-partuuid/ABCD-01", "PARTUUID=abcd-01"),
        ("/dev/vg/root", "/dev/vg/root"),
    ] {
        assert_eq!(sh("plain_root \"$1\"", &[Path::new(given)]).trim_end(), meant, "{given}");
    }
}
