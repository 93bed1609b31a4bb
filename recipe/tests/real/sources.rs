//! Sources of published software through the clients of this machine -> files below `target/real-sources`, which later runs find there.
//!
//! Each client checks what it downloads by what its registry has signed or listed. No address is written here: clients know theirs.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};
use common::cmd::{Cmd, which};
use common::hash::Sha256;

use crate::rig::Rig;

/// Where Debian's keys are.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What was got; none if it could not be, which is recorded as a check that was skipped.
pub(crate) fn or_skip<T>(what: &str, got: anyhow::Result<T>) -> Option<T> {
    let skip = |e: &anyhow::Error| {
        let why = format!("{e:#}").replace('\n', " ");
        testkit::skip(&format!("{what} is installed from its sources"), &why);
    };
    got.inspect_err(skip).ok()
}

/// A file as the server of a rig has it: `URL", "SHA-256`, the arguments of `download`.
pub(crate) fn serve(rig: &Rig, file: &Path) -> String {
    let name = file.file_name().and_then(|n| n.to_str()).expect("a name");
    std::fs::copy(file, rig.path("www").join(name)).expect("copied");
    let sha256 = Sha256::of(&std::fs::read(file).expect("read"));
    format!("\"{}\", \"{sha256}\"", rig.server.url(&format!("/{name}")))
}

/// A published crate, and the crates that its Cargo.lock names as `cargo vendor` lays them out, in an archive.
pub(crate) fn krate(name: &str, version: &str) -> anyhow::Result<[PathBuf; 2]> {
    let dir = place("crates")?;
    let (krate, vendor) = (format!("{name}-{version}.crate"), format!("{name}-{version}-vendor.tar.gz"));
    let files = [dir.join(&krate), dir.join(vendor)];
    if files.iter().all(|f| f.exists()) {
        return Ok(files);
    }
    let work = tempfile::tempdir_in(&dir)?;
    let cargo = |dir: &Path| Cmd::new("cargo").dir(dir).env("CARGO_HOME", work.path().join("home"));
    // Outside of every workspace; it downloads the crate alone.
    let empty = tempfile::tempdir()?;
    cargo(empty.path()).args(["info", "--quiet", &format!("{name}@{version}")]).read()?;
    let caches = work.path().join("home/registry/cache").read_dir().context("cargo left no cache")?;
    let found = caches.flatten().map(|cache| cache.path().join(&krate)).find(|file| file.exists());
    let found = found.context("cargo left no crate")?;
    let src = empty.path().join("src");
    std::fs::create_dir(&src)?;
    Cmd::new("tar").arg("-xzf").arg(&found).args(["--strip-components=1", "-C"]).arg(&src).read()?;
    cargo(&src).args(["vendor", "--quiet", "--locked", "--versioned-dirs"]).read()?;
    let packed = work.path().join("vendor.tar.gz");
    Cmd::new("tar").arg("-czf").arg(&packed).arg("-C").arg(&src).arg("vendor").read()?;
    std::fs::rename(found, &files[0])?;
    std::fs::rename(packed, &files[1])?;
    Ok(files)
}

/// A package of npm's registry.
pub(crate) fn npm(name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let plain = name.trim_start_matches('@').replace('/', "-");
    got("npm", &format!("{plain}-{version}.tgz"), |dir| {
        let cmd = tool("npm")?.args(["pack", "--silent", &format!("{name}@{version}"), "--cache"]);
        cmd.arg(dir.join("cache")).dir(dir).read().map(drop)
    })
}

/// A wheel of PyPI for this machine.
pub(crate) fn wheel(name: &str, version: &str, file: &str) -> anyhow::Result<PathBuf> {
    got("pypi", file, |dir| {
        let pip = which("pip3").map_or_else(|| tool("pip"), |pip| Ok(Cmd::new(pip)))?;
        let cmd = pip.args([
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
        ]);
        cmd.arg(format!("{name}=={version}")).arg("--dest").arg(dir).read().map(drop)
    })
}

/// The sources of a Debian package as its authors published them, and their version.
pub(crate) fn debian(name: &str) -> anyhow::Result<(PathBuf, String)> {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = place("debian")?;
    if original(&dir, name).is_err() {
        let lists = dir.join("lists");
        // What the lists name may be gone by now.
        if !lists.exists() || apt(&dir, &["source", "--download-only", name]).is_err() {
            update(&dir)?;
            apt(&dir, &["source", "--download-only", name])?;
        }
    }
    drop(one);
    original(&dir, name)
}

fn original(dir: &Path, name: &str) -> anyhow::Result<(PathBuf, String)> {
    let begin = format!("{name}_");
    for entry in dir.read_dir()?.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let version = file.strip_prefix(&begin).and_then(|rest| rest.split_once(".orig.tar."));
        if let Some((version, ending)) = version.filter(|(_, ending)| !ending.contains('.')) {
            ensure!(!ending.is_empty(), "{file} has no ending");
            return Ok((entry.path(), version.to_owned()));
        }
    }
    anyhow::bail!("apt left no original sources of {name}")
}

fn update(dir: &Path) -> anyhow::Result<()> {
    ensure!(Path::new(KEYRING).exists(), "there is no {KEYRING}");
    let format =
        ["indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(CODENAME)|$(REPO_URI)", "Created-By: Packages"];
    let targets = tool("apt-get")?.args(format).read()?;
    let mut debian = targets.lines().filter_map(|line| line.strip_prefix("Debian|Debian|")?.split_once('|'));
    let (suite, uri) =
        debian.find(|(suite, _)| !suite.contains('-')).context("apt knows no Debian archive")?;
    std::fs::write(dir.join("sources.list"), format!("deb-src [signed-by={KEYRING}] {uri} {suite} main\n"))?;
    std::fs::create_dir_all(dir.join("lists/partial"))?;
    apt(dir, &["-o", "APT::Update::Error-Mode=any", "update"])
}

/// The host's apt with lists of its own: its own do not have sources.
fn apt(dir: &Path, args: &[&str]) -> anyhow::Result<()> {
    let own = |key: &str, path: &str| ["-o".to_owned(), format!("{key}={}", dir.join(path).display())];
    let cmd =
        tool("apt-get")?.args(["-q", "-o", "APT::Sandbox::User=", "-o", "Dir::Etc::sourceparts=/dev/null"]);
    let cmd = cmd.args(own("Dir::Etc::sourcelist", "sources.list")).args(own("Dir::State::lists", "lists"));
    cmd.args(own("Dir::Cache", "")).args(args.iter().copied()).dir(dir).read().map(drop)
}

/// A file, from an earlier run or by `get`, which is to leave it in the directory that it is given.
fn got(kind: &str, file: &str, get: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    let dir = place(kind)?;
    let path = dir.join(file);
    if !path.exists() {
        let work = tempfile::tempdir_in(&dir)?;
        get(work.path())?;
        std::fs::rename(work.path().join(file), &path)
            .with_context(|| format!("{file} was not downloaded"))?;
    }
    Ok(path)
}

fn tool(name: &str) -> anyhow::Result<Cmd> {
    which(name).map(Cmd::new).with_context(|| format!("there is no {name} here"))
}

fn place(kind: &str) -> anyhow::Result<PathBuf> {
    let dir = testkit::target().join("real-sources").join(kind);
    std::fs::create_dir_all(&dir).with_context(|| format!("failed to create {}", dir.display()))?;
    Ok(dir)
}
