//! Which modules a list of names needs, in the order in which they load.
//!
//! Reads the files [`super::depmod`] wrote. Names may be aliases (`crc32c` means every module with that alias) or
//! drivers built into the kernel, which need nothing. Hard dependencies come before a module, so do soft ones marked
//! `pre`; `post` and weak ones come after it. A soft or weak dependency that does not exist is none, as for modprobe.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use common::cli::Mark;

use super::depmod::builtin_alias_list;
use super::{Kernel, Module, module_name, normal};
use crate::exit;
use crate::tree::Tree;

/// A module that is needed.
#[derive(Debug, Clone)]
pub struct Needed {
    /// What its ELF file says; `module.path` is below `/lib/modules/KVER`.
    pub module: Module,
    /// The ELF file, decompressed, with its signature.
    pub elf: Vec<u8>,
}

/// What a list of module names comes to.
#[derive(Debug, Clone, Default)]
pub struct Closure {
    /// In load order.
    pub modules: Vec<Needed>,
    /// Firmware they may ask for, paths below /lib/firmware, sorted. Whether the tree has it is another question.
    pub firmware: BTreeSet<String>,
}

/// Everything the named modules need. A name with a `?` before it may be missing.
///
/// # Errors
/// depmod has not run on the tree, a name means nothing, or a module cannot be read. Exit code [`exit::SYSTEM`].
pub fn closure<'n>(
    tree: &Tree,
    kernel: &Kernel,
    names: impl IntoIterator<Item = &'n str>,
) -> anyhow::Result<Closure> {
    let graph = Graph::read(tree, kernel)?;
    let mut walk = Walk { graph: &graph, seen: BTreeSet::new(), order: Vec::new() };
    let mut unknown = Vec::new();
    for name in names {
        let (name, optional) = name.strip_prefix('?').map_or((name, false), |n| (n, true));
        match graph.resolve(name) {
            Some(found) => found.into_iter().for_each(|m| walk.visit(m)),
            None if optional => {}
            None => unknown.push(name),
        }
    }
    if !unknown.is_empty() {
        let what = unknown.join(", ");
        return Err(anyhow::anyhow!("kernel {} has no module {what}", kernel.version))
            .hint("a module that not every kernel has is written with a question mark before its name: ?name")
            .exit(exit::SYSTEM);
    }
    let mut closure = Closure::default();
    for name in walk.order {
        let path = format!("{}/{}", kernel.modules_dir(), graph.modules[name].0);
        let file =
            tree.read(&path).with_context(|| format!("failed to read {path}, which modules.dep lists"))?;
        let elf = super::unpack(&path, file)?.into_owned();
        let module = Module::parse(&graph.modules[name].0, file)?;
        closure.firmware.extend(module.info.firmware.iter().cloned());
        closure.modules.push(Needed { module, elf });
    }
    Ok(closure)
}

/// The index files as maps.
struct Graph {
    /// Name -> path, paths of what it needs, last first.
    modules: BTreeMap<String, (String, Vec<String>)>,
    /// Name -> what should be there before it.
    before: BTreeMap<String, Vec<String>>,
    /// Name -> what should be there after it.
    after: BTreeMap<String, Vec<String>>,
    /// Alias pattern, module.
    aliases: Vec<(String, String)>,
    builtin: BTreeSet<String>,
}

impl Graph {
    fn read(tree: &Tree, kernel: &Kernel) -> anyhow::Result<Self> {
        let dir = kernel.modules_dir();
        let read = |name: &str| tree.read(format!("{dir}/{name}"));
        let text = |name: &str| {
            let bytes = read(name).with_context(|| format!("depmod has not run for {}", kernel.version))?;
            anyhow::Ok(String::from_utf8_lossy(bytes).into_owned())
        };
        let mut graph = Self {
            modules: BTreeMap::new(),
            before: BTreeMap::new(),
            after: BTreeMap::new(),
            aliases: Vec::new(),
            builtin: BTreeSet::new(),
        };
        for line in text("modules.dep")?.lines() {
            let Some((path, deps)) = line.split_once(':') else {
                bail!("{dir}/modules.dep has a bad line: {line}")
            };
            let deps = deps.split_whitespace().map(str::to_owned).collect();
            graph.modules.insert(module_name(path), (path.to_owned(), deps));
        }
        for line in text("modules.softdep")?.lines() {
            graph.add_soft(line);
        }
        for line in text("modules.weakdep")?.lines() {
            if let Some((name, weak)) = line.strip_prefix("weakdep ").and_then(|l| l.split_once(' ')) {
                let weak = weak.split_whitespace().map(str::to_owned);
                graph.after.entry(name.to_owned()).or_default().extend(weak);
            }
        }
        for line in text("modules.alias")?.lines() {
            if let Some((alias, name)) = line.strip_prefix("alias ").and_then(|l| l.rsplit_once(' ')) {
                graph.aliases.push((normal(alias), name.to_owned()));
            }
        }
        for line in String::from_utf8_lossy(read("modules.builtin").unwrap_or_default()).lines() {
            graph.builtin.insert(module_name(line));
        }
        for (_, alias) in builtin_alias_list(read("modules.builtin.modinfo").unwrap_or_default()) {
            graph.builtin.insert(normal(&alias));
        }
        Ok(graph)
    }

    /// `softdep NAME pre: a b post: c`.
    fn add_soft(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (Some("softdep"), Some(name)) = (words.next(), words.next()) else { return };
        let mut after = None;
        for word in words {
            match (word, after) {
                ("pre:", _) => after = Some(false),
                ("post:", _) => after = Some(true),
                (_, None) => {}
                (word, Some(after)) => {
                    let list = if after { &mut self.after } else { &mut self.before };
                    list.entry(name.to_owned()).or_default().push(word.to_owned());
                }
            }
        }
    }

    /// The modules a name means: none for what is built in, `None` when nothing is known by it.
    fn resolve(&self, name: &str) -> Option<Vec<&str>> {
        let name = normal(name);
        if let Some((key, _)) = self.modules.get_key_value(&name) {
            return Some(vec![key]);
        }
        let mut found: Vec<&str> =
            self.aliases.iter().filter(|(alias, _)| *alias == name).map(|(_, module)| &**module).collect();
        found.retain(|m| self.modules.contains_key(*m));
        if found.is_empty() && !self.builtin.contains(&name) {
            return None;
        }
        Some(found)
    }
}

/// Depth first; a module is entered once, so circles of soft dependencies end.
struct Walk<'g> {
    graph: &'g Graph,
    seen: BTreeSet<&'g str>,
    order: Vec<&'g str>,
}

impl<'g> Walk<'g> {
    fn visit(&mut self, name: &'g str) {
        if !self.seen.insert(name) {
            return;
        }
        self.soft(self.graph.before.get(name));
        let graph = self.graph;
        for path in graph.modules.get(name).into_iter().flat_map(|(_, deps)| deps.iter().rev()) {
            if let Some((key, _)) = graph.modules.get_key_value(&module_name(path)) {
                self.visit(key);
            }
        }
        self.order.push(name);
        self.soft(self.graph.after.get(name));
    }

    fn soft(&mut self, names: Option<&'g Vec<String>>) {
        for name in names.into_iter().flatten() {
            for module in self.graph.resolve(name).unwrap_or_default() {
                self.visit(module);
            }
        }
    }
}
