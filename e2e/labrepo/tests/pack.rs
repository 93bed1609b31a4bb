//! `labrepo pack`: trees become packages that rpm accepts, named by what is inside, made once.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::cmd::Cmd;

const SPEC: &str = r#"
name = "tool"
version = "1.2.0"
release = "20260101"
arch = "x86_64"
summary = "A tool"
description = "A tool."
license = "MIT"
vendor = "Us"
time = 1767225600
root = "tree"
dirs = ["/usr/lib/tool"]
requires = ["/usr/bin/less"]
recommends = ["other >= 2"]
"#;

/// A directory with a spec and its tree.
fn source() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tool.toml"), SPEC).unwrap();
    for (path, mode) in [
        ("usr/bin/tool", 0o700),
        ("usr/lib/tool/part", 0o600),
        ("usr/share/man/man8/tool.8", 0o664),
        ("usr/share/licenses/tool/LICENSE", 0o644),
    ] {
        let path = dir.path().join("tree").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "content\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    std::os::unix::fs::symlink("tool", dir.path().join("tree/usr/bin/alias")).unwrap();
    dir
}

/// Packs into `out`; returns the package's file and whether it was made anew.
fn pack(source: &Path, out: &Path) -> (PathBuf, bool) {
    let cmd = Cmd::new(env!("CARGO_BIN_EXE_labrepo")).args(["pack", "--json", "--out"]).arg(out);
    let summary: serde_json::Value =
        serde_json::from_str(&cmd.arg(source.join("tool.toml")).read().unwrap()).unwrap();
    let package = &summary["packages"][0];
    (package["path"].as_str().unwrap().into(), package["made"].as_bool().unwrap())
}

fn rpm(out: &Path) -> Cmd {
    let rpm = Cmd::new(testkit::oracle("rpm")).arg("--dbpath").arg(out.join("rpmdb"));
    rpm.clone().arg("--import").arg(out.join("RPM-GPG-KEY-levitate")).run().unwrap();
    rpm.args(["--define", "_pkgverify_level all"])
}

#[test]
fn rpm_accepts_what_is_packed() {
    let (source, out) = (source(), tempfile::tempdir().unwrap());
    let (file, made) = pack(source.path(), out.path());
    assert!(made);
    let rpm = rpm(out.path());
    let verdict = rpm.clone().arg("-Kv").arg(&file).read().unwrap();
    assert!(verdict.contains("RSA/SHA256 Signature, key ID") && !verdict.contains("NOKEY"), "{verdict}");

    let query = |what: &str| rpm.clone().args(["-qp", "--qf", what]).arg(&file).read().unwrap();
    let files = "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEFLAGS:fflags} %{FILEMTIMES} %{FILENAMES}\\n]";
    let listed: Vec<String> = query(files).lines().map(str::to_owned).collect();
    assert_eq!(
        listed,
        [
            "lrwxrwxrwx root  1767225600 /usr/bin/alias",
            "-rwxr-xr-x root  1767225600 /usr/bin/tool",
            "drwxr-xr-x root  1767225600 /usr/lib/tool",
            "-rw-r--r-- root  1767225600 /usr/lib/tool/part",
            "-rw-r--r-- root l 1767225600 /usr/share/licenses/tool/LICENSE",
            "-rw-r--r-- root d 1767225600 /usr/share/man/man8/tool.8",
        ]
    );
    let needs = query("[%{REQUIRES} ][%{RECOMMENDNEVRS} ]");
    assert!(needs.contains("/usr/bin/less ") && needs.contains("other >= 2"), "{needs}");
    let release = query("%{RELEASE}");
    assert!(release.starts_with("20260101.") && release.len() == 17, "{release}");
}

#[test]
fn the_name_changes_with_the_content_and_nothing_is_made_twice() {
    let (source, out) = (source(), tempfile::tempdir().unwrap());
    let (first, _) = pack(source.path(), out.path());
    let bytes = std::fs::read(&first).unwrap();
    let repomd = out.path().join("repo/repodata/repomd.xml.asc");
    let signature = std::fs::read(&repomd).unwrap();
    assert_eq!(pack(source.path(), out.path()), (first.clone(), false));
    assert_eq!(std::fs::read(&repomd).unwrap(), signature, "the metadata was signed again");

    // A package that somebody changed is made again.
    std::fs::write(&first, [&bytes[..], b"more"].concat()).unwrap();
    assert_eq!(pack(source.path(), out.path()), (first.clone(), true));

    // So is one with another content, under another name, and the old one goes.
    std::fs::write(source.path().join("tree/usr/lib/tool/part"), "other\n").unwrap();
    let (second, made) = pack(source.path(), out.path());
    assert!(made && second != first && !first.exists(), "{}", second.display());
}

#[test]
fn a_spec_that_does_not_fit_its_tree_is_refused() {
    let (source, out) = (source(), tempfile::tempdir().unwrap());
    let spec = source.path().join("tool.toml");
    let cmd = || Cmd::new(env!("CARGO_BIN_EXE_labrepo")).args(["pack", "--out"]).arg(out.path()).arg(&spec);
    for (from, to, says) in [
        ("/usr/lib/tool", "/usr/lib/tol", "has no directory /usr/lib/tol"),
        ("root = \"tree\"", "root = \"tee\"", "failed to read"),
        ("vendor", "vender", "unknown field `vender`"),
    ] {
        std::fs::write(&spec, SPEC.replace(from, to)).unwrap();
        let refused = cmd().output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && said.contains(says), "{said}");
        assert!(!out.path().join("repo/repodata").exists());
    }
}
