//! Mounts, devices and swaps -> entries of fstab, and notes about what a person may miss in it. Pure.

use anyhow::bail;
use common::cli::Mark;
use common::layout;
use serde::Serialize;

use super::binds::{Shows, shows};
use super::cli::code;
use super::devices::{Device, Devices, Tag};
use super::escape::mangle;
use super::mounts::{AUTOFS, Mount, Seen, View, is_below, relative, view};
use super::options::{Facts, Options, mend};
use super::swaps::Swap;
use super::{kinds, luks};

/// What is wanted.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// Absolute, without `..` and symbolic links.
    pub(super) root: &'a str,
    /// How sources are named; by device path without one.
    pub(super) tag: Option<Tag>,
    /// Also pseudo file systems.
    pub(super) pseudo: bool,
    /// Only mount points and swap devices whose path (as seen here) starts with it.
    pub(super) prefix: &'a str,
}

/// What the system says, parsed.
#[derive(Debug)]
pub(super) struct System {
    pub(super) mounts: Vec<Mount>,
    pub(super) devices: Devices,
    pub(super) swaps: Vec<Swap>,
}

/// One line of fstab and the comment above it. Unescaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Entry {
    /// Lines, without `#`.
    pub(super) comments: Vec<String>,
    /// `UUID=...`, a path, or what the file system wants.
    pub(super) source: String,
    /// As the new system sees it; `none` for swap.
    pub(super) target: String,
    pub(super) fstype: String,
    pub(super) options: String,
    pub(super) dump: u8,
    pub(super) pass: u8,
}

/// The entries in an order in which they can be mounted, and notes for people.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) entries: Vec<Entry>,
    pub(super) notes: Vec<String>,
}

/// Makes the entries. Fails when ROOT is not a mount point or has nothing to list.
pub(super) fn entries(system: &System, request: &Request<'_>) -> anyhow::Result<Outcome> {
    let Some(view) = view(&system.mounts, request.root) else {
        return Err(anyhow::anyhow!("{} is not a mount point", request.root))
            .exit(code::NOT_A_MOUNT_POINT)
            .hint("mount the file systems of the new system first, its root at ROOT");
    };
    let mut maker = Maker { system, request, view: &view, out: Outcome::default() };
    view.seen.iter().try_for_each(|seen| maker.mount(*seen))?;
    view.hidden.iter().for_each(|hidden| maker.hidden(hidden));
    // Swap is the machine's, not ROOT's: alone it says that the target was missed.
    if maker.out.entries.is_empty() && request.prefix.is_empty() {
        return maker.nothing();
    }
    system.swaps.iter().try_for_each(|swap| maker.swap(swap))?;
    if maker.out.entries.is_empty() {
        return maker.nothing();
    }
    if request.prefix.is_empty() && maker.out.entries.iter().all(|e| e.target != "/") {
        maker.note(format!(
            "there is no line for `/`: {} is no file system that could be mounted at boot",
            request.root
        ));
    }
    Ok(maker.out)
}

struct Maker<'a> {
    system: &'a System,
    request: &'a Request<'a>,
    view: &'a View<'a>,
    out: Outcome,
}

impl Maker<'_> {
    fn note(&mut self, note: String) {
        self.out.notes.push(note);
    }

    fn nothing(&self) -> anyhow::Result<Outcome> {
        let Request { root, prefix, .. } = self.request;
        let matching = if prefix.is_empty() { String::new() } else { format!(" that starts with {prefix}") };
        let notes: String = self.out.notes.iter().map(|n| format!("\n  {n}")).collect();
        Err(anyhow::anyhow!("nothing at or below {root}{matching} belongs into fstab{notes}"))
            .exit(code::NOTHING)
            .hint("is the target mounted there? `findmnt --submounts ROOT` shows what is")
    }

    /// Where a mount is in the new system, if it is wanted there at all.
    fn place(&self, mount: &Mount) -> Option<String> {
        let target = relative(&mount.target, self.request.root)?;
        let unwanted =
            !self.request.pseudo && (kinds::is_pseudo(&mount.fstype) || kinds::is_api_path(&target));
        // A namespace that is kept by its name, and a mount point with a program behind it: mount(8) can make neither.
        let unwanted = unwanted || matches!(mount.fstype.as_str(), "nsfs" | AUTOFS);
        let wanted = !unwanted && !is_live(mount, &target, &self.system.mounts);
        (wanted && mount.target.starts_with(self.request.prefix)).then_some(target)
    }

    fn hidden(&mut self, mount: &Mount) {
        if self.place(mount).is_some() {
            self.note(format!("{} is left out: another mount covers it", mount.target));
        }
    }

    fn mount(&mut self, seen: Seen<'_>) -> anyhow::Result<()> {
        let mount = seen.mount;
        self.idle_automount(mount);
        let Some(target) = self.place(mount) else { return Ok(()) };
        if let Some(path) = mount.fsroot.strip_suffix("//deleted") {
            self.note(format!("{} is left out: {path}, which it shows, was removed", mount.target));
            return Ok(());
        }
        is_text(&mount.target)?;
        is_text(&mount.source)?;
        let device = self.system.devices.of_mount(&mount.source, &mount.number);
        let entry = match shows(mount, self.view, &self.system.mounts) {
            Shows::Whole => self.whole(seen, target, device, None),
            Shows::Subdir(dir) => self.whole(seen, target, device, Some(&dir).filter(|_| device.is_some())),
            Shows::Bind(path) => self.bind(mount, target, &path),
            Shows::Itself => return Ok(()),
            Shows::Outside => {
                self.note(format!(
                    "{} is left out: what it shows lies outside of {}",
                    mount.target, self.request.root
                ));
                return Ok(());
            }
        };
        self.out.entries.push(entry);
        Ok(())
    }

    /// An automount point of the boot loader's directories that nothing is mounted on. (Others are notes too much.)
    fn idle_automount(&mut self, mount: &Mount) {
        let target = relative(&mount.target, self.request.root).unwrap_or_default();
        let is_used = self.view.seen.iter().any(|s| s.automount.is_some_and(|a| a.id == mount.id));
        let is_asked_for = kinds::is_boot_dir(&target) && mount.target.starts_with(self.request.prefix);
        if mount.fstype == AUTOFS && is_asked_for && !is_used {
            self.note(format!("{} is left out: it is mounted on first use, and was not", mount.target));
        }
    }

    fn whole(
        &mut self,
        seen: Seen<'_>,
        target: String,
        device: Option<&Device>,
        subdir: Option<&String>,
    ) -> Entry {
        let mount = seen.mount;
        let by_fuse = mount.fstype == "fuseblk";
        let real = device.and_then(|d| d.fstype.as_deref()).filter(|t| !t.is_empty());
        let fstype = match real {
            _ if !by_fuse => &mount.fstype,
            Some(real) => real,
            None => {
                self.note(format!(
                    "{}: no tool knows the type of {}, `auto` is written",
                    mount.target, mount.source
                ));
                "auto"
            }
        };
        let is_boot = fstype == "vfat"
            && (kinds::is_boot_dir(&target)
                || device.and_then(|d| d.parttype.as_deref()).is_some_and(kinds::is_boot_partition));
        let mut options = Options::parse(&mount.options);
        mend(&mut options, Facts { fstype, by_fuse, on_device: device.is_some(), is_boot });
        if fstype == "btrfs" && mount.fsroot != "/" && subdir.is_none() && options.get("subvol").is_none() {
            options.set("subvol", &mount.fsroot);
        }
        if let Some(subdir) = subdir {
            options.set("X-mount.subdir", subdir);
        }
        if let Some(automount) = seen.automount.filter(|a| a.source == "systemd-1") {
            options.set("x-systemd.automount", "");
            let automount = Options::parse(&automount.options);
            if let Some(seconds) = automount.get("timeout").filter(|t| *t != "0" && !t.is_empty()) {
                options.set("x-systemd.idle-timeout", seconds);
            }
        }
        let (source, comments) = self.source(device, &mount.source);
        // A second mount of a file system must not be checked: the first may be mounted by then, and the check fails.
        let is_again = self.out.entries.iter().any(|e| e.source == source);
        let pass = if is_again { 0 } else { kinds::pass(fstype, target == "/") };
        Entry {
            comments,
            source,
            target,
            fstype: fstype.to_owned(),
            options: options.to_string(),
            dump: 0,
            pass,
        }
    }

    fn bind(&self, mount: &Mount, target: String, path: &str) -> Entry {
        // What belongs to the file system is set where that is mounted.
        let mut options = Options::parse(&mount.vfs_options);
        let mut others = Options::parse(&mount.options);
        others.retain(|name| name.starts_with("x-") || name == "_netdev");
        options.extend(others);
        mend(&mut options, Facts { fstype: "none", by_fuse: false, on_device: false, is_boot: false });
        options.set("bind", "");
        let source = relative(path, self.request.root).unwrap_or_else(|| path.to_owned());
        let fstype = "none".to_owned();
        Entry { comments: Vec::new(), source, target, fstype, options: options.to_string(), dump: 0, pass: 0 }
    }

    fn swap(&mut self, swap: &Swap) -> anyhow::Result<()> {
        let path = swap.device_path(self.request.root);
        let device = self.system.devices.of_path(&path).filter(|_| !swap.is_file);
        let path = device.map_or(path, |d| d.path.clone());
        // zram is set up by a generator at each boot, from its own configuration.
        let is_ours = !swap.is_deleted && !path.starts_with("/dev/zram");
        if !is_ours || !path.starts_with(self.request.prefix) {
            return Ok(());
        }
        is_text(&path)?;
        if device.is_none() && path.starts_with("/dev/dm-") {
            return Err(anyhow::anyhow!(
                "failed to find the name of {path}: /proc/swaps has it, lsblk has not"
            ))
            .exit(code::NOT_UNDERSTOOD);
        }
        let (source, comments) = match relative(&path, self.request.root) {
            Some(inside) if swap.is_file => (inside, Vec::new()),
            None if swap.is_file => {
                self.note(format!("swap file {path} is left out: it lies outside of {}", self.request.root));
                return Ok(());
            }
            _ => self.source(device, &path),
        };
        let mut options = Options::parse("defaults");
        if swap.priority >= 0 {
            options.set("pri", &swap.priority.to_string());
        }
        let [target, fstype] = ["none", "swap"].map(str::to_owned);
        let options = options.to_string();
        self.out.entries.push(Entry { comments, source, target, fstype, options, dump: 0, pass: 0 });
        Ok(())
    }

    /// The first field, and the comment that says what else the device is called.
    fn source(&mut self, device: Option<&Device>, fallback: &str) -> (String, Vec<String>) {
        let Some(device) = device else {
            return (if fallback.is_empty() { "none" } else { fallback }.to_owned(), Vec::new());
        };
        let named = self.request.tag.map(|tag| (tag, device.tag(tag)));
        let chosen = named.and_then(|(tag, value)| value.map(|_| tag));
        let mut words: Vec<String> = self.request.tag.map(|_| mangle(&device.path)).into_iter().collect();
        let others = [Tag::Uuid, Tag::Label].into_iter().filter(|tag| Some(*tag) != chosen);
        words.extend(others.filter_map(|t| device.tag(t).map(|v| format!("{}={}", t.name(), mangle(v)))));
        let source = match named {
            Some((tag, Some(value))) => {
                self.ambiguous(device, tag);
                format!("{}={value}", tag.name())
            }
            Some((tag, None)) => {
                words.push(format!("has no {}", tag.name()));
                device.path.clone()
            }
            None => device.path.clone(),
        };
        let mut comments = if words.is_empty() { Vec::new() } else { vec![words.join(" ")] };
        // Said once for each device, not for each subvolume on it.
        let told = |line: &String| self.out.entries.iter().any(|e| e.comments.contains(line));
        comments.extend(luks::comments(device, &self.system.devices).into_iter().filter(|line| !told(line)));
        (source, comments)
    }

    /// Two disks with one name (a cloned disk, the label of a former installation): which is found at boot is luck.
    fn ambiguous(&mut self, device: &Device, tag: Tag) {
        let Some(other) = self.system.devices.twin(device, tag) else { return };
        let value = device.tag(tag).unwrap_or_default();
        let note = format!("{}={value} is {}, but {} has the same", tag.name(), device.path, other.path);
        if !self.out.notes.contains(&note) {
            self.note(note);
        }
    }
}

/// Whether it belongs to the live system: below its directory in /run, on its medium or its image, or made of them.
fn is_live(mount: &Mount, target: &str, all: &[Mount]) -> bool {
    let base = layout::LIVE_MEDIUM_DIR.rsplit_once('/').map_or("/run", |(dir, _)| dir);
    let is_part = |dir: &str| all.iter().any(|m| m.target == dir && m.number == mount.number);
    let on_live = [layout::LIVE_MEDIUM_DIR, layout::LIVE_ROOTFS_DIR].into_iter().any(is_part);
    let of_live =
        mount.fstype == "overlay" && mount.options.contains(&format!("lowerdir={}", layout::LIVE_ROOTFS_DIR));
    on_live || of_live || is_below(target, base) || is_below(&mount.target, base)
}

/// Fails for a name that is not UTF-8: it could not be written as it is.
fn is_text(name: &str) -> anyhow::Result<()> {
    if name.contains(char::REPLACEMENT_CHARACTER) {
        let problem: anyhow::Result<()> = (|| bail!("`{name}` is not UTF-8, recfstab cannot write it"))();
        return problem.exit(code::NOT_UNDERSTOOD);
    }
    Ok(())
}
