//! What needs a boot entry: boot loaders on the target's ESP, before and after the command.
//!
//! bootctl of systemd 257 and of 258 can leave the entry out and still exit 0, so the result is looked at, whatever the
//! command was. Loaders of one directory belong together (shim starts GRUB): an entry for one of them is enough. A directory
//! in which a loader is new, and none of which an entry of the firmware points at, is worth a warning.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::cli::tell;
use rustix::fs::{StatVfsMountFlags, fstat, fstatvfs, major, minor};
use rustix::io::Errno;

use super::efi::Entries;
use super::root::{Root, through};

/// Where the ESP is mounted by custom (systemd's order).
const ESP: &[&str] = &["efi", "boot", "boot/efi"];

/// Directories of the ESP whose contents need no entry: the firmware's fallback, and images that a loader starts.
const NO_ENTRY: &[&str] = &["boot", "linux"];

/// Programs that make boot entries.
const MAKERS: &[&str] = &["bootctl", "efibootmgr", "grub-install", "grub2-install"];

/// Whether entries can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Firmware {
    /// Not started by UEFI.
    None,
    /// The kernel has no efivarfs for us.
    NoVariables(Errno),
    /// Variables can only be read.
    ReadOnly,
    /// They can be written.
    Writable,
}

/// A loader: which file it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Loader {
    written: Written,
    /// GUID of the partition it is on, where that is known.
    partition: Option<String>,
}

/// Inode, size, times of content and of last change. bootctl copies the same loader again with its old time, and FAT has no
/// other: only the inode number tells (FAT makes them up; a file that the kernel forgot meanwhile may look new).
type Written = (u64, u64, i64, (i64, i64));

/// Loaders by their path on the ESP: `/EFI/systemd/systemd-bootx64.efi`.
type Loaders = BTreeMap<String, Loader>;

/// A watch over one session.
#[derive(Debug)]
pub(super) struct Watch {
    firmware: Firmware,
    maker: Option<String>,
    before: Loaders,
}

impl Watch {
    /// Looks at the state before the command, and warns when the command cannot succeed.
    pub(super) fn start(root: &Root, efivars: Option<Result<(), Errno>>, command: &[OsString]) -> Self {
        let firmware = firmware(root, efivars);
        let program = command.first().and_then(|c| Path::new(c).file_name()?.to_str());
        let maker = program.filter(|p| MAKERS.contains(p)).map(str::to_owned);
        if let (Some(maker), Some(why)) = (&maker, firmware.why_not()) {
            tell(&format!("warning: `{maker}` can make no boot entry: {why}"));
        }
        let before = loaders(root);
        Self { firmware, maker, before }
    }

    /// Looks again: a warning for each directory with new loaders that nothing points at.
    pub(super) fn finish(self, root: &Root) -> Vec<String> {
        let entries = Entries::read(&root.path.join("sys/firmware/efi/efivars"));
        let unreached = unreached(&self.before, &loaders(root), &entries);
        unreached.iter().filter_map(|file| self.warning(file, &root.path)).collect()
    }

    fn warning(&self, file: &str, root: &Path) -> Option<String> {
        let fact = format!("{file} was installed, but no boot entry of the firmware points at it");
        match self.firmware.why_not() {
            // Said before already.
            Some(_) if self.maker.is_some() => None,
            Some(why) => Some(format!(
                "{fact}: {why}\nhint: most firmware starts \\EFI\\BOOT\\BOOTX64.EFI of the disk without an entry"
            )),
            None => Some(format!(
                "{fact}\nhint: look at `recchroot {root} efibootmgr -v`; \
                 `recchroot {root} efibootmgr --create --disk DISK --part N --loader '{loader}'` makes an entry",
                root = root.display(),
                loader = file.replace('/', "\\"),
            )),
        }
    }
}

impl Firmware {
    fn why_not(&self) -> Option<String> {
        Some(match self {
            Self::Writable => return None,
            Self::None => "this system was not started by UEFI (there is no /sys/firmware/efi)".to_owned(),
            Self::NoVariables(e) => format!("the EFI variables cannot be mounted ({e})"),
            Self::ReadOnly => "the EFI variables are read-only (by the firmware, or mounted so)".to_owned(),
        })
    }
}

fn firmware(root: &Root, efivars: Option<Result<(), Errno>>) -> Firmware {
    match efivars {
        None if root.has("sys/firmware/efi") => Firmware::NoVariables(Errno::NOENT),
        None => Firmware::None,
        Some(Err(e)) => Firmware::NoVariables(e),
        Some(Ok(())) => {
            let flags = root.directory("sys/firmware/efi/efivars").and_then(|d| fstatvfs(d).ok());
            let writable = flags.is_some_and(|s| !s.f_flag.contains(StatVfsMountFlags::RDONLY));
            if writable { Firmware::Writable } else { Firmware::ReadOnly }
        }
    }
}

/// New loaders without an entry for them or for one beside them; one of each directory.
fn unreached(before: &Loaders, after: &Loaders, entries: &Entries) -> Vec<String> {
    let reached: BTreeSet<_> = after
        .iter()
        .filter(|(file, loader)| entries.point_at(file, loader.partition.as_deref()))
        .map(|(file, _)| directory(file))
        .collect();
    let mut named = BTreeSet::new();
    let new = after.iter().filter(|(file, loader)| before.get(*file) != Some(loader)).map(|(file, _)| file);
    new.filter(|f| !reached.contains(directory(f)) && named.insert(directory(f))).cloned().collect()
}

fn directory(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// All loaders on all ESPs.
fn loaders(root: &Root) -> Loaders {
    let mut found = Loaders::new();
    for esp in ESP {
        let Some(dir) = root.directory(esp) else { continue };
        let partition = fstat(&dir).ok().and_then(|s| partition_guid(s.st_dev));
        for (file, written) in loaders_below(&through(&dir)) {
            found.insert(file, Loader { written, partition: partition.clone() });
        }
    }
    found
}

fn loaders_below(esp: &Path) -> Vec<(String, Written)> {
    let mut found = Vec::new();
    for efi in subdirectories(esp).filter(|(name, _)| name.eq_ignore_ascii_case("efi")) {
        for (vendor, dir) in subdirectories(&efi.1) {
            if NO_ENTRY.iter().any(|n| vendor.eq_ignore_ascii_case(n)) {
                continue;
            }
            for (name, path) in names(&dir).filter(|(name, _)| name.to_ascii_lowercase().ends_with(".efi")) {
                if let Some(meta) = path.symlink_metadata().ok().filter(fs::Metadata::is_file) {
                    let written = (meta.ino(), meta.len(), meta.mtime(), (meta.ctime(), meta.ctime_nsec()));
                    found.push((format!("/{}/{vendor}/{name}", efi.0), written));
                }
            }
        }
    }
    found
}

fn names(dir: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|e| Some((e.file_name().into_string().ok()?, e.path())))
}

/// No symlinks: an ESP has none, and a hostile target's would lead out of it.
fn subdirectories(dir: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    names(dir).filter(|(_, path)| path.symlink_metadata().is_ok_and(|m| m.is_dir()))
}

/// The GPT GUID of a partition, from udev's database.
fn partition_guid(dev: u64) -> Option<String> {
    let record = fs::read_to_string(format!("/run/udev/data/b{}:{}", major(dev), minor(dev))).ok()?;
    record.lines().find_map(|l| l.strip_prefix("E:ID_PART_ENTRY_UUID=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chroot::efi::LoadOption;

    fn loader(written: i64, partition: &str) -> Loader {
        Loader { written: (0, 0, 0, (written, 0)), partition: Some(partition.to_owned()) }
    }

    fn entry(file: &str, partition: &str) -> Entries {
        let (partition, file) = (Some(partition.to_owned()), Some(file.to_owned()));
        let option = LoadOption { active: true, description: String::new(), partition, file };
        Entries { order: vec![3], options: BTreeMap::from([(3, option)]) }
    }

    #[test]
    fn a_new_loader_needs_an_entry() {
        let file = "/EFI/systemd/systemd-bootx64.efi";
        let old = Loaders::from([(file.to_owned(), loader(257, "a"))]);
        let new = Loaders::from([(file.to_owned(), loader(258, "a"))]);
        let none = Entries::default();
        assert_eq!(unreached(&Loaders::new(), &new, &none), [file]);
        assert_eq!(unreached(&old, &new, &none), [file]);
        assert_eq!(unreached(&new, &new, &none), [""; 0], "nothing was installed");
        assert_eq!(unreached(&old, &new, &entry(r"\EFI\systemd\systemd-bootx64.efi", "a")), [""; 0]);
        let elsewhere = entry(r"\EFI\systemd\systemd-bootx64.efi", "b");
        assert_eq!(unreached(&old, &new, &elsewhere), [file], "the entry is of another disk");
    }

    #[test]
    fn an_entry_for_shim_is_one_for_grub() {
        let new = ["shimx64", "grubx64", "mmx64"].map(|n| (format!("/EFI/rocky/{n}.efi"), loader(1, "a")));
        let new = Loaders::from(new);
        assert_eq!(unreached(&Loaders::new(), &new, &entry(r"\EFI\rocky\shimx64.efi", "a")), [""; 0]);
        assert_eq!(unreached(&Loaders::new(), &new, &Entries::default()).len(), 1, "said once");
    }
}
