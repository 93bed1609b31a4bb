//! Our own packages, as `cargo xtask packages` left them: what rpm, readelf and man say about them.

use std::path::{Path, PathBuf};

use common::cmd::Cmd;

/// target/packages, if it is there.
fn packages() -> Option<PathBuf> {
    let dir = testkit::target().join("packages");
    if dir.join("fingerprint").exists() {
        return Some(dir);
    }
    testkit::skip("our own packages", "there is no target/packages; run `cargo xtask packages`");
    None
}

/// The files of the repository.
fn rpms(dir: &Path) -> Vec<PathBuf> {
    let all = files(&dir.join("repo/Packages"));
    assert!(all.iter().any(|p| p.to_string_lossy().contains("/recstrap-")), "no package recstrap in {all:?}");
    all
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).expect("it can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

/// What is in the packages, unpacked by rpm's own tool.
fn unpacked(dir: &Path) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary directory");
    let script = "set -e; cd \"$0\"; for rpm; do rpm2cpio \"$rpm\" | cpio --quiet -idmu; done";
    assert!(testkit::oracle("rpm2cpio").is_file());
    assert!(testkit::oracle("cpio").is_file());
    let script = Cmd::new("sh").args(["-c", script]).arg(root.path());
    script.args(rpms(dir)).read().expect("rpm2cpio unpacks them");
    root
}

#[test]
fn they_are_signed_by_the_key_beside_them_and_by_no_other() {
    let Some(dir) = packages() else { return };
    let db = tempfile::tempdir().expect("a temporary directory");
    let rpm = Cmd::new(testkit::oracle("rpm")).arg("--dbpath").arg(db.path());
    let check = |file: &Path| {
        let out = rpm
            .clone()
            .args(["--define", "_pkgverify_level all", "-Kv"])
            .arg(file)
            .output()
            .expect("it starts");
        (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    for file in rpms(&dir) {
        let (accepted, said) = check(&file);
        assert!(!accepted && said.contains("NOKEY"), "accepted without the key:\n{said}");
    }
    rpm.clone().arg("--import").arg(dir.join("RPM-GPG-KEY-levitate")).run().expect("imported");
    for file in rpms(&dir) {
        let (accepted, said) = check(&file);
        assert!(accepted && said.contains("Header V4 RSA/SHA256 Signature"), "{}:\n{said}", file.display());
    }
    let keyring = db.path().join("keyring.gpg");
    let gpg = Cmd::new(testkit::oracle("gpg")).args(["--batch", "--dearmor", "--output"]).arg(&keyring);
    gpg.arg(dir.join("RPM-GPG-KEY-levitate")).output().expect("gpg reads the key");
    let repodata = dir.join("repo/repodata");
    let verified = Cmd::new(testkit::oracle("gpgv")).arg("--keyring").arg(&keyring);
    verified
        .arg(repodata.join("repomd.xml.asc"))
        .arg(repodata.join("repomd.xml"))
        .run()
        .expect("gpgv agrees");
}

#[test]
fn programs_need_no_library_and_manuals_render() {
    let Some(dir) = packages() else { return };
    let root = unpacked(&dir);
    let usr = root.path().join("usr");
    let mut programs = 0;
    for program in files(&usr.join("bin")) {
        if std::fs::read(&program).expect("it can be read").starts_with(b"#!") {
            continue;
        }
        programs += 1;
        let says = |tool: &str, args: &[&str]| {
            let cmd = Cmd::new(testkit::oracle(tool)).args(args.iter().copied()).arg(&program);
            cmd.read().expect("it can be looked at")
        };
        let kind = says("file", &["--brief"]);
        assert!(kind.contains("static-pie linked") && kind.contains("stripped"), "{kind}");
        assert!(!says("readelf", &["--wide", "--program-headers"]).contains("INTERP"));
        assert!(!says("readelf", &["--wide", "--dynamic"]).contains("NEEDED"));
        // It runs in a root that has nothing else.
        let name = program.file_name().expect("a name").to_string_lossy().into_owned();
        if testkit::is_root() {
            let version =
                Cmd::new("chroot").arg(root.path()).args([&format!("/usr/bin/{name}"), "--version"]);
            let version = version.read().expect("it runs without libraries");
            assert!(version.starts_with(&name), "{version}");
        } else {
            testkit::skip("our programs in an empty root", "chroot needs root");
        }
        let share = |path: String| assert!(usr.join("share").join(&path).is_file(), "there is no {path}");
        // Commands for everybody are in section 1, those of the administrator in 8.
        let pages = [1, 8].map(|section| usr.join(format!("share/man/man{section}/{name}.{section}")));
        assert_eq!(pages.iter().filter(|page| page.is_file()).count(), 1, "one manual page of {name}");
        share(format!("bash-completion/completions/{name}.bash"));
        share(format!("zsh/site-functions/_{name}"));
        share(format!("fish/vendor_completions.d/{name}.fish"));
    }
    assert!(programs >= 1);
    for page in files(&usr.join("share/man")) {
        // How lines are filled is no defect: an option and its values do not break.
        let groff = Cmd::new(testkit::oracle("groff"))
            .args(["-man", "-ww", "-W", "break", "-z", "-Tutf8"])
            .arg(&page);
        let groff = groff.output().expect("it starts");
        assert!(
            groff.status.success() && groff.stderr.is_empty(),
            "groff warns:\n{}",
            String::from_utf8_lossy(&groff.stderr)
        );
        let text = Cmd::new(testkit::oracle("man")).arg("-l").arg(&page).env("MANPAGER", "cat").read();
        let text = text.expect("man shows it");
        assert!(text.contains("NAME") && text.contains("SYNOPSIS"), "{text}");
        let name = page.file_name().expect("a name").to_string_lossy();
        let program = name.split(['-', '.']).next().expect("a name");
        for word in text.split_whitespace().filter(|word| word.starts_with(&format!("{program}-"))) {
            let Some((other, section)) = word.strip_suffix(')').and_then(|w| w.split_once('(')) else {
                continue;
            };
            let other = usr.join(format!("share/man/man{section}/{other}.{section}"));
            assert!(other.is_file(), "{name} refers to {word}, which is not there");
        }
    }
    let guide = std::fs::read_to_string(usr.join("share/doc/levitateos/install.txt")).expect("the guide");
    assert!(guide.contains("\n    recstrap /mnt\n") && !guide.contains("```"), "{guide}");
    let shown = Cmd::new("sh").arg(usr.join("bin/installation-guide")).env("PAGER", "echo").read();
    assert_eq!(shown.expect("it runs").trim(), "/usr/share/doc/levitateos/install.txt");
}

/// A cargo that builds nothing: other tests are running what it would replace.
fn idle_cargo(dir: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join("cargo");
    let cargo = std::env::var("CARGO").expect("cargo runs the tests");
    let script = format!("#!/bin/sh\n[ \"$1\" = build ] || exec '{cargo}' \"$@\"\n");
    std::fs::write(&path, script).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    path
}

#[test]
fn a_second_run_makes_nothing() {
    let Some(dir) = packages() else { return };
    let temp = tempfile::tempdir().expect("a temporary directory");
    let cargo = idle_cargo(temp.path());
    let run = || {
        let xtask = Cmd::new(env!("CARGO_BIN_EXE_xtask")).args(["packages", "--json"]).env("CARGO", &cargo);
        let summary: serde_json::Value = serde_json::from_str(&xtask.read().expect("it runs")).expect("JSON");
        let made =
            summary["packages"].as_array().expect("a list").iter().filter(|p| p["made"] == true).count();
        let times = files(&dir.join("repo"))
            .into_iter()
            .map(|f| (f.metadata().and_then(|m| m.modified()).expect("a time"), f))
            .collect::<Vec<_>>();
        (made, times)
    };
    let (_, before) = run();
    let (made, after) = run();
    assert_eq!(made, 0);
    assert_eq!(before, after, "files of the repository were written again");
}
