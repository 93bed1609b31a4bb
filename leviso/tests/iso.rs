//! The disc is an ISO 9660 volume, an El Torito disc and a GPT disk to the tools that know these best.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use common::cmd::Cmd;
use common::hash::Sha256;
use leviso::epoch::Epoch;
use leviso::ids::Ids;
use leviso::iso::{self, Report, Source, Spec};
use leviso::progress::Quiet;

/// 2026-05-28 20:26:41 UTC.
const EPOCH: Epoch = Epoch(1_780_000_001);
const UUID: &str = "2026-05-28-20-26-41-00";

#[test]
fn what_goes_in_comes_out() {
    let dir = tempfile::tempdir().unwrap();
    let (disc, out) = (dir.path().join("disc.iso"), dir.path().join("out"));
    let files = many_files();
    let report = write(&disc, &spec(&files, b"esp"));
    assert_eq!(report.uuid, UUID);
    assert_eq!(report.size, std::fs::metadata(&disc).unwrap().len());
    assert_eq!(report.digest, Sha256::of_file(&disc).unwrap());

    xorriso(&["-osirrox", "on", "-indev", text(&disc), "-extract", "/", text(&out)]);
    for (path, content) in &files {
        let Source::Bytes(content) = content else { unreachable!("the fixtures are in memory") };
        assert!(std::fs::read(out.join(path)).unwrap() == *content, "{path} differs");
    }
    assert_eq!(walk(&out), files.len());
    let listed = xorriso(&["-indev", text(&disc), "-find", "/live", "-exec", "lsdl"]);
    for wanted in ["dr-xr-xr-x", "-r--r--r--    1 0        0", "'/live/rootfs.erofs'"] {
        assert!(listed.contains(wanted), "no {wanted:?} in {listed}");
    }
    // As ls(1) does, xorriso shows the year instead of the hour when half a year has passed.
    let dated = ["May 28 20:26", "May 28  2026"].iter().any(|date| listed.contains(date));
    assert!(dated, "another date in {listed}");
}

#[test]
fn firmware_finds_the_esp_on_optical_media_and_on_disks() {
    let dir = tempfile::tempdir().unwrap();
    let disc = dir.path().join("disc.iso");
    // 31 MiB fits the catalog's field for the size; 33 MiB does not, and reaches to the end of the medium.
    for (mib, field) in [(31_usize, "63488"), (33, "0")] {
        let esp: Vec<u8> = (0..mib << 20).map(|i| (i >> 9) as u8).collect();
        write(&disc, &spec(&many_files(), &esp));
        let found =
            xorriso(&["-indev", text(&disc), "-report_el_torito", "plain", "-report_system_area", "plain"]);
        let words = |prefix: &str| -> Vec<String> {
            let line = found
                .lines()
                .find(|l| l.starts_with(prefix))
                .unwrap_or_else(|| panic!("no {prefix} in {found}"));
            line.split(':').nth(1).unwrap().split_whitespace().map(str::to_owned).collect()
        };
        let image = words("El Torito boot img");
        assert_eq!(image[..7], ["1", "UEFI", "y", "none", "0x0000", "0x00", field], "{found}");
        let at = image[7].parse::<u64>().unwrap() * 2048;
        assert!(read_at(&disc, at, esp.len()) == esp, "{mib} MiB: the catalog points elsewhere");

        let ids = ids();
        let [volume, esp_part] = partitions(&disc);
        assert_eq!((esp_part.start * 512, esp_part.sectors * 512), (at, esp.len() as u64));
        assert_eq!(esp_part.kind, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
        assert_eq!(esp_part.id, ids.esp_partition().to_string().to_uppercase());
        assert_eq!((volume.start, volume.id), (64, ids.iso_partition().to_string().to_uppercase()));
        let verify = Cmd::new(testkit::oracle("sgdisk")).arg("-v").arg(&disc).read().unwrap();
        assert!(verify.contains("No problems found"), "{verify}");
        let verify = Cmd::new(testkit::oracle("sfdisk")).arg("--verify").arg(&disc).output().unwrap();
        let said = String::from_utf8_lossy(&verify.stdout);
        assert!(verify.status.success() && said.contains("No errors detected"), "{verify:?}");
    }
}

#[test]
fn linux_finds_the_volume_by_label_on_the_device_and_on_the_partition() {
    let dir = tempfile::tempdir().unwrap();
    let disc = dir.path().join("disc.iso");
    write(&disc, &spec(&many_files(), b"esp"));
    for offset in ["0", "32768"] {
        let found = Cmd::new(testkit::oracle("blkid")).args(["-p", "-O", offset]).arg(&disc).read().unwrap();
        for wanted in ["LABEL=\"LEVITATEOS\"", "TYPE=\"iso9660\"", &format!("UUID=\"{UUID}\"")] {
            assert!(found.contains(wanted), "offset {offset}: no {wanted} in {found}");
        }
    }
}

#[test]
fn partition_1_is_a_volume_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (disc, cut, out) = (dir.path().join("disc.iso"), dir.path().join("cut.iso"), dir.path().join("out"));
    let files = many_files();
    write(&disc, &spec(&files, b"esp"));
    let [volume, _] = partitions(&disc);
    let bytes = std::fs::read(&disc).unwrap();
    let range = volume.start as usize * 512..(volume.start + volume.sectors) as usize * 512;
    std::fs::write(&cut, &bytes[range]).unwrap();
    xorriso(&["-osirrox", "on", "-indev", text(&cut), "-extract", "/", text(&out)]);
    for (path, content) in &files {
        let Source::Bytes(content) = content else { unreachable!("the fixtures are in memory") };
        assert!(std::fs::read(out.join(path)).unwrap() == *content, "{path} differs");
    }
}

#[test]
fn the_kernel_mounts_both_views() {
    let what = "mounting the disc with the kernel's isofs";
    if !testkit::is_root() {
        return testkit::skip(what, "not root");
    }
    // A module is listed once it is loaded; without modprobe or the module nothing changes.
    let _ = Cmd::new("modprobe").arg("isofs").output();
    if !std::fs::read_to_string("/proc/filesystems").unwrap().contains("iso9660") {
        // The boot test mounts it: the live system starts from it.
        return testkit::cannot(what, "this kernel has no iso9660");
    }
    let dir = tempfile::tempdir().unwrap();
    let (disc, mount) = (dir.path().join("disc.iso"), dir.path().join("mnt"));
    std::fs::create_dir(&mount).unwrap();
    let files = many_files();
    write(&disc, &spec(&files, b"esp"));
    for options in ["loop,ro", "loop,ro,offset=32768"] {
        Cmd::new(testkit::oracle("mount"))
            .args(["-t", "iso9660", "-o", options])
            .arg(&disc)
            .arg(&mount)
            .run()
            .unwrap();
        let seen: Vec<_> = files
            .iter()
            .map(|(path, _)| {
                let meta = std::fs::metadata(mount.join(path)).map(|m| (m.mode(), m.uid(), m.mtime())).ok();
                (meta, std::fs::read(mount.join(path)).unwrap_or_default())
            })
            .collect();
        let count = walk(&mount);
        Cmd::new(testkit::oracle("umount")).arg(&mount).run().unwrap();
        for ((path, content), (meta, found)) in files.iter().zip(seen) {
            let Source::Bytes(content) = content else { unreachable!("the fixtures are in memory") };
            assert_eq!(meta, Some((0o100_444, 0, EPOCH.0)), "{options}: {path}");
            assert!(found == *content, "{options}: {path} differs");
        }
        assert_eq!(count, files.len(), "{options}");
    }
}

#[test]
fn the_same_spec_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b, source] = ["a.iso", "b.iso", "source"].map(|name| dir.path().join(name));
    std::fs::write(&source, b"from a file").unwrap();
    let mut files = many_files();
    files.push(("live/file".into(), Source::File(source.clone())));
    let first = write(&a, &spec(&files, b"esp"));
    // Another order, another time and mode of the source.
    files.reverse();
    File::options().write(true).open(&source).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(write(&b, &spec(&files, b"esp")), first);
    assert!(std::fs::read(&a).unwrap() == std::fs::read(&b).unwrap());
}

#[test]
fn a_file_over_4_gib_has_extents_that_cover_it() {
    let dir = tempfile::tempdir().unwrap();
    let [disc, source] = ["disc.iso", "source"].map(|name| dir.path().join(name));
    let size: u64 = (4 << 30) + 5_000_000;
    let big = File::create(&source).unwrap();
    big.set_len(size).unwrap();
    let marks = [0, 123_456_789, (4 << 30) - 2048 - 8, (4 << 30) - 2048, size - 16];
    for mark in marks {
        big.write_all_at(&mark.to_be_bytes(), mark).unwrap();
    }
    let files =
        vec![("big".to_owned(), Source::File(source)), ("small".into(), Source::Bytes(b"s".to_vec()))];
    let mut out = Sparse { file: File::create(&disc).unwrap(), at: 0 };
    let report = iso::write(&mut out, &spec(&files, b"esp"), &Quiet).unwrap();
    out.file.set_len(report.size).unwrap();

    let found = xorriso(&["-indev", text(&disc), "-find", "/big", "-exec", "report_lba"]);
    let extents: Vec<Vec<u64>> = found
        .lines()
        .filter(|l| l.starts_with("File data lba"))
        .map(|l| l.split(':').nth(1).unwrap().split(',').take(4).map(|n| n.trim().parse().unwrap()).collect())
        .collect();
    // Number, first block, blocks, size of the file.
    assert_eq!(extents.len(), 2, "{found}");
    assert!(extents.iter().all(|e| e[3] == size), "{found}");
    assert_eq!(extents[0][1] + extents[0][2], extents[1][1], "{found}");
    assert_eq!(extents[0][2] + extents[1][2], size.div_ceil(2048), "{found}");
    for mark in marks {
        let at = extents[0][1] * 2048 + mark;
        assert_eq!(read_at(&disc, at, 8), mark.to_be_bytes(), "byte {mark}");
    }
}

#[test]
fn a_full_disk_and_a_changing_source_are_errors() {
    let files = many_files();
    let mut full = File::options().write(true).open("/dev/full").unwrap();
    let error = iso::write(&mut full, &spec(&files, b"esp"), &Quiet).unwrap_err();
    let io = error.chain().find_map(|e| e.downcast_ref::<io::Error>()).unwrap();
    assert_eq!(io.kind(), io::ErrorKind::StorageFull, "{error:#}");
    assert_eq!(common::cli::exit_code(&error), common::cli::code::NO_SPACE);

    // /proc/version is a regular file of size 0 that has content.
    let growing = vec![("f".to_owned(), Source::File("/proc/version".into()))];
    let error = format!("{:#}", iso::write(&mut Vec::new(), &spec(&growing, b"esp"), &Quiet).unwrap_err());
    assert!(error.contains("/proc/version changed while it was read"), "{error}");
    let missing = vec![("f".to_owned(), Source::File("/nonexistent".into()))];
    let error = format!("{:#}", iso::write(&mut Vec::new(), &spec(&missing, b"esp"), &Quiet).unwrap_err());
    assert!(error.contains("/nonexistent"), "{error}");
}

#[test]
fn what_a_disc_cannot_hold_is_refused() {
    let refused = |paths: &[&str], wanted: &str| {
        let files: Vec<_> = paths.iter().map(|p| ((*p).to_owned(), Source::Bytes(Vec::new()))).collect();
        let error = format!("{:#}", iso::write(&mut Vec::new(), &spec(&files, b"esp"), &Quiet).unwrap_err());
        assert!(error.contains(wanted), "{paths:?}: {error}");
    };
    refused(&["a", "a"], "twice");
    refused(&["a", "a/b"], "both a file and a directory");
    for bad in ["", "/a", "a//b", "../a", "a/.", "new\nline", &"x".repeat(111)] {
        refused(&[bad], "is not a name");
    }
    refused(&["1/2/3/4/5/6/7/8/f"], "levels");
    let files = many_files();
    for label in ["", "lower", &"X".repeat(33)] {
        assert!(
            iso::write(&mut Vec::new(), &Spec { label, ..spec(&files, b"e") }, &Quiet).is_err(),
            "{label:?}"
        );
    }
    assert!(iso::write(&mut Vec::new(), &spec(&files, b""), &Quiet).is_err());
    assert!(
        iso::write(&mut Vec::new(), &Spec { epoch: Epoch(i64::MIN), ..spec(&files, b"e") }, &Quiet).is_err()
    );
}

/// Long, odd, colliding and many names; empty files; a directory of several blocks.
fn many_files() -> Vec<(String, Source)> {
    let mut files: Vec<(String, Vec<u8>)> = vec![
        ("live/rootfs.erofs".into(), (0..300_001_u32).map(|i| (i >> 3) as u8).collect()),
        ("live/manifest.json".into(), b"{}\n".to_vec()),
        ("Installation guide.txt".into(), b"guide\n".to_vec()),
        ("EMPTY".into(), Vec::new()),
        ("a.b.c".into(), b"1".to_vec()),
        ("a_b.c".into(), b"2".to_vec()),
        ("A_B.C".into(), b"3".to_vec()),
        (".hidden".into(), b"4".to_vec()),
        ("ünïcode".into(), b"5".to_vec()),
        ("x".repeat(110), b"6".to_vec()),
        ("1/2/3/4/5/6/7/deep".into(), b"7".to_vec()),
        ("dir.d/file".into(), b"8".to_vec()),
        ("dir-d/file".into(), b"9".to_vec()),
    ];
    files.extend(
        (0..200)
            .map(|i| (format!("many/a rather long name of entry number {i}"), vec![i; 10 * usize::from(i)])),
    );
    files.extend((0..200).map(|i| (format!("dirs/{i}/f"), vec![i])));
    files.into_iter().map(|(path, content)| (path, Source::Bytes(content))).collect()
}

fn ids() -> Ids {
    Ids::new(&Sha256::of(b"lock"), "test")
}

fn spec<'a>(files: &[(String, Source)], esp: &'a [u8]) -> Spec<'a> {
    let ids = ids();
    Spec {
        label: "LEVITATEOS",
        epoch: EPOCH,
        publisher: "LEVITATEOS",
        application: "LEVITATEOS TEST",
        disk_id: ids.disk(),
        iso_partition_id: ids.iso_partition(),
        esp_partition_id: ids.esp_partition(),
        files: files.to_vec(),
        esp,
    }
}

fn write(path: &Path, spec: &Spec) -> Report {
    iso::write(&mut File::create(path).unwrap(), spec, &Quiet).unwrap()
}

fn xorriso(args: &[&str]) -> String {
    Cmd::new(testkit::oracle("xorriso")).args(["-abort_on", "WARNING"]).args(args).read().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn read_at(path: &Path, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    File::open(path).unwrap().read_exact_at(&mut bytes, at).unwrap();
    bytes
}

/// Number of files below `dir`.
fn walk(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap());
    entries.map(|e| if e.file_type().unwrap().is_dir() { walk(&e.path()) } else { 1 }).sum()
}

struct Part {
    start: u64,
    sectors: u64,
    kind: String,
    id: String,
}

/// The partitions as sfdisk dumps them.
fn partitions(disc: &Path) -> [Part; 2] {
    let dump = Cmd::new(testkit::oracle("sfdisk")).arg("-d").arg(disc).read().unwrap();
    assert!(dump.contains("label: gpt"), "{dump}");
    let lines = dump.lines().filter(|l| l.contains("start="));
    let parts: Vec<Part> = lines
        .map(|line| {
            let field =
                |key: &str| line.split(key).nth(1).unwrap().split(',').next().unwrap().trim().to_owned();
            Part {
                start: field("start=").parse().unwrap(),
                sectors: field("size=").parse().unwrap(),
                kind: field("type="),
                id: field("uuid="),
            }
        })
        .collect();
    parts.try_into().unwrap_or_else(|_| panic!("not two partitions: {dump}"))
}

/// A file that leaves holes where zeros are written.
struct Sparse {
    file: File,
    at: u64,
}

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.iter().any(|&b| b != 0) {
            self.file.seek(SeekFrom::Start(self.at))?;
            self.file.write_all(bytes)?;
        }
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
