//! A recipe file -> what it says about itself, without running it.
//!
//! The top level may hold only variables with literal values and functions: metadata can be read by tools, and loading
//! a recipe has no effects. `install` must be there; other functions are optional phases or the recipe's own helpers.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use rhai::{AST, Dynamic, Engine, Map, Stmt};
use serde::Serialize;

/// What a recipe says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recipe {
    /// Its file.
    pub path: PathBuf,
    /// `pkg.name`; the file is called `NAME.rhai`.
    pub name: String,
    /// `pkg.version`.
    pub version: String,
    /// `pkg.description`, if given.
    pub description: Option<String>,
    /// The state variable `installed`; absent means false.
    pub installed: bool,
    /// Names of the functions it defines, sorted.
    pub functions: Vec<String>,
}

impl Recipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// It cannot be read, or see [`Recipe::parse`].
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        Self::parse(&common::fs::read_to_string(path)?, path)
    }

    /// Reads a recipe from its text; `path` gives messages and the expected name.
    ///
    /// # Errors
    /// It is not Rhai (the error has line and column), does something at the top level, has metadata that is not
    /// literal, lacks `pkg.name`, `pkg.version` or `install()`, or is named differently from its file.
    pub fn parse(text: &str, path: &Path) -> anyhow::Result<Self> {
        parse(text, path).with_context(|| format!("{} is not a valid recipe", path.display()))
    }

    /// All recipes of a directory (`*.rhai`), sorted by name.
    ///
    /// # Errors
    /// The directory cannot be read, or any recipe in it is wrong.
    pub fn load_all(dir: &Path) -> anyhow::Result<Vec<Self>> {
        let context = || format!("failed to list {}", dir.display());
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).with_context(context)? {
            let path = entry.with_context(context)?.path();
            if path.extension().is_some_and(|e| e == "rhai") {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|p| Self::load(p)).collect()
    }
}

fn parse(text: &str, path: &Path) -> anyhow::Result<Recipe> {
    let mut engine = Engine::new_raw();
    // Two `let installed` would make the state ambiguous.
    engine.set_allow_shadowing(false);
    engine.disable_symbol("eval");
    let ast = engine.compile(text).map_err(|e| anyhow::anyhow!("{e}"))?;
    only_definitions(&ast)?;
    let pkg: Map = literal(&ast, "pkg")
        .context("expected `let pkg = #{ name: \"...\", version: \"...\" };` with literal values")?
        .try_cast()
        .context("expected `pkg` to be a map")?;
    let field = |name: &str| pkg.get(name).and_then(|v| v.clone().into_string().ok());
    let required = |name: &str| {
        field(name).filter(|v| !v.is_empty()).with_context(|| format!("`pkg.{name}` is missing"))
    };
    let name = required("name")?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    ensure!(name == stem, "expected `pkg.name` to be the file's name {stem:?}, found {name:?}");
    let installed = match literal(&ast, "installed") {
        None => false,
        Some(value) => value
            .as_bool()
            .map_err(|t| anyhow::anyhow!("expected `installed` to be true or false, found {t}"))?,
    };
    let mut functions: Vec<_> = ast.iter_functions().map(|f| f.name.to_owned()).collect();
    functions.sort();
    ensure!(functions.iter().any(|f| f == "install"), "`fn install()` is missing");
    Ok(Recipe {
        path: path.to_owned(),
        version: required("version")?,
        description: field("description"),
        name,
        installed,
        functions,
    })
}

/// The value of a top-level variable, if it is a literal.
fn literal(ast: &AST, name: &str) -> Option<Dynamic> {
    ast.iter_literal_variables(true, true).find(|(n, _, _)| *n == name).map(|(_, _, value)| value)
}

/// The top level runs again for every phase, so it must do nothing.
fn only_definitions(ast: &AST) -> anyhow::Result<()> {
    for statement in ast.statements() {
        if !matches!(statement, Stmt::Var(..) | Stmt::Import(..) | Stmt::Noop(..)) {
            bail!(
                "only `let`, `const`, `import` and functions may be at the top level ({})",
                statement.position()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
let pkg = #{ name: "a", version: "1.0", description: "An example" };
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
        assert_eq!((recipe.name.as_str(), recipe.version.as_str(), recipe.installed), ("a", "1.0", true));
        assert_eq!(recipe.functions, ["install", "is_installed"]);
    }

    #[test]
    fn mistakes_say_what_was_expected() {
        assert!(error("let pkg = ;").contains("line 1, position 11"), "{}", error("let pkg = ;"));
        assert!(error(&GOOD.replace("\"a\", v", "\"b\", v")).contains("file's name \"a\", found \"b\""));
        assert!(error(&GOOD.replace("fn install()", "fn instal()")).contains("`fn install()` is missing"));
        assert!(error(&GOOD.replace("\"1.0\"", "latest()")).contains("with literal values"));
        assert!(error(&format!("{GOOD}\nprint(\"hi\");")).contains("top level (line 7"));
        assert!(error(&format!("{GOOD}\nlet installed = false;")).contains("installed"));
    }
}
