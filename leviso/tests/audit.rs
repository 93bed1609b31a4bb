//! The audit finds each defect that is put into a healthy tree, names it, and agrees with the host's `ldd`.

#[path = "support/elf.rs"]
mod elf;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::cmd::Cmd;
use elf::{Spec, build};
use leviso::audit::{Findings, Level, audit, closure};
use leviso::finalise::ld_so_cache;
use leviso::tree::{Content, Inode, Kind, Mapped, Meta, Origin, Owner, Tree};

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

fn package(name: &str) -> Origin {
    Origin::Package(format!("{name}-1-1.x86_64").into())
}

fn put(tree: &mut Tree, path: &str, bytes: Vec<u8>, name: &str) {
    tree.write(path, bytes, 0o755, package(name)).unwrap();
}

/// A small system without defects.
fn healthy() -> Tree {
    let mut tree = Tree::new(0);
    let base = package("base");
    for dir in ["bin", "lib", "lib64"] {
        tree.mkdir_p(format!("usr/{dir}"), &base).unwrap();
        tree.symlink(dir, format!("usr/{dir}"), base.clone()).unwrap();
    }
    let loader = [build(&Spec::default()), b"\0/lib64/\0/usr/lib64/\0\0".to_vec()].concat();
    put(&mut tree, LOADER, loader, "glibc");
    let libc = Spec {
        soname: Some("libc.so.6"),
        defines: &["libc.so.6", "GLIBC_2.2.5", "GLIBC_2.34"],
        ..Spec::default()
    };
    put(&mut tree, "/lib64/libc.so.6", build(&libc), "glibc");
    let liba = Spec {
        soname: Some("liba.so.1"),
        needed: &["libc.so.6"],
        needs: &[("libc.so.6", "GLIBC_2.2.5")],
        defines: &["liba.so.1", "A_1"],
        ..Spec::default()
    };
    put(&mut tree, "/lib64/liba.so.1.0", build(&liba), "liba");
    let tool = Spec {
        interpreter: Some(LOADER),
        needed: &["liba.so.1", "libc.so.6", "libprivate.so"],
        runpath: Some("/nowhere:${ORIGIN}/../$LIB/tool"),
        needs: &[("libc.so.6", "GLIBC_2.34"), ("liba.so.1", "A_1")],
        ..Spec::default()
    };
    put(&mut tree, "/usr/bin/tool", build(&tool), "tool");
    let private = Spec { soname: Some("libprivate.so"), ..Spec::default() };
    put(&mut tree, "/usr/lib64/tool/libprivate.so", build(&private), "tool");
    put(&mut tree, "/usr/bin/script", b"#! /usr/bin/env -S tool -x\n".to_vec(), "tool");
    let unit = b"[Service]\nExecStart=@-/usr/bin/absent\nExecStartPre=+tool --now\n".to_vec();
    tree.write("/usr/lib/systemd/system/tool.service", unit, 0o644, package("tool")).unwrap();
    let wants = "/etc/systemd/system/multi-user.target.wants";
    tree.symlink(format!("{wants}/tool.service"), "/usr/lib/systemd/system/tool.service", package("tool"))
        .unwrap();
    ld_so_cache::apply(&mut tree).unwrap();
    tree
}

/// Findings as lines, `E` or `W` first.
fn lines(found: &Findings) -> Vec<String> {
    let letter = |level| if level == Level::Error { "E" } else { "W" };
    found.list.iter().map(|f| format!("{} {f}", letter(f.level))).collect()
}

/// What the audit finds after `change`.
fn after(change: impl FnOnce(&mut Tree)) -> Vec<String> {
    let mut tree = healthy();
    change(&mut tree);
    lines(&audit(&tree, &[]))
}

#[test]
fn a_healthy_tree_has_no_findings() {
    let found = audit(&healthy(), &[]);
    assert_eq!(lines(&found), [""; 0]);
    assert_eq!((found.elf_files, found.units, found.scripts), (5, 1, 1));
    found.check().unwrap();
}

#[test]
fn a_library_that_is_gone_is_named_with_those_that_need_it() {
    let found = after(|tree| {
        tree.remove("/usr/lib64/liba.so.1").unwrap();
    });
    assert_eq!(found, ["E /usr/bin/tool: needs liba.so.1, which nothing provides [tool-1-1.x86_64]"]);

    let mut tree = healthy();
    tree.remove("/usr/lib64/libc.so.6").unwrap();
    let found = audit(&tree, &[]);
    assert_eq!(
        lines(&found),
        [
            "E /usr/bin/tool: needs libc.so.6, which nothing provides [tool-1-1.x86_64]",
            "E /usr/lib64/liba.so.1.0: needs libc.so.6, which nothing provides [liba-1-1.x86_64]",
        ]
    );
    let err = found.check().unwrap_err();
    assert_eq!(common::cli::exit_code(&err), leviso::exit::SYSTEM);
    assert!(common::cli::report(&err).contains("/usr/bin/tool: needs libc.so.6"), "{err}");
    assert!(common::cli::hint_of(&err).unwrap().contains("[audit]"));
}

#[test]
fn a_loader_that_is_gone_is_named() {
    let found = after(|tree| {
        tree.remove(LOADER).unwrap();
    });
    let expected =
        format!("E /usr/bin/tool: needs the loader {LOADER}, which does not exist [tool-1-1.x86_64]");
    assert_eq!(found, [expected]);
}

#[test]
fn an_older_library_lacks_versions() {
    let old = |defines| build(&Spec { soname: Some("libc.so.6"), defines, ..Spec::default() });
    let found = after(|tree| put(tree, "/lib64/libc.so.6", old(&["libc.so.6", "GLIBC_2.2.5"]), "glibc"));
    let line = "/usr/bin/tool: needs version GLIBC_2.34 of /lib64/libc.so.6, which does not define it [tool-1-1.x86_64]";
    assert_eq!(found, [format!("E {line}")]);
    // Without any versions the loader only complains.
    let found = after(|tree| put(tree, "/lib64/libc.so.6", old(&[]), "glibc"));
    assert_eq!(found[0], format!("W {line}"));
    assert_eq!(found.len(), 2);
}

#[test]
fn a_library_of_another_machine_does_not_count() {
    let arm = Spec { soname: Some("liba.so.1"), machine: 183, ..Spec::default() };
    let found = after(|tree| put(tree, "/lib64/liba.so.1", build(&arm), "liba"));
    assert_eq!(found, ["E /usr/bin/tool: needs liba.so.1, which nothing provides [tool-1-1.x86_64]"]);
}

#[test]
fn where_a_file_does_not_look_is_no_place_for_a_library() {
    let found = after(|tree| {
        // RUNPATH makes RPATH void; a plugin may still find the library loaded.
        let library = |interpreter| Spec {
            interpreter,
            needed: &["libprivate.so"],
            rpath: Some("/usr/lib64/tool"),
            runpath: Some("/usr/lib64/other"),
            ..Spec::default()
        };
        put(tree, "/usr/lib64/plugin.so", build(&library(None)), "plugin");
        put(tree, "/usr/bin/other", build(&library(Some(LOADER))), "plugin");
        let old = Spec { needed: &["libprivate.so"], rpath: Some("/usr/lib64/tool"), ..Spec::default() };
        put(tree, "/usr/lib64/old.so", build(&old), "plugin");
    });
    let text = "needs libprivate.so, which is only at /usr/lib64/tool/libprivate.so, where it does not look";
    let expected = [
        format!("E /usr/bin/other: {text} [plugin-1-1.x86_64]"),
        format!("W /usr/lib64/plugin.so: {text} [plugin-1-1.x86_64]"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn damaged_files_are_named_and_foreign_ones_passed_over() {
    let found = after(|tree| {
        let whole = build(&Spec { soname: Some("libx.so"), needed: &["libc.so.6"], ..Spec::default() });
        for len in [20, 64, 200, whole.len() - 17] {
            put(tree, &format!("/usr/lib64/cut{len}.so"), whole[..len].to_vec(), "x");
        }
        // The address of the string table, in the last entry but one of the dynamic section.
        let mut garbage = whole.clone();
        let at = whole.len() - 24;
        garbage[at..at + 8].fill(0xff);
        put(tree, "/usr/lib64/garbage.so", garbage, "x");
        put(
            tree,
            "/usr/lib/firmware/dsp.elf",
            build(&Spec { machine: 164, ..Spec::default() })[..100].to_vec(),
            "x",
        );
        put(tree, "/usr/lib/debug/tool.debug", whole[..100].to_vec(), "x");
        put(tree, "/usr/share/short", b"\x7fELF".to_vec(), "x");
    });
    assert_eq!(found.len(), 5, "{found:#?}");
    assert!(found.iter().all(|f| f.starts_with("E /usr/lib64/") && f.contains("is a damaged ELF file: ")));
}

#[test]
fn units_must_have_their_programs_and_links_their_units() {
    let found = after(|tree| {
        let system = "/usr/lib/systemd/system";
        let mut unit = |name: &str, text: &str| {
            tree.write(format!("{system}/{name}"), text, 0o644, package("units")).unwrap();
        };
        unit("gone.service", "[Service]\nExecStart=/usr/bin/gone --x\n");
        unit("fixed.service", "[Service]\nExecStart=/usr/bin/gone\n");
        unit("fixed.service.d/10.conf", "[Service]\nExecStart=\nExecStart=/usr/bin/tool\n");
        unit("maybe.service", "[Unit]\nConditionPathExists=/opt/maybe\n[Service]\nExecStart=/opt/maybe\n");
        unit("t@.service", "[Service]\nExecStart=/usr/bin/from-template %i\n");
        unit("s.socket", "[Socket]\nListenStream=/run/s\n");
        unit("s.service", "[Service]\nExecStart=/usr/bin/from-socket\n");
        unit("off.service", "[Service]\nExecStart=/usr/bin/off\n");
        let mut link = |path: &str, target: &str| tree.symlink(path, target, package("units")).unwrap();
        let wants = "/etc/systemd/system/multi-user.target.wants";
        for name in ["gone.service", "fixed.service", "maybe.service", "s.socket"] {
            link(&format!("{wants}/{name}"), &format!("{system}/{name}"));
        }
        link(&format!("{wants}/t@1.service"), &format!("{system}/t@.service"));
        link(&format!("{wants}/lost.service"), &format!("{system}/lost.service"));
        link(&format!("{wants}/masked.service"), "/dev/null");
        link(&format!("{system}/x.target.requires/vendor.service"), "../vendor.service");
    });
    assert_eq!(
        found,
        [
            "E /etc/systemd/system/multi-user.target.wants/lost.service: links to /usr/lib/systemd/system/lost.service, \
             which does not exist [units-1-1.x86_64]",
            "E /usr/lib/systemd/system/gone.service: starts /usr/bin/gone, which does not exist [units-1-1.x86_64]",
            "E /usr/lib/systemd/system/s.service: starts /usr/bin/from-socket, which does not exist [units-1-1.x86_64]",
            "E /usr/lib/systemd/system/t@.service: starts /usr/bin/from-template, which does not exist \
             [units-1-1.x86_64]",
            "W /usr/lib/systemd/system/x.target.requires/vendor.service: links to ../vendor.service, which does not \
             exist [units-1-1.x86_64]",
        ]
    );
}

#[test]
fn scripts_must_have_their_interpreter() {
    let found = after(|tree| {
        put(tree, "/usr/bin/a", b"#!/usr/bin/perl -w\n".to_vec(), "a");
        put(tree, "/usr/bin/b", b"#!/usr/bin/env X=1 python3\n".to_vec(), "a");
        put(tree, "/usr/share/doc/a/example", b"#!/bin/ksh".to_vec(), "a");
        tree.write("/usr/share/a/sourced", "#!/bin/ksh\n", 0o644, package("a")).unwrap();
        put(tree, "/usr/bin/env", b"#!/usr/bin/tool\n".to_vec(), "a");
        put(tree, "/usr/bin/none", b"#!\n".to_vec(), "a");
    });
    assert_eq!(
        found,
        [
            "E /usr/bin/a: is a script for /usr/bin/perl, which does not exist [a-1-1.x86_64]",
            "E /usr/bin/b: is a script for python3, which does not exist [a-1-1.x86_64]",
            "W /usr/share/doc/a/example: is a script for /bin/ksh, which does not exist [a-1-1.x86_64]",
        ]
    );
}

#[test]
fn every_file_has_an_owner_and_an_origin() {
    let found = after(|tree| {
        tree.write("/usr/share/stray", "x", 0o644, Origin::Generated("layout")).unwrap();
        let id = tree.stat("/usr/bin/script").unwrap();
        tree.inode_mut(id).meta.group = Owner::Name("nobody-knows".into());
    });
    assert_eq!(
        found,
        [
            "E /usr/bin/script: is owned by nobody-knows, which has no number [tool-1-1.x86_64]",
            "E /usr/share/stray: belongs to no package and to no step of the build [made by leviso (layout)]",
        ]
    );
}

#[test]
fn the_allow_list_lets_known_findings_pass_and_tells_of_stale_entries() {
    let mut tree = healthy();
    tree.remove("/usr/lib64/libc.so.6").unwrap();
    let allow = ["/usr/bin/*: needs libc.so.6, *".to_owned(), "/opt/*: needs *".to_owned()];
    let found = audit(&tree, &allow);
    assert_eq!(
        lines(&found),
        [
            "E /usr/lib64/liba.so.1.0: needs libc.so.6, which nothing provides [liba-1-1.x86_64]",
            "W /opt/*: needs *: allows a finding that is not there [profile]",
            "W /usr/bin/tool: needs libc.so.6, which nothing provides [tool-1-1.x86_64]",
        ]
    );
}

#[test]
fn a_closure_is_complete_and_names_what_is_missing() {
    let mut tree = healthy();
    let paths: Vec<_> =
        closure(&tree, &["/bin/tool"]).unwrap().into_iter().map(|p| String::from_utf8(p).unwrap()).collect();
    assert_eq!(
        paths,
        [
            "/usr/bin/tool",
            "/usr/lib64/ld-linux-x86-64.so.2",
            "/usr/lib64/liba.so.1",
            "/usr/lib64/liba.so.1.0",
            "/usr/lib64/libc.so.6",
            "/usr/lib64/tool/libprivate.so",
        ]
    );
    tree.remove("/usr/lib64/libc.so.6").unwrap();
    let err = closure(&tree, &["/bin/tool"]).unwrap_err().to_string();
    assert!(err.ends_with("needs libc.so.6, which nothing provides"), "{err}");
    assert!(closure(&tree, &["/bin/no"]).is_err());
}

/// A host's directory, mapped, not read; `wanted` chooses by name.
fn map_dir(tree: &mut Tree, dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path().into_os_string().into_string().unwrap();
        if !wanted(&entry.file_name().into_string().unwrap()) {
            continue;
        }
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).unwrap();
            tree.symlink(&path, target.to_str().unwrap(), package("host")).unwrap();
        } else if let Ok(file) = std::fs::File::open(entry.path())
            && kind.is_file()
            && let Ok(map) = Mapped::new(&file)
        {
            let content = Content::mapped(&map, 0..map.as_slice().len()).unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
            let meta = Meta::root(u16::try_from(mode).unwrap(), 0, package("host"));
            tree.mkdir_p(dir.to_str().unwrap(), &package("host")).unwrap();
            tree.insert(&path, Inode { meta, kind: Kind::File(content) }).unwrap();
            paths.push(path);
        }
    }
    paths.sort();
    paths
}

/// The files `ldd` says a program is loaded with, links resolved.
fn ldd(program: &str) -> BTreeSet<PathBuf> {
    let out = Cmd::new(testkit::oracle("ldd")).arg(program).read().unwrap();
    let paths = out.lines().filter_map(|l| l.split_whitespace().find(|w| w.starts_with('/')));
    paths.map(|p| std::fs::canonicalize(p).unwrap()).collect()
}

#[test]
fn closures_of_the_hosts_programs_are_those_of_ldd() {
    let mut tree = Tree::new(0);
    for dir in ["lib", "lib64", "bin"] {
        tree.mkdir_p(format!("usr/{dir}"), &package("host")).unwrap();
        tree.symlink(dir, format!("usr/{dir}"), package("host")).unwrap();
    }
    tree.symlink(
        "/lib64/ld-linux-x86-64.so.2",
        "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        package("host"),
    )
    .unwrap();
    map_dir(&mut tree, Path::new("/usr/lib/x86_64-linux-gnu"), |name| name.contains(".so"));
    map_dir(&mut tree, Path::new("/usr/lib/x86_64-linux-gnu/systemd"), |_| true);
    let programs = map_dir(&mut tree, Path::new("/usr/bin"), |name| {
        ["bash", "ls", "curl", "git", "journalctl", "systemctl", "udevadm", "perl", "python3.11", "gpg"]
            .contains(&name)
    });
    assert!(programs.len() > 5, "{programs:?}");

    let broken: Vec<_> = audit(&tree, &[])
        .errors()
        .filter(|f| f.path.starts_with("/usr/bin/"))
        .map(ToString::to_string)
        .collect();
    assert_eq!(broken, [""; 0]);
    for program in &programs {
        let ours: BTreeSet<PathBuf> = closure(&tree, &[program])
            .unwrap()
            .into_iter()
            .map(|path| PathBuf::from(String::from_utf8(path).unwrap()))
            .filter(|path| path.to_str() != Some(program) && !path.is_symlink())
            .collect();
        assert_eq!(ours, ldd(program), "{program}");
    }
}
