//! What only a recipe's own text can have wrong: keys of `pkg` and functions that `recipe` calls.
//!
//! What nobody knows is the recipe's own business, unless nothing uses it and it resembles something that is known.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, Stmt};

use super::{Mistake, Text, meant, position};
use crate::engine::known::{Strings, each};
use crate::engine::{PHASES, helpers};
use crate::recipe::KEYS;
use crate::shelf::similar;
use crate::text::{self, Value};

/// Words that are more letters apart than this are not misspelt, but others.
const LETTERS: usize = 3;

pub(super) fn mistakes<'a>(text: &Text<'_>, libraries: impl Iterator<Item = &'a Text<'a>>) -> Vec<Mistake> {
    let mut used = Used::default();
    used.add(&text.ast);
    libraries.for_each(|library| used.add(&library.ast));
    let mut found = overrides(text);
    found.extend(keys(text, &used));
    found.extend(fields(text));
    found.extend(phases(text, &used));
    found
}

/// Names that code uses.
#[derive(Default)]
struct Used {
    /// Functions that are called, or may be by their names.
    functions: BTreeSet<String>,
    /// Fields of whatever map, and strings that may be one.
    fields: BTreeSet<String>,
}

impl Used {
    fn add(&mut self, ast: &AST) {
        each(ast, &mut |node| match node {
            ASTNode::Stmt(Stmt::FnCall(call, _))
            | ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _)) => {
                self.functions.insert(call.name.to_string());
            }
            ASTNode::Expr(Expr::Property(field, _)) => {
                self.fields.insert(field.2.to_string());
            }
            ASTNode::Expr(Expr::StringConstant(text, _)) => {
                self.functions.insert(text.to_string());
                self.fields.insert(text.to_string());
            }
            ASTNode::Expr(Expr::Variable(variable, ..)) => {
                self.functions.insert(variable.1.to_string());
            }
            ASTNode::Expr(Expr::DynamicConstant(value, _)) => {
                if let Some(function) = value.clone().try_cast::<rhai::FnPtr>() {
                    self.functions.insert(function.fn_name().to_owned());
                }
            }
            _ => {}
        });
    }
}

/// What a word should have been, if it is nearly that.
fn misspelt<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    similar(word, known).filter(|meant| *meant != word && strsim::osa_distance(word, meant) <= LETTERS)
}

/// A function that hides a helper: it would be called instead, everywhere.
fn overrides(text: &Text<'_>) -> Vec<Mistake> {
    let hides = |name: &str| helpers::table().any(|h| h.name == name);
    let hidden = text.top.functions.iter().filter(|f| hides(&f.name));
    let mistake = |f: &text::Function| Mistake {
        position: position(text.text, f.span.start),
        message: format!("`fn {}` would hide the helper of this name; call it otherwise", f.name),
    };
    hidden.map(mistake).collect()
}

/// Keys of `pkg` that nothing reads, and that are nearly one which is known.
fn keys(text: &Text<'_>, used: &Used) -> Vec<Mistake> {
    let keys = text::keys(text.text, "pkg").unwrap_or_default();
    let unknown = keys.iter().filter(|key| !KEYS.contains(&&*key.text) && !used.fields.contains(&key.text));
    let mistake = |key: &text::Literal| {
        let missing = KEYS.iter().copied().filter(|known| !keys.iter().any(|key| key.text == *known));
        let meant = misspelt(&key.text, missing)?;
        Some(Mistake {
            position: position(text.text, key.span.start),
            message: format!("`pkg` knows no `{}`; did you mean `{meant}`?", key.text),
        })
    };
    unknown.filter_map(mistake).collect()
}

/// Fields of `pkg` that it does not have: it is literal, and nothing changes it.
fn fields(text: &Text<'_>) -> Vec<Mistake> {
    let pkg = text.top.get("pkg").and_then(|l| l.literal.as_ref());
    let Some(Value::Map(has)) = pkg.filter(|_| !Strings::of(&text.ast, None).binds("pkg")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    each(&text.ast, &mut |node| {
        let ASTNode::Expr(Expr::Dot(pair, ..)) = node else { return };
        let Expr::Variable(variable, ..) = &pair.lhs else { return };
        let first = match &pair.rhs {
            Expr::Dot(rest, ..) | Expr::Index(rest, ..) => &rest.lhs,
            only => only,
        };
        let Expr::Property(field, position) = first else { return };
        if variable.1 != "pkg" || has.iter().any(|(key, _)| *key == *field.2) {
            return;
        }
        let hint = meant(&field.2, has.iter().map(|(key, _)| key.as_str()));
        found.push(Mistake {
            position: *position,
            message: format!("`pkg` has no field `{}`{hint}", field.2),
        });
    });
    found
}

/// Functions that `recipe` would call, but cannot, or would not, because they are misspelt.
fn phases(text: &Text<'_>, used: &Used) -> Vec<Mistake> {
    let missing = || PHASES.iter().copied().filter(|phase| !text.top.has_function(phase));
    let wrong = |f: &text::Function| {
        if PHASES.contains(&&*f.name) {
            let has = if f.parameters == 1 { "a parameter" } else { "parameters" };
            let message = || format!("`{}` is called without arguments, but has {has}", f.name);
            return (f.parameters > 0).then(message);
        }
        let meant = misspelt(&f.name, missing()).filter(|_| !used.functions.contains(&f.name))?;
        Some(format!("nothing calls `{}`; did you mean `{meant}`?", f.name))
    };
    let functions = text.top.functions.iter();
    let found = functions
        .filter_map(|f| Some(Mistake { position: position(text.text, f.span.start), message: wrong(f)? }));
    found.collect()
}
