//! Trees as they shall be installed -> RPM packages in a signed repository.
//!
//! ```text
//! SPEC.toml + ROOT/usr/...            in: one description and one tree a package
//! OUT/repo/Packages/*/*.rpm, OUT/repo/repodata/
//! OUT/RPM-GPG-KEY-NAME, OUT/fingerprint
//! OUT/state/secret.asc, OUT/state/PACKAGE.json   the key that is made without --key (0600); one record a package
//! ```
//!
//! A package's release ends in a digest of what is inside, so that two contents never share a name and no cache mixes
//! them. Owners are root's, times the one of the spec, modes 0755 for what its owner may execute and 0644 otherwise: the
//! umask of whoever made the tree does not count. What has not changed is neither made nor signed again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use common::hash::Sha256;
use serde::{Deserialize, Serialize};

use crate::key::SigningKey;
use crate::repo::{CODE, Entry, Repodata, Storage, remove_others, write_changed};
use crate::rpm::{Content, Dep, File, Kind, Package};

/// A package, as its spec describes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(missing_docs, reason = "most fields are the tags of the same name")]
pub struct Spec {
    pub name: String,
    pub version: String,
    /// The release without the digest that is added to it.
    pub release: String,
    pub arch: String,
    pub summary: String,
    pub description: String,
    pub license: String,
    pub vendor: String,
    #[serde(default)]
    pub url: String,
    /// Time of everything inside and of the signature, seconds since 1970 UTC.
    pub time: u32,
    /// The tree, relative to the spec's file.
    pub root: PathBuf,
    /// Directories that belong to the package; all others are somebody else's.
    #[serde(default)]
    pub dirs: Vec<String>,
    #[serde(default)]
    pub requires: Vec<String>,
    #[serde(default)]
    pub recommends: Vec<String>,
}

/// A package of the repository.
#[derive(Debug, Clone, Serialize)]
pub struct Packed {
    /// Its name.
    pub name: String,
    /// `version-release`
    pub evr: String,
    /// The file.
    pub path: PathBuf,
    /// Whether this run made it.
    pub made: bool,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The repository.
    pub repo: PathBuf,
    /// The certificate its signatures are checked with.
    pub key: PathBuf,
    /// Fingerprint of that certificate.
    pub fingerprint: String,
    /// The packages, by name.
    pub packages: Vec<Packed>,
}

/// What is kept of a package, to know whether it is still right.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    inputs: Sha256,
    entry: Entry,
}

/// Makes the repository of these specs in `out`; `id` names the file of its certificate.
///
/// # Errors
/// A spec or its tree cannot be read or makes no sense, or the directory cannot be written.
pub fn pack(specs: &[PathBuf], out: &Path, id: &str, key: &SigningKey) -> anyhow::Result<Summary> {
    let repo = out.join("repo");
    let mut entries = Vec::new();
    let mut packages = Vec::new();
    let mut newest = 0;
    for path in specs {
        let spec: Spec = toml::from_str(&common::fs::read_to_string(path)?)
            .with_context(|| format!("{} is no description of a package", path.display()))?;
        newest = newest.max(spec.time);
        let package = package(&spec, &path.with_file_name(&spec.root))?;
        let (entry, made) = store(&package, out, key)?;
        let (name, evr) = (package.name.clone(), package.evr());
        packages.push(Packed { name, evr, path: repo.join(&entry.href), made });
        entries.push(entry);
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    let twice = packages.windows(2).find(|pair| pair[0].name == pair[1].name);
    ensure!(twice.is_none(), "two specs describe {:?}", twice.map(|pair| &pair[0].name));

    remove_others(&repo, &entries)?;
    Repodata::render(&entries, newest, Storage::Gzip)?.write(&repo, Some(key), newest)?;
    let certificate = out.join(format!("RPM-GPG-KEY-{id}"));
    write_changed(&certificate, &key.certificate()?)?;
    write_changed(&out.join("fingerprint"), format!("{}\n", key.fingerprint()).as_bytes())?;
    Ok(Summary { repo, key: certificate, fingerprint: key.fingerprint(), packages })
}

/// The package of a spec and its tree, its release completed.
fn package(spec: &Spec, root: &Path) -> anyhow::Result<Package> {
    let mut package = Package::new(&spec.name, &spec.version, "", &spec.arch);
    package.summary.clone_from(&spec.summary);
    spec.description.trim().clone_into(&mut package.description);
    package.license.clone_from(&spec.license);
    package.vendor.clone_from(&spec.vendor);
    package.url.clone_from(&spec.url);
    package.build_time = spec.time;
    package.requires = spec.requires.iter().map(|d| Dep::parse(d)).collect();
    package.recommends = spec.recommends.iter().map(|d| Dep::parse(d)).collect();
    let mut owned: BTreeSet<&str> = spec.dirs.iter().map(String::as_str).collect();
    collect(root, "", &mut owned, &mut package.files)?;
    if let Some(dir) = owned.first() {
        bail!("{} has no directory {dir}, which the package {} shall own", root.display(), spec.name);
    }
    ensure!(!package.files.is_empty(), "there is nothing in {}", root.display());
    package.files.iter_mut().for_each(|f| f.mtime = spec.time);

    let inside = inside(spec, &package.files)?.to_string();
    package.release = format!("{}.{}", spec.release, &inside[..8]);
    package.source_rpm = format!("{}-{}-{}.src.rpm", spec.name, spec.version, package.release);
    Ok(package)
}

/// Digest of everything that the spec and the tree say.
fn inside(spec: &Spec, files: &[File]) -> anyhow::Result<Sha256> {
    let mut text = serde_json::to_string(spec).context("failed to write a spec as JSON")?;
    for file in files {
        let content = match &file.kind {
            Kind::File(Content::Bytes(bytes)) => Sha256::of(bytes).to_string(),
            other => format!("{other:?}"),
        };
        text.push_str(&format!("\n{} {:o} {content}", String::from_utf8_lossy(&file.path), file.mode));
    }
    Ok(Sha256::of(text.as_bytes()))
}

/// Adds what is in `dir` (whose path in the package is `at`); takes the directories that are owned out of `owned`.
fn collect(dir: &Path, at: &str, owned: &mut BTreeSet<&str>, files: &mut Vec<File>) -> anyhow::Result<()> {
    let context = || format!("failed to read {}", dir.display());
    let entries = std::fs::read_dir(dir).with_context(context)?.collect::<Result<Vec<_>, _>>();
    let mut entries = entries.with_context(context)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        use std::os::unix::fs::PermissionsExt;
        let name = entry.file_name();
        let name = name.to_str().with_context(|| format!("{} is not UTF-8", entry.path().display()))?;
        let (path, from) = (format!("{at}/{name}"), entry.path());
        let kind = entry.metadata().with_context(context)?;
        if kind.is_dir() {
            if owned.remove(path.as_str()) {
                files.push(File::new(&path, Kind::Dir, 0o755));
            }
            collect(&from, &path, owned, files)?;
        } else if kind.is_symlink() {
            let to = std::fs::read_link(&from).with_context(context)?.into_os_string();
            let to = std::os::unix::ffi::OsStringExt::into_vec(to);
            files.push(File::new(&path, Kind::Symlink(to), 0o777));
        } else if kind.is_file() {
            let mode = if kind.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            files.push(File::regular(&path, &common::fs::read(&from)?, mode).flags(flags(&path)));
        } else {
            bail!("{} is neither file, directory nor symbolic link", from.display());
        }
    }
    Ok(())
}

/// What a file is for, by where it is.
fn flags(path: &str) -> u32 {
    let below = |dirs: &[&str]| dirs.iter().any(|dir| path.starts_with(dir));
    match path {
        _ if below(&["/usr/share/licenses/"]) => File::LICENSE,
        _ if below(&["/usr/share/man/", "/usr/share/doc/"]) => File::DOC,
        _ if below(&["/etc/"]) => File::CONFIG | File::NO_REPLACE,
        _ => 0,
    }
}

/// Builds and signs a package unless the one that is there was made from the same; says whether it built.
fn store(package: &Package, out: &Path, key: &SigningKey) -> anyhow::Result<(Entry, bool)> {
    let record = out.join("state").join(format!("{}.json", package.name));
    let inputs = format!("{}{}{}", Sha256::of(CODE.as_bytes()), key.fingerprint(), package.file_name());
    let inputs = Sha256::of(inputs.as_bytes());
    let old: Option<Record> = std::fs::read(&record).ok().and_then(|text| serde_json::from_slice(&text).ok());
    if let Some(old) = old
        && old.inputs == inputs
        && Sha256::of_file(&out.join("repo").join(&old.entry.href))
            .is_ok_and(|found| found == old.entry.sha256)
    {
        return Ok((old.entry, false));
    }
    let rpm = package.build(key)?;
    let entry = Entry::new(&rpm);
    common::fs::write_atomic(&out.join("repo").join(&entry.href), &rpm.bytes)?;
    let text =
        serde_json::to_vec(&Record { inputs, entry: entry.clone() }).context("failed to write a record")?;
    common::fs::write_atomic(&record, &text)?;
    Ok((entry, true))
}
