//! A recipe's code -> its capabilities: every function body, closure and library is looked at, nothing is run.
//!
//! The tree is that of Rhai's own parser, before anything is optimised away. Names of functions can only be literal in calls; the
//! rest is `Fn(...)`, which counts as a call with unknown arguments or, with a computed name, as a call of everything.

use std::collections::BTreeMap;

use common::cli::Mark;
use common::hash::Sha256;
use rhai::{AST, ASTNode, Dynamic, Engine, Expr, FnCallExpr, FnPtr, OptimizationLevel, Position, Stmt};

use super::capability::{COMPUTED, Capability, Kind};
use super::helpers::openpgp::key_file;
use super::helpers::{Group, table};
use super::known::{Known, Strings, each};
use super::names::{file, is_told, origin, program, script};
use super::report;
use crate::code::Code;
use crate::exit;
use crate::text::{DEPTH, Top};

type Found = BTreeMap<Capability, String>;

/// Which argument of a helper is a URL.
const URLS: &[(&str, usize)] = &[
    ("download", 0),
    ("git_clone", 0),
    ("http_get", 0),
    ("verify_checksums", 0),
    ("verify_minisign", 1),
    ("verify_openpgp", 0),
];
/// Which argument says where files go, and below which directory.
const TARGETS: &[(&str, usize, &str)] = &[
    ("install_file", 1, ""),
    ("install_config", 1, ""),
    ("install_tree", 1, ""),
    ("symlink", 1, ""),
    ("install_bin", 1, "bin/"),
    ("install_lib", 1, "lib/"),
    ("install_man", 0, "share/man/"),
    ("install_desktop", 0, "share/applications/"),
];
/// Functions that run outside of a build.
const PHASES: &[&str] = &["is_installed", "post_install", "remove"];
/// They run a program of ours, and say what it found.
const HARMLESS: &[&str] = &["has_program", "which"];

/// Whether a helper counts as a capability by its name alone.
pub(super) fn counts(helper: &str) -> bool {
    let own = ["exec", "output", "shell"].contains(&helper);
    !own && !HARMLESS.contains(&helper) && table().any(|h| h.name == helper && h.group == Group::Programs)
}

/// All capabilities of a recipe with their places.
pub(super) fn look(code: &Code, beside: &dyn Fn(&str) -> Option<Sha256>) -> anyhow::Result<Found> {
    let mut found = Found::new();
    let recipe = &code.recipe;
    let top = Top::of(&code.text).unwrap_or_default();
    let line = |name: &str| {
        let at = top.lets.iter().find(|l| l.name == name).map(|l| l.span.start);
        let at = at.or_else(|| top.functions.iter().find(|f| f.name == name).map(|f| f.span.start));
        let place = at.map(|at| crate::text::Place::of(&code.text, at).line);
        format!("{}:{}", code.source(), place.unwrap_or(1))
    };
    let name_of = |dep: &String| dep.split([' ', '<', '>', '=', '!']).next().unwrap_or(dep).to_owned();
    let mut add = |kind, name: String, at: &str| {
        found.entry(Capability::new(kind, name)).or_insert_with(|| line(at));
    };
    recipe.deps.iter().for_each(|dep| add(Kind::Needs, name_of(dep), "pkg"));
    recipe.build_deps.iter().for_each(|dep| add(Kind::BuildNeeds, name_of(dep), "pkg"));
    recipe.allow.iter().for_each(|what| add(Kind::Allows, what.clone(), "pkg"));
    PHASES.iter().filter(|p| recipe.has(p)).for_each(|p| add(Kind::Phase, (*p).to_owned(), p));
    let pkg = top.get("pkg").and_then(|l| l.literal.clone());
    for (source, text) in code.texts() {
        let ast = parse(&source, text)?;
        let strings = Strings::of(&ast, pkg.as_ref());
        let mut look = Look { source, strings, beside, found: &mut found };
        each(&ast, &mut |node| look.node(node));
    }
    Ok(found)
}

/// The tree of a text, with what can never run.
pub(super) fn parse(source: &str, text: &str) -> anyhow::Result<AST> {
    let mut engine = Engine::new_raw();
    engine.set_optimization_level(OptimizationLevel::None).set_max_expr_depths(DEPTH, 32);
    engine.compile(text).map_err(|e| report::syntax(source, text, &e)).exit(exit::RECIPE)
}

struct Look<'a> {
    source: String,
    strings: Strings<'a>,
    beside: &'a dyn Fn(&str) -> Option<Sha256>,
    found: &'a mut Found,
}

impl Look<'_> {
    fn node(&mut self, node: &ASTNode<'_>) {
        match node {
            ASTNode::Stmt(Stmt::FnCall(call, at)) => self.call(call, false, *at),
            ASTNode::Expr(Expr::FnCall(call, at)) => self.call(call, false, *at),
            ASTNode::Expr(Expr::MethodCall(call, at)) => self.call(call, true, *at),
            ASTNode::Expr(Expr::DynamicConstant(value, at)) => self.value(value, *at),
            ASTNode::Stmt(Stmt::Import(import, at)) => match &import.0 {
                Expr::StringConstant(name, _) => self.add(Kind::Imports, name.to_string(), *at),
                _ => self.add(Kind::Imports, COMPUTED.to_owned(), *at),
            },
            _ => {}
        }
    }

    fn add(&mut self, kind: Kind, name: String, at: Position) {
        let place = format!("{}:{}", self.source, at.line().unwrap_or(1));
        self.found.entry(Capability::new(kind, name)).or_insert(place);
    }

    /// A value that is there before anything runs: it may hold functions.
    fn value(&mut self, value: &Dynamic, at: Position) {
        if let Some(function) = value.clone().try_cast::<FnPtr>() {
            self.name(function.fn_name(), at);
            function.curry().iter().for_each(|value| self.value(value, at));
        } else if let Ok(values) = value.as_array_ref() {
            values.iter().for_each(|value| self.value(value, at));
        } else if let Ok(values) = value.as_map_ref() {
            values.values().for_each(|value| self.value(value, at));
        }
    }

    /// A function by its name, whatever its arguments will be.
    fn name(&mut self, name: &str, at: Position) {
        self.helper(name, &[], true, at);
    }

    fn call(&mut self, call: &FnCallExpr, method: bool, at: Position) {
        if call.name == "Fn" {
            match (&call.args[..], method) {
                ([Expr::StringConstant(name, _)], false) => self.name(name, at),
                _ => self.add(Kind::Any, COMPUTED.to_owned(), at),
            }
            return;
        }
        self.helper(&call.name, &call.args, method, at);
    }

    /// `unknown`: the arguments are others than these.
    fn helper(&mut self, name: &str, args: &[Expr], unknown: bool, at: Position) {
        let arg = |i: usize| args.get(i).filter(|_| !unknown);
        let computed = || COMPUTED.to_owned();
        if counts(name) {
            self.add(Kind::Helper, name.to_owned(), at);
        }
        if let Some((_, i)) = URLS.iter().find(|(helper, _)| *helper == name) {
            // The signature is beside the last download.
            if unknown || *i < args.len() {
                let origin = match arg(*i).and_then(|e| self.strings.text(e)) {
                    Some(Known::Whole(url)) => origin(&url, true),
                    Some(Known::Begins(url)) => origin(&url, false),
                    None => None,
                };
                self.add(Kind::Host, origin.unwrap_or_else(computed), at);
            }
        }
        if let Some((_, i, below)) = TARGETS.iter().find(|(helper, ..)| *helper == name) {
            let path = match arg(*i)
                .or_else(|| arg(0).filter(|_| args.len() == 1))
                .and_then(|e| self.strings.text(e))
            {
                Some(Known::Whole(path)) if below.is_empty() => path,
                Some(Known::Whole(path)) => format!("{below}{}", crate::dir::split(&path).1),
                _ => format!("{below}{COMPUTED}"),
            };
            self.add(Kind::Installs, path, at);
        }
        match name {
            "github_latest" => {
                let origin = match arg(0).and_then(|e| self.strings.text(e)) {
                    Some(Known::Whole(repo)) => origin(&format!("https://github.com/{repo}"), true),
                    Some(Known::Begins(repo)) => origin(&format!("https://github.com/{repo}"), false),
                    None => None,
                };
                self.add(Kind::Host, origin.unwrap_or_else(computed), at);
            }
            "shell" => {
                // As it stands there: with a version in it, it would be another script each time.
                let text = match arg(0) {
                    Some(Expr::StringConstant(text, _)) => script(text),
                    _ => computed(),
                };
                self.add(Kind::Script, text, at);
            }
            "exec" | "output" => {
                let program = if unknown { None } else { self.program(args) };
                self.add(Kind::Program, program.unwrap_or_else(computed), at);
            }
            "env" => {
                let variable = arg(0).and_then(|e| self.strings.whole(e));
                self.add(Kind::Variable, variable.unwrap_or_else(computed), at);
            }
            "verify_openpgp" => {
                // Without a file, the fingerprint names it.
                let name = arg(1).and_then(|e| self.strings.whole(e));
                let name = name.map(|key| if args.len() == 2 { key_file(&key).unwrap_or(key) } else { key });
                let name = name.map(|name| file(&name, (self.beside)(&name).as_ref()));
                self.add(Kind::File, name.unwrap_or_else(computed), at);
            }
            "copy_source" => {
                let name = arg(0).and_then(|e| self.strings.whole(e));
                let name = name.map(|name| file(&name, (self.beside)(&name).as_ref()));
                self.add(Kind::File, name.unwrap_or_else(computed), at);
            }
            _ => {}
        }
    }

    /// The program of `[PROGRAM, ARGUMENT...]`, or of `PROGRAM, [ARGUMENT...]`.
    fn program(&self, args: &[Expr]) -> Option<String> {
        let (first, rest): (_, &[Expr]) = match args {
            [Expr::Array(all, _)] => all.split_first()?,
            [first, Expr::Array(rest, _)] => (first, &rest[..]),
            _ => return None,
        };
        let name = self.strings.whole(first)?;
        if !is_told(&name) {
            return Some(name);
        }
        let rest = rest.iter().map(|e| self.strings.whole(e)).collect::<Option<Vec<_>>>()?;
        Some(program(&std::iter::once(name).chain(rest).collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests;
