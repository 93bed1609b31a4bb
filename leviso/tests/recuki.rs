//! recuki by the real program: on small roots made here, and on the image's own where `cargo xtask test` unpacked it.

mod modules;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use common::cmd::Cmd;
use leviso::uki;
use modules::{Made, elf, real_kernel};

const KVER: &str = "6.12.0-1.test+a";
const STUB: &str = "usr/lib/systemd/boot/efi/linuxx64.efi.stub";

fn put(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A system with one kernel, one module, links as distributions have them, and an ESP directory beside it.
fn system(dir: &Path) -> (PathBuf, PathBuf) {
    let (root, esp) = (dir.join("root"), dir.join("esp"));
    fs::create_dir_all(&esp).unwrap();
    let stub =
        fs::read(Path::new("/").join(STUB)).expect("systemd-boot-efi is installed; see `cargo xtask doctor`");
    put(&root, STUB, &stub);
    // Any PE image is a kernel as far as a UKI goes.
    put(&root, &format!("usr/lib/modules/{KVER}/vmlinuz"), &stub);
    put(&root, &format!("usr/lib/modules/{KVER}/kernel/fs/fs.ko"), elf(&Made::default()));
    put(&root, "usr/bin/busybox", elf(&Made::default()));
    put(&root, "usr/lib/os-release", "NAME=LevitateOS\nID=levitateos\n");
    fs::create_dir_all(root.join("etc")).unwrap();
    // Absolute links lead to the system's own files, not to the host's.
    symlink("/usr/lib/os-release", root.join("etc/os-release")).unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    let recipe = "usr/lib/levitate/initramfs";
    put(
        &root,
        &format!("{recipe}/recipe.toml"),
        "cmdline = \"console=tty0\"\nbusybox = \"/usr/bin/busybox\"\nprograms = []\n",
    );
    put(&root, &format!("{recipe}/modules.list"), "fs\n?absent\n");
    put(&root, &format!("{recipe}/files/init"), "#!/bin/sh\n");
    (root, esp)
}

fn recuki(root: &Path, esp: &Path, args: &[&str]) -> Output {
    let cmd = Cmd::new(env!("CARGO_BIN_EXE_recuki")).arg("--root").arg(root);
    let cmd = if args.contains(&"--output") { cmd } else { cmd.arg("--esp").arg(esp) };
    cmd.args(args.iter().copied()).output().unwrap()
}

fn good(root: &Path, esp: &Path, args: &[&str]) -> String {
    let out = recuki(root, esp, args);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stderr).unwrap()
}

fn names(esp: &Path) -> Vec<String> {
    let Ok(list) = fs::read_dir(esp.join("EFI/Linux")) else { return Vec::new() };
    let mut names: Vec<_> = list.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn text(uki: &Path, section: &str) -> String {
    let file = fs::read(uki).unwrap();
    String::from_utf8(uki::section(&file, section).unwrap().expect("the section is there")).unwrap()
}

fn named(suffix: &str) -> String {
    format!("levitateos-{KVER}{suffix}.efi")
}

#[test]
fn puts_a_counted_uki_on_the_esp_and_knows_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let (root, esp) = system(dir.path());
    let said = good(&root, &esp, &[]);
    assert!(said.contains("built from this system's files"), "{said}");
    assert_eq!(names(&esp), [named("+3")]);
    let path = esp.join("EFI/Linux").join(named("+3"));
    assert_eq!(text(&path, ".cmdline"), "console=tty0");
    assert_eq!(text(&path, ".uname"), KVER);
    assert_eq!(text(&path, ".osrel"), "NAME=LevitateOS\nID=levitateos\n");
    let sections = Cmd::new(testkit::oracle("objdump")).arg("-h").arg(&path).read().unwrap();
    for section in [".linux", ".initrd", ".cmdline", ".osrel", ".uname", ".sbat"] {
        assert!(sections.contains(section), "no {section} in\n{sections}");
    }
    let signed = Cmd::new(testkit::oracle("sbverify")).arg("--list").arg(&path).output().unwrap();
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));

    let before = fs::metadata(&path).unwrap().modified().unwrap();
    assert!(good(&root, &esp, &[]).contains("is up to date"));
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before, "nothing was written");
}

#[test]
fn the_one_that_works_stays_beside_its_successor() {
    let dir = tempfile::tempdir().unwrap();
    let (root, esp) = system(dir.path());
    good(&root, &esp, &[]);
    let linux = esp.join("EFI/Linux");
    // What systemd-bless-boot does after a good start.
    fs::rename(linux.join(named("+3")), linux.join(named(""))).unwrap();
    put(&root, "etc/kernel/cmdline", "# for the server room\n root=/dev/vg/root\n\tquiet  \n");
    good(&root, &esp, &["--tries", "5"]);
    assert_eq!(names(&esp), [named("+5"), named("~previous")]);
    assert_eq!(text(&linux.join(named("+5")), ".cmdline"), "root=/dev/vg/root quiet");
    assert_eq!(text(&linux.join(named("~previous")), ".cmdline"), "console=tty0");

    // One that was never blessed is not worth keeping; the one that worked still is.
    good(&root, &esp, &["--cmdline", "third"]);
    assert_eq!(names(&esp), [named("+3"), named("~previous")]);
    assert_eq!(text(&linux.join(named("~previous")), ".cmdline"), "console=tty0");
    // Tried in vain: the same is put there anew.
    fs::rename(linux.join(named("+3")), linux.join(named("+0-3"))).unwrap();
    good(&root, &esp, &["--cmdline", "third", "--no-counting"]);
    assert_eq!(names(&esp), [named(""), named("~previous")]);
}

#[test]
fn the_shipped_one_is_copied_until_something_differs() {
    let dir = tempfile::tempdir().unwrap();
    let (root, esp) = system(dir.path());
    let shipped = root.join(format!("usr/lib/modules/{KVER}/levitateos.efi"));
    good(&root, &esp, &["--output", shipped.to_str().unwrap()]);
    assert!(names(&esp).is_empty(), "--output leaves the ESP alone");
    let source = || {
        let out = recuki(&root, &esp, &["--dry-run", "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        json["source"].as_str().unwrap().to_owned()
    };
    assert_eq!(source(), "shipped");
    for (path, bytes) in [
        ("etc/kernel/cmdline", &b"quiet"[..]),
        ("usr/lib/os-release", b"NAME=Other\n"),
        ("usr/lib/levitate/initramfs/files/init", b"#!/bin/sh\nexit\n"),
        ("usr/lib/levitate/initramfs/modules.list", b"\n"),
    ] {
        let old = fs::read(root.join(path)).ok();
        let mtime = fs::metadata(root.join(path)).and_then(|m| m.modified()).ok();
        put(&root, path, bytes);
        assert_eq!(source(), "built", "{path}");
        match old {
            Some(old) => put(&root, path, old),
            None => fs::remove_file(root.join(path)).unwrap(),
        }
        if let Some(mtime) = mtime {
            fs::File::options().write(true).open(root.join(path)).unwrap().set_modified(mtime).unwrap();
        }
        assert_eq!(source(), "shipped", "{path} is as it was");
    }
    assert!(names(&esp).is_empty(), "--dry-run writes nothing");
    good(&root, &esp, &[]);
    assert_eq!(fs::read(esp.join("EFI/Linux").join(named("+3"))).unwrap(), fs::read(&shipped).unwrap());
}

#[test]
fn passphrases_are_typed_with_the_systems_own_keys() {
    if !testkit::is_root() {
        testkit::skip(
            "passphrases_are_typed_with_the_systems_own_keys",
            "starting a program of the system needs root (chroot)",
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (root, esp) = system(dir.path());
    put(&root, "usr/bin/busybox", fs::read(testkit::oracle("busybox")).unwrap());
    let loadkeys = |body: &str| put(&root, "usr/bin/loadkeys", format!("#!/usr/bin/busybox sh\n{body}\n"));
    let initrd = || {
        let file = fs::read(esp.join("EFI/Linux").join(named("+3"))).unwrap();
        zstd::decode_all(&uki::section(&file, ".initrd").unwrap().unwrap()[..]).unwrap()
    };
    let has = |bytes: &[u8], what: &str| bytes.windows(what.len()).any(|w| w == what.as_bytes());

    loadkeys("printf 'bkeymap of %s' \"$4\"");
    good(&root, &esp, &[]);
    assert!(!has(&initrd(), "etc/levitate/keymap"), "nothing names a keymap");

    put(&root, "etc/vconsole.conf", "KEYMAP=\"de-latin1\"\n");
    good(&root, &esp, &[]);
    assert!(has(&initrd(), "etc/levitate/keymap") && has(&initrd(), "bkeymap of de-latin1"));

    // What cannot be had is said, and the system gets its new kernel all the same.
    for (body, words) in
        [("echo 'no such map' >&2; exit 1", "no such map"), ("echo nonsense", "printed no keymap")]
    {
        loadkeys(body);
        let said = good(&root, &esp, &[]);
        assert!(said.contains("US keyboard") && said.contains("de-latin1") && said.contains(words), "{said}");
        assert!(!has(&initrd(), "etc/levitate/keymap"));
    }
}

#[test]
fn of_several_kernels_the_newest_and_those_that_are_gone_only_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let (root, esp) = system(dir.path());
    for kver in ["6.12.0-10.test", "6.9.0-99.test"] {
        let (from, to) =
            (root.join(format!("usr/lib/modules/{KVER}")), root.join(format!("usr/lib/modules/{kver}")));
        Cmd::new("cp").arg("-r").arg(from).arg(to).run().unwrap();
    }
    // A package that is gone leaves indexes behind.
    put(&root, "usr/lib/modules/7.0.0/modules.dep", "");
    good(&root, &esp, &[]);
    good(&root, &esp, &["--kernel", "6.9.0-99.test"]);
    assert_eq!(names(&esp), ["levitateos-6.12.0-10.test+3.efi", "levitateos-6.9.0-99.test+3.efi"]);

    fs::remove_dir_all(root.join("usr/lib/modules/6.9.0-99.test")).unwrap();
    put(&esp, "EFI/Linux/other-6.9.0.efi", "another system's");
    let said = good(&root, &esp, &[]);
    assert!(said.contains("levitateos-6.9.0-99.test+3.efi has no kernel any more: left alone"), "{said}");
    assert_eq!(names(&esp).len(), 3);
    good(&root, &esp, &["--prune"]);
    assert_eq!(names(&esp), ["levitateos-6.12.0-10.test+3.efi", "other-6.9.0.efi"]);
}

#[test]
fn refusals_have_codes() {
    let dir = tempfile::tempdir().unwrap();
    let (root, esp) = system(dir.path());
    let code = |root: &Path, esp: &Path, args: &[&str]| {
        let out = recuki(root, esp, args);
        (out.status.code().unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let (exit, said) = code(&root, &dir.path().join("nowhere"), &[]);
    assert_eq!(exit, 11, "{said}");
    let (exit, said) = code(&root, &esp, &["--kernel", "1.2.3"]);
    assert!(exit == 10 && said.contains("no kernel 1.2.3, but 6.12.0-1.test+a"), "{said}");
    let (exit, said) = code(&esp, &esp, &[]);
    assert_eq!(exit, 10, "{said}");
    fs::remove_file(root.join("usr/bin/busybox")).unwrap();
    let (exit, said) = code(&root, &esp, &[]);
    assert!(exit == 15 && said.contains("static busybox at /usr/bin/busybox"), "{said}");
    assert!(names(&esp).is_empty());

    let none = Cmd::new(env!("CARGO_BIN_EXE_recuki")).arg("--root").arg(&root).output().unwrap();
    let said = String::from_utf8(none.stderr).unwrap();
    assert!(none.status.code() == Some(11) && said.contains("hint: mount it there"), "{said}");
}

#[test]
fn a_full_esp_keeps_what_boots() {
    if !testkit::is_root() {
        testkit::skip("a_full_esp_keeps_what_boots", "a small file system needs root to mount");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (root, esp) = system(dir.path());
    Cmd::new("mount").args(["-t", "tmpfs", "-o", "size=4M", "tmpfs"]).arg(&esp).run().unwrap();
    let out = std::panic::catch_unwind(|| {
        good(&root, &esp, &[]);
        let linux = esp.join("EFI/Linux");
        fs::rename(linux.join(named("+3")), linux.join(named(""))).unwrap();
        let old = fs::read(linux.join(named(""))).unwrap();
        fs::write(esp.join("ballast"), vec![0; (3 << 20) - 100_000]).unwrap();
        let refused = recuki(&root, &esp, &["--cmdline", "new"]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(3) && said.contains("hint: recuki --prune"), "{said}");
        assert_eq!(names(&esp), [named("")]);
        assert_eq!(fs::read(linux.join(named(""))).unwrap(), old);
    });
    Cmd::new("umount").arg(&esp).run().unwrap();
    out.unwrap();
}

/// The image's own system: what leviso put into it is what recuki makes, and every program in the initramfs starts.
#[test]
fn on_the_image_it_is_the_shipped_one_and_its_programs_run() {
    let name = "on_the_image_it_is_the_shipped_one_and_its_programs_run";
    let Some((root, kver)) = real_kernel().filter(|(r, _)| r.join("usr/lib/levitate/initramfs").is_dir())
    else {
        testkit::skip(name, "no unpacked image; `cargo xtask test` makes one");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made.efi");
    let said = good(&root, dir.path(), &["--output", made.to_str().unwrap()]);
    assert!(said.contains("as it came with the kernel"), "{said}");
    let shipped = root.join(format!("usr/lib/modules/{kver}/levitateos.efi"));
    assert!(fs::read(&made).unwrap() == fs::read(&shipped).unwrap(), "they differ");

    let packed = dir.path().join("initrd.zst");
    fs::write(&packed, uki::section(&fs::read(&made).unwrap(), ".initrd").unwrap().unwrap()).unwrap();
    assert!(fs::metadata(&packed).unwrap().len() <= leviso::initramfs::MAX_DISK_SIZE as u64);
    Cmd::new(testkit::oracle("zstd")).arg("-dq").arg(&packed).run().unwrap();
    if !testkit::is_root() {
        testkit::skip(name, "starting the initramfs's programs needs root (chroot)");
        return;
    }
    let inside = dir.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let cpio =
        Cmd::new(testkit::oracle("cpio")).args(["-id", "--quiet", "-F"]).arg(dir.path().join("initrd"));
    cpio.dir(&inside).run().unwrap();
    for (program, argument) in [
        ("blkid", "--version"),
        ("cryptsetup", "--version"),
        ("lvm", "version"),
        ("mdadm", "--version"),
        ("btrfs", "version"),
    ] {
        let run = Cmd::new("chroot").arg(&inside).args(["/bin/busybox", "env"]);
        let run = run.args(["PATH=/usr/sbin:/usr/bin:/bin:/sbin", program, argument]);
        let out = run.output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        // lvm wants a device mapper for `version`, which the testing host may lack; that it starts is what counts.
        let starts = out.status.success() || (program == "lvm" && text.contains("LVM version"));
        assert!(starts, "{program} in the initramfs: {} {text}", out.status);
    }
    // The keymaps that come with the system are ones that this works with; Debian's kbd, and so the lab, has none.
    let has_keymaps = ["usr/share/keymaps", "usr/share/kbd/keymaps", "usr/lib/kbd/keymaps"];
    let has_keymaps = has_keymaps.iter().any(|dir| root.join(dir).is_dir());
    put(&root, "etc/vconsole.conf", "KEYMAP=de\n");
    let keyed = dir.path().join("keyed.efi");
    let said = good(&root, dir.path(), &["--output", keyed.to_str().unwrap()]);
    fs::remove_file(root.join("etc/vconsole.conf")).unwrap();
    assert_eq!(said.contains("built from this system's files"), has_keymaps, "{said}");
    assert_eq!(said.contains("with the keys of a US keyboard"), !has_keymaps, "{said}");
    for script in ["init", "lib.sh", "gpt.sh", "layers.sh"] {
        Cmd::new("chroot")
            .arg(&inside)
            .args(["/bin/busybox", "sh", "-n", &format!("/{script}")])
            .run()
            .unwrap();
    }
}
