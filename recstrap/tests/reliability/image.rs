//! The image that the sweeps install: every kind of file in small, made by mkfs.erofs, with a manifest that is computed
//! from the kernel's mount of it. Nothing here is recstrap's or leviso's code but the form of a listing's line.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::cmd::Cmd;
use common::hash::Sha256;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use crate::random::Random;
use crate::scratch::{self, Mount};

/// The same image in every run.
const UUID: &str = "7b9f4a1e-0000-4000-8000-000000000003";

/// An image, its manifest, what is in it.
pub(crate) struct Image {
    dir: tempfile::TempDir,
    /// The EROFS.
    pub(crate) path: PathBuf,
    /// Its manifest.json.
    pub(crate) manifest: PathBuf,
    /// Its listing.
    pub(crate) lines: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Image {
    /// The one that most sweeps use.
    pub(crate) fn new() -> Self {
        Self::of("lz4hc", &[], populate)
    }

    /// Of a tree that `fill` makes, compressed by `algorithm` (empty: not at all).
    pub(crate) fn of(algorithm: &str, options: &[&str], fill: impl FnOnce(&Path)) -> Self {
        let dir = scratch::dir();
        let (root, path) = (dir.path().join("tree"), dir.path().join("rootfs.erofs"));
        std::fs::create_dir(&root).expect("made");
        fill(&root);
        set_times(&root, 1);
        let mkfs = Cmd::new(testkit::oracle("mkfs.erofs")).args(["--quiet", "-U", UUID]);
        let mkfs = if algorithm.is_empty() { mkfs } else { mkfs.arg(format!("-z{algorithm}")) };
        mkfs.args(options).arg(&path).arg(&root).read().expect("mkfs.erofs makes an image");
        std::fs::remove_dir_all(&root).expect("removed");
        let mut image =
            Self { manifest: dir.path().join("manifest.json"), dir, path, lines: BTreeMap::new() };
        image.describe();
        image
    }

    /// Writes the manifest anew from what the kernel shows.
    fn describe(&mut self) {
        let at = self.dir.path().join("mount");
        let mount = Mount::of_file("erofs", "ro", &self.path, &at).expect("the image mounts");
        let tree = testkit::tree::read(&mount.path, |_| false).expect("the image can be read");
        self.write_manifest(
            &serde_json::json!({ "digest": tree.digest, "entries": tree.names, "bytes": tree.bytes }),
        );
        self.lines = tree.lines;
    }

    /// The manifest for the bytes the image has now: an attacker who can change both files.
    pub(crate) fn seal(&self) {
        let old = std::fs::read(&self.manifest).expect("a manifest");
        let old: serde_json::Value = serde_json::from_slice(&old).expect("JSON");
        self.write_manifest(&old["tree"]);
    }

    fn write_manifest(&self, tree: &serde_json::Value) {
        let bytes = std::fs::read(&self.path).expect("an image");
        let manifest = serde_json::json!({
            "schema": 1, "profile": "reliability", "lock": "0".repeat(64), "epoch": 1_700_000_000, "inputs": [],
            "outputs": { "rootfs": { "size": bytes.len(), "sha256": Sha256::of(&bytes).to_string() } },
            "tree": tree,
        });
        std::fs::write(&self.manifest, manifest.to_string()).expect("written");
    }
}

/// A few hundred files, about 8 MB: enough that every phase takes many system calls, few enough for thousands of runs.
fn populate(root: &Path) {
    let mut random = Random::new(3);
    let write = |path: &str, bytes: &[u8], mode: u32| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(&path, bytes).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("set");
        path
    };
    write("etc/machine-id", b"uninitialized\n", 0o444);
    write("etc/shadow", b"root:!::\n", 0);
    for i in 0..60 {
        write(&format!("etc/conf.d/{i:03}.conf"), format!("value = {i}\n").repeat(i).as_bytes(), 0o644);
        write(&format!("usr/share/doc/{i}/text"), "the quick brown fox\n".repeat(i * i).as_bytes(), 0o644);
    }
    for i in 0..60 {
        let mode = [0o755, 0o4755, 0o2755, 0o6711, 0o750][i % 5];
        let mut half = random.bytes(i * 1000 + i);
        half.extend(b"text ".repeat(i * 400));
        let path = write(&format!("usr/bin/tool-{i}"), &half, mode);
        let (uid, gid) = ((i as u32 % 7) * 1000, (i as u32 % 3) * 100);
        std::os::unix::fs::chown(&path, Some(uid), Some(gid)).expect("owned");
        // chown clears setuid.
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("set");
    }
    write("boot/vmlinuz", &random.bytes(1_200_000), 0o600);
    write("boot/System.map", &b"ffffffff81000000 T _text\n".repeat(9000), 0o600);
    write("usr/lib/large", &[random.bytes(700_000), b"etaoin".repeat(300_000)].concat(), 0o755);
    let sparse = std::fs::File::create(root.join("usr/lib/sparse")).expect("made");
    std::os::unix::fs::FileExt::write_at(&sparse, b"end", 1_500_000).expect("written");
    std::os::unix::fs::FileExt::write_at(&sparse, b"middle", 700_000).expect("written");
    for i in 0..12 {
        write(&format!("usr/lib/modules/{i}.ko"), &random.bytes(4096 * i + i % 3), 0o644);
        std::fs::hard_link(root.join(format!("usr/bin/tool-{i}")), root.join(format!("usr/lib/linked-{i}")))
            .expect("linked");
        std::os::unix::fs::symlink(format!("../lib/linked-{i}"), root.join(format!("usr/bin/link-{i}")))
            .expect("linked");
    }
    std::os::unix::fs::symlink("usr/bin", root.join("bin")).expect("linked");
    std::os::unix::fs::symlink("t".repeat(900), root.join("usr/long-link")).expect("linked");
    for (path, mode) in
        [("tmp", 0o1777), ("root", 0o700), ("var/lib", 0o755), ("mnt/empty", 0o2775), ("home", 0o755)]
    {
        std::fs::create_dir_all(root.join(path)).expect("made");
        std::fs::set_permissions(root.join(path), PermissionsExt::from_mode(mode)).expect("set");
    }
    for name in [&[b'n'; 240][..], b"\xff\xfe not UTF-8", b"a b\nc", b"-rf"] {
        std::fs::write(root.join("usr/share").join(std::ffi::OsStr::from_bytes(name)), name)
            .expect("written");
    }
    std::fs::create_dir(root.join("dev")).expect("made");
    let node = |name: &str, kind, mode, device| {
        rustix::fs::mknodat(CWD, root.join("dev").join(name), kind, Mode::from_raw_mode(mode), device)
            .expect("a node");
    };
    node("null", FileType::CharacterDevice, 0o666, rustix::fs::makedev(1, 3));
    node("vda", FileType::BlockDevice, 0o660, rustix::fs::makedev(254, 0x1_2345));
    node("fifo", FileType::Fifo, 0o622, 0);
    node("socket", FileType::Socket, 0o600, 0);
    let xattr = |path: &str, name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(root.join(path), name, value, XattrFlags::empty()).expect("an attribute");
    };
    xattr("usr/bin/tool-9", "security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    xattr("usr/lib/large", "trusted.note", &[b'x'; 2000]);
    xattr("usr/lib/modules", "user.empty", b"");
    let acl = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\x01\0\0\0\x04\0\x04\0\xff\xff\xff\xff\
        \x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    xattr("etc/conf.d/001.conf", "system.posix_acl_access", acl);
    xattr("mnt/empty", "system.posix_acl_default", acl);
}

/// Gives every name a time of its own, with nanoseconds; `number` counts them.
fn set_times(at: &Path, mut number: u64) -> u64 {
    if at.symlink_metadata().expect("it is there").is_dir() {
        let mut names: Vec<_> = at.read_dir().expect("read").map(|e| e.expect("read").path()).collect();
        names.sort();
        number = names.iter().fold(number, |number, name| set_times(name, number));
    }
    let nsec = (number * 7_654_321 % 999_999_937) as _;
    let time = Timespec { tv_sec: 1_600_000_000 + number as i64, tv_nsec: nsec };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, at, &times, AtFlags::SYMLINK_NOFOLLOW).expect("a time");
    number + 1
}
