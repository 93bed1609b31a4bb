//! Target and image -> the refusals that speak against installing, each with a stable code; or all that an installation needs.
//!
//! Nothing is changed. All refusals are found, not only the first, so that one look is enough.

pub mod refusal;
pub mod target;
pub mod medium;
pub mod space;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::hash::Sha256;
use common::layout::INSTALLED_RECORD;
use common::mounts::{self, Mount};
use globset::GlobSet;

use self::refusal::Refusal;
use self::target::Content;
use super::builder::Builder;
use super::control::Control;
use super::image::{self, Opened};
use super::manifest::Manifest;
use super::plan::{Fate, Place, Plan};
use super::root::{Root, as_path};
use super::{firststate, marker};

/// Directories that are the running system's own.
const SYSTEM: &[&str] = &[
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root", "/run",
    "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var",
];

/// Directories below which everything is the kernel's or the live system's.
const SYSTEM_BELOW: &[&str] = &["/dev", "/proc", "/run/levitate", "/sys"];

/// File systems without owners, modes and attributes.
const UNFIT: &[&str] =
    &["exfat", "fuseblk", "hfs", "hfsplus", "iso9660", "msdos", "ntfs", "ntfs3", "udf", "umsdos", "vfat"];

/// Reason of names that were not asked for.
const EXCLUDED: &str = "excluded";
const HOME_KEPT: &str = "/home is kept";

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Where to install.
    pub target: PathBuf,
    /// Another image than the live system's.
    pub image: Option<PathBuf>,
    /// Another manifest than the image's own.
    pub manifest: Option<PathBuf>,
    /// The image may have no manifest.
    pub no_manifest: bool,
    /// Override the refusals that can be.
    pub force: bool,
    /// What is in /home stays.
    pub keep_home: bool,
    /// Names that are not wanted.
    pub excludes: GlobSet,
}

/// A target and an image that fit together.
#[derive(Debug)]
pub struct Ready {
    /// The target, locked.
    pub root: Root,
    /// Where it is.
    pub mount: Option<Mount>,
    /// What it holds.
    pub content: Content,
    /// What is in /home stays, and nothing is added to it.
    pub keep_home: bool,
    /// The image.
    pub image: Opened,
    /// What it must be.
    pub manifest: Option<Manifest>,
    /// What becomes of each of its names.
    pub plan: Plan,
}

/// Everything that speaks against it, or nothing and all that is needed.
///
/// # Errors
/// Interrupted; everything else is a refusal.
pub fn check(request: &Request, control: &Control) -> anyhow::Result<Result<Ready, Vec<Refusal>>> {
    let mut refusals = Vec::new();
    if !rustix::process::geteuid().is_root() {
        refusals.push(Refusal::NotRoot);
    }
    let target = examine_target(request, &mut refusals);
    let image = examine_image(request, target.as_ref().map(|t| &*t.root.path), control, &mut refusals)?;
    let mut ready = None;
    if let (Some(target), Some((image, builder, manifest))) = (target, image) {
        let keep_home = target.keep_home;
        let fit = fit(request, target, image, builder, manifest, keep_home, &mut refusals);
        ready = fit;
    }
    refusals.retain(|r| !(request.force && r.can_be_forced()));
    Ok(match ready {
        Some(ready) if refusals.is_empty() => Ok(ready),
        _ => Err(refusals),
    })
}

/// A target, as far as it can be judged without an image.
struct Target {
    root: Root,
    mount: Option<Mount>,
    below: Vec<Mount>,
    content: Content,
    keep_home: bool,
}

fn examine_target(request: &Request, refusals: &mut Vec<Refusal>) -> Option<Target> {
    // Symlinks first: /mnt may be one, and what it points to is what would be written.
    let path = match request.target.canonicalize() {
        Ok(path) => path,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            refusals.push(Refusal::Missing(request.target.clone()));
            return None;
        }
        Err(e) => {
            refusals.push(Refusal::Unreadable(request.target.clone(), e.to_string()));
            return None;
        }
    };
    if !path.is_dir() {
        refusals.push(Refusal::NotADirectory(path));
        return None;
    }
    if is_system(&path) {
        refusals.push(Refusal::SystemPath(path));
        return None;
    }
    match judge(request, &path, refusals) {
        Ok(target) => target,
        Err(e) => {
            refusals.push(Refusal::Unreadable(path, format!("{e:#}")));
            None
        }
    }
}

/// By name, and by what it is: a second mount of the running system's root is the running system.
fn is_system(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |p: &Path| p.metadata().ok().map(|m| (m.dev(), m.ino()));
    let own = identity(path);
    SYSTEM_BELOW.iter().any(|s| path.starts_with(s))
        || SYSTEM.iter().any(|s| path == Path::new(s) || own.is_some() && identity(Path::new(s)) == own)
}

fn judge(request: &Request, path: &Path, refusals: &mut Vec<Refusal>) -> anyhow::Result<Option<Target>> {
    use rustix::fs::{AtFlags, StatVfsMountFlags, StatxAttributes, StatxFlags};
    let root = Root::open(path)?;
    let mounts = mounts::read()?;
    let flags = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let stat = rustix::fs::statx(&root.fd, "", AtFlags::EMPTY_PATH, flags)?;
    let mount = mounts.iter().find(|m| m.id == stat.stx_mnt_id).cloned();
    if !stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        refusals.push(Refusal::NotAMountPoint(path.to_owned()));
    }
    if rustix::fs::fstatvfs(&root.fd)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        refusals.push(Refusal::ReadOnly(path.to_owned()));
    }
    if let Some(mount) = &mount {
        if medium::is_on(mount, &mounts) {
            refusals.push(Refusal::BootMedium(path.to_owned()));
        }
        if UNFIT.contains(&&*mount.fstype) {
            refusals.push(Refusal::UnfitFileSystem(path.to_owned(), mount.fstype.clone()));
        }
    }
    if !marker::lock(&root)? {
        refusals.push(Refusal::Busy(path.to_owned()));
        return Ok(None);
    }
    let content = target::content(&root, request.keep_home)?;
    match &content {
        Content::Empty | Content::Interrupted => {}
        Content::Installed => refusals.push(Refusal::Installed(path.join(INSTALLED_RECORD))),
        Content::Other(name) => refusals.push(Refusal::NotEmpty(path.join(as_path(name)))),
    }
    let below: Vec<Mount> = mounts::below(&mounts, path).into_iter().cloned().collect();
    let home_is_mounted = below.iter().any(|m| m.point == path.join("home"));
    let keep_home = (request.keep_home || home_is_mounted) && target::has_home(&root)?;
    Ok(Some(Target { root, mount, below, content, keep_home }))
}

/// Whether a file lies in a directory, by whatever name that is mounted: by the directories themselves, not by their names.
fn is_below(file: &Path, dir: &Path) -> bool {
    let number = |path: &Path| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    let dir = number(dir);
    dir.is_some() && file.ancestors().skip(1).any(|above| number(above) == dir)
}

/// The image as a list of names, and its manifest.
type Examined = (Opened, Builder, Option<Manifest>);

fn examine_image(
    request: &Request,
    target: Option<&Path>,
    control: &Control,
    refusals: &mut Vec<Refusal>,
) -> anyhow::Result<Option<Examined>> {
    let (path, manifest_path) = image::places(request.image.as_deref(), request.manifest.as_deref());
    let manifest = match Manifest::read(&manifest_path) {
        _ if request.no_manifest => None,
        Ok(manifest) => Some(manifest),
        Err(e) => {
            refusals.push(Refusal::NoManifest(manifest_path, format!("{e:#}")));
            None
        }
    };
    let file = match path.canonicalize().and_then(|p| Ok((std::fs::File::open(&p)?, p))) {
        Ok((file, real)) => {
            if target.is_some_and(|target| is_below(&real, target)) {
                refusals.push(Refusal::ImageInTarget(real));
            }
            file
        }
        Err(e) => {
            refusals.push(Refusal::NoImage(path, e.to_string()));
            return Ok(None);
        }
    };
    let opened = Opened::new(&path, file).and_then(|opened| Ok((opened.plan(control)?, opened)));
    control.outcome()?;
    let (mut builder, image) = match opened {
        Ok(opened) => opened,
        Err(e) => {
            refusals.push(Refusal::BadImage(path, format!("{e:#}")));
            return Ok(None);
        }
    };
    if let Some(manifest) = manifest {
        let bytes = builder.nodes.iter().map(super::plan::Node::content_size).sum();
        for (what, expected, found) in [
            ("bytes of the image", manifest.image.size, image.size),
            ("names", manifest.tree.entries, builder.nodes.len() as u64),
            ("bytes of files", manifest.tree.bytes, bytes),
        ] {
            if expected != found {
                refusals.push(Refusal::OtherImage(path.clone(), what, expected, found));
            }
        }
    }
    if let Err(e) = firststate::repair(&mut builder, &image) {
        refusals.push(Refusal::BadImage(path, format!("{e:#}")));
        return Ok(None);
    }
    Ok(Some((image, builder, manifest)))
}

/// Do they fit together?
fn fit(
    request: &Request,
    target: Target,
    image: Opened,
    mut builder: Builder,
    manifest: Option<Manifest>,
    keep_home: bool,
    refusals: &mut Vec<Refusal>,
) -> Option<Ready> {
    builder.decide(|path, _| {
        let is_excluded = request.excludes.is_match(as_path(path));
        let is_home = keep_home && path.starts_with(b"home/");
        is_excluded.then_some(EXCLUDED).or(is_home.then_some(HOME_KEPT)).map(Fate::Left)
    });
    let Target { root, mount, below, content, .. } = target;
    let place =
        |m: &Mount| Place { path: relative(&m.point, &root.path), plain: UNFIT.contains(&&*m.fstype) };
    let plan = builder.seal(below.iter().map(place).collect());
    if let Some(mount) = &mount {
        // The target by its own path: it may be a directory within that mount (--force).
        let all: Vec<Mount> =
            std::iter::once(Mount { point: root.path.clone(), ..mount.clone() }).chain(below).collect();
        refusals.extend(space::unfit(&plan, &all));
        match space::check(&plan, &image, &all, content != Content::Empty) {
            Ok(found) => refusals.extend(found),
            Err(e) => refusals.push(Refusal::Unreadable(root.path.clone(), format!("{e:#}"))),
        }
    }
    Some(Ready { root, mount, content, keep_home, image, manifest, plan })
}

fn relative(point: &Path, target: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    point.strip_prefix(target).unwrap_or(point).as_os_str().as_bytes().to_vec()
}

impl Ready {
    /// Digest of the image as the manifest has it.
    #[must_use]
    pub fn image_digest(&self) -> Option<Sha256> {
        self.manifest.map(|m| m.image.sha256)
    }

    /// Reasons for which names differ that were asked for: these are no news.
    #[must_use]
    pub fn is_asked_for(why: &str) -> bool {
        why == EXCLUDED || why == HOME_KEPT
    }
}
