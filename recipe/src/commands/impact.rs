//! `recipe impact`: an installed package -> what would be affected if it went, or became what its recipe has now. Changes nothing.

use std::collections::BTreeSet;
use std::process::ExitCode;

use indicatif::BinaryBytes;
use serde::Serialize;
use serde_json::json;

use super::needs::read_graph;
use super::{Settings, output};
use crate::base::{Answer, Base};
use crate::db::{self, Record};
use crate::dir::Dir;
use crate::places::OWN;
use crate::recipe::Recipe;
use crate::resolve::{self, Graph};
use crate::shelf;
use crate::voice::summary::several;

/// How a package would be affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Effect {
    /// It is the package itself.
    Goes,
    /// It would lack what it needs.
    Lacks,
    /// The base has what it needs, too.
    Base,
    /// What it needs is not met now either.
    Unmet,
    /// Nothing would need it any more.
    Orphan,
    /// It was built with it.
    Built,
}

/// A package that would be affected.
#[derive(Debug, Serialize)]
struct Affected {
    name: String,
    version: String,
    effect: Effect,
    /// What it needs of those above it.
    needs: Option<String>,
    /// It needs the package itself, not only another one that does.
    direct: bool,
    /// Whether what the recipe has now would do; of those that need the package directly.
    accepts: Option<bool>,
    files: usize,
    /// None if nobody has recorded it.
    bytes: Option<u64>,
}

impl Affected {
    /// Whether it would not be there afterwards.
    fn goes(&self) -> bool {
        matches!(self.effect, Effect::Goes | Effect::Lacks | Effect::Orphan)
    }
}

/// Runs it.
///
/// # Errors
/// The package is not installed (exit code [`crate::exit::NOT_FOUND`]), or the base's list or a record cannot be read.
pub fn run(settings: &Settings, name: &str) -> anyhow::Result<ExitCode> {
    let recipe = shelf::installed(&settings.places, name)?;
    let (graph, base) = (read_graph(settings)?, Base::of(&settings.places.sysroot));
    let own = Dir::open(&settings.places.prefix_here().join(OWN)).ok();
    let all = affected(&Look { graph: &graph, base: &base, own: own.as_ref(), recipe: &recipe })?;
    let going = || all.iter().filter(|package| package.goes());
    let files: usize = going().map(|package| package.files).sum();
    let bytes: Option<u64> = going().map(|package| package.bytes).sum();
    if settings.json {
        let version = recipe.installed_version();
        output::json_of_all([
            ("name", json!(recipe.name)),
            ("version", json!(version)),
            ("recipe", json!(recipe.version)),
            ("packages", json!(all)),
            ("files", json!(files)),
            ("bytes", json!(bytes)),
        ])?;
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<_> = all.iter().map(|package| cells(package, &recipe.version)).collect();
    output::columns(&cells.iter().map(|row| row.each_ref().map(String::as_str)).collect::<Vec<_>>())?;
    let packages = several(going().count(), "package");
    let size = bytes.map(|bytes| format!(", {}", BinaryBytes(bytes))).unwrap_or_default();
    let command = format!("recipe remove --cascade -s {}", recipe.name);
    output::line(format!("{packages}, {}{size} would go with `{command}`", several(files, "file")))?;
    Ok(ExitCode::SUCCESS)
}

/// What is looked at.
struct Look<'a> {
    graph: &'a Graph,
    base: &'a Base,
    own: Option<&'a Dir>,
    recipe: &'a Recipe,
}

/// The package, then those that need it, directly first, then what nothing would need any more, then what was built with it.
fn affected(look: &Look<'_>) -> anyhow::Result<Vec<Affected>> {
    let Look { graph, base, recipe, .. } = look;
    let alone = BTreeSet::from([recipe.name.clone()]);
    let gone = graph.dependents(&alone, base)?;
    let mut all = vec![look.at(recipe, Effect::Goes)?];
    let (direct, others): (Vec<_>, _) = gone
        .iter()
        .filter(|n| **n != recipe.name)
        .partition(|n| graph.needs(n).any(|r| r.name == recipe.name));
    for name in direct.into_iter().chain(others) {
        all.push(look.needing(name, Effect::Lacks, &gone)?);
    }
    for name in graph.needed_by(&recipe.name).filter(|name| !gone.contains(*name)) {
        let mut needs = graph.needs(name).filter(|r| r.name == recipe.name);
        let is_base = needs.try_fold(true, |is_base, wanted| {
            Ok::<_, anyhow::Error>(is_base && matches!(base.answer(wanted)?, Answer::Enough(_)))
        })?;
        all.push(look.needing(name, if is_base { Effect::Base } else { Effect::Unmet }, &alone)?);
    }
    for name in graph.left_behind(&gone, base)? {
        all.push(look.at(&graph.installed[&name], Effect::Orphan)?);
    }
    let builds = |other: &Recipe, text: &String| {
        resolve::parse(other, text).is_ok_and(|wanted| wanted.name == recipe.name)
    };
    for other in graph.installed.values().filter(|r| r.build_deps.iter().any(|text| builds(r, text))) {
        if all.iter().all(|package| package.name != other.name) {
            all.push(look.at(other, Effect::Built)?);
        }
    }
    Ok(all)
}

impl Look<'_> {
    fn at(&self, recipe: &Recipe, effect: Effect) -> anyhow::Result<Affected> {
        let record = self.own.map(|own| db::installed(own, recipe)).transpose()?.flatten();
        Ok(Affected {
            name: recipe.name.clone(),
            version: recipe.installed_version().unwrap_or_default().to_owned(),
            effect,
            needs: None,
            direct: false,
            accepts: None,
            files: recipe.state.files.len(),
            bytes: record.as_ref().map(Record::bytes),
        })
    }

    /// A package that needs one of these.
    fn needing(&self, name: &str, effect: Effect, of: &BTreeSet<String>) -> anyhow::Result<Affected> {
        let mine: Vec<_> = self.graph.needs(name).filter(|r| r.name == self.recipe.name).collect();
        let needs = mine.first().copied().or_else(|| self.graph.needs(name).find(|r| of.contains(&r.name)));
        let direct = !mine.is_empty();
        Ok(Affected {
            needs: needs.map(ToString::to_string),
            direct,
            accepts: direct.then(|| mine.iter().all(|r| r.accepts(&self.recipe.version))),
            ..self.at(&self.graph.installed[name], effect)?
        })
    }
}

/// A line: which, how, and what it has; `recipe` is the version that the recipe has now.
fn cells(package: &Affected, recipe: &str) -> [String; 4] {
    let needs = package.needs.as_deref().unwrap_or_default();
    let mut how = match package.effect {
        Effect::Goes => String::new(),
        Effect::Lacks => format!("needs {needs}"),
        Effect::Base => format!("needs {needs}, which the base has, too"),
        Effect::Unmet => format!("needs {needs}, which is not met now"),
        Effect::Orphan => "not needed any more".to_owned(),
        Effect::Built => "is built with it".to_owned(),
    };
    if package.accepts == Some(false) && package.effect != Effect::Unmet {
        how.push_str(&format!(", and {recipe} is not it"));
    }
    let bytes = package.bytes.map(|bytes| BinaryBytes(bytes).to_string()).unwrap_or_default();
    [format!("{} {}", package.name, package.version), how, several(package.files, "file"), bytes]
}
