//! `/etc/ld.so.cache` and the SONAME links, as the image's own `ldconfig` would make them.
//!
//! Tree in; out: one link for each library whose SONAME is not its file name, stale links removed, and the cache.
//! The directories come from ld.so.conf and from the image's own dynamic loader, so nothing here knows a
//! distribution. The bytes equal those of glibc 2.36 and later (tested with the host's). ldconfig before 2.37 also
//! descends into `tls` and `haswell` directories; images with glibc 2.39 and later do not want that.
//! Source: ldconfig(8), ld.so(8), glibc's elf/dl-cache.h for the format.

mod dirs;
mod format;
mod order;

use std::collections::BTreeMap;

use anyhow::Context;
use common::cli::Mark;

use crate::elf::{self, Elf, Kind};
use crate::exit;
use crate::tree::{self, InodeId, Origin, Tree};

pub use dirs::{LOADER, SearchDir, all_dirs, search_dirs, system_dirs};

/// Where the cache is.
const CACHE: &str = "/etc/ld.so.cache";

/// What its files carry as their origin.
const ORIGIN: Origin = Origin::Generated("ld.so.cache");

/// What the cache says made it when the image's libc does not tell its version.
const GENERATOR: &str = "leviso";

/// One line of `ldconfig -p`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// SONAME, what programs ask for.
    key: Vec<u8>,
    /// Where it is.
    path: Vec<u8>,
    /// [`Abi::flags`].
    flags: u32,
    /// Name of the glibc-hwcaps subdirectory it is in.
    hwcaps: Option<Vec<u8>>,
    /// Highest x86-64 level it asks for (0 baseline, 1 v2 ...); stored for glibc-hwcaps libraries only.
    isa_level: u32,
}

/// A library chosen for its SONAME in one directory.
struct Library {
    file: Vec<u8>,
    flags: u32,
    isa_level: u32,
    is_link: bool,
}

/// Makes the links and writes the cache. Does nothing in a tree without a dynamic loader.
///
/// # Errors
/// ld.so.conf includes itself, or a link or the cache cannot be put in its place; exit code [`exit::SYSTEM`].
pub fn apply(tree: &mut Tree) -> anyhow::Result<()> {
    if !tree.exists(LOADER) {
        return Ok(());
    }
    write_cache(tree).context("failed to make ld.so.cache").exit(exit::SYSTEM)
}

fn write_cache(tree: &mut Tree) -> anyhow::Result<()> {
    let dirs = search_dirs(tree)?;
    let mut entries = Vec::new();
    for dir in &dirs {
        remove_stale_links(tree, dir)?;
        for (soname, library) in libraries(tree, dir) {
            // The cache names the link, so that a library can be updated without it; not below glibc-hwcaps.
            let file = match dir.hwcaps {
                None if !library.is_link => {
                    make_link(tree, dir, &library.file, &soname)?;
                    &soname
                }
                None => &soname,
                Some(_) => &library.file,
            };
            let entry = Entry {
                path: [&dir.path, &b"/"[..], file].concat(),
                key: soname,
                flags: library.flags,
                hwcaps: dir.hwcaps.clone(),
                isa_level: library.isa_level,
            };
            order::insert(&mut entries, entry);
        }
    }
    let all_hwcaps: Vec<&[u8]> = dirs.iter().filter_map(|d| d.hwcaps.as_deref()).collect();
    let cache = format::encode(&entries, &all_hwcaps, &generator(tree, &entries))?;
    tree.write(CACHE, cache, 0o644, ORIGIN)?;
    Ok(())
}

/// The libraries of a directory by SONAME: of several with one SONAME a file beats a link, then the newest wins.
fn libraries(tree: &Tree, dir: &SearchDir) -> BTreeMap<Vec<u8>, Library> {
    let mut found: BTreeMap<Vec<u8>, Library> = BTreeMap::new();
    for (name, &id) in tree.entries(dir.id).into_iter().flatten() {
        let Some((target, mut is_link)) = library_file(tree, dir, name, id) else { continue };
        let tree::Kind::File(content) = &tree.inode(target).kind else { continue };
        let Some((soname, flags, isa_level)) = describe(content.as_slice()) else { continue };
        let mut soname = soname.unwrap_or(name).to_vec();
        // A link that is neither the SONAME nor the linker's `libfoo.so` counts as a library of its own.
        if is_link && **name != *soname && !(name.ends_with(b".so") && soname.starts_with(name)) {
            is_link = false;
        }
        if is_link {
            soname = name.to_vec();
        }
        // A name that leads out of the directory could never be looked up in the cache.
        if soname.is_empty() || soname.contains(&b'/') || soname == b"." || soname == b".." {
            continue;
        }
        match found.get_mut(&soname) {
            None => {
                found.insert(soname, Library { file: name.to_vec(), flags, isa_level, is_link });
            }
            Some(old) => {
                let newer = is_link == old.is_link && order::names(&old.file, name).is_lt();
                if newer || (!is_link && old.is_link) {
                    // The flags stay those of the first, as ldconfig has it (it warns of the difference).
                    *old = Library { file: name.to_vec(), flags: old.flags, isa_level, is_link };
                }
            }
        }
    }
    found
}

/// The file behind a directory entry that looks like a library, and whether the entry is a link.
fn library_file(tree: &Tree, dir: &SearchDir, name: &[u8], id: InodeId) -> Option<(InodeId, bool)> {
    if !looks_like_library(name) || is_temporary(name) {
        return None;
    }
    match tree.inode(id).kind {
        tree::Kind::File(_) => Some((id, false)),
        tree::Kind::Symlink(_) => Some((tree.stat(dir.join(name)).ok()?, true)),
        _ => None,
    }
}

/// SONAME, cache flags and x86-64 level of a shared library this loader can load; `None` for anything else: linker
/// scripts, programs, files of other machines, damaged ones (the audit reports those).
fn describe(file: &[u8]) -> Option<(Option<&[u8]>, u32, u32)> {
    if !elf::is_elf(file) {
        return None;
    }
    let elf = Elf::parse(file).ok().filter(|e| e.kind == Kind::Shared)?;
    // FLAG_ELF_LIBC6, and for which of the machine's loaders.
    let flags = match (elf.machine, elf.wide) {
        (elf::EM_X86_64, true) => 0x0303,
        (elf::EM_X86_64, false) => 0x0803,
        (elf::EM_386, false) => 0x0003,
        _ => return None,
    };
    let isa_level = elf.isa_needed.checked_ilog2().unwrap_or(0);
    Some((elf.dynamic?.soname, flags, isa_level))
}

/// Links to a library that is gone would be found by name and then fail to load.
fn remove_stale_links(tree: &mut Tree, dir: &SearchDir) -> anyhow::Result<()> {
    let is_stale = |name: &[u8], id: InodeId| {
        matches!(tree.inode(id).kind, tree::Kind::Symlink(_))
            && looks_like_library(name)
            && !is_temporary(name)
            && contains(name, b".so.")
            && tree.stat(dir.join(name)).is_err()
    };
    let entries = tree.entries(dir.id).into_iter().flatten();
    let stale: Vec<_> =
        entries.filter(|(name, id)| is_stale(name, **id)).map(|(name, _)| dir.join(name)).collect();
    for path in stale {
        tree.remove(&path)?;
    }
    Ok(())
}

/// Links `soname` to `file` in the same directory, unless it is there already or is a file of its own.
fn make_link(tree: &mut Tree, dir: &SearchDir, file: &[u8], soname: &[u8]) -> anyhow::Result<()> {
    let path = dir.join(soname);
    let there = tree.lstat(&path).ok();
    let is_right = tree.stat(&path).ok().is_some_and(|id| tree.stat(dir.join(file)) == Ok(id));
    let is_own = there.is_some_and(|id| !matches!(tree.inode(id).kind, tree::Kind::Symlink(_)));
    if !is_right && !is_own {
        tree.symlink(&path, file, ORIGIN)?;
    }
    Ok(())
}

/// What the image's own ldconfig would sign with: both take the text from glibc's version banner.
fn generator(tree: &Tree, entries: &[Entry]) -> Vec<u8> {
    const BANNER: &[u8] = b"GNU C Library (";
    let libc = entries.iter().find(|e| e.key == b"libc.so.6" && e.hwcaps.is_none());
    let banner = libc.and_then(|e| tree.read(&e.path).ok()).and_then(|file| {
        let start = file.windows(BANNER.len()).position(|w| w == BANNER)? + BANNER.len() - 1;
        let line = file[start..].split(|&b| b == b'\n').next()?.strip_suffix(b".")?;
        (line.len() < 200 && line.iter().all(|b| (0x20..0x7f).contains(b))).then_some(line)
    });
    match banner {
        Some(version) => [b"ldconfig ", version].concat(),
        None => GENERATOR.as_bytes().to_vec(),
    }
}

/// Whether ldconfig looks into a file of this name.
fn looks_like_library(name: &[u8]) -> bool {
    let prefixed = name.starts_with(b"lib") || name.starts_with(b"ld-");
    (prefixed && contains(name, b".so")) || name.starts_with(b"ld.so.") || name.starts_with(b"ld64.so.")
}

/// Half-installed files of rpm and dpkg (skipped since glibc 2.39). prelink's are of the past.
fn is_temporary(name: &[u8]) -> bool {
    name.contains(&b';') || name.ends_with(b".dpkg-new") || name.ends_with(b".dpkg-tmp")
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}
