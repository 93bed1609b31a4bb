//! The part of an installed system that its UKI is made of, loaded into a [`Tree`].
//!
//! Directory DIR -> tree. Links are followed inside of DIR, as in a chroot, so that it need not be `/`. Files are
//! mapped, not read: of a kernel's hundred megabytes of modules only the listed ones are ever looked at. A package
//! manager replaces files by renaming, which leaves a mapped file as it was.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use common::layout;

use super::STUB;
use super::recipe::Recipe;
use crate::elf::{self, Elf};
use crate::finalise::ld_so_cache;
use crate::kmod::{self, Kernel};
use crate::tree::{Content, Inode, Kind, Mapped, Meta, Origin, Owner, Tree, Xattrs};

/// As many links as Linux follows in one path.
const MAX_LINKS: usize = 40;

/// Kernel modules, in every system.
const MODULES_DIR: &str = "/usr/lib/modules";

/// Loads files of a system one by one.
#[derive(Debug)]
pub struct Loader {
    root: PathBuf,
    tree: Tree,
}

/// The versions of all kernels that DIR has, in byte order.
///
/// # Errors
/// The directory of kernel modules cannot be read.
pub fn kernels(root: &Path) -> anyhow::Result<Vec<String>> {
    let dir = root.join(&MODULES_DIR[1..]);
    let context = || format!("failed to look for kernels in {}", dir.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(context)? {
        let path = entry.with_context(context)?.path();
        let Some(version) = path.file_name().and_then(OsStr::to_str) else { continue };
        // A package that is gone may leave its directory behind, with index files only.
        if path.join("vmlinuz").exists() || root.join("boot").join(format!("vmlinuz-{version}")).exists() {
            found.push(version.to_owned());
        }
    }
    found.sort();
    Ok(found)
}

impl Loader {
    /// A loader with nothing loaded.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), tree: Tree::new(0) }
    }

    /// Loads what the UKI of one kernel is made of.
    ///
    /// # Errors
    /// A file cannot be read, or there is no recipe.
    pub fn load(mut self, kver: &str) -> anyhow::Result<(Tree, Recipe, Kernel)> {
        for file in ["/etc/os-release", STUB, "/lib64", ld_so_cache::LOADER, "/etc/ld.so.conf"] {
            self.path(file.as_bytes())?;
        }
        self.path(format!("/boot/vmlinuz-{kver}").as_bytes())?;
        self.below("/etc/ld.so.conf.d")?;
        self.below(&format!("/{}", layout::INITRAMFS_DIR))?;
        // By both names: the link /lib, which EL packages go through, and the real one.
        self.path(b"/lib/modules")?;
        self.below(&format!("{MODULES_DIR}/{kver}"))?;
        let recipe = Recipe::read(&self.tree)?;
        self.path(recipe.parts.busybox.as_bytes())?;
        self.programs(&recipe.parts.programs)?;
        let kernel = kmod::find_kernel(&self.tree)?;
        if !self.tree.exists(format!("{}/modules.dep", kernel.modules_dir())) {
            kmod::depmod(&mut self.tree, &kernel.version)?;
        }
        let names = recipe.parts.modules.iter().map(|n| n.trim_start_matches('!'));
        for name in kmod::closure(&self.tree, &kernel, names)?.firmware {
            for suffix in ["", ".xz", ".zst"] {
                self.path(format!("/lib/firmware/{name}{suffix}").as_bytes())?;
            }
        }
        Ok((self.tree, recipe, kernel))
    }

    /// Programs and the libraries the loader might take for them; a missing one is found missing later.
    fn programs(&mut self, programs: &[String]) -> anyhow::Result<()> {
        let mut todo: Vec<Vec<u8>> =
            programs.iter().map(|p| p.trim_start_matches('?').as_bytes().to_vec()).collect();
        let dirs = ld_so_cache::all_dirs(&self.tree)?;
        let mut seen = std::collections::BTreeSet::new();
        while let Some(path) = todo.pop() {
            if !seen.insert(path.clone()) || !self.path(&path)? {
                continue;
            }
            let Ok(file) = self.tree.read(&path) else { continue };
            let Some(elf) = Some(file).filter(|f| elf::is_elf(f)).and_then(|f| Elf::parse(f).ok()) else {
                continue;
            };
            todo.extend(elf.interpreter.map(<[u8]>::to_vec));
            let Some(dynamic) = &elf.dynamic else { continue };
            let own = dynamic.runpath.or(dynamic.rpath).unwrap_or_default();
            let own: Vec<Vec<u8>> = own.split(|&b| b == b':').map(|dir| origin(dir, &path)).collect();
            for name in &dynamic.needed {
                if name.contains(&b'/') {
                    todo.push(name.to_vec());
                    continue;
                }
                todo.extend(own.iter().chain(&dirs).map(|dir| [dir, &b"/"[..], name].concat()));
            }
        }
        Ok(())
    }

    /// Loads everything below a directory, if it is there, but links to kernel sources.
    fn below(&mut self, dir: &str) -> anyhow::Result<()> {
        if !self.path(dir.as_bytes())? {
            return Ok(());
        }
        let host = self.root.join(dir.trim_start_matches('/'));
        // What is no directory of DIR itself (a link in the middle) has no list; path() has loaded its target.
        let Ok(entries) = std::fs::read_dir(&host) else { return Ok(()) };
        for entry in entries {
            let entry = entry.with_context(|| format!("failed to read {}", host.display()))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name == "build" || name == "source" {
                continue;
            }
            let path = format!("{dir}/{name}");
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                self.below(&path)?;
            } else {
                self.path(path.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Loads what a path names, and every directory and link on the way; false when it is not there.
    fn path(&mut self, path: &[u8]) -> anyhow::Result<bool> {
        let mut todo = components(path);
        todo.reverse();
        let mut at: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == b".." {
                at.pop();
                continue;
            }
            at.push(name);
            let real = [b"/", &at.join(&b"/"[..])[..]].concat();
            match self.one(&real)? {
                Some(Found::Nothing) => return Ok(false),
                Some(Found::Link(target)) => {
                    links += 1;
                    ensure!(links <= MAX_LINKS, "{} goes through too many links", lossy(path));
                    at.pop();
                    if target.first() == Some(&b'/') {
                        at.clear();
                    }
                    let before = todo.len();
                    todo.extend(components(&target));
                    todo[before..].reverse();
                }
                None => {}
            }
        }
        Ok(true)
    }

    /// Puts one file, directory or link into the tree; its parent is there already.
    fn one(&mut self, real: &[u8]) -> anyhow::Result<Option<Found>> {
        if let Ok(id) = self.tree.lstat(real) {
            return Ok(match &self.tree.inode(id).kind {
                Kind::Symlink(target) => Some(Found::Link(target.to_vec())),
                _ => None,
            });
        }
        let host = self.root.join(OsStr::from_bytes(&real[1..]));
        let context = || format!("failed to read {}", host.display());
        let meta = match std::fs::symlink_metadata(&host) {
            Ok(meta) => meta,
            Err(e)
                if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
            {
                return Ok(Some(Found::Nothing));
            }
            Err(e) => return Err(e).with_context(context),
        };
        let (kind, found) = if meta.is_dir() {
            (Kind::Dir(Default::default()), None)
        } else if meta.is_symlink() {
            let target = std::fs::read_link(&host).with_context(context)?.into_os_string().into_vec();
            (Kind::Symlink(target.clone().into()), Some(Found::Link(target)))
        } else if meta.is_file() {
            (Kind::File(content(&host, meta.len()).with_context(context)?), None)
        } else {
            bail!("{} is neither a file nor a directory nor a link", host.display());
        };
        let mode = u16::try_from(meta.mode() & 0o7777).unwrap_or_else(|_| unreachable!("twelve bits"));
        let meta = Meta {
            mode,
            user: Owner::Id(meta.uid()),
            group: Owner::Id(meta.gid()),
            mtime: meta.mtime(),
            mtime_nsec: 0,
            xattrs: Xattrs::new(),
            origin: Origin::Generated("system"),
        };
        self.tree.insert(real, Inode { meta, kind })?;
        Ok(found)
    }
}

/// What a path component is, where the walk does not simply go on.
enum Found {
    Nothing,
    Link(Vec<u8>),
}

/// Mapped, but for empty files, which cannot be.
fn content(path: &Path, len: u64) -> std::io::Result<Content> {
    if len == 0 {
        return Ok(Content::from(Vec::new()));
    }
    let map = Mapped::new(&std::fs::File::open(path)?)?;
    let whole = 0..map.as_slice().len();
    Ok(Content::mapped(&map, whole).unwrap_or_else(|| unreachable!("the whole range")))
}

/// `$ORIGIN` of a RUNPATH entry; other variables are rare, and what they would find is reported as missing.
fn origin(dir: &[u8], path: &[u8]) -> Vec<u8> {
    let here = &path[..path.iter().rposition(|&b| b == b'/').unwrap_or(0)];
    for token in [&b"${ORIGIN}"[..], b"$ORIGIN"] {
        if let Some(rest) = dir.strip_prefix(token) {
            return [here, rest].concat();
        }
    }
    dir.to_vec()
}

fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".").map(<[u8]>::to_vec).collect()
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
