//! Archives: every format made by the host's own tools, and hostile ones made byte by byte.

use common::cmd::Cmd;

use crate::forge::{Entry, ZipEntry, tar, zip};
use crate::rig::{Out, Rig, tree};

/// A rig whose recipe extracts an archive and installs all of it.
fn rig(file: &str, extract: &str) -> Rig {
    let rig = Rig::new();
    let url = rig.server.url(&format!("/{file}"));
    rig.write(
        "recipes/p.rhai",
        format!(
            "let pkg = #{{ name: \"p\", version: \"1\" }};\nfn install() {{ download(\"{url}\"); {extract} \
             install_tree(\".\", \"share/p\"); }}\n"
        ),
    );
    rig
}

#[test]
fn every_format_is_unpacked_as_its_own_tool_packs_it() {
    for tool in ["tar", "bsdtar", "gzip", "xz", "zstd", "bzip2"] {
        let _ = testkit::oracle(tool);
    }
    for (file, pack) in [
        ("p.tar", "tar -cf $OUT p-1"),
        ("p.tar.gz", "tar -czf $OUT p-1"),
        ("p.tgz", "tar -cf - p-1 | gzip > $OUT"),
        ("p.tbz", "tar -cf - p-1 | bzip2 > $OUT"),
        ("P.TB2", "tar -cf - p-1 | bzip2 > $OUT"),
        ("p.tzst", "tar -cf - p-1 | zstd -q > $OUT"),
        ("p.tar.xz", "tar -cJf $OUT p-1"),
        ("p.tar.zst", "tar -cf - p-1 | zstd -q > $OUT"),
        ("p.tar.bz2", "tar -cf - p-1 | bzip2 > $OUT"),
        ("pax.tar.gz", "tar --format=pax -czf $OUT p-1"),
        ("ustar.tar.gz", "tar --format=ustar -czf $OUT p-1"),
        ("bsd.tar.gz", "bsdtar -czf $OUT p-1"),
        ("dot.tar.gz", "cd p-1 && tar -czf $OUT ."),
        (
            "two-members.tar.gz",
            "tar -cf t p-1 && (head -c 5000 t | gzip; tail -c +5001 t | gzip) > $OUT && rm t",
        ),
        ("p.zip", "bsdtar --format=zip -cf $OUT p-1"),
    ] {
        let rig = rig(file, "extract();");
        let long = format!("deep/{}/{}", "d".repeat(90), "f".repeat(90));
        for (path, content) in
            [("bin/run", "#!/bin/sh\n"), ("empty", ""), (&long, "long"), ("\u{fc}mlaut", "u")]
        {
            rig.write(&format!("src/p-1/{path}"), content);
        }
        let run = rig.path("src/p-1/bin/run");
        std::fs::set_permissions(run, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
        std::os::unix::fs::symlink("../bin/run", rig.path("src/p-1/deep/link")).expect("linked");
        if !file.ends_with("zip") {
            std::fs::hard_link(rig.path("src/p-1/bin/run"), rig.path("src/p-1/hard")).expect("linked");
        }
        let cmd =
            Cmd::new("sh").args(["-ec", pack]).env("OUT", rig.path("www").join(file)).dir(rig.path("src"));
        cmd.run().unwrap_or_else(|e| panic!("{file}: {e:#}"));
        rig.run(&["install", "p"]).ok();
        assert_eq!(tree(&rig.prefix("share/p")), tree(&rig.path("src/p-1")), "{file}");
    }
}

#[test]
fn single_files_are_called_by_their_name() {
    for (file, pack, name) in [
        ("tool.gz", "gzip -c tool > $OUT", "tool"),
        ("tool.xz", "xz -c tool > $OUT", "tool"),
        ("tool.zst", "zstd -q -c tool > $OUT", "tool"),
        ("tool.bz2", "bzip2 -c tool > $OUT", "tool"),
        ("tool-linux-amd64", "cat tool > $OUT", "tool-linux-amd64"),
    ] {
        let rig = rig(file, "extract();");
        rig.write("src/tool", "a program");
        let text = rig
            .recipe("p")
            .replace("install_tree(\".\", \"share/p\")", &format!("install_bin(\"{name}\", \"tool\")"));
        rig.write("recipes/p.rhai", text);
        let cmd =
            Cmd::new("sh").args(["-ec", pack]).env("OUT", rig.path("www").join(file)).dir(rig.path("src"));
        cmd.run().expect("packed");
        rig.run(&["install", "p"]).ok();
        assert_eq!(rig.read("prefix/bin/tool"), "a program", "{file}");
    }
}

/// What is packed is never taken for a program because its name does not say so.
#[test]
fn packed_files_that_are_not_called_so_are_refused() {
    for (file, pack, says) in [
        (
            "p.tar.lzma",
            "xz --format=lzma -c tool > $OUT",
            "p.tar.lzma is packed as lzma, which is none of tar.gz, tar.xz,",
        ),
        ("P.7Z", "cat tool > $OUT", "P.7Z is packed as 7z, which is none of"),
        ("latest", "gzip -c tool > $OUT", "latest is not called so, but looks like a tar.gz file"),
        ("tool-1.0", "xz -c tool > $OUT", "looks like a tar.xz file"),
        ("tool.bin", "zstd -q -c tool > $OUT", "looks like a tar.zst file"),
        ("tool.php", "bzip2 -c tool > $OUT", "looks like a tar.bz2 file"),
        ("tool.jar", "bsdtar --format=zip -cf $OUT tool", "looks like a zip file"),
    ] {
        let rig = rig(file, "extract();");
        rig.write("src/tool", "a program");
        let cmd =
            Cmd::new("sh").args(["-ec", pack]).env("OUT", rig.path("www").join(file)).dir(rig.path("src"));
        cmd.run().expect("packed");
        let out = rig.run(&["install", "p"]).fails(10, says);
        assert!(out.stderr.contains("hint: name its format") && out.stderr.contains("p.rhai:2:"), "{out:?}");
        std::fs::copy(rig.path("www").join(file), rig.path("recipes").join(file)).expect("copied");
        let text = rig.recipe("p");
        let own = format!("copy_source(\"{file}\"); extract_file(\"{file}\");");
        rig.write("recipes/p.rhai", text.replace("extract();", &own));
        rig.run(&["install", "p"]).fails(10, says);
        rig.write("recipes/p.rhai", text.replace("extract();", "extract(\"bare\");"));
        rig.run(&["install", "p"]).ok();
        assert!(rig.prefix("share/p").join(file).exists());
    }
    // What is called so is asked for by what answers with it.
    let rig = rig("dl?file=p-1.tar.gz", "extract(\"gz\");");
    rig.write("src/tool", "a program");
    let cmd = Cmd::new("sh").args(["-ec", "gzip -c tool > $OUT"]).env("OUT", rig.path("www/dl"));
    cmd.dir(rig.path("src")).run().expect("packed");
    rig.run(&["install", "p"]).ok();
    assert_eq!(rig.read("prefix/share/p/dl"), "a program");
    rig.write("recipes/p.rhai", rig.recipe("p").replace("\"gz\"", ""));
    rig.run(&["install", "--reinstall", "p"]).fails(10, "dl is not called so, but looks like a tar.gz file");
}

/// Installs what `bytes` unpack to. Whatever it says: nothing outside of the prefix may have changed.
fn attack(file: &str, bytes: &[u8]) -> (Rig, Out) {
    let rig = rig(file, "extract();");
    rig.write(&format!("www/{file}"), bytes);
    rig.write("victim", "as it was");
    std::fs::create_dir(rig.path("outside")).expect("made");
    let out = rig.run(&["install", "p"]);
    assert_eq!(rig.read("victim"), "as it was", "{out:?}");
    assert_eq!(rig.path("outside").read_dir().expect("read").count(), 0, "{out:?}");
    assert!(!out.stderr.contains("panicked"), "{out:?}");
    (rig, out)
}

#[test]
fn hostile_tars_are_refused_and_write_nothing_outside() {
    let file = b'0';
    // The build directory is prefix/.recipe/build/TX/p: five levels up lies the victim.
    let up = b"../../../../../victim";
    let cases: &[(&str, &[Entry<'_>], &str)] = &[
        ("..", &[(up, file, b"", 0o644, b"x")], "leads out of the archive"),
        (".. inside", &[(b"a/../../../../../../victim", file, b"", 0o644, b"x")], "leads out of the archive"),
        ("absolute", &[(b"/tmp/recipe-hostile", file, b"", 0o644, b"x")], "is an absolute name"),
        ("link out", &[(b"l", b'2', b"../../../../../outside", 0o777, b"")], "leads out of the archive"),
        ("absolute link", &[(b"l", b'2', b"/etc", 0o777, b"")], "leads out of the archive"),
        (
            "through a link",
            &[(b"l", b'2', b"d", 0o777, b""), (b"l/x", file, b"", 0o644, b"x")],
            "as a directory and as something else",
        ),
        (
            "over a link",
            &[(b"l", b'2', b"d", 0o777, b""), (b"l", file, b"", 0o644, b"x")],
            "in the archive twice",
        ),
        (
            "link, then directory",
            &[(b"l", b'2', b"d", 0o777, b""), (b"l", b'5', b"", 0o777, b"")],
            "as a directory and as something else",
        ),
        (
            "links in a row",
            &[(b"a", b'2', b".", 0o777, b""), (b"b", b'2', b"a/..", 0o777, b"")],
            "leads out of the archive",
        ),
        ("hard link out", &[(b"h", b'1', up, 0o644, b"")], "leads out of the archive"),
        ("hard link to /", &[(b"h", b'1', b"/etc/passwd", 0o644, b"")], "is an absolute name"),
        ("hard link to nothing", &[(b"h", b'1', b"gone", 0o644, b"")], "no file of this archive"),
        (
            "hard link to a link",
            &[(b"l", b'2', b"x", 0o777, b""), (b"h", b'1', b"l", 0o644, b"")],
            "no file of this archive",
        ),
        (
            "twice",
            &[(b"a", file, b"", 0o644, b"1"), (b"./a", file, b"", 0o644, b"2")],
            "in the archive twice",
        ),
        (
            "file, then directory",
            &[(b"a", file, b"", 0o644, b"1"), (b"a/b", file, b"", 0o644, b"2")],
            "as a directory and as something else",
        ),
        ("device", &[(b"null", b'3', b"", 0o666, b"")], "is neither file nor directory nor link"),
        ("block device", &[(b"sda", b'4', b"", 0o666, b"")], "is neither file nor directory nor link"),
        ("pipe", &[(b"pipe", b'6', b"", 0o666, b"")], "is neither file nor directory nor link"),
        ("no name", &[(b"", file, b"", 0o644, b"x")], "is a file's name"),
        ("dot", &[(b".", file, b"", 0o644, b"x")], "is a file's name"),
        ("empty", &[], "the archive is empty"),
    ];
    for (name, entries, says) in cases {
        let (rig, out) = attack("p.tar", &tar(entries));
        assert_eq!(out.code, Some(14), "{name}: {out:?}");
        assert!(out.stderr.contains(says), "{name}: {out:?}");
        assert!(rig.tree().is_empty(), "{name}");
    }
}

#[test]
fn rights_of_archives_are_not_taken_over() {
    let modes = [0o4755, 0o2755, 0o1777, 0o777, 0o000, 0o111, 0o600];
    let names: Vec<_> = modes.iter().map(|m| format!("f{m:o}")).collect();
    let mut entries: Vec<Entry<'_>> =
        names.iter().zip(modes).map(|(n, m)| (n.as_bytes(), b'0', &b""[..], m, &b"x"[..])).collect();
    entries.push((b"d", b'5', b"", 0o4777, b""));
    entries.push((b"d/x", b'0', b"", 0o644, b"x"));
    let (rig, out) = attack("p.tar", &tar(&entries));
    out.ok();
    let tree = tree(&rig.prefix("share/p"));
    for (name, mode) in names.iter().zip(modes) {
        let expected = if mode & 0o111 == 0 { "file 0644" } else { "file 0755" };
        assert!(tree[name].starts_with(expected), "{name}: {}", tree[name]);
    }
    let mode = std::os::unix::fs::MetadataExt::mode(&rig.prefix("share/p/d").metadata().expect("there"));
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn hostile_zips_are_refused_and_write_nothing_outside() {
    let link = 0o120_777;
    let cases: &[(&str, &[ZipEntry<'_>], &str)] = &[
        ("..", &[("../../../../../victim", 0o100_644, b"x")], "leads out of the archive"),
        ("absolute", &[("/tmp/recipe-hostile", 0o100_644, b"x")], "is an absolute name"),
        ("backslash", &[("..\\..\\victim", 0o100_644, b"x")], "has a backslash in it"),
        ("link out", &[("l", link, b"../../../../../outside")], "leads out of the archive"),
        (
            "through a link",
            &[("l", link, b"d"), ("l/x", 0o100_644, b"x")],
            "as a directory and as something else",
        ),
    ];
    for (name, entries, says) in cases {
        let (rig, out) = attack("p.zip", &zip(entries));
        assert_eq!(out.code, Some(14), "{name}: {out:?}");
        assert!(out.stderr.contains(says), "{name}: {out:?}");
        assert!(rig.tree().is_empty(), "{name}");
    }
}

#[test]
fn damaged_archives_are_refused() {
    let whole = Rig::new();
    let noise: String =
        (0..60_000u32).map(|i| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> 27) as u8 % 26)).collect();
    whole.release("p", "1", &[("a", &noise), ("b", "b")]);
    let bytes = std::fs::read(whole.path("www/p-1.tar.gz")).expect("packed");
    let cut = |n: usize| bytes[..n].to_vec();
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    for (name, bytes) in [
        ("cut in the middle", cut(bytes.len() / 2)),
        ("without its checksum", cut(bytes.len() - 8)),
        ("without the last byte", cut(bytes.len() - 1)),
        ("flipped in the middle", flipped(bytes.len() / 2)),
        ("flipped checksum", flipped(bytes.len() - 6)),
        ("flipped length", flipped(bytes.len() - 2)),
        ("not an archive", b"<html>404</html>".to_vec()),
        ("nothing", Vec::new()),
    ] {
        let (rig, out) = attack("p.tar.gz", &bytes);
        assert_eq!(out.code, Some(14), "{name}: {out:?}");
        assert!(rig.tree().is_empty(), "{name}");
    }
    attack("p.zip", b"PK\x03\x04 no").1.fails(14, "this is not a zip archive");
}

#[test]
fn bombs_are_stopped() {
    // Zeros, packed a thousand to one.
    let rig = Rig::new();
    let pack = "head -c 400M /dev/zero | gzip -9 > $OUT";
    let _ = testkit::oracle("gzip");
    rig.write("www/x", "");
    Cmd::new("sh").args(["-ec", pack]).env("OUT", rig.path("www/zeros.gz")).run().expect("packed");
    let url = rig.server.url("/zeros.gz");
    rig.write(
        "recipes/p.rhai",
        format!("let pkg = #{{ name: \"p\", version: \"1\" }};\nfn install() {{ download(\"{url}\"); extract(); install_bin(\"zeros\"); }}\n"),
    );
    // 400 kB of gzip may become 340 MB: the rest is refused.
    rig.run(&["install", "p"]).fails(14, "far more than its size allows");
    assert!(!rig.prefix(".recipe/build").exists(), "what was unpacked is gone");
}

/// A link in an archive is as good as the file it leads to, as long as it stays in there.
#[test]
fn links_to_files_of_the_archive_are_followed_and_others_are_not() {
    let rig = Rig::new();
    rig.write("src/p-1/lib/real", "real");
    std::fs::create_dir_all(rig.path("src/p-1/bin/deep")).expect("made");
    for (link, target) in [("bin/near", "../lib/real"), ("bin/two", "./near")] {
        std::os::unix::fs::symlink(target, rig.path("src/p-1").join(link)).expect("linked");
    }
    rig.release("p", "1", &[]);
    for link in ["near", "two"] {
        rig.add("p", "1", &format!("install_bin(\"bin/{link}\");"));
        rig.run(&["install", "p"]).ok();
        assert_eq!(rig.read(&format!("prefix/bin/{link}")), "real");
        rig.run(&["remove", "p"]).ok();
    }
    // An archive cannot have others, but a build can.
    rig.add(
        "p",
        "1",
        "shell(\"cd bin; ln -s .././bin//deep/../../lib/real far\"); install_bin(\"bin/far\");",
    );
    rig.run(&["install", "p"]).ok();
    assert_eq!(rig.read("prefix/bin/far"), "real");
    rig.run(&["remove", "p"]).ok();
    for (target, says) in [
        ("../../../real", "made is a link that leads out of the build directory"),
        ("/lib/real", "made is a link that leads out of the build directory"),
        ("made", "made is a link to itself"),
    ] {
        rig.add("p", "1", &format!("shell(\"ln -s {target} made\"); install_bin(\"made\");"));
        rig.run(&["install", "p"]).fails(17, says);
    }
}

#[test]
fn names_are_looked_for_so_deep_and_no_deeper() {
    let rig = Rig::new();
    let deep = |dirs: usize| format!("{}found", "d/".repeat(dirs));
    for (dirs, code) in [(12, 0), (13, 11), (20, 11)] {
        rig.release("p", &dirs.to_string(), &[(&deep(dirs), "x")]);
        rig.add("p", &dirs.to_string(), "install_bin(\"found\");");
        let out = rig.run(&["install", "p"]);
        assert_eq!(out.code, Some(code), "{dirs}: {out:#?}");
        assert!(code == 0 || out.stderr.contains("there is no file \"found\""), "{out:#?}");
        // By its path it is found wherever it is.
        let _ = rig.run(&["remove", "p"]);
        rig.add("p", &dirs.to_string(), &format!("install_bin(\"{}\");", deep(dirs)));
        rig.run(&["install", "p"]).ok();
        rig.run(&["remove", "p"]).ok();
    }
    // Two are one too many.
    rig.release("p", "9", &[("a/found", "x"), ("b/found", "x")]);
    rig.add("p", "9", "install_bin(\"found\");");
    rig.run(&["install", "--reinstall", "p"])
        .fails(11, "2 files are called \"found\": p-9/a/found, p-9/b/found");
}

#[test]
fn texts_that_are_too_long_are_not_cut_off() {
    let rig = Rig::new();
    for (version, size, code) in [("1", (8 << 20) + 1, 17), ("2", 8 << 20, 0)] {
        rig.release("p", version, &[("big", &"x".repeat(size))]);
        rig.add(
            "p",
            version,
            "write_file(\"len\", `${read_file(\"big\").len()}`); install_file(\"len\", \"share/len\");",
        );
        let out = rig.run(&["install", "p"]);
        assert_eq!(out.code, Some(code), "{out:#?}");
        assert!(code == 0 || out.stderr.contains("big is longer than 8388608 bytes"), "{out:#?}");
    }
    assert_eq!(rig.read("prefix/share/len"), "8388608");
}
