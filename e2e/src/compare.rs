//! What differs between the image on a disc and the file system it was installed to, as the host's own tools see them:
//! both mounted, compared name by name by rsync.
//!
//! Disc, disk, place of the root on it -> [`Difference`]s. Compared are names, types, contents (by checksum),
//! owners, modes, times to the nanosecond, hard links, link targets, device numbers, ACLs and extended attributes. Needs
//! root, for mounts; nothing stays mounted.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use common::cmd::Cmd;

use crate::disk::{Disk, Partition};
use crate::place::Place;

/// A name that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Path from the root, without a slash in front.
    pub path: String,
    /// What rsync would do about it, as in its --itemize-changes; `*deleting` is a name that only the disk has.
    pub change: String,
}

/// A file system mounted read-only for as long as this lives.
#[derive(Debug)]
pub struct Mount {
    /// Where.
    pub dir: PathBuf,
}

impl Mount {
    /// Mounts an image file, or a part of one, on a new directory `dir`.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn new(image: &Path, options: &str, dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("failed to create {}", dir.display()))?;
        // Not `run`: what mount says belongs into the error.
        Cmd::new("mount").args(["-o", options]).arg(image).arg(dir).read()?;
        Ok(Self { dir: dir.to_owned() })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(e) = Cmd::new("umount").arg(&self.dir).read() {
            #[expect(clippy::print_stderr, reason = "a mount left behind is somebody's problem")]
            {
                eprintln!("{e:#}");
            }
        }
    }
}

/// The image on a disc, mounted for as long as this lives.
#[derive(Debug)]
pub struct Image {
    mount: Mount,
    file: PathBuf,
}

impl Image {
    /// Takes the image out of a disc and mounts it; both in the directory `scratch`.
    ///
    /// # Errors
    /// A tool is missing, or the disc has no image.
    pub fn of_disc(iso: &Path, scratch: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(scratch)
            .with_context(|| format!("failed to create {}", scratch.display()))?;
        let image = rootfs_of(iso, scratch)?;
        Ok(Self { mount: Mount::new(&image, "loop,ro", &scratch.join("image"))?, file: image })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.mount.dir
    }

    /// The image itself.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Compares it with the root file system on a disk, which is mounted on `dir` meanwhile.
    ///
    /// # Errors
    /// There is none in that place, or it cannot be mounted or read.
    pub fn differences(&self, disk: &Disk, place: Place, dir: &Path) -> anyhow::Result<Vec<Difference>> {
        let Partition { offset, size } = place.on(disk)?;
        let disk = Mount::new(&disk.image, &format!("loop,ro,offset={offset},sizelimit={size}"), dir)?;
        trees(&self.mount.dir, &disk.dir)
    }
}

/// Takes the root file system's image out of a disc.
///
/// # Errors
/// xorriso is missing or does not find it.
pub fn rootfs_of(iso: &Path, scratch: &Path) -> anyhow::Result<PathBuf> {
    let out = scratch.join("rootfs.erofs");
    let from = format!("/{}", common::layout::ROOTFS_PATH);
    let xorriso = Cmd::new("xorriso").args(["-osirrox", "on", "-indev"]).arg(iso);
    xorriso.args(["-overwrite", "on", "-extract", &from]).arg(&out).read()?;
    Ok(out)
}

/// Compares two trees.
///
/// # Errors
/// rsync is missing, or cannot read one of them.
pub fn trees(expected: &Path, found: &Path) -> anyhow::Result<Vec<Difference>> {
    ensure!(expected.join("usr").is_dir(), "there is no /usr in {}", expected.display());
    let slash = |dir: &Path| format!("{}/", dir.display());
    let text = Cmd::new("rsync")
        .args(["--dry-run", "--archive", "--hard-links", "--acls", "--xattrs", "--numeric-ids", "--checksum"])
        .args(["--delete", "--modify-window=-1", "--8-bit-output", "--out-format=%i %n"])
        .args([slash(expected), slash(found)])
        .read()?;
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    Ok(lines
        .map(|(change, path)| Difference {
            path: path.trim_start().trim_end_matches('/').to_owned(),
            change: change.to_owned(),
        })
        .collect())
}

/// Those differences that are not in one of the places `expected`: `etc/fstab`; `var/**` for all below; `var/*.lease` for
/// such files in it; `var/tmp (time)` and `var/tmp (mode)` where only that may differ. The times of directories that
/// something expected lies in may differ too.
#[must_use]
pub fn unexpected<'a>(differences: &'a [Difference], expected: &[&str]) -> Vec<&'a Difference> {
    let is_expected = |d: &&Difference| {
        expected.iter().any(|e| covers(e, d))
            || (d.change.starts_with(".d") && d.only(TIME) && holds_one_of(&d.path, expected))
    };
    differences.iter().filter(|d| !is_expected(d)).collect()
}

/// Whether a place of the list is that of a difference.
fn covers(place: &str, difference: &Difference) -> bool {
    let path = difference.path.as_str();
    if let Some(name) = place.strip_suffix(" (time)") {
        return path == name && difference.only(TIME);
    }
    if let Some(name) = place.strip_suffix(" (mode)") {
        return path == name && difference.only(MODE);
    }
    if let Some(dir) = place.strip_suffix("/**") {
        return path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    }
    match place.split_once("/*.") {
        Some((dir, extension)) => {
            let name = path.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/'));
            name.is_some_and(|name| !name.contains('/') && name.ends_with(&format!(".{extension}")))
        }
        None => path == place,
    }
}

fn holds_one_of(dir: &str, places: &[&str]) -> bool {
    dir == "." || places.iter().any(|e| e.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/')))
}

/// rsync's letters for what differs: a time alone, a mode alone.
const TIME: &str = "..t......";
const MODE: &str = "...p.....";

impl Difference {
    /// Whether it is the same kind of thing with the same content, and differs in this alone.
    fn only(&self, what: &str) -> bool {
        self.change.starts_with('.') && self.change.get(2..) == Some(what)
    }
}

/// Fails when something differs that is not in one of the places `expected`, or when nothing differs: then nothing was
/// compared, since every installation has an fstab of its own.
///
/// # Errors
/// Lists the names and how they differ.
pub fn only(differences: &[Difference], expected: &[&str]) -> anyhow::Result<()> {
    ensure!(
        differences.iter().any(|d| d.path == "etc/fstab"),
        "etc/fstab is the image's: this is no installed system, or nothing was compared"
    );
    let unexpected = unexpected(differences, expected);
    let lines = unexpected.iter().take(40).map(|d| format!("  {} {}", d.change, d.path));
    let lines = lines.collect::<Vec<_>>().join("\n");
    ensure!(
        unexpected.is_empty(),
        "{} names differ from the image that should not (as rsync --itemize-changes shows them):\n{lines}",
        unexpected.len()
    );
    Ok(())
}
