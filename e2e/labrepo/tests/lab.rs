//! The whole lab: every package is good to rpm, the set resolves to dnf, and leviso's profile asks for what is there.
//!
//! `cargo xtask test` makes target/lab first; without it these checks are skipped.

use std::collections::BTreeSet;
use std::path::PathBuf;

use common::cmd::Cmd;
use labrepo::lab::plan::Plan;
use labrepo::lab::release;

fn profile() -> toml::Table {
    let path = testkit::workspace().join("leviso/profiles/lab.toml");
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn names(value: &toml::Value) -> BTreeSet<String> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn lab(check: &str) -> Option<PathBuf> {
    let dir = testkit::target().join("lab");
    if !dir.join("repo/repodata/repomd.xml.asc").is_file() {
        testkit::skip(check, "there is no target/lab (`cargo xtask lab` makes it)");
        return None;
    }
    Some(dir)
}

#[test]
fn the_profile_asks_for_what_the_lab_is_made_of() {
    let mut plan: BTreeSet<String> = Plan::load().unwrap().packages.into_iter().collect();
    plan.insert(release::NAME.to_owned());
    assert_eq!(names(&profile()["packages"]["include"]), plan);
}

#[test]
fn rpm_accepts_every_package() {
    let Some(lab) = lab("rpm -K over the lab") else { return };
    let db = tempfile::tempdir().unwrap();
    let rpm = Cmd::new(testkit::oracle("rpm")).arg("--dbpath").arg(db.path());
    rpm.clone().arg("--import").arg(lab.join("RPM-GPG-KEY-lab")).run().unwrap();
    let mut files = Vec::new();
    for dir in std::fs::read_dir(lab.join("repo/Packages")).unwrap() {
        let dir = std::fs::read_dir(dir.unwrap().path()).unwrap();
        files.extend(dir.map(|f| f.unwrap().path()));
    }
    assert!(files.len() > 200, "only {} packages", files.len());
    let verdict = rpm.clone().args(["--define", "_pkgverify_level all", "-K"]).args(&files).read().unwrap();
    let good = verdict.lines().filter(|l| l.ends_with(": digests signatures OK")).count();
    assert_eq!(good, files.len(), "{verdict}");
    rpm.args(["-qp", "--qf", "%{NEVRA}\n"]).args(&files).read().unwrap();
}

#[test]
fn dnf_resolves_the_whole_set() {
    let Some(lab) = lab("dnf over the lab") else { return };
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let url = lab.canonicalize().unwrap().display().to_string();
    let config = format!(
        "[main]\ngpgcheck=1\nrepo_gpgcheck=1\ncachedir={}\nlogdir={}\npersistdir={}\nreposdir=/dev/null\n\
         varsdir=/dev/null\npluginpath=/dev/null\nassumeyes=1\ninstall_weak_deps=0\n\
         [lab]\nname=lab\nbaseurl=file://{url}/repo\ngpgkey=file://{url}/RPM-GPG-KEY-lab\n",
        at("cache"),
        at("log"),
        at("persist")
    );
    std::fs::write(at("dnf.conf"), config).unwrap();
    std::fs::create_dir_all(at("root")).unwrap();
    let dnf = Cmd::new(testkit::oracle("dnf")).args(["-q", "--config", &at("dnf.conf"), "--releasever=13"]);
    let dnf = dnf.args(["--installroot", &at("root"), "install", "--downloadonly"]);
    let out = dnf.args(names(&profile()["packages"]["include"])).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
