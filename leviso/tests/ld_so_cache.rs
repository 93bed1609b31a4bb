//! ld.so.cache and SONAME links against the host's `ldconfig -r`: the same bytes, the same links.

#[path = "support/disk.rs"]
mod disk;
#[path = "support/elf.rs"]
mod elf;

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use common::cmd::Cmd;
use elf::{Spec, build};
use leviso::finalise::ld_so_cache;
use leviso::tree::{Kind, Origin, Tree};

const TEST: Origin = Origin::Generated("test");

/// Where the loader's directories are in the fixture loader, as in glibc's `system_dirs`.
const EL_LOADER: &[u8] = b"\x7fELF...\0/lib64/\0/usr/lib64/\0\0\0/proc/self/\0";

fn tree(files: &[(&str, Vec<u8>)], links: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::new(0);
    tree.mkdir_p("etc", &TEST).unwrap();
    for dir in ["bin", "lib", "lib64"] {
        tree.mkdir_p(format!("usr/{dir}"), &TEST).unwrap();
        tree.symlink(dir, format!("usr/{dir}"), TEST).unwrap();
    }
    for (path, bytes) in files {
        tree.write(path, bytes.clone(), 0o755, TEST).unwrap();
    }
    for (path, target) in links {
        tree.symlink(path, *target, TEST).unwrap();
    }
    tree
}

/// Applies ours to `tree` and ldconfig to a copy on disk; both must agree on every byte and every name.
fn agrees_with_ldconfig(mut tree: Tree, args: &[&str]) -> Tree {
    let dir = tempfile::tempdir().unwrap();
    disk::write(&tree, dir.path());
    let ldconfig = Cmd::new(testkit::oracle("ldconfig")).arg("-r").arg(dir.path()).args(args);
    let out = ldconfig.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

    ld_so_cache::apply(&mut tree).unwrap();
    let but = ["/etc/ld.so.cache", "/var", "/etc/oracle.conf"];
    assert_eq!(names_in_tree(&tree, &but), names_on_disk(dir.path(), &but));
    let theirs = std::fs::read(dir.path().join("etc/ld.so.cache")).unwrap();
    let ours = tree.read("/etc/ld.so.cache").unwrap();
    if ours != theirs {
        std::fs::write(dir.path().join("etc/ld.so.cache.ours"), ours).unwrap();
        let print = |file: &str| {
            Cmd::new("ldconfig").arg("-r").arg(dir.path()).args(["-p", "-C", file]).read().unwrap_or_default()
        };
        assert_eq!(print("/etc/ld.so.cache.ours"), print("/etc/ld.so.cache"));
        panic!("the caches print the same and differ in bytes ({} and {})", ours.len(), theirs.len());
    }
    tree
}

/// Small libraries, links and linker scripts of the host's own library directory, libc and the loader in any case.
fn host_tree(links: impl Fn(usize) -> bool) -> Tree {
    let dir = Path::new("/usr/lib/x86_64-linux-gnu");
    let mut tree =
        tree(&[], &[("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")]);
    let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for (i, entry) in entries.iter().enumerate() {
        let kind = entry.file_type().unwrap();
        let name = entry.file_name().into_string().unwrap();
        if kind.is_symlink() && links(i) {
            let target = std::fs::read_link(entry.path()).unwrap();
            tree.symlink(entry.path().to_str().unwrap(), target.to_str().unwrap(), TEST).unwrap();
        }
        let wanted = entry.metadata().unwrap().len() < 600_000 || name.starts_with("libc.so");
        if kind.is_file() && wanted {
            let bytes = std::fs::read(entry.path()).unwrap();
            tree.write(entry.path().to_str().unwrap(), bytes, 0o644, TEST).unwrap();
        }
    }
    tree
}

fn library(soname: &str) -> Vec<u8> {
    build(&Spec { soname: Some(soname), ..Spec::default() })
}

fn host_libc() -> Vec<u8> {
    std::fs::read("/usr/lib/x86_64-linux-gnu/libc.so.6").unwrap()
}

#[test]
fn the_hosts_own_libraries_give_the_same_cache() {
    let mut tree = host_tree(|_| true);
    for conf in ["ld.so.conf", "ld.so.conf.d/libc.conf", "ld.so.conf.d/x86_64-linux-gnu.conf"] {
        let path = format!("/etc/{conf}");
        tree.write(&path, std::fs::read(&path).unwrap(), 0o644, TEST).unwrap();
    }
    let tree = agrees_with_ldconfig(tree, &[]);
    let cache = tree.read("/etc/ld.so.cache").unwrap();
    let count = u32::from_le_bytes(cache[20..24].try_into().unwrap());
    assert!(count > 50, "only {count} libraries");
}

#[test]
fn missing_soname_links_are_made() {
    // Two of three links are taken away, and there is no ld.so.conf: the loader's own directories must do.
    agrees_with_ldconfig(host_tree(|i| i % 3 == 0), &[]);
}

#[test]
fn enterprise_linux_keeps_libraries_in_lib64() {
    // The host's ldconfig has the host's directories built in, so it is told those of Enterprise Linux.
    let conf =
        "include ld.so.conf.d/*.conf\n/lib\n/lib32\n/lib64\n/libx32\n/usr/lib\n/usr/lib32\n/usr/lib64\n";
    let tree = tree(
        &[
            ("/lib64/ld-linux-x86-64.so.2", EL_LOADER.to_vec()),
            ("/lib64/libc.so.6", host_libc()),
            ("/lib64/liba.so.1.2.3", library("liba.so.1")),
            ("/usr/lib64/dyninst/libd.so.13.1", library("libd.so.13")),
            ("/usr/lib/libold.so.1.0", library("libold.so.1")),
            ("/etc/ld.so.conf", b"include ld.so.conf.d/*.conf\n".to_vec()),
            ("/etc/ld.so.conf.d/dyninst-x86_64.conf", b"/usr/lib64/dyninst\n".to_vec()),
            ("/etc/oracle.conf", conf.into()),
        ],
        &[],
    );
    let tree = agrees_with_ldconfig(tree, &["-f", "/etc/oracle.conf"]);
    assert!(tree.exists("/usr/lib64/liba.so.1") && tree.exists("/usr/lib64/dyninst/libd.so.13"));
}

#[test]
fn hwcaps_directories_carry_their_level() {
    let level = |isa_needed| build(&Spec { soname: Some("libh.so.1"), isa_needed, ..Spec::default() });
    let tree = tree(
        &[
            ("/lib64/ld-linux-x86-64.so.2", EL_LOADER.to_vec()),
            ("/lib64/libc.so.6", host_libc()),
            ("/lib64/libh.so.1.0", level(0)),
            ("/lib64/glibc-hwcaps/x86-64-v2/libh.so.1.0", level(0b011)),
            ("/lib64/glibc-hwcaps/x86-64-v3/libh.so.1.0", level(0b111)),
            ("/lib64/glibc-hwcaps/x86-64-v3/libonly.so.2.7", library("libonly.so.2")),
            ("/lib64/glibc-hwcaps/x86-64-v4/README", b"nothing for v4 yet".to_vec()),
            ("/lib64/glibc-hwcaps/.hidden/libh.so.1.0", level(0)),
            ("/lib64/glibc-hwcaps/a:b/libh.so.1.0", level(0)),
            ("/opt/lib/glibc-hwcaps/x86-64-v3/libh.so.1.9", level(0b100)),
            ("/etc/ld.so.conf", b"/lib64\n/opt/lib/ # ours\n".to_vec()),
        ],
        &[],
    );
    agrees_with_ldconfig(tree, &[]);
}

#[test]
fn odd_directories_are_read_as_ldconfig_reads_them() {
    let whole = library("libcut.so.1");
    let tree = tree(
        &[
            ("/lib64/ld-linux-x86-64.so.2", EL_LOADER.to_vec()),
            ("/lib64/libc.so.6", host_libc()),
            // Several versions of one SONAME, one of them reached through a link of another name.
            ("/lib64/libv.so.1.9", library("libv.so.1")),
            ("/lib64/libv.so.1.10", library("libv.so.1")),
            ("/lib64/libimpl.so.7", library("libfront.so.1")),
            // The SONAME is a file of its own.
            ("/lib64/libown.so.1", library("libown.so.1")),
            ("/lib64/libown.so.1.5", library("libown.so.1")),
            // Numbers that do not fit into an int, names whose order is not that of bytes.
            ("/lib64/libn99999999999.so.1", library("libn99999999999.so.1")),
            ("/lib64/libn2147483648.so.1", library("libn2147483648.so.1")),
            ("/lib64/libn3.so.1", library("libn3.so.1")),
            ("/lib64/libn20.so.1", library("libn20.so.1")),
            ("/lib64/libn-x.so.1", library("libn-x.so.1")),
            ("/lib64/libn+x.so.1", library("libn+x.so.1")),
            // No SONAME, no ELF, not whole, for another machine, not a library's name.
            ("/lib64/libnone.so", build(&Spec::default())),
            ("/lib64/libscript.so", b"/* GNU ld script */ GROUP ( libc.so.6 )\n".to_vec()),
            ("/lib64/libempty.so.1", Vec::new()),
            ("/lib64/libcut.so.1", whole[..40].to_vec()),
            (
                "/lib64/libarm.so.1",
                build(&Spec { soname: Some("libarm.so.1"), machine: 183, ..Spec::default() }),
            ),
            ("/lib64/plugin.so.1", library("plugin.so.1")),
            (
                "/etc/ld.so.conf",
                b"  include   /etc/a/*.conf /etc/[b]/?.conf\nhwcap 1 nosegneg\nlib64///\n".to_vec(),
            ),
            ("/etc/a/10.conf", b"/opt/one # first\n\n/nowhere\n".to_vec()),
            ("/etc/a/.hidden.conf", b"/opt/two\n".to_vec()),
            ("/etc/b/2.conf", b"/opt/three=libc6\n".to_vec()),
            ("/opt/one/libo.so.1.0", library("libo.so.1")),
            ("/opt/two/libo.so.1.0", library("libo.so.1")),
            ("/opt/three/libo.so.1.3", library("libo.so.1")),
        ],
        &[
            ("/lib64/libfront.so", "libimpl.so.7"),
            ("/lib64/libother.so.3", "libimpl.so.7"),
            ("/lib64/libgone.so.1", "libgone.so.1.0"),
            ("/lib64/libgone.so", "libgone.so.1"),
            ("/lib64/libv.so.1", "libv.so.1.9"),
            ("/lib64/libself.so.1", "libself.so.1"),
        ],
    );
    agrees_with_ldconfig(tree, &[]);
}

#[test]
fn a_tree_without_a_loader_needs_no_cache() {
    let mut tree = tree(&[("/lib64/liba.so.1.0", library("liba.so.1"))], &[]);
    ld_so_cache::apply(&mut tree).unwrap();
    assert!(!tree.exists("/etc/ld.so.cache") && !tree.exists("/lib64/liba.so.1"));
}

#[test]
fn includes_that_never_end_are_an_error() {
    let conf = ("/etc/ld.so.conf", b"include /etc/ld.so.conf\n".to_vec());
    let mut tree = tree(&[("/lib64/ld-linux-x86-64.so.2", EL_LOADER.to_vec()), conf], &[]);
    let err = ld_so_cache::apply(&mut tree).unwrap_err();
    assert!(format!("{err:#}").contains("/etc/ld.so.conf is included from itself"), "{err:#}");
}

#[test]
fn a_soname_cannot_lead_out_of_its_directory() {
    let files = [
        ("/lib64/ld-linux-x86-64.so.2", EL_LOADER.to_vec()),
        ("/lib64/libevil.so.1", library("../../etc/passwd")),
        ("/etc/passwd", b"root".to_vec()),
    ];
    let mut tree = tree(&files, &[]);
    ld_so_cache::apply(&mut tree).unwrap();
    assert_eq!(tree.read("/etc/passwd").unwrap(), b"root");
    let cache = tree.read("/etc/ld.so.cache").unwrap();
    assert_eq!(cache[20..24], [0; 4], "the library is in the cache");
}

/// Path -> symlink target, or nothing for a file or directory; `/var` and the named paths left out.
fn names_on_disk(root: &Path, but: &[&str]) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
    let mut out = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let path = [b"/", entry.path().strip_prefix(root).unwrap().as_os_str().as_bytes()].concat();
            if but.iter().any(|b| b.as_bytes() == path) {
                continue;
            }
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                todo.push(entry.path());
            }
            let target = std::fs::read_link(entry.path()).ok().map(|t| t.into_os_string().into_vec());
            out.insert(path, target);
        }
    }
    out
}

/// The same for a tree.
fn names_in_tree(tree: &Tree, but: &[&str]) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
    let mut out = BTreeMap::new();
    for (path, id) in tree.walk() {
        if but.iter().any(|b| path == b.as_bytes() || path.starts_with(format!("{b}/").as_bytes())) {
            continue;
        }
        let target = match &tree.inode(id).kind {
            Kind::Symlink(target) => Some(target.to_vec()),
            _ => None,
        };
        out.insert(path, target);
    }
    out
}
