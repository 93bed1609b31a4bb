//! Repositories this crate writes, as dnf and createrepo_c see them.

use std::path::Path;

use common::cmd::Cmd;
use labrepo::fixture::{Defect, Fixture, TestRepo};
use labrepo::key::SigningKey;
use labrepo::rpm::{Compression, Package};

const TIME: u32 = 1_700_000_000;

/// dnf with nothing of the host's: one repository, private directories, both signature checks on.
fn dnf(dir: &Path, url: &str, key: &Path) -> Cmd {
    let at = |name: &str| dir.join(name).display().to_string();
    let (cache, log, persist, root) = (at("cache"), at("log"), at("persist"), at("root"));
    let config = format!(
        "[main]\ngpgcheck=1\nrepo_gpgcheck=1\ncachedir={cache}\nlogdir={log}\npersistdir={persist}\n\
         reposdir=/dev/null\nvarsdir=/dev/null\npluginpath=/dev/null\nassumeyes=1\ninstall_weak_deps=0\n\
         [lab]\nname=lab\nbaseurl={url}\ngpgkey=file://{}\n",
        key.display()
    );
    std::fs::write(dir.join("dnf.conf"), config).unwrap();
    std::fs::create_dir_all(&root).unwrap();
    let dnf = Cmd::new(testkit::oracle("dnf")).arg("-q").arg("--config").arg(dir.join("dnf.conf"));
    dnf.args(["--releasever=13", "--installroot", &root])
}

fn packages() -> [Package; 4] {
    [
        Package::new("app", "1.0~rc1", "1", "x86_64")
            .epoch(1)
            .file("/usr/bin/app", b"#!/bin/sh\n", 0o755)
            .requires("lib >= 2:1.5-1")
            .requires("(ed or vi)")
            .requires("/usr/bin/tool")
            .requires("(plugin if missing)")
            .recommends("not-there"),
        Package::new("lib", "1.5", "2", "noarch").epoch(2).config("/etc/lib.conf", b"", 0o644),
        Package::new("vi", "9", "1", "noarch")
            .file("/usr/bin/tool", b"t", 0o755)
            .file("/usr/share/tool & <friends>", b"", 0o644)
            .dir("/usr/share/empty", 0o755)
            .ghost("/etc/made-later", 0o644)
            .compression(Compression::Xz(6)),
        Package::new("other", "1", "1", "noarch").conflicts("app").compression(Compression::Gzip(9)),
    ]
}

fn write(gzip: bool, defects: &[Defect]) -> TestRepo {
    let key = SigningKey::generate("test", TIME).unwrap();
    let mut fixture = packages().into_iter().fold(Fixture::new(&key), Fixture::add);
    fixture = defects.iter().cloned().fold(fixture, Fixture::defect);
    if gzip { fixture.gzip() } else { fixture }.write().unwrap()
}

#[test]
fn dnf_queries_and_installs_with_both_signature_checks() {
    for gzip in [false, true] {
        let repo = write(gzip, &[]);
        let dir = tempfile::tempdir().unwrap();
        let dnf = dnf(dir.path(), &repo.url(), &repo.key_path());
        let found =
            dnf.clone().args(["repoquery", "--queryformat", "%{name} %{evr} %{arch}"]).read().unwrap();
        let found: Vec<&str> = found.lines().collect();
        assert_eq!(
            found,
            ["app 1:1.0~rc1-1 x86_64", "lib 2:1.5-2 noarch", "other 1-1 noarch", "vi 9-1 noarch"]
        );
        let owner = dnf.clone().args(["repoquery", "--file", "/usr/share/tool & <friends>"]).read().unwrap();
        assert_eq!(owner, "vi-0:9-1.noarch\n");
        let closure = dnf.clone().args(["install", "--downloadonly", "app"]).output().unwrap();
        assert!(closure.status.success(), "{}", String::from_utf8_lossy(&closure.stderr));
        if testkit::is_root() {
            dnf.clone().args(["install", "app"]).read().unwrap();
            let root = dir.path().join("root");
            assert!(root.join("usr/bin/app").is_file() && root.join("usr/bin/tool").is_file());
            let clash = dnf.args(["install", "other"]).output().unwrap();
            assert!(!clash.status.success(), "dnf installed other beside app");
        } else {
            testkit::skip("dnf install into a directory", "needs root");
        }
    }
}

#[test]
fn dnf_refuses_each_defect_of_the_metadata() {
    for defect in [
        Defect::RepomdChanged,
        Defect::RepomdUnsigned,
        Defect::RepomdForeignKey,
        Defect::PrimaryChanged,
        Defect::PrimaryTruncated,
    ] {
        let repo = write(false, std::slice::from_ref(&defect));
        let dir = tempfile::tempdir().unwrap();
        let dnf = dnf(dir.path(), &repo.url(), &repo.key_path());
        let out = dnf.args(["repoquery", "app"]).output().unwrap();
        assert!(!out.status.success(), "dnf accepted {defect:?}: {}", String::from_utf8_lossy(&out.stdout));
    }
}

#[test]
fn createrepo_c_writes_the_same_primary_and_filelists() {
    let createrepo = testkit::oracle("createrepo_c");
    let repo = write(true, &[]);
    let theirs = tempfile::tempdir().unwrap();
    let run = Cmd::new(createrepo).args(["-q", "--no-database", "--general-compress-type=gz", "-o"]);
    run.arg(theirs.path()).arg(repo.dir()).run().unwrap();
    for kind in ["primary", "filelists"] {
        let (ours, theirs) = (lines(repo.dir(), kind), lines(theirs.path(), kind));
        assert!(ours.len() > 20, "{ours:?}");
        let only =
            |a: &[String], b: &[String]| a.iter().filter(|l| !b.contains(l)).cloned().collect::<Vec<_>>();
        assert_eq!(
            (only(&ours, &theirs), only(&theirs, &ours)),
            (vec![], vec![]),
            "{kind}: only ours, only theirs"
        );
        assert_eq!(ours.len(), theirs.len(), "{kind}");
    }
}

/// The lines of a metadata file, without indentation and without what differs by nature: the time of the files on this
/// disk, and rpm's own Provides order.
fn lines(dir: &Path, kind: &str) -> Vec<String> {
    let data = std::fs::read_dir(dir.join("repodata")).unwrap().flatten().map(|e| e.path());
    let file =
        data.into_iter().find(|p| p.display().to_string().ends_with(&format!("-{kind}.xml.gz"))).unwrap();
    let reader = flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap());
    let text = std::io::read_to_string(reader).unwrap();
    let mut lines: Vec<String> = text
        .lines()
        .map(|l| l.trim().to_owned())
        .filter(|l| !l.starts_with("<time ") && !l.is_empty())
        .collect();
    lines.sort();
    lines
}
