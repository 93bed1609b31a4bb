//! Where UKIs are kept, and how one is put there: the ESP or XBOOTLDR partition.
//!
//! `EFI/Linux/levitateos-KVER[~previous][+LEFT[-DONE]].efi`: systemd-boot lists them by version, newest first; a `+` and
//! numbers count down the tries of one that has not proved itself (systemd's AUTOMATIC_BOOT_ASSESSMENT), and `~` sorts
//! before the empty string, so that the previous one comes after its successor.
//!
//! FAT knows no journal. So the new file is whole and synced before it gets its name, and nothing that could boot is
//! removed before that.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use common::cli::{Mark, code};
use common::fs::AtomicFile;
use common::mounts::{self, Mount};

use super::exit;

/// Below the ESP or XBOOTLDR partition (UAPI.1).
const DIR: &str = "EFI/Linux";
/// What our files begin with.
const PREFIX: &str = "levitateos-";
/// Marks the one that was in use before.
const PREVIOUS: &str = "~previous";
/// Left over for systemd-boot's own small files (random seed, loader.conf), bytes.
const SLACK: u64 = 1 << 20;

/// Mount points that are looked at, in order of preference: a FAT /boot beside /efi is XBOOTLDR, where kernels belong.
const MOUNT_POINTS: [&str; 3] = ["boot", "efi", "boot/efi"];

/// One of our files on the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// File name.
    pub name: String,
    /// Its kernel.
    pub kver: String,
    /// Whether it is kept as the predecessor of another.
    pub previous: bool,
    /// Tries left, while it is being counted.
    pub tries: Option<u32>,
}

impl Entry {
    /// Takes a file name apart; `None` when it is not one of ours.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_prefix(PREFIX)?.strip_suffix(".efi")?;
        let counter = stem.rsplit_once('+').and_then(|(stem, counter)| {
            let (left, done) = counter.split_once('-').unwrap_or((counter, "0"));
            let is_number = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
            (is_number(left) && is_number(done)).then(|| Some((stem, left.parse().ok()?))).flatten()
        });
        let (stem, tries) = counter.map_or((stem, None), |(stem, left)| (stem, Some(left)));
        let (kver, previous) = stem.strip_suffix(PREVIOUS).map_or((stem, false), |kver| (kver, true));
        Some(Self { name: name.to_owned(), kver: kver.to_owned(), previous, tries })
    }
}

/// What [`install`] did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The UKI.
    pub path: PathBuf,
    /// False when it was there already.
    pub changed: bool,
    /// Where the one went that was in use.
    pub previous: Option<PathBuf>,
}

/// Finds the partition below ROOT: `given`, or a mounted FAT file system at one of the usual places.
///
/// # Errors
/// There is none; exit code [`exit::NO_ESP`].
pub fn find(root: &Path, given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(dir) = given {
        if dir.is_dir() {
            return Ok(dir.to_owned());
        }
        return Err(anyhow!("{} is not a directory", dir.display())).exit(exit::NO_ESP);
    }
    let places = MOUNT_POINTS.map(|p| root.join(p));
    for place in &places {
        // An automount point mounts when it is looked into.
        let _ = std::fs::read_dir(place).map(|mut d| d.next().is_some());
    }
    let mounts = mounts::read()?;
    let fat =
        |place: &PathBuf| place.canonicalize().is_ok_and(|real| file_system(&mounts, &real) == Some("vfat"));
    places
        .iter()
        .find(|p| fat(p))
        .cloned()
        .with_context(|| {
            let places: Vec<_> = places.iter().map(|p| p.display().to_string()).collect();
            format!("no EFI system partition is mounted; looked for FAT at {}", places.join(", "))
        })
        .hint("mount it there, or name its directory with --esp DIR")
        .exit(exit::NO_ESP)
}

/// The type of the file system mounted last on exactly this directory.
fn file_system<'m>(mounts: &'m [Mount], dir: &Path) -> Option<&'m str> {
    mounts.iter().rfind(|mount| mount.point == dir).map(|mount| mount.fstype.as_str())
}

/// Our files on the partition, by name.
///
/// # Errors
/// Its directory cannot be read.
pub fn entries(boot: &Path) -> anyhow::Result<Vec<Entry>> {
    let dir = boot.join(DIR);
    let list = match std::fs::read_dir(&dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        list => list.with_context(|| format!("failed to list {}", dir.display()))?,
    };
    let mut found = Vec::new();
    for entry in list {
        let entry = entry.with_context(|| format!("failed to list {}", dir.display()))?;
        found.extend(entry.file_name().to_str().and_then(Entry::parse));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Puts a UKI on the partition, with `tries` before it is given up (`None`: without counting). What was in use for the
/// same kernel stays as its predecessor.
///
/// # Errors
/// There is not enough room ([`code::NO_SPACE`]), or it cannot be written; what was there still boots.
pub fn install(
    boot: &Path,
    kver: &str,
    uki: &[u8],
    tries: Option<u32>,
    dry: bool,
) -> anyhow::Result<Installed> {
    let dir = boot.join(DIR);
    let same: Vec<Entry> = entries(boot)?.into_iter().filter(|e| e.kver == kver).collect();
    for entry in same.iter().filter(|e| !e.previous && e.tries != Some(0)) {
        let path = dir.join(&entry.name);
        if common::fs::read(&path)? == uki {
            return Ok(Installed { path, changed: false, previous: None });
        }
    }
    let counter = tries.map(|t| format!("+{t}")).unwrap_or_default();
    let path = dir.join(format!("{PREFIX}{kver}{counter}.efi"));
    // Only what has proved itself is worth keeping.
    let good = same.iter().find(|e| !e.previous && e.tries.is_none()).map(|e| dir.join(&e.name));
    let previous = good.as_ref().map(|_| dir.join(format!("{PREFIX}{kver}{PREVIOUS}.efi")));
    if !dry {
        enough_room(boot, uki.len() as u64)?;
        let mut file = AtomicFile::create(&path)?;
        let written = file.write_all(uki).and_then(|()| file.file().sync_all());
        written.with_context(|| format!("failed to write {}", path.display()))?;
        if let (Some(good), Some(previous)) = (&good, &previous) {
            std::fs::rename(good, previous)
                .with_context(|| format!("failed to rename {}", good.display()))?;
        }
        file.commit()?;
        for entry in same.iter().filter(|e| !e.previous && e.tries.is_some()) {
            let old = dir.join(&entry.name);
            if old != path {
                remove(&old)?;
            }
        }
        sync(&dir)?;
    }
    Ok(Installed { path, changed: true, previous })
}

/// Removes the files of kernels that are not among `kernels`, and returns them; `dry` only returns them.
///
/// # Errors
/// One cannot be removed.
pub fn prune(boot: &Path, kernels: &[String], dry: bool) -> anyhow::Result<Vec<PathBuf>> {
    let dir = boot.join(DIR);
    let gone = entries(boot)?.into_iter().filter(|e| !kernels.contains(&e.kver));
    let gone: Vec<PathBuf> = gone.map(|e| dir.join(e.name)).collect();
    if !dry && !gone.is_empty() {
        gone.iter().try_for_each(|path| remove(path))?;
        sync(&dir)?;
    }
    Ok(gone)
}

fn remove(path: &Path) -> anyhow::Result<()> {
    std::fs::remove_file(path).with_context(|| format!("failed to remove {}", path.display()))
}

/// The whole file system: a rename on FAT touches more than the file.
fn sync(dir: &Path) -> anyhow::Result<()> {
    let file = File::open(dir).with_context(|| format!("failed to open {}", dir.display()))?;
    rustix::fs::syncfs(&file).with_context(|| format!("failed to sync {}", dir.display()))
}

fn enough_room(boot: &Path, size: u64) -> anyhow::Result<()> {
    let stat = rustix::fs::statvfs(boot).with_context(|| format!("failed to examine {}", boot.display()))?;
    let (free, needed) = (stat.f_bavail * stat.f_frsize, size + SLACK);
    if free >= needed {
        return Ok(());
    }
    Err(anyhow!("{} has {free} bytes left, expected at least {needed} for the new UKI", boot.display()))
        .hint("recuki --prune removes those of kernels that are gone; older ones and other systems' files are in EFI/")
        .exit(code::NO_SPACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_also_where_the_kernel_has_a_plus() {
        let entry = |name| Entry::parse(name).map(|e| (e.kver, e.previous, e.tries));
        let some = |kver: &str, previous, tries| Some((kver.to_owned(), previous, tries));
        assert_eq!(entry("levitateos-6.12.0.efi"), some("6.12.0", false, None));
        assert_eq!(entry("levitateos-6.12.1+deb13-amd64+3.efi"), some("6.12.1+deb13-amd64", false, Some(3)));
        assert_eq!(entry("levitateos-6.12.1+deb13-amd64.efi"), some("6.12.1+deb13-amd64", false, None));
        assert_eq!(entry("levitateos-6.12.0+0-3.efi"), some("6.12.0", false, Some(0)));
        assert_eq!(entry("levitateos-6.12.0~previous.efi"), some("6.12.0", true, None));
        assert_eq!(entry("levitateos-6.12.0~previous+2-1.efi"), some("6.12.0", true, Some(2)));
        for other in ["levitateos.efi", "arch-6.12.0.efi", "levitateos-6.12.0.efi.bak", ".tmp-abc"] {
            assert_eq!(entry(other), None, "{other}");
        }
    }

    #[test]
    fn the_last_mount_on_a_directory_counts() {
        let mounts = "1 0 0:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / /my\\040efi rw - autofs systemd-1 rw\n\
                      3 2 8:1 / /my\\040efi rw shared:1 - vfat /dev/b rw\n";
        let mounts = mounts::parse(mounts.as_bytes()).unwrap();
        assert_eq!(file_system(&mounts, Path::new("/my efi")), Some("vfat"));
        assert_eq!(file_system(&mounts, Path::new("/boot")), None);
    }
}
