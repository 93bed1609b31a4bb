//! `recipe why`, `tree`, `orphans`, `mark`: what needs what.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::process::ExitCode;

use clap::ValueEnum;
use common::cli::{Mark, exit_code};

use super::{Settings, graph, output};
use crate::base::{Answer, Base};
use crate::dir::Dir;
use crate::exit;
use crate::places::OWN;
use crate::recipe::{Recipe, check_name};
use crate::resolve::{self, Graph};
use crate::shelf;
use crate::tx;
use crate::version::Requirement;
use crate::voice::note;

/// Why a package is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reason {
    /// Asked for by name.
    Explicit,
    /// Needed by something else.
    Dep,
}

/// `recipe why`: from a package up to what was asked for, one line a way. It may be the base's.
///
/// # Errors
/// The package is not installed.
pub fn why(settings: &Settings, name: &str) -> anyhow::Result<ExitCode> {
    let base = Base::of(&settings.places.sysroot);
    let (graph, of_base) = installed(settings, &base, name)?;
    let mut ways = Vec::new();
    up(&graph, &mut vec![name.to_owned()], &mut ways);
    if settings.json {
        output::json_of("ways", &ways)?;
        return Ok(ExitCode::SUCCESS);
    }
    for way in &ways {
        let version =
            |n: &String| graph.installed.get(n).and_then(|r| r.state.version.clone()).unwrap_or_default();
        let mut line = match &of_base {
            Some(package) => format!("{name} ({package} of the base)"),
            None => format!("{name} {}", version(&way[0])),
        };
        for pair in way.windows(2) {
            let asked = graph
                .needs(&pair[1])
                .find(|r| r.name == pair[0])
                .map(ToString::to_string)
                .unwrap_or_default();
            let condition = asked.strip_prefix(&pair[0]).unwrap_or_default().trim();
            let condition = if condition.is_empty() { String::new() } else { format!(" ({condition})") };
            line.push_str(&format!(" <- {} {}{condition}", pair[1], version(&pair[1])));
        }
        let last = &graph.installed[&way[way.len() - 1]];
        let date = last.state.at.and_then(output::date).map(|date| format!(", {date}")).unwrap_or_default();
        output::line(if last.state.as_dep {
            format!("{line} <- nobody")
        } else {
            format!("{line} <- you{date}")
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All ways from the last name of `way` up to packages that were asked for, or that nobody needs.
fn up(graph: &Graph, way: &mut Vec<String>, ways: &mut Vec<Vec<String>>) {
    /// More ways than this explain nothing.
    const MAX_WAYS: usize = 50;
    let here = way[way.len() - 1].clone();
    let above: Vec<_> =
        graph.needed_by(&here).filter(|n| !way.iter().any(|w| w == n)).map(str::to_owned).collect();
    let explicit = graph.installed.get(&here).is_some_and(|r| !r.state.as_dep);
    if (explicit || above.is_empty()) && ways.len() < MAX_WAYS {
        ways.push(way.clone());
    }
    for name in above {
        if ways.len() >= MAX_WAYS {
            return;
        }
        way.push(name);
        up(graph, way, ways);
        way.pop();
    }
}

/// `recipe tree`: what a package needs, or its recipe would; or what needs it, if it is installed.
///
/// # Errors
/// There is no such recipe, or nobody can need it.
pub fn tree(settings: &Settings, word: &OsStr, reverse: bool) -> anyhow::Result<ExitCode> {
    let base = Base::of(&settings.places.sysroot);
    let name = word.to_string_lossy();
    let (graph, planned) = match installed(settings, &base, &name) {
        Ok((graph, _)) => (graph, None),
        Err(e) if reverse || exit_code(&e) != exit::NOT_FOUND => return Err(e),
        // What only the base can have: /usr/bin/cc is no file of a recipe.
        Err(e) if check_name(&name).is_err() && !name.ends_with(".rhai") => return Err(e),
        Err(e) => match shelf::load(&settings.places, word) {
            Ok(recipe) => (read_graph(settings)?, Some(recipe)),
            Err(other) if exit_code(&other) == exit::NOT_FOUND => return Err(e),
            Err(other) => return Err(other),
        },
    };
    let name = planned.as_ref().map_or(&*name, |recipe| &recipe.name).to_owned();
    let find = |name: &str| match &planned {
        Some(recipe) if recipe.name == name => Some(recipe.clone()),
        _ => shelf::load(&settings.places, name).ok(),
    };
    let (seen, lines) = (BTreeSet::new(), Vec::new());
    let mut tree = Tree { graph: &graph, base: &base, find: &find, reverse, seen, lines };
    tree.branch(&Requirement::parse(&name)?, 0, planned.is_some())?;
    if settings.json {
        let nodes: Vec<_> = tree
            .lines
            .iter()
            .map(|l| serde_json::json!({ "depth": l.depth, "name": l.name, "from": l.from }))
            .collect();
        output::json_of("tree", &nodes)?;
    } else {
        for Line { depth, name, note, .. } in &tree.lines {
            output::line(format!("{}{name}{note}", "  ".repeat(*depth)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

struct Tree<'a> {
    graph: &'a Graph,
    base: &'a Base,
    /// The recipe of what is not installed.
    find: &'a dyn Fn(&str) -> Option<Recipe>,
    reverse: bool,
    seen: BTreeSet<String>,
    lines: Vec<Line>,
}

struct Line {
    depth: usize,
    name: String,
    note: String,
    /// `recipe`, `base`, or nothing has it.
    from: Option<&'static str>,
}

impl Tree<'_> {
    /// `planned`: it is the recipe that was asked for, whatever the base has.
    fn branch(&mut self, wanted: &Requirement, depth: usize, planned: bool) -> anyhow::Result<()> {
        let name = &wanted.name;
        let version = self.graph.installed.get(name).and_then(|r| r.state.version.clone());
        let again = !self.seen.insert(name.clone());
        let mut next = self.next(name)?;
        let (note, from) = match (version, again) {
            (Some(version), true) => (format!(" {version} (see above)"), Some("recipe")),
            (Some(version), false) => (format!(" {version}"), Some("recipe")),
            (None, _) => match self.base.answer(wanted)? {
                Answer::Enough(package) if !planned => (format!(" ({package} of the base)"), Some("base")),
                answer => {
                    let recipe = (self.find)(name).filter(|_| !self.reverse && wanted.names_recipe());
                    let note = absent(wanted, recipe.as_ref(), &answer, again);
                    if let Some(recipe) = recipe {
                        next = recipe
                            .deps
                            .iter()
                            .map(|t| resolve::parse(&recipe, t))
                            .collect::<Result<_, _>>()?;
                    }
                    (note, None)
                }
            },
        };
        self.lines.push(Line { depth, name: name.clone(), note, from });
        if again {
            return Ok(());
        }
        next.iter().try_for_each(|wanted| self.branch(wanted, depth + 1, false))
    }

    /// What an installed package leads to.
    fn next(&self, name: &str) -> anyhow::Result<Vec<Requirement>> {
        match self.reverse {
            true => self.graph.needed_by(name).map(Requirement::parse).collect(),
            false => Ok(self.graph.needs(name).cloned().collect()),
        }
    }
}

/// What is said of a package that is not there.
fn absent(wanted: &Requirement, recipe: Option<&Recipe>, answer: &Answer, again: bool) -> String {
    let version = recipe.map(|recipe| format!(" {}", recipe.version)).unwrap_or_default();
    let more = match (recipe, answer) {
        (Some(recipe), _) if !wanted.accepts(&recipe.version) => format!("; {wanted} is needed"),
        (None, Answer::Other(has)) => format!("; the base has {has}"),
        (Some(_), _) if again => "; see above".to_owned(),
        _ => String::new(),
    };
    format!("{version} (not installed{more})")
}

/// `recipe orphans`: what came for others which are gone.
///
/// # Errors
/// The recipes cannot be read.
pub fn orphans(settings: &Settings) -> anyhow::Result<ExitCode> {
    let orphans = read_graph(settings)?.orphans(&BTreeSet::new());
    if settings.json {
        output::json_of("orphans", &orphans)?;
    } else {
        orphans.iter().try_for_each(output::line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `recipe mark`: changes the reason why packages are there. All are found before the first is changed.
///
/// # Errors
/// A package is not installed, or its recipe cannot be written.
pub fn mark(settings: &Settings, reason: Reason, names: &[String]) -> anyhow::Result<ExitCode> {
    let desk = settings.desk()?;
    let as_dep = reason == Reason::Dep;
    let recipes = names.iter().map(|name| shelf::installed(&settings.places, name));
    let mut marked = Vec::new();
    for recipe in recipes.collect::<anyhow::Result<Vec<_>>>()? {
        let name = &recipe.name;
        tx::rewrite(&desk, &recipe, |state| state.as_dep = as_dep)?;
        note(&format!("{name}: {}", if as_dep { "needed by others" } else { "asked for by name" }));
        marked.push(serde_json::json!({ "name": name, "installed_as_dep": as_dep }));
    }
    if settings.json {
        output::json_of("packages", &marked)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is installed.
pub(super) fn read_graph(settings: &Settings) -> anyhow::Result<Graph> {
    // Without a prefix nothing is installed.
    let own = Dir::open(&settings.places.prefix_here().join(OWN));
    match own {
        Ok(own) => graph(&settings.places, &own),
        Err(_) => Graph::new(Vec::new(), |_| Ok(Vec::new())),
    }
}

/// What is installed, if the package is, or if something needs it of the base: then its package there, too.
fn installed(settings: &Settings, base: &Base, name: &str) -> anyhow::Result<(Graph, Option<String>)> {
    let graph = read_graph(settings)?;
    if graph.installed.contains_key(name) {
        return Ok((graph, None));
    }
    if let Ok(any) = Requirement::parse(name)
        && let Answer::Enough(package) = base.answer(&any)?
    {
        if graph.needed_by(name).next().is_some() {
            return Ok((graph, Some(package)));
        }
        let nobody = format!("no installed package needs {name} ({package} of the base)");
        return Err(anyhow::anyhow!(nobody)).exit(exit::NOT_FOUND);
    }
    // It has the error that says more: there is no such recipe, or it is not installed.
    shelf::installed(&settings.places, name)?;
    Err(shelf::not_installed(&settings.places, name))
}
