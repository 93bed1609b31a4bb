//! What `recuki` does: load, decide between the shipped UKI and a new one, put it in its place.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use common::cli::{Mark, tell};
use common::fs::AtomicFile;
use common::hash::Sha256;
use common::layout;

use super::load::{self, Loader};
use super::recipe::Recipe;
use super::{boot, exit, keymap, parts};
use crate::epoch::Epoch;
use crate::kmod::Kernel;
use crate::tree::Tree;
use crate::{initramfs, uki};

/// Where a system's own command line is (kernel-install(8)).
const CMDLINE: &str = "etc/kernel/cmdline";

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The system.
    pub root: PathBuf,
    /// Its kernel; the newest if none.
    pub kernel: Option<String>,
    /// Where the ESP is mounted, if it is not to be searched.
    pub esp: Option<PathBuf>,
    /// Command line, if not the system's.
    pub cmdline: Option<String>,
    /// Write here instead.
    pub output: Option<PathBuf>,
    /// Boot counting.
    pub tries: Option<u32>,
    /// Remove UKIs without a kernel.
    pub prune: bool,
    /// Write nothing.
    pub dry_run: bool,
}

/// Where the bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The UKI beside the kernel's modules.
    Shipped,
    /// Built now.
    Built,
}

impl Source {
    /// In JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Built => "built",
        }
    }

    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Shipped => "as it came with the kernel",
            Self::Built => "built from this system's files",
        }
    }
}

/// What was done, or would be.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The kernel.
    pub kernel: String,
    /// Where the UKI comes from.
    pub source: Source,
    /// Its command line.
    pub cmdline: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its size, bytes.
    pub size: usize,
    /// Its digest.
    pub sha256: Sha256,
    /// False when it was there already.
    pub changed: bool,
    /// Where its predecessor went.
    pub previous: Option<PathBuf>,
    /// UKIs whose kernel is gone.
    pub gone: Vec<PathBuf>,
}

/// Makes the UKI of a system and puts it in its place.
///
/// # Errors
/// DIR has no such kernel ([`exit::NO_KERNEL`]), no ESP is mounted ([`exit::NO_ESP`]), the files make no bootable image
/// (leviso's codes), or there is no room. What was on the ESP still boots.
pub fn run(request: &Request) -> anyhow::Result<Outcome> {
    let kernels = load::kernels(&request.root).exit(exit::NO_KERNEL)?;
    let kver = choose(&kernels, request.kernel.as_deref(), &request.root).exit(exit::NO_KERNEL)?;
    // Before the work of building: an ESP that is not mounted is the usual mistake.
    let esp = match &request.output {
        Some(_) => None,
        None => Some(boot::find(&request.root, request.esp.as_deref())?),
    };
    let (tree, mut recipe, kernel) = Loader::new(&request.root).load(kver)?;
    if let Err(why) = keymap::add(&request.root, &mut recipe.parts.files) {
        // Better a system that starts with other keys than one that keeps an old kernel.
        tell(&format!("passphrases will be asked for with the keys of a US keyboard: {why:#}"));
    }
    let cmdline = cmdline(request, &recipe)?;
    let (source, bytes) = image(&tree, &recipe, &kernel, &cmdline)?;
    let mut outcome = Outcome {
        kernel: kver.to_owned(),
        source,
        cmdline,
        path: PathBuf::new(),
        size: bytes.len(),
        sha256: Sha256::of(&bytes),
        changed: true,
        previous: None,
        gone: Vec::new(),
    };
    if let Some(esp) = &esp {
        let installed = boot::install(esp, kver, &bytes, request.tries, request.dry_run)?;
        outcome.path = installed.path;
        outcome.changed = installed.changed;
        outcome.previous = installed.previous;
        outcome.gone = boot::prune(esp, &kernels, request.dry_run || !request.prune)?;
    } else if let Some(output) = &request.output {
        outcome.path.clone_from(output);
        if !request.dry_run {
            write(output, &bytes)?;
        }
    }
    Ok(outcome)
}

/// The kernel that is meant.
fn choose<'k>(kernels: &'k [String], wanted: Option<&str>, root: &Path) -> anyhow::Result<&'k str> {
    let all = || kernels.join(", ");
    match wanted {
        Some(wanted) => (kernels.iter().find(|k| *k == wanted).map(String::as_str))
            .with_context(|| format!("{} has no kernel {wanted}, but {}", root.display(), all())),
        None => (kernels.iter().max_by(|a, b| version(a).cmp(&version(b))).map(String::as_str))
            .with_context(|| format!("{} has no kernel", root.display()))
            .hint("give the root directory of an installed system with --root"),
    }
}

/// The version of a kernel, compared as rpm compares the package it came in.
fn version(kernel: &str) -> rpm_version::Evr<'_> {
    let (version, release) = kernel.split_once('-').unwrap_or((kernel, ""));
    rpm_version::Evr::new("", version, release)
}

/// The command line: what was given, else the system's, else the recipe's; words with one space between them.
fn cmdline(request: &Request, recipe: &Recipe) -> anyhow::Result<String> {
    let path = request.root.join(CMDLINE);
    let text = match &request.cmdline {
        Some(text) => text.clone(),
        None => match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => recipe.cmdline.clone(),
            Err(e) => return Err(e).with_context(|| format!("failed to read {}", path.display())),
        },
    };
    let lines = text.lines().filter(|l| !l.trim_start().starts_with('#'));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    Ok(words.join(" "))
}

/// The UKI. Compressing takes most of the time, so an initramfs that is the shipped one's is taken from there.
fn image(tree: &Tree, recipe: &Recipe, kernel: &Kernel, cmdline: &str) -> anyhow::Result<(Source, Vec<u8>)> {
    let shipped = tree.read(format!("{}/{}", kernel.modules_dir(), layout::INSTALLED_UKI)).ok();
    let archive = initramfs::archive(tree, kernel, &recipe.parts, Epoch(recipe.mtime))?;
    let is_same = |packed: &Vec<u8>| {
        let old = zstd::bulk::decompress(packed, archive.unpacked.len());
        old.is_ok_and(|old| old == archive.unpacked)
    };
    // One that cannot be read is as good as none.
    let packed = shipped.and_then(|file| uki::section(file, ".initrd").ok().flatten()).filter(is_same);
    let packed = packed.map_or_else(|| archive.pack(&recipe.parts), Ok)?;
    let bytes = uki::build(&parts(tree, kernel, cmdline, &packed)?)?;
    let source = if shipped == Some(&*bytes) { Source::Shipped } else { Source::Built };
    Ok((source, bytes))
}

/// An ordinary file is replaced as a whole.
fn write(output: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    ensure!(!output.is_dir(), anyhow!("{} is a directory, expected a file", output.display()));
    let mut file = AtomicFile::create(output)?;
    file.write_all(bytes).with_context(|| format!("failed to write {}", output.display()))?;
    file.commit()
}
