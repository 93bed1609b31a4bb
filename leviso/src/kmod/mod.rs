//! Kernel modules: what they need, and the index files that modprobe reads.
//!
//! Tree with `/lib/modules/KVER/` -> the same tree with `modules.dep`, `.alias`, `.symbols` and the rest beside the
//! modules, byte for byte what `depmod -b ROOT KVER` writes (kmod 30 to 34). Then [`closure`] answers from those files
//! which modules, in which order, a list of names needs. Modules are hostile input: sizes are capped, every offset in
//! an ELF file is checked.

mod unpack;
mod elf;
mod trie;
mod order;
mod depmod;
mod closure;

use anyhow::{Context, bail};
use common::cli::Mark;
use rayon::prelude::*;

use crate::exit;
use crate::tree::{Kind, Origin, Tree};

pub use closure::{Closure, Needed, closure};
pub use depmod::{Builtin, Index, index};
pub use elf::Info;
pub use unpack::unpack;

/// Where kernels keep their modules, in every tree.
const MODULES_DIR: &str = "/lib/modules";

/// The one kernel of a tree. Paths are absolute, inside the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// `uname -r`: the name of its directory under `/lib/modules`.
    pub version: String,
    /// The bootable image (bzImage).
    pub vmlinuz: String,
    /// Its build configuration, if the package ships it.
    pub config: Option<String>,
}

impl Kernel {
    /// `/lib/modules/KVER`.
    #[must_use]
    pub fn modules_dir(&self) -> String {
        format!("{MODULES_DIR}/{}", self.version)
    }
}

/// One module and what its ELF file says.
#[derive(Debug, Clone)]
pub struct Module {
    /// Path below `/lib/modules/KVER`, with the suffix it has there (`kernel/fs/isofs/isofs.ko.xz`).
    pub path: String,
    /// Name as the kernel shows it: the file's, up to the first dot, `-` as `_`.
    pub name: String,
    /// Aliases, symbols and the like.
    pub info: Info,
}

impl Module {
    /// Reads a module from its file's bytes, compressed as the path's suffix says.
    ///
    /// # Errors
    /// The suffix is unknown, decompression fails or grows too large, or it is not a sound x86-64 ELF file.
    pub fn parse(path: &str, file: &[u8]) -> anyhow::Result<Self> {
        let elf = unpack(path, file)?;
        let info = elf::parse(&elf).with_context(|| format!("failed to read kernel module {path}"))?;
        Ok(Self { path: path.to_owned(), name: module_name(path), info })
    }
}

/// Finds the kernel: Enterprise Linux keeps `vmlinuz` and `config` beside the modules, Debian in `/boot`.
///
/// # Errors
/// There is no kernel, more than one, or one without an image. Exit code [`exit::SYSTEM`].
pub fn find_kernel(tree: &Tree) -> anyhow::Result<Kernel> {
    let mut found = Vec::new();
    let mut without_image = Vec::new();
    for name in tree.list(MODULES_DIR) {
        let Ok(version) = std::str::from_utf8(name) else { continue };
        let dir = format!("{MODULES_DIR}/{version}");
        let vmlinuz = [format!("{dir}/vmlinuz"), format!("/boot/vmlinuz-{version}")];
        let config = [format!("{dir}/config"), format!("/boot/config-{version}")];
        let Some(vmlinuz) = vmlinuz.into_iter().find(|p| tree.read(p).is_ok()) else {
            without_image.push(version.to_owned());
            continue;
        };
        let config = config.into_iter().find(|p| tree.read(p).is_ok());
        found.push(Kernel { version: version.to_owned(), vmlinuz, config });
    }
    let kernel = match found.len() {
        1 => Ok(found.remove(0)),
        0 if without_image.is_empty() => {
            Err(anyhow::anyhow!("the tree has no kernel: nothing under {MODULES_DIR}"))
        }
        0 => Err(anyhow::anyhow!(
            "the tree has modules for {} but no image: expected {MODULES_DIR}/VERSION/vmlinuz or /boot/vmlinuz-VERSION",
            without_image.join(", ")
        )),
        _ => {
            let versions: Vec<_> = found.iter().map(|k| &*k.version).collect();
            Err(anyhow::anyhow!("expected one kernel in the tree, found {}", versions.join(", ")))
        }
    };
    kernel.exit(exit::SYSTEM)
}

/// Reads every module of a kernel, in parallel; sorted by path.
///
/// # Errors
/// There is no such directory, or a module cannot be read.
pub fn modules(tree: &Tree, kver: &str) -> anyhow::Result<Vec<Module>> {
    let root = format!("{MODULES_DIR}/{kver}");
    let mut files = Vec::new();
    collect(tree, &root, "", &mut files)?;
    let mut modules = files
        .par_iter()
        .map(|path| {
            let full = format!("{root}/{path}");
            let bytes = tree.read(&full).with_context(|| format!("failed to read {full}"))?;
            Module::parse(path, bytes)
        })
        .collect::<anyhow::Result<Vec<_>>>()
        .exit(exit::SYSTEM)?;
    modules.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(modules)
}

/// Writes the index files of a kernel's modules into the tree, as `depmod -b ROOT KVER` does, and `modules.weakdep`,
/// which kmod knows since 33. Existing ones are replaced.
///
/// # Errors
/// A module cannot be read, or modules depend on each other in a circle. Exit code [`exit::SYSTEM`].
pub fn depmod(tree: &mut Tree, kver: &str) -> anyhow::Result<()> {
    let root = format!("{MODULES_DIR}/{kver}");
    let modules = modules(tree, kver)?;
    let read = |name: &str| tree.read(format!("{root}/{name}")).ok().map(<[u8]>::to_vec);
    let order = read("modules.order").unwrap_or_default();
    let builtin = Builtin { list: read("modules.builtin"), modinfo: read("modules.builtin.modinfo") };
    let files = index(modules, &order, &builtin).exit(exit::SYSTEM)?;
    for (name, bytes) in files.files {
        let path = format!("{root}/{name}");
        tree.write(&path, bytes, 0o644, Origin::Generated("modules.dep"))
            .with_context(|| format!("failed to write {path}"))?;
    }
    Ok(())
}

/// `kernel/net/key/af-key.ko.xz` -> `af_key`.
#[must_use]
pub fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normal(file.split('.').next().unwrap_or(file))
}

/// `af-key` -> `af_key`: to modprobe both are the same module.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// The paths of all module files below `dir`, relative to `root`; `build` and `source` are links to kernel trees.
fn collect(tree: &Tree, root: &str, below: &str, out: &mut Vec<String>) -> anyhow::Result<()> {
    let dir = format!("{root}/{below}");
    let id = tree.stat(&dir).with_context(|| format!("failed to list kernel modules in {dir}"))?;
    for (name, &child) in tree.entries(id).into_iter().flatten() {
        let Ok(name) = std::str::from_utf8(name) else {
            bail!("{dir} holds a name that is not UTF-8: {}", String::from_utf8_lossy(name))
        };
        let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        match tree.inode(child).kind {
            Kind::Dir(_) if name != "build" && name != "source" => collect(tree, root, &path, out)?,
            Kind::File(_) if unpack::is_module(name) => out.push(path),
            _ => {}
        }
    }
    Ok(())
}
