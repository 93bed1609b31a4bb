//! The whole build on one page: one line a stage. Reading [`stages`] is reading the product.
//!
//! In: a profile, a work directory, a lock (or none: then it is made). Out: an ISO, its digest and manifest, all under
//! their final names only when they are complete and on disk. A failure in any stage leaves nothing behind in OUT.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use common::cli::Mark;
use common::fs::AtomicFile;
use common::hash::Sha256;
use common::layout;

use crate::epoch::Epoch;
use crate::extract::{self, Extracted};
use crate::fetch::{self, Fetched, Fetcher, Limits, Network};
use crate::ids::Ids;
use crate::kmod::{self, Kernel};
use crate::lock::Lock;
use crate::manifest::{BuildReport, Manifest, Output};
use crate::profile::{DiskInitramfs, Profile};
use crate::progress::Progress;
use crate::repodata::{self, RepoMetadata};
use crate::tree::{Origin, Tree};
use crate::verify::{self, Keyring, VerifiedRpm};
use crate::workdir::{self, Workdir};
use crate::{audit, erofs, esp, exit, finalise, initramfs, iso, recuki, resolve, sync, tree, uki};

/// Volume label of the EFI system partition.
const ESP_LABEL: &str = "ESP";

/// The stages in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Read and check the profile.
    Profile,
    /// Repositories -> lock.
    Resolve,
    /// Lock -> package files.
    Fetch,
    /// Package files -> verified packages.
    Verify,
    /// Verified packages -> tree.
    Extract,
    /// What scriptlets would have done.
    Finalise,
    /// Every library, interpreter and unit's program is there.
    Audit,
    /// The installed system's initramfs and UKI, and the list of packages, into the tree.
    Installed,
    /// Tree -> rootfs.erofs.
    Erofs,
    /// Tree -> initramfs.
    Initramfs,
    /// Kernel + initramfs -> UKI.
    Uki,
    /// ESP + EROFS -> ISO.
    Iso,
    /// What was built, as JSON.
    Manifest,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

/// What a build is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// What goes in.
    pub profile: Profile,
    /// Caches and intermediate images.
    pub workdir: Workdir,
    /// The lock's file.
    pub lock: PathBuf,
    /// Directory of the finished ISO.
    pub out: PathBuf,
    /// The last stage to run.
    pub until: Stage,
    /// Fail rather than resolve.
    pub locked: bool,
    /// Resolve although there is a lock.
    pub update: bool,
    /// Use the cache only.
    pub offline: bool,
    /// How the network is reached.
    pub network: Network,
}

/// What a build did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How long each stage took that ran.
    pub seconds: Vec<(Stage, Duration)>,
    /// The lock that was used.
    pub lock: Option<Lock>,
    /// The finished ISO, unless the build stopped earlier.
    pub iso: Option<PathBuf>,
    /// What it was made of and what came out.
    pub report: Option<BuildReport>,
    /// What the audit found and the profile allows, or what does not stop a boot.
    pub warnings: Vec<String>,
}

/// Builds until the stage that was asked for.
///
/// # Errors
/// Any stage's; OUT is as it was before.
pub fn build(request: &Request, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    let mut run = Run {
        request,
        progress,
        outcome: Outcome { seconds: Vec::new(), lock: None, iso: None, report: None, warnings: Vec::new() },
    };
    match stages(&mut run) {
        Ok(()) | Err(Stop::Until) => Ok(run.outcome),
        Err(Stop::Failed(e)) => Err(e),
    }
}

fn stages(run: &mut Run<'_>) -> Result<(), Stop> {
    let keyrings = run.stage(Stage::Profile, |r| keyrings(&r.request.profile))?;
    let lock = run.stage(Stage::Resolve, |r| lock(r.request, &keyrings, r.progress))?;
    run.outcome.lock = Some(lock.clone());
    let fetched = run.stage(Stage::Fetch, |r| fetch(r.request, &lock, r.progress))?;
    let rpms = run.stage(Stage::Verify, |r| verify::packages(&fetched, &keyrings, r.progress))?;
    let epoch = Epoch::from_env_or(lock.date)?;
    let mut system = run.stage(Stage::Extract, |r| extract(r.request, &rpms, epoch, r.progress))?;
    let kernel = run.stage(Stage::Finalise, |r| finalise(&mut system, &r.request.profile, r.progress))?;
    run.outcome.warnings = run.stage(Stage::Audit, |r| audited(&system.tree, &r.request.profile))?;
    let installed = run.stage(Stage::Installed, |r| installed(&mut system, &r.request.profile, &kernel))?;
    let tree = &system.tree;
    let ids = Ids::new(&Sha256::of(lock.to_toml().as_bytes()), &run.request.profile.name);
    let rootfs = run.stage(Stage::Erofs, |r| rootfs(r, tree, &kernel, ids, epoch))?;
    let initrd = run.stage(Stage::Initramfs, |r| initrd(r.request, tree, &kernel, epoch))?;
    let uki = run.stage(Stage::Uki, |r| boot_image(r.request, tree, &kernel, &initrd))?;
    let manifest = Manifest::new(&lock, epoch, rootfs.tree)
        .with("rootfs", rootfs.output)
        .with("initramfs", Output::of_bytes(&initrd))
        .with("uki", Output::of_bytes(&uki));
    let manifest = installed.into_iter().fold(manifest, |m, (name, output)| m.with(name, output));
    let disc = run.stage(Stage::Iso, |r| disc(r, tree, ids, &rootfs.path, &uki, manifest, epoch))?;
    run.stage(Stage::Manifest, |r| publish(r, disc))
}

/// A build under way.
struct Run<'r> {
    request: &'r Request,
    progress: &'r dyn Progress,
    outcome: Outcome,
}

/// Why [`stages`] ends early.
enum Stop {
    Until,
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Stop {
    fn from(e: anyhow::Error) -> Self {
        Self::Failed(e)
    }
}

impl Run<'_> {
    /// Runs one stage and notes its seconds, unless the build should stop before it.
    fn stage<T>(
        &mut self,
        stage: Stage,
        work: impl FnOnce(&mut Self) -> anyhow::Result<T>,
    ) -> Result<T, Stop> {
        if stage > self.request.until {
            return Err(Stop::Until);
        }
        let began = Instant::now();
        let result = work(self).with_context(|| format!("the {stage} stage failed"))?;
        self.outcome.seconds.push((stage, began.elapsed()));
        Ok(result)
    }
}

/// The root file system's image, which is too large for memory, and what is in it.
struct Rootfs {
    path: PathBuf,
    output: Output,
    tree: tree::listing::Summary,
}

/// The disc before it has its name.
struct Disc {
    file: AtomicFile,
    path: PathBuf,
    report: iso::Report,
    manifest: Manifest,
}

/// The pinned keys of every repository, by its id.
///
/// # Errors
/// A key file cannot be read or lacks a pinned key.
pub fn keyrings(profile: &Profile) -> anyhow::Result<BTreeMap<String, Keyring>> {
    let load = |repo: &crate::profile::Repo| {
        let keyring = Keyring::load(&repo.key, &repo.fingerprints);
        Ok((repo.id.clone(), keyring.with_context(|| format!("no keys for the repository {:?}", repo.id))?))
    };
    profile.repos.iter().map(load).collect()
}

/// The fetcher of a request.
#[must_use]
pub fn fetcher(request: &Request) -> Fetcher {
    Fetcher::new(&request.workdir.cache(), Limits::default(), request.offline, &request.network)
}

/// The lock, written if it is new.
fn lock(
    request: &Request,
    keyrings: &BTreeMap<String, Keyring>,
    progress: &dyn Progress,
) -> anyhow::Result<Lock> {
    let lock = plan(request, keyrings, progress)?;
    let text = lock.to_toml();
    if std::fs::read(&request.lock).ok().is_none_or(|old| old != text.as_bytes()) {
        common::fs::write_atomic(&request.lock, text.as_bytes())?;
    }
    Ok(lock)
}

/// The lock a build would use: the one there is if it fits the profile, else a new one. Writes nothing but the cache.
///
/// # Errors
/// The lock cannot be read, or does not fit and may not be replaced; or as [`resolve`].
pub fn plan(
    request: &Request,
    keyrings: &BTreeMap<String, Keyring>,
    progress: &dyn Progress,
) -> anyhow::Result<Lock> {
    let path = &request.lock;
    if path.exists() && !request.update {
        let lock = Lock::load(path)?;
        if lock.request == request.profile.request() {
            return Ok(lock);
        }
        ensure_unlocked(request, "it was made for another package set or other repositories")?;
    } else if !request.update {
        ensure_unlocked(request, "there is none")?;
    }
    resolve(request, keyrings, progress)
}

fn ensure_unlocked(request: &Request, why: &str) -> anyhow::Result<()> {
    let refuse = || {
        ensure!(!request.locked, "the lock {} cannot be used: {why}", request.lock.display());
        Ok(())
    };
    refuse().exit(exit::PROFILE).hint("run `leviso lock`, review the result, and build again")
}

/// Synchronises the repositories and resolves the profile; writes nothing but the cache.
///
/// # Errors
/// A repository cannot be reached or verified, or no set of packages satisfies the profile.
pub fn resolve(
    request: &Request,
    keyrings: &BTreeMap<String, Keyring>,
    progress: &dyn Progress,
) -> anyhow::Result<Lock> {
    let profile = &request.profile;
    let fetcher = fetcher(request);
    let synced = sync::repositories(&profile.repos, keyrings, &fetcher, progress)?;
    let mut metadata = Vec::with_capacity(synced.len());
    for repo in &synced {
        let mut repo_metadata = RepoMetadata::new(&repo.id, repo.repomd, &repo.parsed);
        let primary = repo.data("primary", &fetcher)?;
        let primary = primary.with_context(|| format!("repository {:?} has no primary.xml", repo.id))?;
        repodata::read_primary(&mut repo_metadata, primary.as_slice())?;
        metadata.push(repo_metadata);
    }
    // A path found in filelists.xml may bring in a package that needs another path; what is asked for twice is nowhere.
    let mut asked = BTreeSet::new();
    loop {
        let wanted: BTreeSet<String> =
            resolve::unmet_paths(profile, &metadata).difference(&asked).cloned().collect();
        if wanted.is_empty() {
            break;
        }
        for (repo, repo_metadata) in synced.iter().zip(&mut metadata) {
            if let Some(filelists) = repo.data("filelists", &fetcher)? {
                repodata::read_filelists(repo_metadata, filelists.as_slice(), &wanted)?;
            }
        }
        asked.extend(wanted);
    }
    resolve::resolve(profile, &metadata)
}

fn fetch(request: &Request, lock: &Lock, progress: &dyn Progress) -> anyhow::Result<Vec<Fetched>> {
    fetch::packages(lock, &request.profile.repos, &fetcher(request), progress)
}

fn extract(
    request: &Request,
    rpms: &[VerifiedRpm],
    epoch: Epoch,
    progress: &dyn Progress,
) -> anyhow::Result<Extracted> {
    extract::extract(rpms, &request.workdir.payloads(), epoch, progress)
}

/// Finishes the tree and finds its kernel.
fn finalise(system: &mut Extracted, profile: &Profile, progress: &dyn Progress) -> anyhow::Result<Kernel> {
    let sysusers: Vec<String> = system.packages.iter().flat_map(|p| p.sysusers.iter().cloned()).collect();
    let kernel = kmod::find_kernel(&system.tree)?;
    kmod::depmod(&mut system.tree, &kernel.version)?;
    finalise::finalise(&mut system.tree, profile, &sysusers, progress)?;
    Ok(kernel)
}

/// Stops at defects; returns what is odd and does not keep the system from booting.
fn audited(tree: &Tree, profile: &Profile) -> anyhow::Result<Vec<String>> {
    let findings = audit::audit(tree, &profile.audit.allow);
    findings.check()?;
    Ok(findings.warnings().map(ToString::to_string).collect())
}

/// Puts what belongs to the installed system into the tree, and last of all whose each file is.
fn installed(
    system: &mut Extracted,
    profile: &Profile,
    kernel: &Kernel,
) -> anyhow::Result<Vec<(&'static str, Output)>> {
    let outputs = match &profile.disk_initramfs {
        Some(disk) => installed_uki(&mut system.tree, profile, disk, kernel)?,
        None => Vec::new(),
    };
    finalise::packages::apply(&mut system.tree, &system.packages)?;
    Ok(outputs)
}

/// Puts the recipe of the installed system's initramfs and its UKI into the tree; they are outputs like the disc's own.
fn installed_uki(
    tree: &mut Tree,
    profile: &Profile,
    disk: &DiskInitramfs,
    kernel: &Kernel,
) -> anyhow::Result<Vec<(&'static str, Output)>> {
    recuki::recipe::write(tree, profile, disk)?;
    let recipe = recuki::recipe::Recipe::read(tree)?;
    let built = recuki::build(tree, kernel, &recipe, &recipe.cmdline, Epoch(recipe.mtime))?;
    let outputs = vec![
        ("installed-initramfs", Output::of_bytes(&built.initramfs.bytes)),
        ("installed-uki", Output::of_bytes(&built.uki)),
    ];
    let path = format!("{}/{}", kernel.modules_dir(), layout::INSTALLED_UKI);
    tree.write(&path, built.uki, 0o644, Origin::Generated("installed-uki"))
        .with_context(|| format!("failed to write {path}"))
        .exit(exit::SYSTEM)?;
    Ok(outputs)
}

/// Writes rootfs.erofs into the work directory, and rootfs.mtree, the listing behind the tree digest.
fn rootfs(run: &Run<'_>, tree: &Tree, kernel: &Kernel, ids: Ids, epoch: Epoch) -> anyhow::Result<Rootfs> {
    let profile = &run.request.profile;
    let mut options = erofs::Options::from_profile(&profile.image, epoch)?;
    options.uuid = Some(*ids.erofs().as_bytes());
    if let Some(config) = &kernel.config {
        erofs::Support::from_kernel_config(tree.read(config)?).check(&options)?;
    }
    let path = run.request.workdir.image(profile, "rootfs.erofs");
    let mut file = AtomicFile::create(&path)?;
    let report = erofs::write(tree, file.file_mut(), &options, run.progress)
        .with_context(|| format!("failed to write {}", path.display()))?;
    file.commit()?;
    let mut listing = AtomicFile::create(&run.request.workdir.image(profile, "rootfs.mtree"))?;
    let summary = tree::listing::write(tree, std::io::BufWriter::new(&mut listing))?;
    listing.commit()?;
    Ok(Rootfs { path, output: Output { size: report.bytes, sha256: report.digest }, tree: summary })
}

fn initrd(request: &Request, tree: &Tree, kernel: &Kernel, epoch: Epoch) -> anyhow::Result<Vec<u8>> {
    let built = initramfs::build(tree, kernel, &request.profile.initramfs, epoch)?;
    keep(request, "initramfs.cpio.zst", &built.bytes)?;
    Ok(built.bytes)
}

fn boot_image(request: &Request, tree: &Tree, kernel: &Kernel, initrd: &[u8]) -> anyhow::Result<Vec<u8>> {
    let profile = &request.profile;
    let mut cmdline = profile.kernel.cmdline.clone();
    if profile.image.label != layout::ISO_LABEL {
        // The initramfs looks for the usual label unless it is told another.
        cmdline.push_str(&format!(" {}={}", layout::PARAM_LABEL, profile.image.label));
    }
    let uki = uki::build(&uki::UkiParts {
        stub: needed(tree, "/usr/lib/systemd/boot/efi/linuxx64.efi.stub")?,
        linux: needed(tree, &kernel.vmlinuz)?,
        initrd,
        osrel: needed(tree, "/etc/os-release")?,
        uname: &kernel.version,
        cmdline: &cmdline,
        profiles: &profile.kernel.entries,
        sbat: None,
    })?;
    keep(request, "levitateos.efi", &uki)?;
    Ok(uki)
}

/// Keeps an image in the work directory, for `leviso inspect` and for people.
fn keep(request: &Request, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    common::fs::write_atomic(&request.workdir.image(&request.profile, name), bytes)
}

/// Writes the ISO under a temporary name in OUT.
fn disc(
    run: &Run<'_>,
    tree: &Tree,
    ids: Ids,
    rootfs: &Path,
    uki: &[u8],
    manifest: Manifest,
    epoch: Epoch,
) -> anyhow::Result<Disc> {
    let profile = &run.request.profile;
    let esp = esp::build(
        &[
            (layout::ESP_BOOT_PATH, needed(tree, "/usr/lib/systemd/boot/efi/systemd-bootx64.efi")?),
            (layout::ESP_UKI_PATH, uki),
            (layout::ESP_LOADER_CONF, esp::LOADER_CONF.as_bytes()),
        ],
        ESP_LABEL,
        ids.fat_volume_id(),
        epoch,
    )?;
    let manifest = manifest.with("esp", Output::of_bytes(&esp));
    let spec = iso::Spec {
        label: &profile.image.label,
        epoch,
        publisher: "LEVITATEOS",
        application: "LEVITATEOS LIVE AND INSTALLATION DISC",
        disk_id: ids.disk(),
        iso_partition_id: ids.iso_partition(),
        esp_partition_id: ids.esp_partition(),
        files: vec![
            (layout::ROOTFS_PATH.to_owned(), iso::Source::File(rootfs.to_owned())),
            (layout::MANIFEST_PATH.to_owned(), iso::Source::Bytes(manifest.to_json().into_bytes())),
        ],
        esp: &esp,
    };
    let path = run.request.out.join(workdir::iso_name(profile));
    let mut file = AtomicFile::create(&path)?;
    let report = iso::write(&mut file, &spec, run.progress)
        .with_context(|| format!("failed to write {}", path.display()))?;
    Ok(Disc { file, path, report, manifest })
}

/// Gives the ISO its name, with its digest and the report of the build beside it.
fn publish(run: &mut Run<'_>, disc: Disc) -> anyhow::Result<()> {
    let Disc { file, path, report, manifest } = disc;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stages = run.outcome.seconds.iter();
    let build_report = BuildReport::new(manifest, &name, &run.request.profile.image.label, &report);
    let build_report = stages.fold(build_report, |b, (stage, took)| b.stage(&stage.to_string(), *took));
    // All three are written before any has its name, and the ISO gets its name last: a full disk leaves no ISO.
    let checksum = pending(&beside(&path, ".sha256"), format!("{}  {name}\n", report.digest).as_bytes())?;
    let json = pending(&beside(&path, ".json"), build_report.to_json().as_bytes())?;
    file.file().sync_all().with_context(|| format!("failed to write {}", path.display()))?;
    checksum.commit()?;
    json.commit()?;
    file.commit()?;
    run.outcome.iso = Some(path);
    run.outcome.report = Some(build_report);
    Ok(())
}

/// A whole file under a temporary name.
fn pending(path: &Path, bytes: &[u8]) -> anyhow::Result<AtomicFile> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)
        .and_then(|()| file.file().sync_all())
        .with_context(|| format!("failed to write {}", path.display()))?;
    Ok(file)
}

/// `x.iso` -> `x.iso.sha256`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn needed<'t>(tree: &'t Tree, path: &str) -> anyhow::Result<&'t [u8]> {
    let hint = "add the package that ships it to the profile";
    tree.read(path).context("the image cannot boot").exit(exit::SYSTEM).hint(hint)
}
