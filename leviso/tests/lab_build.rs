//! Whole builds of the lab by the real binary: no program is started, two builds from one lock are the same bytes, a
//! full disk leaves nothing behind. Needs target/lab, which `cargo xtask test` makes first.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::cmd::Cmd;
use common::hash::Sha256;

fn lab() -> Option<PathBuf> {
    let lab = testkit::target().join("lab");
    if lab.join("fingerprint").exists() {
        return Some(lab);
    }
    testkit::skip("builds of the lab", "there is no target/lab; run `cargo xtask lab`");
    None
}

/// The profile of the lab with our own packages, as `cargo xtask iso` left it; else the one without them.
fn profile(root: &Path) -> PathBuf {
    let ours = testkit::target().join("packages/profiles/lab.toml");
    if ours.exists() {
        return ours;
    }
    testkit::skip("our own packages in the builds of the lab", "run `cargo xtask iso --profile lab`");
    root.join("leviso/profiles/lab.toml")
}

/// Arguments of a build of the lab.
fn args(profile: &Path, lab: &Path, work: &Path, out: &Path) -> Vec<OsString> {
    let fingerprint = std::fs::read_to_string(lab.join("fingerprint")).expect("the lab has a fingerprint");
    let set = [format!("lab={}", lab.display()), format!("lab-fingerprint={}", fingerprint.trim())];
    let mut args: Vec<OsString> = vec!["build".into(), "--quiet".into(), "--profile".into(), profile.into()];
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

/// One test, because all claims share two builds.
#[test]
fn two_builds_are_identical() {
    let Some(lab) = lab() else { return };
    let (leviso, root) = (env!("CARGO_BIN_EXE_leviso"), testkit::workspace());
    let profile = profile(&root);
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
        .args(args(&profile, &lab, &work, &out))
        .env("TZ", "UTC")
        .read()
        .expect("build one succeeds");
    a_build_starts_no_program(&trace, leviso);
    let first = iso(&out);

    let lock = work.join("lab.lock");
    let second = build_elsewhere(leviso, [&root, &lab, &profile, &lock], &dir.path().join("elsewhere"));
    assert_eq!(first.file_name(), second.file_name());
    let digests = [&first, &second].map(|p| Sha256::of_file(p).expect("it can be read"));
    assert_eq!(digests[0], digests[1], "the builds differ; compare the images in the two work directories");

    the_fields_tools_accept_it(&first, &work.join("lab"));
    the_real_tools_change_nothing(&work.join("lab/rootfs.erofs"), dir.path());
    let size = first.metadata().expect("metadata").len();
    let build = |out: &Path| args(&profile, &lab, &work, out);
    // Far too small, and enough for the ISO but not for what lies beside it.
    for bytes in [64 << 20, size.div_ceil(4096) * 4096] {
        a_full_disk_leaves_nothing(leviso, build, bytes, &dir.path().join(format!("small{bytes}")));
    }
}

/// Build two: the same lock, but another checkout with other modes and times, another user, directory, time zone, umask
/// and number of threads, and nothing cached.
fn build_elsewhere(leviso: &str, [root, lab, profile, lock]: [&Path; 4], dir: &Path) -> PathBuf {
    let (work, out) = (dir.join("w"), dir.join("o"));
    let copy = "umask 077; mkdir -p \"$5/checkout/leviso\" \"$5/lab\" && cp -r \"$1/leviso/profiles\" \"$5/checkout/leviso\" \
         && cp -r \"$1/initramfs\" \"$5/checkout\" && cp -r \"$2/repo\" \"$2/fingerprint\" \"$2\"/RPM-GPG-KEY-* \"$5/lab\" \
         && cp \"$3\" \"$5/copy.lock\" && cp \"$4\" \"$5/bin\"";
    let copied = Cmd::new("sh").args(["-c", copy, "sh"]).arg(root).arg(lab).arg(lock).arg(leviso).arg(dir);
    copied.read().expect("the checkout is copied");
    let profile = copy_profile(profile, root, dir);
    let mut words: Vec<OsString> = Vec::new();
    if testkit::is_root() {
        Cmd::new("chown").args(["-R", "65534:65534"]).arg(dir).read().expect("given away");
        words.extend(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(Into::into));
    } else {
        testkit::skip("the second build as another user", "changing the user needs root");
    }
    words.extend(["sh", "-c", "umask 027; cd / && exec \"$@\"", "sh"].map(Into::into));
    words.push(dir.join("bin").into());
    words.extend(args(&profile, &dir.join("lab"), &work, &out));
    words.extend(["--locked".into(), "--lock".into(), dir.join("copy.lock").into()]);
    let second = Cmd::new(words.remove(0)).args(words).env("TZ", "Asia/Tokyo").env("RAYON_NUM_THREADS", "3");
    second.env("HOME", dir).read().expect("build two succeeds");
    iso(&out)
}

/// The same profile for the checkout in `dir`, with a copy of our packages' repository if it names that.
fn copy_profile(profile: &Path, root: &Path, dir: &Path) -> PathBuf {
    let checkout = dir.join("checkout");
    let Ok(inside) = profile.strip_prefix(testkit::target().join("packages")) else {
        return checkout.join(profile.strip_prefix(root).expect("a profile of the checkout"));
    };
    let (from, to) = (testkit::target().join("packages"), dir.join("packages"));
    let copy = "umask 077; mkdir -p \"$2/profiles\" && cp -r \"$1/repo\" \"$1\"/RPM-GPG-KEY-* \"$2\"";
    Cmd::new("sh").args(["-c", copy, "sh"]).arg(&from).arg(&to).read().expect("the packages are copied");
    let text = std::fs::read_to_string(profile).expect("the profile can be read");
    let moved = text.replace(&from.display().to_string(), &to.display().to_string());
    let moved = moved.replace(&root.display().to_string(), &checkout.display().to_string());
    assert_ne!(moved, text, "the profile names neither its base nor its packages by absolute paths");
    let profile = to.join(inside);
    std::fs::write(&profile, moved).expect("the profile is written");
    profile
}

/// fsck.erofs, sbverify, xorriso and sha256sum on the images themselves.
fn the_fields_tools_accept_it(iso: &Path, images: &Path) {
    let run = |tool: &str, args: &[&str], file: &Path| {
        let out =
            Cmd::new(testkit::oracle(tool)).args(args.iter().copied()).arg(file).output().expect("it starts");
        let text =
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{tool} refuses {}:\n{text}", file.display());
        text
    };
    let erofs = run("fsck.erofs", &[], &images.join("rootfs.erofs"));
    assert!(!erofs.contains("<E>"), "{erofs}");
    let uki = run("sbverify", &["--list"], &images.join("levitateos.efi"));
    assert!(uki.contains("No signature table present"), "{uki}");
    let sections = run("objdump", &["-h"], &images.join("levitateos.efi"));
    for section in [".linux", ".initrd", ".cmdline", ".osrel", ".uname", ".sbat", ".profile"] {
        assert!(sections.contains(section), "no {section} in\n{sections}");
    }
    let iso_path = iso.to_string_lossy();
    let report = Cmd::new(testkit::oracle("xorriso"));
    let report =
        report.args(["-indev", &iso_path, "-report_el_torito", "plain", "-report_system_area", "plain"]);
    let report = report.read().expect("xorriso reads it");
    assert!(report.lines().any(|l| l.starts_with("El Torito boot img") && l.contains("UEFI")), "{report}");
    assert!(report.contains("GPT type GUID"), "{report}");
    let dir = iso.parent().expect("a directory");
    let sum = format!("{}.sha256", iso.file_name().expect("a name").to_string_lossy());
    Cmd::new("sha256sum")
        .args(["--check", "--status", &sum])
        .dir(dir)
        .read()
        .expect("the digest beside it is right");
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
    every_file_is_somebodys(&lower);
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

/// packages.json of the finished image lists all that is in it, also what came in after the audit.
fn every_file_is_somebodys(root: &Path) {
    let text = std::fs::read(root.join(common::layout::PACKAGES)).expect("the list of packages");
    let list: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let packages = list["packages"].as_array().expect("packages");
    let mut owned = BTreeSet::new();
    for (dir, names) in packages
        .iter()
        .map(|p| &p["files"])
        .chain([&list["image"]])
        .flat_map(|f| f.as_object().expect("files"))
    {
        let names = names.as_array().expect("names").iter().map(|n| n.as_str().expect("a name"));
        owned.extend(names.map(|name| Path::new(dir).join(name)));
    }
    for file in files_below(root).iter().filter(|f| f.to_str().is_some()) {
        let path = Path::new("/").join(file.strip_prefix(root).expect("it is below"));
        assert!(owned.contains(&path), "{} is nobody's", path.display());
    }
    assert!(packages.len() > 100, "only {} packages", packages.len());
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

/// OUT on a file system that is too small: exit code 3, no ISO, nothing half written.
fn a_full_disk_leaves_nothing(leviso: &str, args: impl Fn(&Path) -> Vec<OsString>, bytes: u64, small: &Path) {
    if !testkit::is_root() {
        return testkit::skip("a build on a full disk", "mounting a small file system needs root");
    }
    let mut mounts = Mounts(Vec::new());
    mounts.mount(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"], small);
    let out = Cmd::new(leviso).args(args(small)).output().expect("leviso starts");
    let stderr = String::from_utf8_lossy(&out.stderr);
    let left: Vec<_> =
        std::fs::read_dir(small).expect("still there").map(|e| e.expect("an entry").path()).collect();
    assert_eq!(out.status.code(), Some(i32::from(common::cli::code::NO_SPACE)), "{stderr}");
    assert!(stderr.contains(".iso") && stderr.contains("No space left"), "{stderr}");
    assert!(left.is_empty(), "files were left on the full disk: {left:?}");
}
