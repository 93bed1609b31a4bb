//! Mistakes that are found without running anything: names that nothing has.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Dynamic, Engine, Expr, Position, Scope, Stmt};

use super::helpers;
use super::known::each;
use crate::shelf::similar;
use crate::text::Top;

/// A mistake and where it is.
pub(super) struct Mistake {
    pub(super) position: Position,
    pub(super) message: String,
}

pub(super) fn mistakes(engine: &Engine, ast: &AST, text: &str, top: &Top) -> Vec<Mistake> {
    let mut found = calls(engine, ast);
    found.extend(variables(text, top));
    found.extend(overrides(top, text));
    found
}

/// Calls of functions that are neither the recipe's, nor helpers, nor Rhai's.
fn calls(engine: &Engine, ast: &AST) -> Vec<Mistake> {
    let mut known: BTreeSet<String> = ast.iter_functions().map(|f| f.name.to_owned()).collect();
    let own: BTreeSet<String> = known.clone();
    known.extend(engine.gen_fn_signatures(true).iter().filter_map(|s| {
        let name = s.split('(').next()?.rsplit(' ').next()?;
        Some(name.to_owned())
    }));
    // The language's own.
    known.extend(
        ["print", "debug", "type_of", "call", "curry", "Fn", "is_def_var", "is_def_fn", "is_shared", "eval"]
            .map(str::to_owned),
    );
    let mut found = Vec::new();
    let mut look = |name: &str, qualified: bool, operator: bool, position: Position| {
        if qualified || operator || known.contains(name) {
            return;
        }
        let names = helpers::table().map(|h| h.name).chain(own.iter().map(String::as_str));
        let hint = similar(name, names).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        found.push(Mistake { position, message: format!("there is no function `{name}`{hint}") });
    };
    each(ast, &mut |node| match node {
        ASTNode::Stmt(Stmt::FnCall(call, position)) => {
            look(&call.name, !call.namespace.is_empty(), call.op_token.is_some(), *position);
        }
        ASTNode::Expr(Expr::FnCall(call, position) | Expr::MethodCall(call, position)) => {
            look(&call.name, !call.namespace.is_empty(), call.op_token.is_some(), *position);
        }
        _ => {}
    });
    found
}

/// Variables that nothing defines: the text is compiled once more, strictly, with the top level's names in scope.
fn variables(text: &str, top: &Top) -> Option<Mistake> {
    let mut strict = Engine::new_raw();
    strict.set_strict_variables(true).set_max_expr_depths(64, 32);
    strict.set_allow_shadowing(true);
    let mut scope = Scope::new();
    for variable in &top.lets {
        scope.push_dynamic(variable.name.clone(), Dynamic::UNIT);
    }
    let error = strict.compile_with_scope(&scope, text).err()?;
    Some(Mistake { position: error.position(), message: error.err_type().to_string() })
}

/// A function of the recipe that hides a helper: it would be called instead, everywhere.
fn overrides(top: &Top, text: &str) -> Vec<Mistake> {
    let hides = |name: &str| helpers::table().any(|h| h.name == name);
    let hidden = top.functions.iter().map(|f| (&f.name, &f.span.start)).filter(|(name, _)| hides(name));
    hidden
        .map(|(name, at)| {
            let place = crate::text::Place::of(text, *at);
            Mistake {
                position: Position::new(place.line.min(65535) as u16, place.column.min(65535) as u16),
                message: format!("`fn {name}` would hide the helper of this name; call it otherwise"),
            }
        })
        .collect()
}
