//! What the initramfs of an installed system is made from, as files of that system.
//!
//! Profile -> files below `/usr/lib/levitate/initramfs` of the tree ([`write`]) -> [`Recipe`] ([`Recipe::read`]).

use anyhow::{Context, bail};
use common::cli::Mark;
use common::layout;
use serde::{Deserialize, Serialize};

use crate::exit;
use crate::initramfs::{self, Entries, Entry, Parts};
use crate::profile::{DiskInitramfs, Profile};
use crate::tree::{Kind, Origin, Tree};

const ORIGIN: Origin = Origin::Generated("initramfs");

/// The recipe read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// For [`initramfs::build_from`].
    pub parts: Parts,
    /// The command line without an /etc/kernel/cmdline.
    pub cmdline: String,
    /// When the recipe was written: the time of everything in the initramfs.
    pub mtime: i64,
}

/// `recipe.toml`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Document {
    cmdline: String,
    busybox: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu: Option<String>,
    programs: Vec<String>,
}

/// Writes the profile's recipe into the tree.
///
/// # Errors
/// A file or module list of the profile cannot be read, or the tree has a directory in the way; exit code
/// [`exit::SYSTEM`].
pub fn write(tree: &mut Tree, profile: &Profile, disk: &DiskInitramfs) -> anyhow::Result<()> {
    write_files(tree, profile, disk).context("failed to write the initramfs's recipe").exit(exit::SYSTEM)
}

fn write_files(tree: &mut Tree, profile: &Profile, disk: &DiskInitramfs) -> anyhow::Result<()> {
    let dir = format!("/{}", layout::INITRAMFS_DIR);
    for (path, entry) in initramfs::read_files(&disk.files)? {
        let path = format!("{dir}/files/{path}");
        match entry {
            Entry::File(mode, bytes) => {
                tree.write(&path, bytes, if mode & 0o111 == 0 { 0o644 } else { 0o755 }, ORIGIN)?
            }
            Entry::Link(target) => tree.symlink(&path, target, ORIGIN)?,
            Entry::Dir | Entry::Char(..) => unreachable!("read_files gives files and links"),
        };
    }
    let modules = initramfs::module_names(&disk.module_lists)?;
    tree.write(format!("{dir}/modules.list"), modules.join("\n") + "\n", 0o644, ORIGIN)?;
    let document = Document {
        cmdline: profile.kernel.disk_cmdline.clone(),
        busybox: profile.initramfs.busybox.clone(),
        cpu: profile.initramfs.cpu.clone(),
        programs: disk.programs.clone(),
    };
    let text = toml::to_string(&document).context("failed to encode the recipe")?;
    tree.write(format!("{dir}/recipe.toml"), text, 0o644, ORIGIN)?;
    Ok(())
}

impl Recipe {
    /// Reads it from the tree of an installed system.
    ///
    /// # Errors
    /// A file is missing or not as [`write`] makes it; exit code [`exit::SYSTEM`].
    pub fn read(tree: &Tree) -> anyhow::Result<Self> {
        read(tree).context("failed to read the initramfs's recipe").exit(exit::SYSTEM)
    }
}

fn read(tree: &Tree) -> anyhow::Result<Recipe> {
    let dir = format!("/{}", layout::INITRAMFS_DIR);
    let text = |name: &str| -> anyhow::Result<&str> {
        let path = format!("{dir}/{name}");
        std::str::from_utf8(tree.read(&path)?).with_context(|| format!("{path} is not UTF-8"))
    };
    let document: Document =
        toml::from_str(text("recipe.toml")?).with_context(|| format!("failed to parse {dir}/recipe.toml"))?;
    let mut files = Entries::new();
    collect(tree, &format!("{dir}/files"), "", &mut files)?;
    let parts = Parts {
        files,
        modules: initramfs::parse_names(text("modules.list")?)?,
        busybox: document.busybox,
        cpu: document.cpu,
        programs: document.programs,
        level: initramfs::DISK_LEVEL,
        max_size: initramfs::MAX_DISK_SIZE,
    };
    let mtime = tree.inode(tree.stat(format!("{dir}/recipe.toml"))?).meta.mtime;
    Ok(Recipe { parts, cmdline: document.cmdline, mtime })
}

fn collect(tree: &Tree, dir: &str, below: &str, files: &mut Entries) -> anyhow::Result<()> {
    let id = tree.stat(dir)?;
    for (name, &child) in tree.entries(id).into_iter().flatten() {
        let Ok(name) = std::str::from_utf8(name) else { bail!("{dir} holds a name that is not UTF-8") };
        let (path, inside) = (format!("{dir}/{name}"), format!("{below}{name}"));
        let inode = tree.inode(child);
        match &inode.kind {
            Kind::Dir(_) => collect(tree, &path, &format!("{inside}/"), files)?,
            Kind::File(content) => {
                let mode = if inode.meta.mode & 0o111 == 0 { 0o644 } else { 0o755 };
                files.insert(inside, Entry::File(mode, content.as_slice().to_vec()));
            }
            Kind::Symlink(target) => {
                let target = std::str::from_utf8(target)
                    .with_context(|| format!("the target of {path} is not UTF-8"))?;
                files.insert(inside, Entry::Link(target.to_owned()));
            }
            _ => bail!("{path} is neither a file nor a link"),
        }
    }
    Ok(())
}
