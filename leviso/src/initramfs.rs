//! Tree + files + module lists -> cpio.zst: what the kernel starts before the root file system is there.
//!
//! One for the disc ([`build`]), small, and one for installed systems ([`build_from`]), with programs of the tree.
//!
//! ```text
//! init, lib.sh, ...         the files of the profile's `initramfs.files`
//! bin/busybox, bin/sh       static busybox of the tree; init installs the other names
//! sbin/modprobe             busybox: for init, and for the kernel's own requests (fs-iso9660, crypto-crc32c)
//! lib/modules/KVER/...      the listed modules with all they need, decompressed, and an index of just these
//! lib/firmware/...          firmware those modules name, as far as the tree has it
//! etc/levitate/modules      names to load at once, in order
//! etc/levitate/cpu          what the root file system asks of the processor (`x86-64-v3`), if the profile says
//! usr/sbin/cryptsetup ...   programs with their libraries, where they are in the tree; etc/ld.so.cache for them
//! dev/console, dev/null     needed before devtmpfs is mounted
//! ```
//!
//! The same inputs give the same bytes. depmod must have run on the tree.

mod cpio;
mod programs;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use common::cli::Mark;

use crate::kmod::{self, Builtin, Closure, Kernel};
use crate::profile;
use crate::tree::Tree;
use crate::{epoch::Epoch, exit};
use cpio::add;

pub use cpio::{Entries, Entry};

/// The most the live initramfs may have, bytes: it is read through firmware, from a slow stick too, and unpacked in the
/// first seconds of memory.
pub const MAX_SIZE: usize = 5_000_000;

/// The most the initramfs of an installed system may have, bytes: two UKIs have to fit into a small ESP beside another
/// system's files.
pub const MAX_DISK_SIZE: usize = 24_000_000;

/// zstd level of the live initramfs; the kernel unpacks any (CONFIG_RD_ZSTD).
const LEVEL: i32 = 19;

/// zstd level of an installed system's: `recuki` builds it while someone waits. A tenth larger than with 19, in an
/// eighth of the time.
pub const DISK_LEVEL: i32 = 12;

/// Window of the compressed stream, log2: the archive fits in it, and the kernel takes up to 27.
const WINDOW_LOG: u32 = 25;

/// Largest file taken from the profile's directory.
const MAX_FILE: u64 = 1 << 20;

/// What an initramfs is made from besides the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// `init` and whatever else it wants, by path without leading slash.
    pub files: Entries,
    /// Module names as in the lists: `!` loaded at once, `?` may be missing.
    pub modules: Vec<String>,
    /// Path of the static busybox in the tree.
    pub busybox: String,
    /// What the packages ask of the processor.
    pub cpu: Option<String>,
    /// Programs that go in with all they need; `?` may be missing.
    pub programs: Vec<String>,
    /// zstd level.
    pub level: i32,
    /// The most the result may have, bytes.
    pub max_size: usize,
}

/// An initramfs and what is in it.
#[derive(Debug, Clone)]
pub struct Built {
    /// The compressed archive, for the UKI's .initrd section.
    pub bytes: Vec<u8>,
    /// Size of the archive before compression.
    pub unpacked: usize,
    /// Names of the modules, in load order.
    pub modules: Vec<String>,
    /// Firmware that some module may ask for and the tree does not have.
    pub missing_firmware: Vec<String>,
}

/// Builds the live initramfs for a kernel of the tree.
///
/// # Errors
/// A file or module list of the profile cannot be read (exit code [`exit::SYSTEM`]); or as [`build_from`].
pub fn build(
    tree: &Tree,
    kernel: &Kernel,
    profile: &profile::Initramfs,
    epoch: Epoch,
) -> anyhow::Result<Built> {
    let parts = Parts {
        files: read_files(&profile.files).exit(exit::SYSTEM)?,
        modules: module_names(&profile.module_lists).exit(exit::SYSTEM)?,
        busybox: profile.busybox.clone(),
        cpu: profile.cpu.clone(),
        programs: Vec::new(),
        level: LEVEL,
        max_size: MAX_SIZE,
    };
    build_from(tree, kernel, &parts, epoch)
}

/// Builds an initramfs for a kernel of the tree.
///
/// # Errors
/// As [`archive`] and [`Archive::pack`].
pub fn build_from(tree: &Tree, kernel: &Kernel, parts: &Parts, epoch: Epoch) -> anyhow::Result<Built> {
    let archive = archive(tree, kernel, parts, epoch)?;
    let bytes = archive.pack(parts)?;
    let Archive { unpacked, modules, missing_firmware, .. } = archive;
    Ok(Built { bytes, unpacked: unpacked.len(), modules, missing_firmware })
}

/// An initramfs that is not compressed yet: it tells whether two are the same in a fraction of the time.
#[derive(Debug, Clone)]
pub struct Archive {
    /// The cpio archive.
    pub unpacked: Vec<u8>,
    /// As [`Built::modules`].
    pub modules: Vec<String>,
    /// As [`Built::missing_firmware`].
    pub missing_firmware: Vec<String>,
    /// Sizes of the files, for the error when it is too large.
    sizes: Vec<(usize, String)>,
}

/// Collects an initramfs for a kernel of the tree.
///
/// # Errors
/// busybox is missing or not static, there is no `init`, a module or program does not exist (exit code
/// [`exit::SYSTEM`]).
pub fn archive(tree: &Tree, kernel: &Kernel, parts: &Parts, epoch: Epoch) -> anyhow::Result<Archive> {
    let (entries, modules, missing_firmware) = collect(tree, kernel, parts).exit(exit::SYSTEM)?;
    let sizes = entries.iter().filter_map(|(path, entry)| match entry {
        Entry::File(_, data) => Some((data.len(), path.clone())),
        _ => None,
    });
    Ok(Archive {
        unpacked: cpio::write(&entries, epoch.0)?,
        modules,
        missing_firmware,
        sizes: sizes.collect(),
    })
}

impl Archive {
    /// Compresses it.
    ///
    /// # Errors
    /// The result is larger than it may be; exit code [`exit::IMAGE`].
    pub fn pack(&self, parts: &Parts) -> anyhow::Result<Vec<u8>> {
        let bytes = compress(&self.unpacked, parts.level).context("failed to compress the initramfs")?;
        self.check_size(bytes.len(), parts.max_size).exit(exit::IMAGE)?;
        Ok(bytes)
    }

    fn check_size(&self, size: usize, max_size: usize) -> anyhow::Result<()> {
        if size <= max_size {
            return Ok(());
        }
        let mut files = self.sizes.clone();
        files.sort_unstable_by(|a, b| b.cmp(a));
        let biggest: Vec<_> = files.iter().take(10).map(|(size, path)| format!("{path} ({size})")).collect();
        Err(anyhow::anyhow!(
            "the initramfs has {size} bytes, more than the {max_size} it may have; the biggest files, before compression: {}",
            biggest.join(", ")
        ))
        .hint("take modules out of the profile's module lists")
    }
}

/// What goes in; the names of the modules in load order; firmware that the tree does not have.
fn collect(
    tree: &Tree,
    kernel: &Kernel,
    parts: &Parts,
) -> anyhow::Result<(Entries, Vec<String>, Vec<String>)> {
    let mut entries = Entries::new();
    skeleton(&mut entries);
    busybox(tree, &parts.busybox, &mut entries)?;
    programs::add_programs(tree, &parts.programs, &mut entries)?;
    for (path, entry) in &parts.files {
        add(&mut entries, path, entry.clone());
    }
    ensure!(entries.contains_key("init"), "the initramfs has no file init");
    if let Some(cpu) = &parts.cpu {
        add(&mut entries, "etc/levitate/cpu", Entry::File(0o644, format!("{cpu}\n").into_bytes()));
    }
    let names = &parts.modules;
    let at_once: Vec<&str> = names.iter().filter_map(|n| n.strip_prefix('!')).collect();
    let at_once = kmod::closure(tree, kernel, at_once)?;
    let closure = kmod::closure(tree, kernel, names.iter().map(|n| n.trim_start_matches('!')))?;
    let modules = closure.modules.iter().map(|m| m.module.name.clone()).collect();
    let missing_firmware = firmware(tree, &closure, &mut entries)?;
    let at_once: String = at_once.modules.iter().map(|m| format!("{}\n", m.module.name)).collect();
    add(&mut entries, "etc/levitate/modules", Entry::File(0o644, at_once.into_bytes()));
    add_modules(tree, kernel, closure, &mut entries)?;
    Ok((entries, modules, missing_firmware))
}

/// Directories that init mounts on, and the nodes it needs before that.
fn skeleton(entries: &mut Entries) {
    for dir in ["dev", "proc", "sys", "run", "tmp", "newroot", "bin", "sbin", "etc"] {
        add(entries, dir, Entry::Dir);
    }
    add(entries, "dev/console", Entry::Char(0o600, 5, 1));
    add(entries, "dev/null", Entry::Char(0o666, 1, 3));
}

fn busybox(tree: &Tree, path: &str, entries: &mut Entries) -> anyhow::Result<()> {
    let bytes = tree
        .read(path)
        .with_context(|| format!("the initramfs needs a static busybox at {path}"))
        .hint("add the package that has it to the profile, or set initramfs.busybox")
        .exit(exit::SYSTEM)?;
    let elf = goblin::elf::Elf::parse(bytes)
        .with_context(|| format!("{path} is not a sound ELF file"))
        .exit(exit::SYSTEM)?;
    if elf.interpreter.is_some() || !elf.libraries.is_empty() {
        return Err(anyhow::anyhow!("{path} is not statically linked, and the initramfs has no libraries"))
            .hint("install busybox-static, or set initramfs.busybox to a static one")
            .exit(exit::SYSTEM);
    }
    add(entries, "bin/busybox", Entry::File(0o755, bytes.to_vec()));
    add(entries, "bin/sh", Entry::Link("busybox".to_owned()));
    add(entries, "sbin/modprobe", Entry::Link("../bin/busybox".to_owned()));
    Ok(())
}

/// The files of directories of the host, the last one's where several have one name.
///
/// # Errors
/// One cannot be read, or has a name that is not UTF-8.
pub fn read_files(dirs: &[PathBuf]) -> anyhow::Result<Entries> {
    let mut entries = Entries::new();
    dirs.iter().try_for_each(|dir| copy_files(dir, "", &mut entries))?;
    Ok(entries)
}

/// Copies a directory of the host; only the executable bit counts of its modes.
fn copy_files(dir: &Path, below: &str, entries: &mut Entries) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let context = || format!("failed to read {}", dir.display());
    for item in std::fs::read_dir(dir).with_context(context)? {
        let item = item.with_context(context)?;
        let path = item.path();
        let context = || format!("failed to read {}", path.display());
        let Ok(name) = item.file_name().into_string() else {
            bail!("{} has a name that is not UTF-8", path.display())
        };
        let inside = format!("{below}{name}");
        let meta = std::fs::symlink_metadata(&path).with_context(context)?;
        if meta.is_dir() {
            copy_files(&path, &format!("{inside}/"), entries)?;
        } else if meta.is_symlink() {
            let target = std::fs::read_link(&path).with_context(context)?;
            let Some(target) = target.to_str() else {
                bail!("{} has a target that is not UTF-8", path.display())
            };
            add(entries, &inside, Entry::Link(target.to_owned()));
        } else {
            ensure!(meta.len() <= MAX_FILE, "{} is larger than {MAX_FILE} bytes", path.display());
            let mode = if meta.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
            add(entries, &inside, Entry::File(mode, std::fs::read(&path).with_context(context)?));
        }
    }
    Ok(())
}

/// The names in the lists, in order: one a line, `#` comments. `?` before a name: it may be missing; `!`: loaded at
/// once instead of when a device or file system asks for it.
///
/// # Errors
/// A list cannot be read, or a line has more than one word.
pub fn module_names(lists: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for list in lists {
        let context = || format!("failed to read module list {}", list.display());
        let text = std::fs::read_to_string(list).with_context(context)?;
        names.extend(parse_names(&text).with_context(context)?);
    }
    Ok(names)
}

/// As [`module_names`], of the text of one list.
///
/// # Errors
/// A line has more than one word.
pub fn parse_names(text: &str) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for line in text.lines() {
        let name = line.split('#').next().unwrap_or_default().trim();
        ensure!(!name.contains(char::is_whitespace), "expected one module a line, found {name:?}");
        if !name.is_empty() {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Firmware goes in decompressed: not every kernel reads it compressed.
fn firmware(tree: &Tree, closure: &Closure, entries: &mut Entries) -> anyhow::Result<Vec<String>> {
    let mut missing = Vec::new();
    for name in &closure.firmware {
        let found = ["", ".xz", ".zst"].iter().find_map(|suffix| {
            let path = format!("/lib/firmware/{name}{suffix}");
            tree.read(&path).ok().map(|bytes| (path, bytes))
        });
        match found {
            Some((path, bytes)) if !name.split('/').any(|part| part == "..") => {
                let bytes = kmod::unpack(&path, bytes)?.into_owned();
                add(entries, &format!("lib/firmware/{name}"), Entry::File(0o644, bytes));
            }
            _ => missing.push(name.clone()),
        }
    }
    Ok(missing)
}

/// The modules, uncompressed, and the index files for this subset.
fn add_modules(tree: &Tree, kernel: &Kernel, closure: Closure, entries: &mut Entries) -> anyhow::Result<()> {
    let source = kernel.modules_dir();
    let dir = format!("lib/modules/{}", kernel.version);
    let mut modules = Vec::new();
    for mut needed in closure.modules {
        let plain = needed.module.path.rfind(".ko").map_or(0, |at| at + 3);
        needed.module.path.truncate(plain);
        add(entries, &format!("{dir}/{}", needed.module.path), Entry::File(0o644, needed.elf));
        modules.push(needed.module);
    }
    let read = |name: &str| tree.read(format!("{source}/{name}")).ok().map(<[u8]>::to_vec);
    let list = read("modules.builtin");
    let order = read("modules.order").unwrap_or_default();
    let index = kmod::index(modules, &order, &Builtin { list: list.clone(), modinfo: None })?;
    for (name, bytes) in index.files {
        // busybox reads the text files; who wants the binary ones brings his own modprobe.
        if !name.ends_with(".bin") {
            add(entries, &format!("{dir}/{name}"), Entry::File(0o644, bytes));
        }
    }
    add(entries, &format!("{dir}/modules.builtin"), Entry::File(0o644, list.unwrap_or_default()));
    Ok(())
}

/// One thread and fixed parameters: the same bytes everywhere.
fn compress(archive: &[u8], level: i32) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
    encoder.window_log(WINDOW_LOG)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(archive.len() as u64))?;
    std::io::Write::write_all(&mut encoder, archive)?;
    encoder.finish()
}
