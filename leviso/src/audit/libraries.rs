//! Interpreters, libraries and symbol versions, found the way ld.so(8) finds them.
//!
//! For a file on its own: RPATH where there is no RUNPATH, RUNPATH, the directories of ld.so.cache, the loader's own.
//! A program's RPATH also serves the libraries it loads, and a library that is loaded already serves everyone; a
//! library whose needs are met only so gets a warning, not an error. dlopen(3) leaves no trace in a file and is not
//! covered. Files of other machines (firmware, boot loaders) are none of this system's programs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, bail};
use common::cli::Mark;
use rayon::prelude::*;

use super::{Findings, Level, Problem, text};
use crate::elf::{self, Elf, ElfError};
use crate::exit;
use crate::finalise::ld_so_cache;
use crate::tree::{InodeId, Kind, Tree};

/// Separate debug information has the headers of programs, but not their content.
const DEBUG_DIR: &[u8] = b"/usr/lib/debug/";

/// EI_CLASS and e_machine of an x86-64 file, by offset: enough to tell foreign files that do not parse.
const CLASS_AT: usize = 4;
const MACHINE_AT: usize = 18;

/// The ELF files of a tree and where libraries are looked for.
struct Graph<'t> {
    tree: &'t Tree,
    /// x86-64 programs and libraries; an inode with several names counts once.
    files: HashMap<InodeId, Elf<'t>>,
    /// Library directories every program knows.
    dirs: Vec<Vec<u8>>,
    /// `$LIB`: the loader's first directory, relative.
    lib: Vec<u8>,
}

/// Adds findings about every x86-64 ELF file.
pub(super) fn check(tree: &Tree, walk: &[(Vec<u8>, InodeId)], found: &mut Findings) {
    let mut parsed = parse(tree, walk);
    for (path, id, elf) in &mut parsed {
        if let Err(e) = elf {
            found.add(tree, Level::Error, path, *id, Problem::DamagedElf(e.to_string()));
        }
    }
    let graph = Graph::new(tree, parsed.into_iter().filter_map(|(_, id, elf)| Some((id, elf.ok()?))));
    found.elf_files = graph.files.len();

    // Everything by file name, for libraries that are somewhere else.
    let mut by_name: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    for (path, id) in walk {
        let target = match tree.inode(*id).kind {
            Kind::Symlink(_) => tree.stat(path).unwrap_or(*id),
            _ => *id,
        };
        if is_x86_64(tree, target) {
            by_name.entry(file_name(path)).or_insert(path);
        }
    }
    let mut seen = BTreeSet::new();
    for (path, id) in walk {
        if let Some(elf) = graph.files.get(id).filter(|_| seen.insert(*id)) {
            graph.check_one(path, *id, elf, &by_name, found);
        }
    }
}

/// Everything the programs `roots` need to run: themselves, their loader, all libraries, and the links by which those
/// are found. Real paths (no link in the middle), sorted, each once.
///
/// # Errors
/// A root is no file of the tree, a file is damaged, or a library is missing; exit code [`exit::SYSTEM`].
pub fn closure(tree: &Tree, roots: &[&str]) -> anyhow::Result<Vec<Vec<u8>>> {
    walk_closure(tree, roots).exit(exit::SYSTEM)
}

fn walk_closure(tree: &Tree, roots: &[&str]) -> anyhow::Result<Vec<Vec<u8>>> {
    let graph = Graph::new(tree, std::iter::empty());
    let mut real = HashMap::from([(Tree::ROOT, Vec::new())]);
    for (path, id) in tree.walk() {
        real.entry(id).or_insert(path);
    }
    let mut out = BTreeSet::new();
    let mut todo: Vec<Vec<u8>> = roots.iter().map(|r| r.as_bytes().to_vec()).collect();
    let mut seen = BTreeSet::new();
    while let Some(path) = todo.pop() {
        let id = add_with_links(tree, &real, &path, &mut out)?;
        let Kind::File(content) = &tree.inode(id).kind else {
            bail!("{} is not a regular file", text(&path));
        };
        if !seen.insert(id) || !elf::is_elf(content.as_slice()) {
            continue;
        }
        let elf =
            Elf::parse(content.as_slice()).with_context(|| format!("failed to parse {}", text(&path)))?;
        todo.extend(elf.interpreter.map(<[u8]>::to_vec));
        let Some(dynamic) = &elf.dynamic else { continue };
        for name in &dynamic.needed {
            let library = graph.find(&real[&id], &elf, name);
            let missing = || format!("{} needs {}, which nothing provides", text(&path), text(name));
            todo.push(library.with_context(missing)?.0);
        }
    }
    Ok(out.into_iter().collect())
}

/// Adds a path's final file and every link on the way that is not in the middle of it.
fn add_with_links(
    tree: &Tree,
    real: &HashMap<InodeId, Vec<u8>>,
    path: &[u8],
    out: &mut BTreeSet<Vec<u8>>,
) -> anyhow::Result<InodeId> {
    let mut path = path.to_vec();
    let target = tree.stat(&path)?;
    // stat() has followed all links and found an end, so this loop finds it too.
    loop {
        let dir = tree.stat(parent(&path))?;
        let here = [&real[&dir], &b"/"[..], file_name(&path)].concat();
        let id = tree.lstat(&here)?;
        out.insert(here.clone());
        match &tree.inode(id).kind {
            Kind::Symlink(link) if link.starts_with(b"/") => path = link.to_vec(),
            Kind::Symlink(link) => path = [parent(&here), b"/", link].concat(),
            _ => return Ok(target),
        }
    }
}

/// The x86-64 ELF files, parsed; damaged ones as errors.
fn parse<'t>(
    tree: &'t Tree,
    walk: &[(Vec<u8>, InodeId)],
) -> Vec<(Vec<u8>, InodeId, Result<Elf<'t>, ElfError>)> {
    walk.par_iter()
        .filter(|(path, id)| !path.starts_with(DEBUG_DIR) && is_x86_64(tree, *id))
        .filter_map(|(path, id)| match &tree.inode(*id).kind {
            Kind::File(content) => Some((path.clone(), *id, Elf::parse(content.as_slice()))),
            _ => None,
        })
        .collect()
}

fn is_x86_64(tree: &Tree, id: InodeId) -> bool {
    let Kind::File(content) = &tree.inode(id).kind else { return false };
    let file = content.as_slice();
    elf::is_elf(file)
        && file.get(CLASS_AT) == Some(&2)
        && file.get(MACHINE_AT..MACHINE_AT + 2) == Some(&elf::EM_X86_64.to_le_bytes())
}

impl<'t> Graph<'t> {
    fn new(tree: &'t Tree, files: impl Iterator<Item = (InodeId, Elf<'t>)>) -> Self {
        let system = ld_so_cache::system_dirs(tree);
        let configured = ld_so_cache::search_dirs(tree).unwrap_or_default();
        // A directory for some processors only is no place to find a library for sure.
        let mut dirs: Vec<_> =
            configured.into_iter().filter(|d| d.hwcaps.is_none()).map(|d| d.path).collect();
        dirs.extend(system.iter().cloned());
        let lib = system.first().map(|dir| dir[1..].to_vec()).unwrap_or_default();
        Self { tree, files: files.collect(), dirs, lib }
    }

    fn check_one(
        &self,
        path: &[u8],
        id: InodeId,
        elf: &Elf<'_>,
        by_name: &BTreeMap<&[u8], &[u8]>,
        found: &mut Findings,
    ) {
        if let Some(loader) = elf.interpreter.filter(|i| !self.tree.exists(i)) {
            found.add(self.tree, Level::Error, path, id, Problem::NoLoader(text(loader)));
        }
        let Some(dynamic) = &elf.dynamic else { return };
        let mut libraries = HashMap::new();
        for &name in &dynamic.needed {
            if let Some(library) = self.find(path, elf, name) {
                libraries.insert(name, library);
                continue;
            }
            let (level, problem) = match by_name.get(name) {
                None => (Level::Error, Problem::NoLibrary(text(name))),
                Some(found) => {
                    let (library, found) = (text(name), text(found));
                    let level = if elf.interpreter.is_some() { Level::Error } else { Level::Warning };
                    (level, Problem::ElsewhereLibrary { library, found })
                }
            };
            found.add(self.tree, level, path, id, problem);
        }
        for need in &dynamic.needs {
            let Some((library, provider)) = libraries.get(need.library) else { continue };
            let defines = self.files.get(provider).and_then(|e| e.dynamic.as_ref()).map(|d| &d.defines);
            if defines.is_some_and(|defines| defines.contains(&need.version)) {
                continue;
            }
            // Without any versions the loader only prints a warning, and for weak ones nothing.
            let none_at_all = defines.is_none_or(Vec::is_empty);
            let level = if need.weak || none_at_all { Level::Warning } else { Level::Error };
            let problem = Problem::NoVersion { version: text(need.version), library: text(library) };
            found.add(self.tree, level, path, id, problem);
        }
    }

    /// The library a file gets for a DT_NEEDED name: the path it is found by, and its inode.
    fn find(&self, path: &[u8], elf: &Elf<'_>, name: &[u8]) -> Option<(Vec<u8>, InodeId)> {
        if name.contains(&b'/') {
            return self.usable(name.to_vec());
        }
        let dynamic = elf.dynamic.as_ref()?;
        let own = dynamic.runpath.or(dynamic.rpath).unwrap_or_default();
        let own = own.split(|&b| b == b':').filter(|d| !d.is_empty()).map(|d| self.expand(d, parent(path)));
        let common = self.dirs.iter().filter(|_| !dynamic.no_default_dirs).cloned();
        own.chain(common).find_map(|dir| self.usable([&dir, &b"/"[..], name].concat()))
    }

    /// The file at a path, if the loader would take it: it passes over files of other machines.
    fn usable(&self, path: Vec<u8>) -> Option<(Vec<u8>, InodeId)> {
        let id = self.tree.stat(&path).ok().filter(|&id| is_x86_64(self.tree, id))?;
        Some((path, id))
    }

    /// `$ORIGIN`, `$LIB` and `$PLATFORM` of a RUNPATH entry, with or without braces.
    fn expand(&self, dir: &[u8], origin: &[u8]) -> Vec<u8> {
        let values: [(&str, &[u8]); 3] = [("ORIGIN", origin), ("LIB", &self.lib), ("PLATFORM", b"x86_64")];
        let mut out = Vec::new();
        let mut rest = dir;
        while let Some((&byte, after)) = rest.split_first() {
            let token = values.iter().filter(|_| byte == b'$').find_map(|(name, value)| {
                let braced = after.strip_prefix(format!("{{{name}}}").as_bytes());
                braced.or_else(|| after.strip_prefix(name.as_bytes())).map(|rest| (value, rest))
            });
            match token {
                Some((value, after)) => {
                    out.extend_from_slice(value);
                    rest = after;
                }
                None => {
                    out.push(byte);
                    rest = after;
                }
            }
        }
        out
    }
}

fn parent(path: &[u8]) -> &[u8] {
    &path[..path.iter().rposition(|&b| b == b'/').unwrap_or(0)]
}

fn file_name(path: &[u8]) -> &[u8] {
    &path[path.iter().rposition(|&b| b == b'/').map_or(0, |i| i + 1)..]
}
