//! depmod's index files, compared byte for byte with the real depmod's; closures; hostile modules.

mod modules;
#[path = "modules/load.rs"]
mod load;

use std::fs;
use std::path::Path;

use common::cmd::Cmd;
use leviso::kmod;
use leviso::tree::{Origin, Tree};
use load::load;
use modules::{Made, elf, real_kernel};

const KVER: &str = "6.12.0-1.test";

/// The index files depmod writes. Those of newer versions are compared when the tool writes them.
const FILES: [&str; 11] = [
    "modules.dep",
    "modules.dep.bin",
    "modules.alias",
    "modules.alias.bin",
    "modules.softdep",
    "modules.weakdep",
    "modules.symbols",
    "modules.symbols.bin",
    "modules.devname",
    "modules.builtin.bin",
    "modules.builtin.alias.bin",
];

/// Runs depmod on `root`, our own on the same files, and compares.
fn compare(root: &Path, kver: &str) -> Tree {
    Cmd::new(testkit::oracle("depmod")).arg("-b").arg(root).arg(kver).run().unwrap();
    let dir = root.join("lib/modules").join(kver);
    let mut tree = Tree::new(1);
    load(&mut tree, &dir, &format!("/lib/modules/{kver}"));
    for name in FILES {
        tree.remove(format!("/lib/modules/{kver}/{name}")).ok();
    }
    kmod::depmod(&mut tree, kver).unwrap();
    let mut compared = 0;
    for name in FILES {
        let ours = tree.read(format!("/lib/modules/{kver}/{name}")).unwrap();
        let Ok(theirs) = fs::read(dir.join(name)) else {
            assert_eq!(name, "modules.weakdep", "depmod did not write {name}");
            continue;
        };
        let at = ours.iter().zip(&theirs).position(|(a, b)| a != b);
        assert!(ours == theirs, "{name} differs at {at:?}: {} bytes, depmod's {}", ours.len(), theirs.len());
        compared += 1;
    }
    assert!(compared >= 10, "only {compared} files compared");
    tree
}

/// A tree of modules with every feature: chains, diamonds, soft and weak dependencies, device names, odd aliases.
fn made() -> Vec<(&'static str, Made<'static>)> {
    vec![
        ("kernel/lib/base.ko", Made { exports: &["base_a", "base_b"], ..Made::default() }),
        (
            "kernel/lib/left-side.ko",
            Made { exports: &["left"], needs: &["base_a", "printk"], ..Made::default() },
        ),
        (
            "kernel/lib/right.ko",
            Made { exports: &["right", "right_too"], needs: &["base_b"], ..Made::default() },
        ),
        (
            "kernel/fs/top.ko",
            Made {
                modinfo: &[
                    "license=GPL",
                    "alias=fs-top",
                    "alias=top-[a-z]*-x",
                    "softdep=pre: sum-alias post: late",
                    "weakdep=weak missing",
                    "firmware=top/a.bin",
                ],
                needs: &["left", "right", "base_a"],
                ..Made::default()
            },
        ),
        ("kernel/crypto/sum_generic.ko", Made { modinfo: &["alias=sum-alias"], ..Made::default() }),
        (
            "kernel/crypto/sum_fast.ko",
            Made { modinfo: &["alias=sum-alias"], needs: &["base_a"], ..Made::default() },
        ),
        (
            "kernel/drivers/late.ko",
            Made {
                modinfo: &["alias=devname:late0", "alias=char-major-10-200", "alias=unbalanced["],
                ..Made::default()
            },
        ),
        (
            "kernel/drivers/weak.ko",
            Made { modinfo: &["alias=block-major-7-*", "softdep=pre: top"], ..Made::default() },
        ),
    ]
}

fn write_made(root: &Path) {
    let dir = root.join("lib/modules").join(KVER);
    for (path, module) in made() {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, elf(&module)).unwrap();
    }
    let order: String = made().iter().map(|(path, _)| format!("{path}\n")).collect();
    fs::write(dir.join("modules.order"), order).unwrap();
    fs::write(dir.join("modules.builtin"), "kernel/fs/built-in.ko\nkernel/net/af_unix.ko\n").unwrap();
    let info = b"built_in.alias=fs-built-in\0built_in.license=GPL\0af_unix.alias=net-pf-1\0af_unix.alias=fs-built-in\0";
    fs::write(dir.join("modules.builtin.modinfo"), info).unwrap();
}

#[test]
fn index_files_equal_depmods() {
    let root = tempfile::tempdir().unwrap();
    write_made(root.path());
    compare(root.path(), KVER);
}

#[test]
fn index_files_of_a_real_kernel_equal_depmods() {
    let Some((from, kver)) = real_kernel() else {
        testkit::skip(
            "index_files_of_a_real_kernel_equal_depmods",
            "no modules of a real kernel on this machine",
        );
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let to = root.path().join("lib/modules");
    fs::create_dir_all(&to).unwrap();
    Cmd::new("cp").arg("-rL").arg(from.join("lib/modules").join(&kver)).arg(&to).run().unwrap();
    compare(root.path(), &kver);
}

fn made_tree() -> Tree {
    let root = tempfile::tempdir().unwrap();
    write_made(root.path());
    let mut tree = Tree::new(1);
    load(&mut tree, &root.path().join("lib"), "/lib");
    tree.write(format!("/lib/modules/{KVER}/vmlinuz"), "kernel", 0o644, Origin::Generated("test")).unwrap();
    kmod::depmod(&mut tree, KVER).unwrap();
    tree
}

fn closure(tree: &Tree, names: &[&str]) -> anyhow::Result<Vec<String>> {
    let kernel = kmod::find_kernel(tree)?;
    let closure = kmod::closure(tree, &kernel, names.iter().copied())?;
    Ok(closure.modules.into_iter().map(|m| m.module.name).collect())
}

#[test]
fn closure_loads_what_is_needed_first() {
    let tree = made_tree();
    let order = closure(&tree, &["top"]).unwrap();
    let place = |name: &str| {
        order.iter().position(|n| n == name).unwrap_or_else(|| panic!("{name} not in {order:?}"))
    };
    for (first, then) in [
        ("base", "left_side"),
        ("base", "right"),
        ("left_side", "top"),
        ("right", "top"),
        ("sum_generic", "top"),
        ("sum_fast", "top"),
        ("base", "sum_fast"),
        ("top", "late"),
        ("top", "weak"),
    ] {
        assert!(place(first) < place(then), "{first} before {then} in {order:?}");
    }
    assert_eq!(order.len(), 8, "{order:?}");
    assert_eq!(closure(&tree, &["base", "base"]).unwrap(), ["base"]);
    assert_eq!(closure(&tree, &["left-side"]).unwrap(), ["base", "left_side"], "- and _ are the same");
}

#[test]
fn closure_knows_built_in_aliased_and_missing_names() {
    let tree = made_tree();
    assert!(closure(&tree, &["built-in", "af_unix", "net-pf-1", "?gone"]).unwrap().is_empty());
    assert_eq!(closure(&tree, &["sum-alias"]).unwrap().len(), 3);
    let error = closure(&tree, &["base", "gone", "lost"]).unwrap_err();
    assert_eq!(error.to_string(), format!("kernel {KVER} has no module gone, lost"));
}

#[test]
fn one_kernel_or_a_clear_error() {
    let mut tree = Tree::new(1);
    assert_eq!(
        kmod::find_kernel(&tree).unwrap_err().to_string(),
        "the tree has no kernel: nothing under /lib/modules"
    );
    let mut put = |path: &str| {
        tree.write(path, "x", 0o644, Origin::Generated("test")).unwrap();
        kmod::find_kernel(&tree)
    };
    let error = put("/lib/modules/6.1/modules.order").unwrap_err().to_string();
    assert!(error.starts_with("the tree has modules for 6.1 but no image"), "{error}");
    assert_eq!(put("/boot/vmlinuz-6.1").unwrap().vmlinuz, "/boot/vmlinuz-6.1");
    assert_eq!(put("/boot/config-6.1").unwrap().config.unwrap(), "/boot/config-6.1");
    assert_eq!(put("/lib/modules/6.1/vmlinuz").unwrap().vmlinuz, "/lib/modules/6.1/vmlinuz");
    assert_eq!(put("/lib/modules/6.1/config").unwrap().config.unwrap(), "/lib/modules/6.1/config");
    let error = put("/lib/modules/6.2/vmlinuz").unwrap_err().to_string();
    assert_eq!(error, "expected one kernel in the tree, found 6.1, 6.2");
}

#[test]
fn modules_in_a_circle_are_an_error() {
    let a = elf(&Made { exports: &["a"], needs: &["b"], ..Made::default() });
    let b = elf(&Made { exports: &["b"], needs: &["a"], ..Made::default() });
    let mut tree = Tree::new(1);
    for (name, bytes) in [("a", a), ("b", b)] {
        let path = format!("/lib/modules/{KVER}/kernel/{name}.ko");
        tree.write(path, bytes, 0o644, Origin::Generated("test")).unwrap();
    }
    let error = kmod::depmod(&mut tree, KVER).unwrap_err().to_string();
    assert_eq!(error, "kernel modules depend on each other in a circle: a, b");
}

#[test]
fn damaged_modules_are_errors_not_panics() {
    let good = elf(&made()[3].1);
    assert!(kmod::Module::parse("kernel/top.ko", &good).is_ok());
    let mut refused = 0;
    for cut in 0..good.len() {
        refused += usize::from(kmod::Module::parse("kernel/top.ko", &good[..cut]).is_err());
    }
    assert_eq!(refused, good.len(), "the section headers are at the end: every cut shows");
    for at in 0..good.len() {
        for value in [0, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            // Most bytes are text: whatever it says, it must not panic.
            kmod::Module::parse("kernel/top.ko", &bad).ok();
        }
    }
    let error = format!("{:#}", kmod::Module::parse("kernel/x.ko", b"#!/bin/sh").unwrap_err());
    assert_eq!(
        error,
        "failed to read kernel module kernel/x.ko: expected a 64-bit little-endian ELF file, found something else"
    );
}
