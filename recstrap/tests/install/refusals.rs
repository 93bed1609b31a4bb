//! Each refusal by its code, on real mounts; nothing is written when there is one.

use std::path::Path;

use common::cmd::Cmd;

use crate::lab::{self, Image, Target, can_mount, recstrap, run, text, write};

fn small() -> (tempfile::TempDir, Image) {
    let tree = tempfile::tempdir().expect("a temporary directory");
    write(&tree.path().join("etc/os-release"), b"ID=levitateos\n");
    write(&tree.path().join("boot/loader/entry"), b"entry\n");
    write(&tree.path().join("usr/lib/large"), &lab::noise(6 << 20));
    std::fs::create_dir_all(tree.path().join("var/lib")).expect("made");
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    (tree, image)
}

fn check(image: &Image, target: &Path) -> Vec<String> {
    recstrap(image, target, &["--check", "--json"]).codes()
}

#[test]
fn what_is_no_target() {
    if !can_mount("recstrap refuses what is no target") {
        return;
    }
    let (_tree, image) = small();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("file");
    write(&file, b"");
    assert_eq!(check(&image, &dir.path().join("nothing")), ["E02"]);
    assert_eq!(check(&image, &file), ["E03"]);
    for system in ["/", "/usr", "/proc/../usr/", "/proc/self", "/dev/shm"] {
        assert_eq!(check(&image, Path::new(system)), ["E04"], "{system}");
    }
    assert_eq!(check(&image, dir.path()), ["E05", "E06"]);
    std::os::unix::fs::symlink("loop", dir.path().join("loop")).expect("linked");
    assert_eq!(check(&image, &dir.path().join("loop")), ["E08"]);
    // By another name it is the running system all the same.
    let bind = dir.path().join("bind");
    std::fs::create_dir(&bind).expect("made");
    run("mount", &["--bind", "/", text(&bind)]);
    let codes = check(&image, &bind);
    run("umount", &[text(&bind)]);
    assert_eq!(codes, ["E04"]);
}

#[test]
fn who_is_not_root() {
    if !can_mount("recstrap refuses who is not root") {
        return;
    }
    let (_tree, image) = small();
    let target = Target::new("ext4", 50, &[]);
    for dir in [target.dir.path(), image.dir.path(), &target.mount] {
        lab::chmod(dir, 0o755);
    }
    // The program itself may lie where only root may go.
    let program = target.dir.path().join("recstrap");
    testkit::copy_program(env!("CARGO_BIN_EXE_recstrap"), &program);
    let args = ["--reuid", "65534", "--clear-groups", text(&program), "--check", "--json", "--image"];
    let out = Cmd::new(testkit::oracle("setpriv")).args(args).arg(image.file()).arg(&target.mount).output();
    let codes = lab::Ended::from(out.expect("it starts")).codes();
    assert!(codes.contains(&"E01".to_owned()), "{codes:?}");
}

#[test]
fn what_is_in_a_target() {
    if !can_mount("recstrap looks into targets") {
        return;
    }
    let (_tree, image) = small();
    let target = Target::new("ext4", 50, &[]);
    assert_eq!(check(&image, &target.mount), [""; 0], "lost+found");
    for dir in ["boot", "efi", "home", "srv/data"] {
        std::fs::create_dir_all(target.path(dir)).expect("made");
    }
    assert_eq!(check(&image, &target.mount), ["E06"], "srv is nothing's mount point");
    for dir in ["home", "srv/data"] {
        run("mount", &["-t", "tmpfs", "tmpfs", text(&target.path(dir))]);
    }
    assert_eq!(check(&image, &target.mount), [""; 0]);
    write(&target.path("home/user/file"), b"mine");
    assert_eq!(check(&image, &target.mount), [""; 0], "a mounted /home is kept");
    write(&target.path("srv/data/file"), b"mine");
    assert_eq!(check(&image, &target.mount), ["E06"]);
    run("umount", &[text(&target.path("srv/data"))]);
    run("umount", &[text(&target.path("home"))]);
    std::fs::remove_dir_all(target.path("srv")).expect("removed");
    write(&target.path("home/user/file"), b"mine");
    assert_eq!(check(&image, &target.mount), ["E06"]);
    assert_eq!(recstrap(&image, &target.mount, &["--check", "--json", "--keep-home"]).codes(), [""; 0]);
    assert_eq!(recstrap(&image, &target.mount, &["--check", "--json", "--force"]).codes(), [""; 0]);

    write(&target.path("var/lib/levitate/installed.json"), b"{}");
    assert_eq!(check(&image, &target.mount), ["E19"]);
    write(&target.path(".recstrap-incomplete"), b"a letter to a friend");
    assert_eq!(check(&image, &target.mount), ["E19"], "any file of that name is no marker");
    write(&target.path(".recstrap-incomplete"), br#"{"tool": "recstrap 0"}"#);
    let again = recstrap(&image, &target.mount, &["--check"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.stderr.contains("interrupted installation"), "{again:?}");

    run("mount", &["-o", "remount,ro", text(&target.mount)]);
    assert_eq!(check(&image, &target.mount), ["E07"]);
    let refused = recstrap(&image, &target.mount, &["--force"]);
    assert_eq!((refused.code, &*refused.stdout), (Some(10), ""), "{refused:?}");
    assert!(refused.stderr.contains("E07: ") && refused.stderr.contains("hint: "), "{refused:?}");
}

#[test]
fn what_is_wrong_with_the_image() {
    if !can_mount("recstrap refuses images") {
        return;
    }
    let (_tree, image) = small();
    let target = Target::new("ext4", 50, &[]);
    let program = || Cmd::new(env!("CARGO_BIN_EXE_recstrap")).args(["--check", "--json"]).arg(&target.mount);
    let codes = |cmd: Cmd| lab::Ended::from(cmd.output().expect("it starts")).codes();
    if !Path::new(common::layout::LIVE_IMAGE).exists() {
        assert_eq!(codes(program()), ["E13", "E09"]);
    }
    let manifest = image.dir.path().join("manifest.json");
    let good = std::fs::read_to_string(&manifest).expect("read");
    let size = image.file().metadata().expect("there").len();
    for (from, to, expected) in [
        (format!("\"size\":{size}"), format!("\"size\":{}", size + 1), "E12"),
        ("\"entries\":".to_owned(), "\"entries\":1".to_owned(), "E12"),
        ("\"schema\":1".to_owned(), "\"schema\":2".to_owned(), "E13"),
        ("\"digest\"".to_owned(), "\"digets\"".to_owned(), "E13"),
    ] {
        let bad = good.replace(&from, &to);
        assert_ne!(bad, good, "{from}");
        std::fs::write(&manifest, bad).expect("written");
        assert_eq!(check(&image, &target.mount), [expected], "{from}");
    }
    std::fs::remove_file(&manifest).expect("removed");
    assert_eq!(check(&image, &target.mount), ["E13"]);
    assert_eq!(recstrap(&image, &target.mount, &["--check", "--json", "--no-manifest"]).codes(), [""; 0]);
    std::fs::write(&manifest, &good).expect("written");
    for cut in [0, 1000, 4096, size - 1] {
        let file = std::fs::OpenOptions::new().write(true).open(image.file()).expect("opened");
        let kept = std::fs::read(image.file()).expect("read");
        file.set_len(cut).expect("cut");
        assert_eq!(check(&image, &target.mount)[0], "E10", "cut to {cut}");
        std::fs::write(image.file(), kept).expect("written");
    }
    let inside = target.path("home/rootfs.erofs");
    write(&inside, &std::fs::read(image.file()).expect("read"));
    let refused = |inside: &Path| {
        codes(program().args(["--keep-home", "--manifest"]).arg(&manifest).arg("--image").arg(inside))
    };
    assert_eq!(refused(&inside), ["E11"]);
    // By another name it is there all the same.
    let bind = image.dir.path().join("bind");
    std::fs::create_dir(&bind).expect("made");
    run("mount", &["--bind", text(&target.mount), text(&bind)]);
    let found = refused(&bind.join("home/rootfs.erofs"));
    run("umount", &[text(&bind)]);
    assert_eq!(found, ["E11"]);
}

#[test]
fn what_does_not_fit() {
    if !can_mount("recstrap refuses what does not fit") {
        return;
    }
    let (_tree, image) = small();
    let target = Target::new("ext4", 6, &[]);
    assert_eq!(check(&image, &target.mount), ["E14"]);
    let target = Target::new("ext4", 50, &["-N", "16"]);
    assert_eq!(check(&image, &target.mount), ["E15"]);
    let target = Target::new("ntfs-3g", 50, &[]);
    assert_eq!(check(&image, &target.mount), ["E17"]);

    let tree = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(tree.path().join("boot")).expect("made");
    std::os::unix::fs::symlink("kernel-1", tree.path().join("boot/kernel")).expect("linked");
    let linked = Image::new(tree.path(), &[]);
    let (target, boot) = (Target::new("ext4", 50, &[]), Target::new("ntfs-3g", 50, &[]));
    std::fs::create_dir(target.path("boot")).expect("made");
    run("mount", &["--bind", text(&boot.mount), text(&target.path("boot"))]);
    assert_eq!(check(&linked, &target.mount), ["E20"]);
    assert_eq!(check(&image, &target.mount), [""; 0]);
}

#[test]
fn who_comes_second() {
    if !can_mount("two at once") {
        return;
    }
    let (_tree, image) = small();
    let target = Target::new("ext4", 50, &[]);
    let first = lab::traced("mkdirat:delay_enter=2000000:when=1", &image, &target.mount, &[]);
    lab::until("the first one's marker", || target.path(".recstrap-incomplete").exists());
    assert_eq!(check(&image, &target.mount), ["E18"]);
    assert_eq!(recstrap(&image, &target.mount, &["--force"]).code, Some(10));
    let first = lab::wait(first);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(lab::listing(&target.mount).digest, image.digest);
}

/// In a mount namespace of its own, the live system's medium is what this test says.
#[test]
fn what_the_live_system_runs_from() {
    if !can_mount("recstrap refuses the boot medium") {
        return;
    }
    let (_tree, image) = small();
    let medium = Target::new("ext4", 50, &[]);
    let other = Target::new("ext4", 50, &[]);
    let codes = |target: &Target| {
        let program = env!("CARGO_BIN_EXE_recstrap");
        let script = "set -e; mount -t tmpfs tmpfs /run; mkdir -p /run/levitate/medium; \
                      mount --bind \"$1\" /run/levitate/medium; shift; exec \"$@\"";
        let args = ["--mount", "sh", "-c", script, "sh", text(&medium.mount), program, "--check", "--json"];
        let out = Cmd::new(testkit::oracle("unshare")).args(args).arg("--image").arg(image.file());
        lab::Ended::from(out.arg(&target.mount).output().expect("it starts")).codes()
    };
    assert_eq!(codes(&medium), ["E16"], "the same file system");
    assert_eq!(codes(&other), [""; 0]);
}

#[test]
fn the_reference_has_every_code() {
    let reference = testkit::workspace().join("docs/reference/recstrap.md");
    let reference = std::fs::read_to_string(reference).expect("read");
    for (code, forced, what) in recstrap::install::preflight::refusal::TABLE {
        let forced = if *forced { "yes" } else { "no" };
        let row = format!("| {code} | {what} | {forced} |");
        assert!(reference.contains(&row), "docs/reference/recstrap.md lacks: {row}");
    }
    for (code, what) in recstrap::install::exit::TABLE {
        let row = format!("| {code} | {what} |");
        assert!(reference.contains(&row), "docs/reference/recstrap.md lacks: {row}");
    }
    let help = Cmd::new(env!("CARGO_BIN_EXE_recstrap")).arg("--help").read().expect("it works");
    assert!(help.contains("E20") && help.contains("130"), "{help}");
}
