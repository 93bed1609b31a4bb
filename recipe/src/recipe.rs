//! A recipe file -> what it says about itself, without running it.
//!
//! The top level may hold only variables, imports and functions: metadata can be read by tools, and loading a recipe has no
//! effects. `install` must be there; other functions are optional phases or the recipe's own helpers.

use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cli::Mark;
use serde::Serialize;

use crate::dir;
use crate::exit;
use crate::pin::Pin;
use crate::state::{State, located};
use crate::text::{SyntaxError, Top, Value, items};
use crate::version::Requirement;

/// What a recipe says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recipe {
    /// Its file.
    #[serde(serialize_with = "shown")]
    pub path: PathBuf,
    /// `pkg.name`; the file is called `NAME.rhai`.
    pub name: String,
    /// `pkg.version`.
    pub version: String,
    /// `pkg.description`, or else what the first line says behind `//!`.
    pub description: Option<String>,
    /// `pkg.homepage`, if given.
    pub homepage: Option<String>,
    /// `pkg.license`, if given.
    pub license: Option<String>,
    /// `pkg.deps`: what it needs to run.
    pub deps: Vec<String>,
    /// `pkg.build_deps`: what it needs to be built.
    pub build_deps: Vec<String>,
    /// `pkg.allow`: what its programs may do that others may not; one of [`ALLOW`].
    pub allow: Vec<String>,
    /// `pinned`: which versions its user allows.
    pub pinned: Option<Pin>,
    /// What is installed of it.
    #[serde(flatten)]
    pub state: State,
    /// What its file says is installed, where that is not true in this prefix; `state` is what is true ([`crate::claims`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<Box<State>>,
    /// Names of the functions it defines, in the order of the text.
    pub functions: Vec<String>,
    /// Dependencies that are not written as one, and of each what is wrong, with its place. They keep nobody from listing the
    /// recipe, or from removing what is installed of it.
    #[serde(skip)]
    pub misspelt: Vec<(String, String)>,
}

/// What `pkg.allow` can have: `network-in-build` gives programs a network after `acquire`, too.
pub const ALLOW: &[&str] = &["network-in-build"];

/// The keys of `pkg` that mean something to `recipe`; others are the recipe's own.
pub const KEYS: &[&str] =
    &["name", "version", "description", "homepage", "license", "deps", "build_deps", "allow"];

impl Recipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// It cannot be read, or see [`Recipe::parse`].
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        Self::parse(&dir::read_text(path).exit(exit::RECIPE)?, path)
    }

    /// Reads a recipe from its text; `path` gives messages and the expected name.
    ///
    /// # Errors
    /// It does something at the top level, has metadata that is not literal, lacks `pkg.name`, `pkg.version` or
    /// `install()`, or is named differently from its file. Exit code [`exit::RECIPE`].
    pub fn parse(text: &str, path: &Path) -> anyhow::Result<Self> {
        parse(text, path).map_err(|e| located(path, text, &e)).exit(exit::RECIPE)
    }

    /// All dependencies are written as such.
    ///
    /// # Errors
    /// One is not (exit code [`exit::RECIPE`]); all of those are named, with their places.
    pub fn check_needs(&self) -> anyhow::Result<()> {
        let all: Vec<_> = self.misspelt.iter().map(|(_, shown)| shown.as_str()).collect();
        if all.is_empty() { Ok(()) } else { Err(anyhow::anyhow!("{}", all.join("\n"))).exit(exit::RECIPE) }
    }

    /// The version that is installed.
    #[must_use]
    pub fn installed_version(&self) -> Option<&str> {
        self.state.version.as_deref().filter(|_| self.state.installed)
    }

    /// Whether another version than the recipe's is installed.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.state.installed && self.installed_version() != Some(&self.version)
    }

    /// Its pin, if that forbids to install what the recipe has now.
    #[must_use]
    pub fn held_by(&self) -> Option<&Pin> {
        let same = self.installed_version() == Some(&self.version);
        self.pinned.as_ref().filter(|pin| !same && !pin.accepts(&self.version))
    }

    /// Whether it has this function.
    #[must_use]
    pub fn has(&self, function: &str) -> bool {
        self.functions.iter().any(|f| f == function)
    }
}

fn parse(text: &str, path: &Path) -> Result<Recipe, SyntaxError> {
    let top = Top::of(text)?;
    let at = |offset: usize, message: String| SyntaxError { offset, message };
    let pkg = top.get("pkg");
    let expected = "expected `let pkg = #{ name: \"...\", version: \"...\" };` with literal values";
    let offset = pkg.map_or(0, |p| p.span.start);
    let map = pkg.and_then(|p| p.literal.as_ref()).filter(|v| matches!(v, Value::Map(_)));
    let map = map.ok_or_else(|| at(offset, expected.to_owned()))?;
    let field = |name: &str| match map.get(name) {
        None | Some(Value::Unit) => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.clone())),
        Some(other) => {
            Err(at(offset, format!("expected `pkg.{name}` to be a string, found {}", other.kind())))
        }
    };
    let required = |name: &str| {
        let found = field(name)?.filter(|v| !v.trim().is_empty());
        found.ok_or_else(|| at(offset, format!("`pkg.{name}` is missing")))
    };
    let list = |name: &str| match map.get(name) {
        None => Ok(Vec::new()),
        Some(value) => value
            .as_texts()
            .ok_or_else(|| at(offset, format!("expected `pkg.{name}` to be an array of strings"))),
    };
    let name = required("name")?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    if name != stem {
        let message = format!("expected `pkg.name` to be the file's name {stem:?}, found {name:?}");
        return Err(at(offset, message));
    }
    check_name(&name).map_err(|message| at(offset, message))?;
    let version = required("version")?;
    if version.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/') {
        return Err(at(
            offset,
            format!("expected `pkg.version` without spaces and slashes, found {version:?}"),
        ));
    }
    let allow = list("allow")?;
    if let Some(other) = allow.iter().find(|a| !ALLOW.contains(&a.as_str())) {
        let message = format!("expected `pkg.allow` to name some of {}, found {other:?}", ALLOW.join(", "));
        return Err(at(offset, message));
    }
    if !top.has_function("install") {
        return Err(at(offset, "`fn install()` is missing".to_owned()));
    }
    let (deps, build_deps) = (list("deps")?, list("build_deps")?);
    let both = [("deps", &deps), ("build_deps", &build_deps)];
    let misspelt = both.into_iter().flat_map(|(key, deps)| misspelt(text, path, key, deps)).collect();
    Ok(Recipe {
        path: path.to_owned(),
        pinned: Pin::of(&top, &name)?,
        description: field("description")?
            .filter(|text| !text.trim().is_empty())
            .or_else(|| headline(text, &name)),
        name,
        version,
        homepage: field("homepage")?,
        license: field("license")?,
        deps,
        build_deps,
        allow,
        state: State::of(&top)?,
        claim: None,
        functions: top.functions.into_iter().map(|f| f.name).collect(),
        misspelt,
    })
}

/// Which of these dependencies are none, and what is wrong; `key` is the field of `pkg` they stand in.
fn misspelt(text: &str, path: &Path, key: &str, deps: &[String]) -> Vec<(String, String)> {
    let wrong = deps.iter().filter_map(|dep| Some((dep, Requirement::parse(dep).err()?)));
    let shown = |(dep, error): (&String, anyhow::Error)| {
        let places = items(text, "pkg", key).unwrap_or_default();
        let offset = places.iter().find(|found| found.text == *dep).map_or(0, |found| found.span.start);
        let error = SyntaxError { offset, message: error.to_string() };
        (dep.clone(), located(path, text, &error).to_string())
    };
    wrong.map(shown).collect()
}

/// What a recipe's first line says it is: `//! NAME: what it is`, or without the name.
fn headline(text: &str, name: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?.strip_prefix("//!")?.trim();
    let what = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')).map_or(line, str::trim);
    (!what.is_empty() && what != name).then(|| what.to_owned())
}

/// A path as text, be it text or not.
fn shown<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Names become file names and words of command lines.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+@".contains(c);
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && name.len() <= 128 && name.chars().all(plain) {
        return Ok(());
    }
    Err(format!(
        "expected a name of letters, digits and `-_.+@` that begins with a letter or digit, found {name:?}"
    ))
}

/// What dependencies can ask for: what [`check_name`] allows, what packages of the base provide beyond that (names with
/// something in parentheses behind them, as `pkgconfig(zlib)`), and absolute paths.
///
/// # Errors
/// What is wrong with it.
pub fn check_needed(name: &str) -> Result<(), String> {
    let capability = || {
        let (head, rest) = name.split_at_checked(name.find('(')?)?;
        check_name(head).ok()?;
        // `(a)(b)`, `()(64bit)`: none is in another.
        let inner = rest.strip_prefix('(')?.strip_suffix(')')?;
        let plain = |c: char| c.is_ascii_graphic() && !"(),<>=!\"'".contains(c);
        inner.split(")(").all(|part| part.chars().all(plain)).then_some(())
    };
    let path = || {
        let path = name.strip_prefix('/')?;
        dir::check(path).ok().map(drop)
    };
    match name.len() <= 256 && (path().is_some() || capability().is_some()) {
        true => Ok(()),
        false => check_name(name),
    }
}

/// Loads a recipe and its text together.
///
/// # Errors
/// As [`Recipe::load`].
pub fn with_text(path: &Path) -> anyhow::Result<(Recipe, String)> {
    let text = dir::read_text(path).exit(exit::RECIPE)?;
    let recipe =
        Recipe::parse(&text, path).with_context(|| format!("{} is not a valid recipe", path.display()))?;
    Ok((recipe, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
let pkg = #{ name: "a", version: "1.0", description: "An example", deps: ["b >= 2"] };
let installed = true;
fn install() { install_bin("a"); }
fn is_installed() { false }
"#;

    fn error(text: &str) -> String {
        format!("{:#}", Recipe::parse(text, Path::new("a.rhai")).unwrap_err())
    }

    #[test]
    fn metadata_is_read_without_running_anything() {
        let recipe = Recipe::parse(GOOD, Path::new("a.rhai")).unwrap();
        assert_eq!(
            (recipe.name.as_str(), recipe.version.as_str(), recipe.state.installed),
            ("a", "1.0", true)
        );
        assert_eq!(
            (&recipe.functions[..], &recipe.deps[..]),
            (&["install".into(), "is_installed".into()][..], &["b >= 2".into()][..])
        );
    }

    #[test]
    fn mistakes_say_what_was_expected_and_where() {
        assert!(
            error("let pkg = ;").contains("a.rhai:1:1: expected a value for `pkg`"),
            "{}",
            error("let pkg = ;")
        );
        assert!(
            error(&GOOD.replace("\"a\", v", "\"b\", v"))
                .contains("2:1: expected `pkg.name` to be the file's name \"a\", found \"b\"")
        );
        assert!(error(&GOOD.replace("fn install()", "fn instal()")).contains("`fn install()` is missing"));
        assert!(error(&GOOD.replace("\"1.0\"", "latest()")).contains("with literal values"));
        assert!(
            error(&GOOD.replace("\"1.0\"", "1.0"))
                .contains("expected `pkg.version` to be a string, found a number")
        );
        assert!(error(&format!("{GOOD}\nprint(\"hi\");")).contains("7:1: only `let`"));
        assert!(
            error(&format!("{GOOD}\nlet installed = false;")).contains("7:1: `installed` is there twice")
        );
        assert!(error("let pkg = \"abc\n\";").contains("a.rhai:1:11: this string has no end"));
        assert!(error(&GOOD.replace("false }", "false ")).contains("5:19: this bracket is never closed"));
    }
}
