//! Calls of functions: whether something has them, with so many arguments, and whether they have an effect there.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Engine, Expr, FnCallExpr, Position, Stmt};

use super::{Mistake, Text, meant, position};
use crate::engine::PHASES;
use crate::engine::helpers::{self, Helper};
use crate::engine::known::{each, each_of_top};

/// The numbers of arguments that functions of a text take.
type Functions = BTreeMap<String, BTreeSet<usize>>;

/// All that can be called.
pub(super) struct Names<'a> {
    /// Rhai's own.
    language: BTreeSet<String>,
    /// The recipe's, which its libraries can call, too.
    own: Functions,
    libraries: BTreeMap<&'a str, Functions>,
}

impl<'a> Names<'a> {
    pub(super) fn of(engine: &Engine, own: &Text<'_>, libraries: &BTreeMap<&'a str, Text<'_>>) -> Self {
        let signatures = engine.gen_fn_signatures(true);
        let name = |signature: &String| Some(signature.split('(').next()?.rsplit(' ').next()?.to_owned());
        let mut language: BTreeSet<String> = signatures.iter().filter_map(name).collect();
        language.extend(
            [
                "print",
                "debug",
                "type_of",
                "call",
                "curry",
                "Fn",
                "is_def_var",
                "is_def_fn",
                "is_shared",
                "eval",
            ]
            .map(str::to_owned),
        );
        language.retain(|name| helper(name).is_none());
        let libraries = libraries.iter().map(|(name, text)| (*name, functions(&text.ast)));
        Self { language, own: functions(&own.ast), libraries: libraries.collect() }
    }
}

fn functions(ast: &AST) -> Functions {
    let mut all = Functions::new();
    for function in ast.iter_functions() {
        all.entry(function.name.to_owned()).or_default().insert(function.params.len());
    }
    all
}

fn helper(name: &str) -> Option<&'static Helper> {
    helpers::table().find(|helper| helper.name == name)
}

/// The mistakes of one text.
pub(super) fn mistakes(text: &Text<'_>, names: &Names<'_>) -> Vec<Mistake> {
    let mut here = functions(&text.ast);
    for (name, counts) in &names.own {
        here.entry(name.clone()).or_default().extend(counts);
    }
    let look = Look { names, here, imported: imported(&text.ast), phases: phases(text) };
    let mut found = effects(&text.ast);
    each(&text.ast, &mut |node| {
        let (call, position, method) = match node {
            ASTNode::Stmt(Stmt::FnCall(call, position)) | ASTNode::Expr(Expr::FnCall(call, position)) => {
                (call, *position, false)
            }
            ASTNode::Expr(Expr::MethodCall(call, position)) => (call, *position, true),
            _ => return,
        };
        let message = match (call.op_token.is_some(), &call.namespace.path[..]) {
            (true, _) => None,
            (false, []) => look.call(call, method, position),
            (false, [alias]) => look.library(call, &alias.name),
            _ => None,
        };
        found.extend(message.map(|message| Mistake { position, message }));
    });
    found
}

/// Calls of the top level that would do something.
fn effects(ast: &AST) -> Vec<Mistake> {
    let mut found = Vec::new();
    each_of_top(ast, &mut |node| {
        let ASTNode::Expr(Expr::FnCall(call, position) | Expr::MethodCall(call, position)) = node else {
            return;
        };
        let prints = ["print", "debug"].contains(&call.name.as_str());
        let says = || format!("`{}` can only be called in functions, not by the top level", call.name);
        let message = helper(&call.name).map_or_else(|| prints.then(says), |helper| helper.refuses(None));
        found.extend(message.map(|message| Mistake { position: *position, message }));
    });
    found
}

/// Libraries by the names that they are imported as; none where that is not one that is known.
fn imported(ast: &AST) -> BTreeMap<String, Option<String>> {
    let mut all: BTreeMap<String, Option<String>> = BTreeMap::new();
    each(ast, &mut |node| {
        let ASTNode::Stmt(Stmt::Import(import, _)) = node else { return };
        let library = match &import.0 {
            Expr::StringConstant(name, _) => Some(name.to_string()),
            _ => None,
        };
        let known = all.entry(import.1.name.to_string()).or_insert_with(|| library.clone());
        if *known != library {
            *known = None;
        }
    });
    all
}

/// From where to where the functions of a text go that `recipe` calls.
fn phases(text: &Text<'_>) -> Vec<(&'static str, Position, Position)> {
    let phase = |name: &str| PHASES.iter().copied().find(|phase| *phase == name);
    let place = |at| position(text.text, at);
    let all = text.top.functions.iter();
    all.filter_map(|f| Some((phase(&f.name)?, place(f.span.start), place(f.span.end)))).collect()
}

struct Look<'a> {
    names: &'a Names<'a>,
    /// What can be called by its name alone, besides helpers and what Rhai has.
    here: Functions,
    imported: BTreeMap<String, Option<String>>,
    phases: Vec<(&'static str, Position, Position)>,
}

impl Look<'_> {
    /// What is wrong with a call by a name alone.
    fn call(&self, call: &FnCallExpr, method: bool, position: Position) -> Option<String> {
        let (name, own, helper) = (call.name.as_str(), self.here.get(call.name.as_str()), helper(&call.name));
        if own.is_none() && helper.is_none() {
            return (!self.names.language.contains(name)).then(|| {
                let all = helpers::table().map(|h| h.name).chain(self.here.keys().map(String::as_str));
                format!("there is no function `{name}`{}", meant(name, all))
            });
        }
        let mut counts = own.cloned().unwrap_or_default();
        counts.extend(helper.iter().flat_map(|helper| helper.arguments()));
        // What a method is called on is an argument, or `this`; and Rhai may have one of the same name.
        if !method && !self.names.language.contains(name) && !counts.contains(&call.args.len()) {
            let usage = |h: &Helper| format!("; it is called as {}", h.usage.replace('\n', " or "));
            let wrong = wrong_count(name, &counts, call.args.len());
            return Some(format!("{wrong}{}", helper.map(usage).unwrap_or_default()));
        }
        let helper = helper.filter(|_| own.is_none())?;
        let (phase, ..) = self.phases.iter().find(|(_, from, to)| (from..to).contains(&&position))?;
        helper.refuses(Some(phase))
    }

    /// What is wrong with a call of a library's function.
    fn library(&self, call: &FnCallExpr, alias: &str) -> Option<String> {
        let library = self.imported.get(alias)?.as_deref()?;
        let functions = self.names.libraries.get(library)?;
        let name = call.name.as_str();
        match functions.get(name) {
            None => {
                let hint = meant(name, functions.keys().map(String::as_str));
                Some(format!("the library `{library}` has no function `{name}`{hint}"))
            }
            Some(counts) if !counts.contains(&call.args.len()) => {
                Some(wrong_count(&format!("{alias}::{name}"), counts, call.args.len()))
            }
            Some(_) => None,
        }
    }
}

fn wrong_count(name: &str, counts: &BTreeSet<usize>, found: usize) -> String {
    let number = |n: &usize| if *n == 0 { "no".to_owned() } else { n.to_string() };
    let all = counts.iter().map(number).collect::<Vec<_>>().join(" or ");
    let arguments = if counts.iter().eq([&1]) { "argument" } else { "arguments" };
    let found = if found == 0 { "none".to_owned() } else { found.to_string() };
    format!("`{name}` takes {all} {arguments}, found {found}")
}
