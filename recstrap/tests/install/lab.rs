//! Trees, images, targets: what the tests install from and to. Everything is unmounted and removed when it is dropped.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use common::cmd::Cmd;
use common::hash::Sha256;
use rustix::fs::{CWD, FileType, Mode};
use testkit::tree::Tree;

/// Whether the test can run at all; otherwise it is recorded as skipped.
pub(crate) fn can_mount(check: &str) -> bool {
    let can = testkit::is_root();
    if !can {
        testkit::skip(check, "mounting needs root");
    }
    can
}

pub(crate) fn run(program: &str, args: &[&str]) {
    Cmd::new(testkit::oracle(program)).args(args).read().expect("it works");
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A file system in a file, mounted.
pub(crate) struct Target {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) mount: PathBuf,
    fstype: &'static str,
}

impl Target {
    /// Makes one; `options` are mkfs's.
    pub(crate) fn new(fstype: &'static str, mib: u64, options: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mount = dir.path().join("mnt");
        std::fs::create_dir(&mount).expect("made");
        let target = Self { dir, mount, fstype };
        let file = std::fs::File::create(target.file()).expect("made");
        file.set_len(mib << 20).expect("sized");
        let force = match fstype {
            "ext4" => &["-q", "-F", "-b", "4096"][..],
            "xfs" => &["-q", "-f"][..],
            "btrfs" => &["-q", "-f"][..],
            // Like FAT it holds no owners and modes; the kernel of a build machine may have no FAT.
            "ntfs-3g" => &["-q", "-F", "-Q"][..],
            _ => &[],
        };
        let file = target.file();
        let mkfs = fstype.trim_end_matches("-3g");
        run(&format!("mkfs.{mkfs}"), &[force, options, &[text(&file)]].concat());
        target.mount();
        target
    }

    /// The file system as a file.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    pub(crate) fn mount(&self) {
        run("mount", &["-t", self.fstype, "-o", "loop", text(&self.file()), text(&self.mount)]);
    }

    pub(crate) fn unmount(&self) {
        run("umount", &["--recursive", text(&self.mount)]);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.mount.join(name)
    }

    /// Whether it says of itself that it is whole.
    pub(crate) fn claims_to_be_done(&self) -> bool {
        self.path("var/lib/levitate/installed.json").exists() && !self.path(".recstrap-incomplete").exists()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Lazily: a failed test may have left a program at work in it, which would keep the mount for ever.
        let _ = Cmd::new("umount").args(["--recursive", "--lazy", text(&self.mount)]).output();
    }
}

/// An image with its manifest.
pub(crate) struct Image {
    pub(crate) dir: tempfile::TempDir,
    /// Digest of its tree, from the kernel's mount of it.
    pub(crate) digest: Sha256,
}

impl Image {
    /// Makes one of a tree.
    pub(crate) fn new(tree: &Path, options: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("rootfs.erofs");
        run("mkfs.erofs", &[options, &["--quiet", text(&file), text(tree)]].concat());
        let mount = Target {
            mount: dir.path().to_owned().join("mnt"),
            dir: tempfile::tempdir().expect("a temporary directory"),
            fstype: "erofs",
        };
        std::fs::create_dir(&mount.mount).expect("made");
        run("mount", &["-t", "erofs", "-o", "loop,ro", text(&file), text(&mount.mount)]);
        let tree = listing(&mount.mount);
        drop(mount);
        let image = Self { dir, digest: tree.digest };
        image.write_manifest(&tree);
        image
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("rootfs.erofs")
    }

    pub(crate) fn write_manifest(&self, tree: &Tree) {
        let bytes = std::fs::read(self.file()).expect("read");
        let manifest = serde_json::json!({
            "schema": 1, "profile": "test",
            "tree": { "digest": tree.digest, "entries": tree.names, "bytes": tree.bytes },
            "outputs": { "rootfs": { "size": bytes.len(), "sha256": Sha256::of(&bytes) } },
        });
        std::fs::write(self.dir.path().join("manifest.json"), manifest.to_string()).expect("written");
    }
}

/// Lists what is below a directory as the kernel shows it, but for recstrap's record and mkfs's own directory.
pub(crate) fn listing(root: &Path) -> Tree {
    let skip = |path: &[u8]| matches!(path, b"lost+found" | b"var/lib/levitate" | b".recstrap-incomplete");
    testkit::tree::read(root, skip).expect("it can be read")
}

/// A small tree with everything in it that a file system keeps.
pub(crate) fn everything() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| dir.path().join(name);
    for name in [
        "etc",
        "usr/bin",
        "usr/share/doc/a",
        "usr/share/man",
        "var/lib",
        "boot",
        "home",
        "tmp",
        "empty/er",
        "dev",
    ] {
        std::fs::create_dir_all(at(name)).expect("made");
    }
    write(&at("etc/machine-id"), b"");
    write(&at("etc/hostname"), b"levitate\n");
    for (name, mode) in
        [("suid", 0o4755), ("sgid", 0o2755), ("both", 0o6711), ("plain", 0o755), ("closed", 0o000)]
    {
        write(&at("usr/bin").join(name), name.as_bytes());
        chmod(&at("usr/bin").join(name), mode);
    }
    chmod(&at("tmp"), 0o1777);
    chmod(&at("var/lib"), 0o2750);
    write(&at("usr/share/doc/a/empty"), b"");
    write(&at("usr/share/doc/a/text"), "words and words\n".repeat(5000).as_bytes());
    write(&at("usr/share/noise"), &noise(3 << 20));
    // Data, a hole of 8 MiB, data.
    let mut sparse = noise(100_000);
    sparse.resize(8 << 20, 0);
    sparse.extend(noise(5));
    write(&at("usr/share/sparse"), &sparse);
    write(&at("usr/share/only-hole"), &vec![0; 1 << 20]);
    // mkfs.erofs 1.5 cuts a name of 255 bytes; `hostile` installs one without an image.
    for name in [&b"n\xff\xfe"[..], b"with space\nand line", &[b'x'; 254], "h\u{e9}".as_bytes()] {
        write(&at("usr/share/man").join(std::ffi::OsStr::from_bytes(name)), name);
    }
    for number in 0..400 {
        write(&at("usr/share/man").join(format!("page.{number}")), format!("page {number}\n").as_bytes());
    }
    std::fs::hard_link(at("usr/share/noise"), at("usr/share/doc/zz-noise")).expect("linked");
    std::fs::hard_link(at("usr/share/noise"), at("etc/aa-noise")).expect("linked");
    symlink("/etc/../usr/bin/plain", at("usr/bin/link")).expect("linked");
    symlink("x".repeat(1000), at("usr/bin/long-link")).expect("linked");
    for (name, kind, device) in [
        ("dev/null", FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
        ("dev/disk", FileType::BlockDevice, rustix::fs::makedev(259, 70000)),
        ("dev/pipe", FileType::Fifo, 0),
        ("dev/socket", FileType::Socket, 0),
    ] {
        rustix::fs::mknodat(CWD, at(name), kind, Mode::from_raw_mode(0o640), device).expect("made");
    }
    for (name, uid, gid) in
        [("etc/hostname", 7, 8), ("usr/bin/link", 9, 10), ("dev/pipe", 11, 12), ("home", 70000, 80000)]
    {
        std::os::unix::fs::lchown(at(name), Some(uid), Some(gid)).expect("owned");
    }
    run("setfattr", &["-n", "user.note", "-v", "a value", text(&at("etc/hostname"))]);
    run("setfattr", &["-n", "trusted.dir", "-v", "1", text(&at("empty"))]);
    run("setfattr", &["-h", "-n", "trusted.link", "-v", "2", text(&at("usr/bin/link"))]);
    run("setfacl", &["-m", "u:33:rx,g:44:r", text(&at("usr/bin/plain"))]);
    run("setfacl", &["-d", "-m", "u:33:rwx", text(&at("var/lib"))]);
    run("setcap", &["cap_net_raw+ep", text(&at("usr/bin/sgid"))]);
    for (name, seconds, nanos) in
        [("etc/hostname", 1_700_000_000, 123_456_789), ("usr/bin/link", 1, 999_999_999), ("usr", 5, 6)]
    {
        touch(&at(name), seconds, nanos);
    }
    touch(dir.path(), 1_600_000_000, 1);
    dir
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    std::fs::write(path, bytes).expect("written");
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
}

pub(crate) fn touch(path: &Path, seconds: i64, nanos: i64) {
    let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanos };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).expect("set");
}

/// Bytes that do not compress, the same in every run.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..len.div_ceil(8)).flat_map(|_| next()).take(len).collect()
}

/// How a run of recstrap ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(crate) fn codes(&self) -> Vec<String> {
        let json = self.json();
        let list = json.as_array().unwrap_or_else(|| panic!("no list: {self:?}"));
        assert_eq!(self.code, Some(if list.is_empty() { 0 } else { 10 }), "{self:?}");
        list.iter().map(|r| r["code"].as_str().expect("a code").to_owned()).collect()
    }
}

impl From<std::process::Output> for Ended {
    fn from(out: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: out.status.code(), stdout: text(out.stdout), stderr: text(out.stderr) }
    }
}

/// recstrap of `image` to `target`, with more options.
pub(crate) fn command(image: &Image, target: &Path, options: &[&str]) -> Cmd {
    Cmd::new(env!("CARGO_BIN_EXE_recstrap")).arg("--image").arg(image.file()).args(options).arg(target)
}

pub(crate) fn recstrap(image: &Image, target: &Path, options: &[&str]) -> Ended {
    command(image, target, options).output().expect("it starts").into()
}

/// The same under strace, which interferes as `inject` says. With strace in between, a signal that ended the program
/// ends strace too.
pub(crate) fn traced(inject: &str, image: &Image, target: &Path, options: &[&str]) -> Child {
    let strace = testkit::oracle("strace");
    let call = inject.split(':').next().unwrap_or(inject);
    let args =
        ["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &format!("inject={inject}")];
    let command = command(image, target, options).under(text(&strace), &args);
    let mut command = command.std();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

pub(crate) fn wait(child: Child) -> Ended {
    child.wait_with_output().expect("it ends").into()
}

/// Waits until something is so, 30 s at most.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("waited in vain for {what}");
}
