//! Sources of the workspace -> the promises that tests protect by `#[cheat_aware]`.
//!
//! The sources are read, not the programs: a test that is not compiled, not run or switched off is found all the same.

use std::path::{Component, Path};

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use syn::punctuated::Punctuated;
use syn::{Expr, ItemFn, Lit, Meta, MetaNameValue, Token};

use crate::paths::Paths;

/// As in cheat-test, most first.
pub(crate) const SEVERITIES: &[&str] = &["CRITICAL", "HIGH", "MEDIUM", "LOW"];

/// One test and what it protects.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Promise {
    /// `CRATE TARGET PATH`, for people.
    pub(crate) test: String,
    pub(crate) severity: String,
    pub(crate) protects: String,
    pub(crate) consequence: String,
    pub(crate) cheats: Vec<String>,
    /// Names of files in sabotage/.
    pub(crate) sabotage: Vec<String>,
    #[serde(rename = "crate")]
    pub(crate) krate: String,
    /// The integration test's name; none for a test of the library itself.
    pub(crate) target: Option<String>,
    /// The test's name in there, as the harness knows it.
    pub(crate) path: String,
}

impl Promise {
    /// What the test calls itself in the ledger: the path with the name of its crate.
    pub(crate) fn ledger_name(&self) -> String {
        let krate = self.target.as_ref().unwrap_or(&self.krate).replace('-', "_");
        format!("{krate}::{}", self.path)
    }
}

#[cfg(test)]
impl Promise {
    /// One that promises nothing, of a test `t` of this crate.
    pub(crate) fn of_test(krate: &str, target: Option<&str>) -> Self {
        Self {
            test: "t".to_owned(),
            severity: "LOW".to_owned(),
            protects: String::new(),
            consequence: String::new(),
            cheats: Vec::new(),
            sabotage: Vec::new(),
            krate: krate.to_owned(),
            target: target.map(str::to_owned),
            path: "t".to_owned(),
        }
    }
}

/// All of them, the most severe first, then by name.
pub(crate) fn promises(paths: &Paths) -> anyhow::Result<Vec<Promise>> {
    let mut promises = Vec::new();
    for file in paths.files()?.iter().filter(|file| file.ends_with(".rs")) {
        // What is compiled to fail, and what explains the attribute, protects nothing.
        if file.starts_with("cheat-test/") {
            continue;
        }
        let text = common::fs::read_to_string(&paths.root.join(file))?;
        if text.contains("#[cheat_aware(") {
            let source = syn::parse_file(&text).with_context(|| format!("failed to parse {file}"))?;
            in_items(&source.items, &[], file, &mut promises)?;
        }
    }
    let rank = |p: &Promise| SEVERITIES.iter().position(|s| *s == p.severity);
    promises.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.test.cmp(&b.test)));
    Ok(promises)
}

fn in_items(
    items: &[syn::Item],
    inside: &[String],
    file: &str,
    into: &mut Vec<Promise>,
) -> anyhow::Result<()> {
    for item in items {
        match item {
            syn::Item::Fn(function) => into.extend(promise(function, inside, file)?),
            syn::Item::Mod(module) => {
                let inside = [inside, &[module.ident.to_string()]].concat();
                let items = module.content.as_ref().map_or(&[][..], |(_, items)| items);
                in_items(items, &inside, file, into)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn promise(function: &ItemFn, inside: &[String], file: &str) -> anyhow::Result<Option<Promise>> {
    let is_ours = |attr: &&syn::Attribute| attr.path().is_ident("cheat_aware");
    let Some(attr) = function.attrs.iter().find(is_ours) else { return Ok(None) };
    let read = || -> anyhow::Result<Promise> {
        let Meta::List(list) = &attr.meta else { bail!("expected a list of `key = value`") };
        let pairs = list.parse_args_with(Punctuated::<MetaNameValue, Token![,]>::parse_terminated)?;
        let texts = |key: &str| -> anyhow::Result<Vec<String>> {
            let pair = pairs.iter().find(|pair| pair.path.is_ident(key));
            pair.map_or(Ok(Vec::new()), |pair| texts(&pair.value))
        };
        let text = |key: &str| texts(key)?.into_iter().next().with_context(|| format!("`{key}` is missing"));
        let (krate, target, modules) = place(file)?;
        let path = modules.into_iter().chain(inside.iter().cloned()).chain([function.sig.ident.to_string()]);
        let path = path.collect::<Vec<_>>().join("::");
        Ok(Promise {
            test: format!("{krate} {} {path}", target.as_deref().unwrap_or("--lib")),
            severity: text("severity")?,
            protects: text("protects")?,
            consequence: text("consequence")?,
            cheats: texts("cheats")?,
            sabotage: texts("sabotage")?,
            krate,
            target,
            path,
        })
    };
    read()
        .with_context(|| format!("failed to read the promise of {} in {file}", function.sig.ident))
        .map(Some)
}

fn texts(value: &Expr) -> anyhow::Result<Vec<String>> {
    match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Ok(vec![text.value()]),
            _ => bail!("expected a text"),
        },
        Expr::Array(array) => Ok(array.elems.iter().map(texts).collect::<anyhow::Result<Vec<_>>>()?.concat()),
        _ => bail!("expected a text or a list of texts"),
    }
}

/// `CRATE/tests/NAME.rs`, `CRATE/tests/NAME/main.rs`, `CRATE/tests/NAME/a/b.rs`, `CRATE/src/a.rs`: crate, integration test, modules.
fn place(file: &str) -> anyhow::Result<(String, Option<String>, Vec<String>)> {
    let words: Vec<_> = Path::new(file)
        .with_extension("")
        .components()
        .filter_map(|c| if let Component::Normal(name) = c { name.to_str().map(str::to_owned) } else { None })
        .collect();
    let at = words.iter().position(|w| w == "tests" || w == "src");
    let at = at.with_context(|| format!("expected {file} to be below tests or src"))?;
    ensure!(at > 0, "expected {file} to be in a crate");
    let (krate, inside) = (words[at - 1].clone(), &words[at + 1..]);
    let is_root = |name: &String| matches!(name.as_str(), "main" | "mod" | "lib");
    let modules = |names: &[String]| names.iter().filter(|name| !is_root(name)).cloned().collect();
    match (words[at].as_str(), inside) {
        ("tests", [target, modules_of @ ..]) => Ok((krate, Some(target.clone()), modules(modules_of))),
        _ => Ok((krate, None, modules(inside))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_as_the_harness_names_them() {
        let place = |file| {
            let (krate, target, modules) = place(file).unwrap();
            (krate, target.unwrap_or_default(), modules.join("::"))
        };
        let of = |krate: &str, target: &str, modules: &str| (krate.into(), target.into(), modules.into());
        assert_eq!(place("e2e/tests/install.rs"), of("e2e", "install", ""));
        assert_eq!(place("recstrap/tests/install/main.rs"), of("recstrap", "install", ""));
        assert_eq!(place("recstrap/tests/install/attacks.rs"), of("recstrap", "install", "attacks"));
        assert_eq!(place("e2e/testkit/src/tree.rs"), of("testkit", "", "tree"));
        assert_eq!(place("common/src/lib.rs"), of("common", "", ""));
    }

    #[test]
    fn attributes_are_read() {
        let source = r#"
            mod inner {
                #[cheat_aware(protects = "a", severity = "LOW", cheats = ["b", "c"], consequence = "d", sabotage = ["e"])]
                #[test]
                fn f() {}
            }
            #[test]
            fn g() {}
        "#;
        let mut found = Vec::new();
        in_items(&syn::parse_file(source).unwrap().items, &[], "x/tests/y.rs", &mut found).unwrap();
        let [promise] = &found[..] else { panic!("{found:?}") };
        assert_eq!((promise.test.as_str(), promise.ledger_name().as_str()), ("x y inner::f", "y::inner::f"));
        assert_eq!((promise.cheats.len(), promise.sabotage[0].as_str()), (2, "e"));
    }
}
