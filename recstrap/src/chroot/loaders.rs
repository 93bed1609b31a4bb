//! What needs a boot entry: boot loaders on the target's ESP, before and after the command.
//!
//! bootctl of systemd 257 and of 258 can leave the entry out and still exit 0, so the result is looked at, whatever the
//! command was: a loader that was installed and that no entry of the firmware points at is worth a warning.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, fstat, fstatvfs, major, minor};
use rustix::io::Errno;

use super::cli::say;
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

/// A loader: when it was written, and the partition it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Loader {
    stamp: [i64; 4],
    partition: Option<String>,
}

/// A watch over one session.
#[derive(Debug)]
pub(super) struct Watch {
    firmware: Firmware,
    maker: Option<String>,
    before: BTreeMap<String, Loader>,
}

impl Watch {
    /// Looks at the state before the command, and warns when the command cannot succeed.
    pub(super) fn start(root: &Root, efivars: Option<Result<(), Errno>>, command: &[OsString]) -> Self {
        let firmware = firmware(root, efivars);
        let program = command.first().and_then(|c| Path::new(c).file_name()?.to_str());
        let maker = program.filter(|p| MAKERS.contains(p)).map(str::to_owned);
        if let (Some(maker), Some(why)) = (&maker, firmware.why_not()) {
            say(&format!("warning: `{maker}` can make no boot entry: {why}"));
        }
        Self { firmware, maker, before: loaders(root) }
    }

    /// Looks again: a warning for each loader that is new and that nothing points at.
    pub(super) fn finish(self, root: &Root) -> Vec<String> {
        let entries = Entries::read(&root.path.join("sys/firmware/efi/efivars"));
        let after = loaders(root);
        let unreached = after
            .iter()
            .filter(|(file, loader)| self.before.get(*file) != Some(loader))
            .filter(|(file, loader)| !entries.point_at(file, loader.partition.as_deref()));
        unreached.filter_map(|(file, _)| self.warning(file, &root.path)).collect()
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

/// All loaders on all ESPs, by their path on it: `/EFI/systemd/systemd-bootx64.efi`.
fn loaders(root: &Root) -> BTreeMap<String, Loader> {
    let mut found = BTreeMap::new();
    for esp in ESP {
        let Some(dir) = root.directory(esp) else { continue };
        let partition = fstat(&dir).ok().and_then(|s| partition_guid(s.st_dev));
        for (file, stamp) in loaders_below(&through(&dir)) {
            found.insert(file, Loader { stamp, partition: partition.clone() });
        }
    }
    found
}

fn loaders_below(esp: &Path) -> Vec<(String, [i64; 4])> {
    let mut found = Vec::new();
    for efi in subdirectories(esp).filter(|(name, _)| name.eq_ignore_ascii_case("efi")) {
        for (vendor, dir) in subdirectories(&efi.1) {
            if NO_ENTRY.iter().any(|n| vendor.eq_ignore_ascii_case(n)) {
                continue;
            }
            for (name, path) in names(&dir).filter(|(name, _)| name.to_ascii_lowercase().ends_with(".efi")) {
                let Ok(meta) = path.symlink_metadata() else { continue };
                let inode = i64::try_from(meta.ino()).unwrap_or_default();
                let stamp = [inode, meta.ctime(), meta.ctime_nsec(), meta.mtime()];
                found.push((format!("/{}/{vendor}/{name}", efi.0), stamp));
            }
        }
    }
    found
}

fn names(dir: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|e| Some((e.file_name().into_string().ok()?, e.path())))
}

/// No symlinks: an ESP has none, and a hostile target's would lead out of it.
fn subdirectories(dir: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    names(dir).filter(|(_, path)| path.symlink_metadata().is_ok_and(|m| m.is_dir()))
}

/// The GPT GUID of a partition, from udev's database.
fn partition_guid(dev: u64) -> Option<String> {
    let record = std::fs::read_to_string(format!("/run/udev/data/b{}:{}", major(dev), minor(dev))).ok()?;
    record.lines().find_map(|l| l.strip_prefix("E:ID_PART_ENTRY_UUID=")).map(str::to_owned)
}
