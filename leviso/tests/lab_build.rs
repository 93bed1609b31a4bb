//! Whole builds of the lab by the real binary: no program is started, two builds from one lock are the same bytes, a
//! full disk leaves nothing behind. Needs target/lab, which `cargo xtask test` makes first.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::cmd::Cmd;
use common::hash::Sha256;

fn lab() -> Option<PathBuf> {
    let lab = testkit::workspace().join("target/lab");
    if lab.join("fingerprint").exists() {
        return Some(lab);
    }
    testkit::skip("builds of the lab", "there is no target/lab; run `cargo xtask lab`");
    None
}

/// Arguments of a build of the lab.
fn args(lab: &Path, work: &Path, out: &Path) -> Vec<std::ffi::OsString> {
    let fingerprint = std::fs::read_to_string(lab.join("fingerprint")).expect("the lab has a fingerprint");
    let profile = testkit::workspace().join("leviso/profiles/lab.toml");
    let set = [format!("lab={}", lab.display()), format!("lab-fingerprint={}", fingerprint.trim())];
    let mut args: Vec<std::ffi::OsString> =
        vec!["build".into(), "--quiet".into(), "--profile".into(), profile.into()];
    set.iter().for_each(|s| args.extend(["--set".into(), s.into()]));
    args.extend(["--work".into(), work.into(), "--out".into(), out.into()]);
    args
}

fn iso(out: &Path) -> PathBuf {
    let isos: Vec<_> = std::fs::read_dir(out)
        .expect("the directory is there")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "iso"))
        .collect();
    assert_eq!(isos.len(), 1, "expected one ISO, found {isos:?}");
    isos[0].clone()
}

/// One test, because the three claims share two builds of half a minute each.
#[test]
fn two_builds_are_identical() {
    let Some(lab) = lab() else { return };
    let leviso = env!("CARGO_BIN_EXE_leviso");
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).expect("permissions");
    let (work, out) = (dir.path().join("work"), dir.path().join("out"));

    // Build one: under strace, as whoever runs the test.
    let trace = dir.path().join("trace");
    let strace = testkit::oracle("strace");
    let traced =
        Cmd::new(&strace).args(["-f", "--seccomp-bpf", "-e", "trace=execve,execveat", "-o"]).arg(&trace);
    traced
        .arg(leviso)
        .args(args(&lab, &work, &out))
        .env("TZ", "UTC")
        .read()
        .expect("the first build succeeds");
    a_build_starts_no_program(&trace, leviso);
    let first = iso(&out);

    // Build two: the same lock, but another user, directory, time zone, umask and number of threads, nothing cached.
    let (work2, out2) = (dir.path().join("elsewhere/w"), dir.path().join("elsewhere/o"));
    let lock2 = dir.path().join("copy.lock");
    std::fs::copy(work.join("lab.lock"), &lock2).expect("the lock is there");
    std::fs::set_permissions(&lock2, std::fs::Permissions::from_mode(0o644)).expect("permissions");
    let command = format!(
        "umask 027; cd {} && exec \"$@\"",
        dir.path().display() // a tempfile name: no characters that a shell minds
    );
    let mut words: Vec<std::ffi::OsString> = Vec::new();
    if testkit::is_root() {
        words.extend(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(Into::into));
    } else {
        testkit::skip("the second build as another user", "changing the user needs root");
    }
    words.extend(["sh".into(), "-c".into(), command.into(), "sh".into(), leviso.into()]);
    words.extend(args(&lab, &work2, &out2));
    words.extend(["--locked".into(), "--lock".into(), lock2.into()]);
    let second = Cmd::new(words.remove(0)).args(words).env("TZ", "Asia/Tokyo").env("RAYON_NUM_THREADS", "3");
    second.env("HOME", dir.path()).read().expect("the second build succeeds");
    let second = iso(&out2);
    assert_eq!(first.file_name(), second.file_name());
    let digests = [&first, &second].map(|p| Sha256::of_file(p).expect("it can be read"));
    assert_eq!(digests[0], digests[1], "the builds differ; compare the images in the two work directories");

    the_real_tools_change_nothing(&work.join("lab/rootfs.erofs"), dir.path());
    a_full_disk_leaves_nothing(&lab, &work, leviso, dir.path());
}

/// Mount points, unmounted in reverse order whatever happens.
struct Mounts(Vec<PathBuf>);

impl Mounts {
    fn mount(&mut self, args: &[&str], on: &Path) {
        std::fs::create_dir_all(on).expect("made");
        Cmd::new("mount").args(args.iter().copied()).arg(on).read().expect("mounted");
        self.0.push(on.to_owned());
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            let _ = Cmd::new("umount").arg(path).output();
        }
    }
}

/// On a writable layer over the finished image, depmod and systemd-sysusers find nothing to do: what they write is what
/// is there. (ldconfig, systemd-hwdb and journalctl put their own version into their files and have tests of their own.)
fn the_real_tools_change_nothing(rootfs: &Path, dir: &Path) {
    if !testkit::is_root() {
        return testkit::skip("the real tools on the finished image", "mounting needs root");
    }
    let (lower, layer, root) = (dir.join("lower"), dir.join("layer"), dir.join("root"));
    let mut mounts = Mounts(Vec::new());
    mounts.mount(&["-t", "erofs", "-o", "loop,ro", &rootfs.to_string_lossy()], &lower);
    mounts.mount(&["-t", "tmpfs", "tmpfs"], &layer);
    let (upper, work) = (layer.join("upper"), layer.join("work"));
    std::fs::create_dir_all(&upper).expect("made");
    std::fs::create_dir_all(&work).expect("made");
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    mounts.mount(&["-t", "overlay", "-o", &options, "overlay"], &root);

    let modules = root.join("usr/lib/modules");
    let kernel = std::fs::read_dir(&modules)
        .expect("modules")
        .next()
        .expect("a kernel")
        .expect("an entry")
        .file_name();
    Cmd::new(testkit::oracle("depmod")).arg("-b").arg(&root).arg(&kernel).read().expect("depmod runs");
    let sysusers = Cmd::new(testkit::oracle("systemd-sysusers"));
    sysusers.arg(format!("--root={}", root.display())).read().expect("systemd-sysusers runs");

    let written = files_below(&upper);
    let indexes = written.iter().filter(|f| f.to_string_lossy().contains("/modules.")).count();
    assert!(indexes >= 8, "depmod wrote only {indexes} files: {written:?}");
    for file in &written {
        let relative = file.strip_prefix(&upper).expect("it is below");
        // systemd-sysusers keeps backups, and touches its lock file, whether or not it changes anything.
        let name = relative.file_name().expect("a name").to_string_lossy();
        if name.ends_with('-') || name == ".pwd.lock" {
            continue;
        }
        let (ours, theirs) = (std::fs::read(lower.join(relative)), std::fs::read(file).expect("readable"));
        assert!(ours.is_ok_and(|ours| ours == theirs), "the real tool writes another {}", relative.display());
    }
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.symlink_metadata().expect("metadata").is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

/// Every execve in the trace is leviso's own.
fn a_build_starts_no_program(trace: &Path, leviso: &str) {
    let trace = std::fs::read_to_string(trace).expect("strace wrote its log");
    let calls: Vec<_> = trace.lines().filter(|l| l.contains("execve")).collect();
    assert_eq!(calls.len(), 1, "a build starts no program: {calls:#?}");
    assert!(calls[0].contains(&format!("execve(\"{leviso}\"")), "{}", calls[0]);
}

/// OUT on a file system that is too small: exit code 3, nothing left.
fn a_full_disk_leaves_nothing(lab: &Path, work: &Path, leviso: &str, dir: &Path) {
    if !testkit::is_root() {
        return testkit::skip("a build on a full disk", "mounting a small file system needs root");
    }
    let small = dir.join("small");
    std::fs::create_dir(&small).expect("made");
    Cmd::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(&small).run().expect("mounted");
    let out = Cmd::new(leviso).args(args(lab, work, &small)).output().expect("leviso starts");
    let left = std::fs::read_dir(&small).expect("still there").count();
    Cmd::new("umount").arg(&small).run().expect("unmounted");
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(i32::from(common::cli::code::NO_SPACE)), "{stderr}");
    assert!(stderr.contains(".iso") && stderr.contains("No space left"), "{stderr}");
    assert_eq!(left, 0, "files were left on the full disk");
}
