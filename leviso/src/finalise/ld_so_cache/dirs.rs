//! Which directories libraries are looked for in: ld.so.conf(5) with its includes, then the loader's own.

use anyhow::{Context, bail};

use crate::glob;
use crate::tree::{InodeId, Tree};

/// The x86-64 psABI's name of the dynamic loader: the interpreter of every 64-bit program.
pub const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

const CONF: &str = "/etc/ld.so.conf";

/// Includes nested deeper than this are a loop. Distributions use one level.
const MAX_DEPTH: usize = 16;

/// A directory of libraries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchDir {
    /// As the configuration writes it, without a trailing slash: the cache holds these paths.
    pub path: Vec<u8>,
    /// The name below `glibc-hwcaps` that says which processors may use it (`x86-64-v3`).
    pub hwcaps: Option<Vec<u8>>,
    /// The directory.
    pub id: InodeId,
}

impl SearchDir {
    /// The path of a file in it.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Vec<u8> {
        [&self.path, &b"/"[..], name].concat()
    }
}

/// All directories in the order in which ldconfig goes through them, each once.
///
/// # Errors
/// The includes of ld.so.conf go round in circles.
pub fn search_dirs(tree: &Tree) -> anyhow::Result<Vec<SearchDir>> {
    let mut dirs: Vec<SearchDir> = Vec::new();
    for path in &all_dirs(tree)? {
        let Some(id) = tree.stat(path).ok().filter(|_| !path.is_empty()) else { continue };
        if !add(&mut dirs, SearchDir { path: path.to_vec(), hwcaps: None, id }) {
            continue;
        }
        let hwcaps = [path, &b"/glibc-hwcaps"[..]].concat();
        for name in tree.list(&hwcaps) {
            let path = [&hwcaps, &b"/"[..], name].concat();
            // The loader separates these names by colons.
            let usable = !name.starts_with(b".") && !name.contains(&b':');
            if let Some(id) = tree.stat(&path).ok().filter(|&id| usable && tree.entries(id).is_some()) {
                add(&mut dirs, SearchDir { path, hwcaps: Some(name.to_vec()), id });
            }
        }
    }
    dirs.retain(|d| tree.entries(d.id).is_some());
    Ok(dirs)
}

/// The same by name, whether they exist or not.
///
/// # Errors
/// The includes of ld.so.conf go round in circles.
pub fn all_dirs(tree: &Tree) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    read_conf(tree, CONF.as_bytes(), 0, &mut lines)?;
    lines.extend(builtin_dirs(tree));
    let clean = |line: &Vec<u8>| {
        // `dir=libc6` once named a library type.
        let path = line.split(|&b| b == b'=').next().unwrap_or_default().trim_ascii_end();
        let end = path.iter().rposition(|&b| b != b'/').map_or(0, |i| i + 1);
        path[..end].to_vec()
    };
    Ok(lines.iter().map(clean).collect())
}

/// The directories compiled into the image's loader, without trailing slashes: `/lib64`, `/usr/lib64` on Enterprise
/// Linux; the multiarch directories, `/lib` and `/usr/lib` on Debian.
#[must_use]
pub fn system_dirs(tree: &Tree) -> Vec<Vec<u8>> {
    let loader = tree.read(LOADER).unwrap_or_default();
    // glibc keeps them one after the other, each ending in "/" and a NUL (system_dirs in elf/dl-load.c).
    let mut run: Vec<Vec<u8>> = Vec::new();
    for text in loader.split(|&b| b == 0) {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._+-".contains(b);
        match text.strip_suffix(b"/") {
            Some(dir) if dir.len() > 1 && dir[0] == b'/' && dir.iter().all(plain) => run.push(dir.to_vec()),
            _ if run.len() > 1 => return run,
            _ => run.clear(),
        }
    }
    [&b"/lib64"[..], b"/usr/lib64"].map(<[u8]>::to_vec).to_vec()
}

/// What ldconfig adds to ld.so.conf: the loader's directories; where those are plain `lib*` directories, also their
/// siblings for the other word sizes (add_system_dir in glibc's x86_64/dl-cache.h). Debian's has only its own.
fn builtin_dirs(tree: &Tree) -> Vec<Vec<u8>> {
    let stem = |dir: &Vec<u8>| {
        let parent = dir.iter().rposition(|&b| b == b'/').map_or(0, |i| i + 1);
        let (parent, name) = dir.split_at(parent);
        [&b"lib"[..], b"lib64", b"libx32"].contains(&name).then(|| [parent, b"lib"].concat())
    };
    let system = system_dirs(tree);
    match system.iter().map(stem).collect::<Option<Vec<_>>>() {
        Some(stems) => {
            let sizes = [&b""[..], b"32", b"64", b"x32"];
            stems.iter().flat_map(|stem| sizes.map(|size| [stem, size].concat())).collect()
        }
        None => system,
    }
}

fn add(dirs: &mut Vec<SearchDir>, dir: SearchDir) -> bool {
    let new = dirs.iter().all(|d| d.id != dir.id);
    if new {
        dirs.push(dir);
    }
    new
}

fn read_conf(tree: &Tree, path: &[u8], depth: usize, out: &mut Vec<Vec<u8>>) -> anyhow::Result<()> {
    if depth > MAX_DEPTH {
        bail!("{} is included from itself", String::from_utf8_lossy(path));
    }
    let Ok(conf) = tree.read(path) else { return Ok(()) };
    for line in conf.split(|&b| b == b'\n') {
        let line = line.split(|&b| b == b'#' || b == 0).next().unwrap_or_default().trim_ascii_start();
        match line.strip_prefix(b"include") {
            Some(rest) if rest.first().is_some_and(|b| b" \t".contains(b)) => {
                for pattern in rest.split(|b| b" \t".contains(b)).filter(|p| !p.is_empty()) {
                    for file in expand(tree, &beside(path, pattern)) {
                        read_conf(tree, &file, depth + 1, out)
                            .with_context(|| format!("failed to read {}", String::from_utf8_lossy(path)))?;
                    }
                }
            }
            _ if is_hwcap_line(line) || line.is_empty() => {}
            _ => out.push(line.to_vec()),
        }
    }
    Ok(())
}

/// `hwcap` lines are from the time of glibc 2.32 and mean nothing now.
fn is_hwcap_line(line: &[u8]) -> bool {
    line.len() > 5 && line[..5].eq_ignore_ascii_case(b"hwcap") && b" \t".contains(&line[5])
}

/// A relative pattern is relative to the directory of the file it stands in.
fn beside(file: &[u8], pattern: &[u8]) -> Vec<u8> {
    if pattern.starts_with(b"/") {
        return pattern.to_vec();
    }
    let dir = file.iter().rposition(|&b| b == b'/').map_or(0, |i| i + 1);
    [&file[..dir], pattern].concat()
}

/// The paths a glob(7) pattern names, in byte order; `*`, `?` and `[a-z]` within a name, hidden files only by name.
fn expand(tree: &Tree, pattern: &[u8]) -> Vec<Vec<u8>> {
    let mut paths: Vec<Vec<u8>> = vec![Vec::new()];
    for part in pattern.split(|&b| b == b'/').filter(|p| !p.is_empty()) {
        let below = |path: &Vec<u8>| -> Vec<Vec<u8>> {
            let names = tree.list(if path.is_empty() { b"/" } else { &path[..] });
            let hit = |name: &&[u8]| glob::matches(part, name) && (name[0] != b'.' || part[0] == b'.');
            names.into_iter().filter(hit).map(|name| [path, &b"/"[..], name].concat()).collect()
        };
        paths = paths.iter().flat_map(below).collect();
    }
    paths.sort();
    paths
}
