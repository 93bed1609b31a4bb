//! The initramfs: what is in it, read back with cpio and zstd; the same twice; its limits; /init's syntax.

mod modules;
#[path = "modules/load.rs"]
mod load;

use std::fs;
use std::path::{Path, PathBuf};

use common::cmd::Cmd;
use leviso::epoch::Epoch;
use leviso::initramfs::{self, Built, MAX_SIZE};
use leviso::kmod;
use leviso::profile::Initramfs;
use leviso::tree::{Origin, Tree};
use load::load;
use modules::{Made, elf, real_kernel};

const KVER: &str = "6.12.0-1.test";
const EPOCH: Epoch = Epoch(1_700_000_000);

fn put(tree: &mut Tree, path: &str, bytes: impl Into<Vec<u8>>) {
    tree.write(path, bytes, 0o755, Origin::Generated("test")).unwrap();
}

/// A tree with a kernel, a file system module with a soft dependency and firmware, and busybox (of one ELF header).
fn tree() -> Tree {
    let mut tree = Tree::new(EPOCH.0);
    let dir = format!("/lib/modules/{KVER}");
    let fs = Made {
        modinfo: &["softdep=pre: sum", "firmware=fs/a.bin", "firmware=fs/gone.bin"],
        needs: &["lib_call"],
        ..Made::default()
    };
    put(&mut tree, &format!("{dir}/kernel/fs/fs.ko"), elf(&fs));
    let library = zstd::encode_all(&elf(&Made { exports: &["lib_call"], ..Made::default() })[..], 1).unwrap();
    put(&mut tree, &format!("{dir}/kernel/lib/library.ko.zst"), library);
    let sum = Made { modinfo: &["alias=sum"], ..Made::default() };
    put(&mut tree, &format!("{dir}/kernel/crypto/sum_generic.ko"), elf(&sum));
    put(&mut tree, &format!("{dir}/kernel/unwanted.ko"), elf(&Made::default()));
    put(&mut tree, &format!("{dir}/modules.builtin"), "kernel/drivers/inside.ko\n");
    put(&mut tree, &format!("{dir}/vmlinuz"), "kernel");
    put(&mut tree, "/lib/firmware/fs/a.bin.zst", zstd::encode_all(&b"firmware"[..], 1).unwrap());
    put(&mut tree, "/usr/bin/busybox", elf(&Made::default()));
    kmod::depmod(&mut tree, KVER).unwrap();
    tree
}

fn profile(dir: &Path, list: &str) -> Initramfs {
    let list_file = dir.join("list");
    fs::write(&list_file, list).unwrap();
    Initramfs {
        files: ["common", "live"].map(|d| testkit::workspace().join("initramfs").join(d)).to_vec(),
        busybox: "/usr/bin/busybox".into(),
        module_lists: vec![list_file],
        cpu: Some("x86-64-v3".into()),
    }
}

fn build(tree: &Tree, list: &str) -> anyhow::Result<Built> {
    let dir = tempfile::tempdir().unwrap();
    let kernel = kmod::find_kernel(tree).unwrap();
    initramfs::build(tree, &kernel, &profile(dir.path(), list), EPOCH)
}

/// Unpacks with the real tools. As an ordinary user the device nodes stay behind.
fn unpack(built: &Built, to: &Path) -> PathBuf {
    let packed = to.join("initramfs.zst");
    fs::write(&packed, &built.bytes).unwrap();
    Cmd::new(testkit::oracle("zstd")).arg("-dqf").arg(&packed).run().unwrap();
    to.join("initramfs")
}

fn cpio(archive: &Path, args: &[&str]) -> String {
    Cmd::new(testkit::oracle("cpio"))
        .arg("-F")
        .arg(archive)
        .args(args)
        .dir(archive.parent().unwrap())
        .read()
        .unwrap()
}

#[test]
fn holds_the_modules_and_all_they_need() {
    let built = build(&tree(), "!fs # comment\n\ninside\n?no_such_module\n").unwrap();
    assert_eq!(built.modules, ["sum_generic", "library", "fs"], "soft dependencies first, then hard ones");
    assert_eq!(built.missing_firmware, ["fs/gone.bin"]);
    let dir = tempfile::tempdir().unwrap();
    let archive = unpack(&built, dir.path());
    assert_eq!(fs::metadata(&archive).unwrap().len(), built.unpacked as u64);

    let listing = cpio(&archive, &["-itv", "--quiet", "--numeric-uid-gid"]);
    let line = |name: &str| {
        let found =
            listing.lines().find(|l| l.ends_with(&format!(" {name}")) || l.contains(&format!(" {name} -> ")));
        found.unwrap_or_else(|| panic!("no {name} in\n{listing}"))
    };
    assert!(line("init").starts_with("-rwxr-xr-x   1 0        0 "), "{}", line("init"));
    assert!(line("dev/console").starts_with("crw-------") && line("dev/console").contains("5,   1"));
    assert!(line("sbin/modprobe").ends_with("-> ../bin/busybox"));
    assert!(line("live-run/systemd/system-generators/systemd-gpt-auto-generator").ends_with("-> /dev/null"));
    assert!(listing.lines().all(|l| l.contains("2023")), "a time is not the epoch's:\n{listing}");
    assert!(!listing.contains("unwanted"));

    cpio(&archive, &["-id", "--quiet", "lib/*", "etc/*", "init"]);
    let read = |path: &str| fs::read_to_string(dir.path().join(path)).unwrap();
    assert_eq!(read("lib/firmware/fs/a.bin"), "firmware");
    assert_eq!(read("etc/levitate/cpu"), "x86-64-v3\n");
    assert_eq!(read("etc/levitate/modules"), "sum_generic\nlibrary\nfs\n");
    let dep = read(&format!("lib/modules/{KVER}/modules.dep"));
    assert!(dep.contains("kernel/fs/fs.ko: kernel/lib/library.ko\n"), "{dep}");
    let library = fs::read(dir.path().join(format!("lib/modules/{KVER}/kernel/lib/library.ko"))).unwrap();
    assert_eq!(library, elf(&Made { exports: &["lib_call"], ..Made::default() }), "decompressed");
}

#[test]
fn the_same_twice() {
    let first = build(&tree(), "fs\n").unwrap();
    assert!(first.bytes == build(&tree(), "fs\n").unwrap().bytes);
}

#[test]
fn more_than_the_limit_is_an_error_that_names_the_biggest() {
    let mut tree = tree();
    // Bytes that do not compress.
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    put(&mut tree, "/lib/firmware/fs/a.bin", noise.take(MAX_SIZE).collect::<Vec<u8>>());
    let error = build(&tree, "fs\n").unwrap_err().to_string();
    assert!(
        error.contains("more than the 5000000") && error.contains("lib/firmware/fs/a.bin (5000000)"),
        "{error}"
    );
}

#[test]
fn says_what_is_missing() {
    let error = build(&tree(), "fs\nno_such_module\n").unwrap_err();
    assert!(error.to_string().contains("no module no_such_module"), "{error}");

    let mut tree = tree();
    tree.remove("/usr/bin/busybox").unwrap();
    let error = build(&tree, "fs\n").unwrap_err().to_string();
    assert!(error.contains("static busybox at /usr/bin/busybox"), "{error}");

    // Any program of the host is dynamic; the test itself is one.
    put(&mut tree, "/usr/bin/busybox", fs::read(std::env::current_exe().unwrap()).unwrap());
    let error = build(&tree, "fs\n").unwrap_err().to_string();
    assert!(error.contains("/usr/bin/busybox is not statically linked"), "{error}");
}

#[test]
fn the_shipped_list_suits_a_real_kernel() {
    let Some((root, kver)) = real_kernel() else {
        testkit::skip("the_shipped_list_suits_a_real_kernel", "no modules of a real kernel on this machine");
        return;
    };
    let mut tree = Tree::new(EPOCH.0);
    load(&mut tree, &root.join("lib/modules").join(&kver), &format!("/lib/modules/{kver}"));
    put(&mut tree, &format!("/lib/modules/{kver}/vmlinuz"), "kernel");
    put(&mut tree, "/usr/bin/busybox", elf(&Made::default()));
    kmod::depmod(&mut tree, &kver).unwrap();
    let lists =
        ["live", "hardware"].map(|l| testkit::workspace().join(format!("initramfs/modules/{l}.list")));
    let shipped: String = lists.iter().map(|l| fs::read_to_string(l).unwrap()).collect();
    let built = build(&tree, &shipped).unwrap();
    // A static busybox takes up to 1.1 MB more.
    assert!(built.bytes.len() + 1_100_000 <= MAX_SIZE, "{} bytes without busybox", built.bytes.len());
    let place = |name: &str| built.modules.iter().position(|m| m == name);
    assert!(place("erofs").is_some() && place("overlay").is_some());
    assert!(place("crc32c_generic") < place("erofs"), "erofs needs a crc32c: {:?}", built.modules);
}

#[test]
fn both_inits_are_plain_sh() {
    let root = testkit::workspace();
    for init in ["initramfs/live/init", "initramfs/disk/init"] {
        Cmd::new(testkit::oracle("dash")).arg("-n").arg(root.join(init)).run().unwrap();
        // -x: with what they source, named in them from the workspace's root.
        let shellcheck = Cmd::new(testkit::oracle("shellcheck")).args(["-x", "-P", ".", "-s", "sh", init]);
        shellcheck.dir(&root).run().unwrap();
    }
}
