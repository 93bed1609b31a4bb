//! Mistakes that are found without running anything, in a recipe and in every library that it may import.
//!
//! code -> one message a mistake, with its place. What runs only sometimes is looked at like everything else.
//!
//! - [`calls`]: functions that nothing has, that take other arguments, or that have no effect where they are called
//! - [`recipe`]: what only a recipe's own text can have: `pkg`, and functions that `recipe` calls

mod calls;
mod recipe;

use std::collections::{BTreeMap, BTreeSet};

use common::cli::Mark;
use rhai::{AST, ASTNode, Dynamic, Engine, Expr, Position, Scope, Stmt};

use super::known::{Strings, each};
use super::{look, modules, report};
use crate::code::Code;
use crate::exit;
use crate::shelf::similar;
use crate::state::located;
use crate::text::{DEPTH, Place, Top};

/// A mistake and where it is.
struct Mistake {
    position: Position,
    message: String,
}

/// A text that is looked at.
struct Text<'a> {
    source: String,
    text: &'a str,
    top: Top,
    ast: AST,
}

/// All mistakes of a recipe and its libraries, as messages with their places.
///
/// # Errors
/// A text is not Rhai, or its top level does something (exit code [`exit::RECIPE`]).
pub(super) fn mistakes(engine: &Engine, code: &Code) -> anyhow::Result<Vec<String>> {
    let own = read(code.source(), &code.text, Top::of)?;
    let libraries = code
        .libraries
        .iter()
        .map(|(name, text)| Ok((name.as_str(), read(code.library(name), text, Top::of_library)?)))
        .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
    let names = calls::Names::of(engine, &own, &libraries);
    let mut all = Vec::new();
    for text in std::iter::once(&own).chain(libraries.values()) {
        let mut found = calls::mistakes(text, &names);
        found.extend(variables(text, &own.top));
        found.extend(imports(text, code));
        found.extend(assignments(text, &own.top));
        if std::ptr::eq(text, &own) {
            found.extend(recipe::mistakes(text, libraries.values()));
        }
        all.extend(found.iter().map(|m| report::place(&text.source, text.text, m.position, &m.message)));
    }
    all.extend(circles(&libraries));
    Ok(all)
}

fn read<'a>(
    source: String,
    text: &'a str,
    top: impl Fn(&str) -> Result<Top, crate::text::SyntaxError>,
) -> anyhow::Result<Text<'a>> {
    let top = top(text).map_err(|e| located(source.as_ref(), text, &e)).exit(exit::RECIPE)?;
    let ast = look::parse(&source, text)?;
    Ok(Text { source, text, top, ast })
}

/// Where a byte of a text is, as Rhai has it.
fn position(text: &str, offset: usize) -> Position {
    let Place { line, column } = Place::of(text, offset);
    Position::new(line.min(65535) as u16, column.min(65535) as u16)
}

/// What a name should have been, behind what is wrong with it.
fn meant<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> String {
    similar(name, all).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default()
}

/// Variables that nothing defines: the text is compiled once more, strictly, with the names of the recipe's top level in scope.
fn variables(text: &Text<'_>, top: &Top) -> Option<Mistake> {
    let mut strict = Engine::new_raw();
    strict.set_strict_variables(true).set_max_expr_depths(DEPTH, 32);
    strict.set_allow_shadowing(true);
    let mut scope = Scope::new();
    for variable in &top.lets {
        scope.push_dynamic(variable.name.clone(), Dynamic::UNIT);
    }
    let error = strict.compile_with_scope(&scope, text.text).err()?;
    Some(Mistake { position: error.position(), message: error.err_type().to_string() })
}

/// Libraries that are not there.
fn imports(text: &Text<'_>, code: &Code) -> Vec<Mistake> {
    let mut found = Vec::new();
    each(&text.ast, &mut |node| {
        if let ASTNode::Stmt(Stmt::Import(import, _)) = node
            && let Expr::StringConstant(name, position) = &import.0
            && let Err(message) = modules::find(code, name)
        {
            found.push(Mistake { position: *position, message });
        }
    });
    found
}

/// Functions that change what only the top level has: they would fail when they run.
fn assignments(text: &Text<'_>, top: &Top) -> Vec<Mistake> {
    let strings = Strings::of(&text.ast, None);
    let mut found = Vec::new();
    each(&text.ast, &mut |node| {
        let ASTNode::Stmt(Stmt::Assignment(assignment)) = node else { return };
        let mut to = &assignment.1.lhs;
        while let Expr::Dot(pair, ..) | Expr::Index(pair, ..) = to {
            to = &pair.lhs;
        }
        if let Expr::Variable(variable, _, position) = to
            && top.get(&variable.1).is_some()
            && !strings.binds(&variable.1)
        {
            let message =
                format!("`{}` is of the top level: functions can read it, not change it", variable.1);
            found.push(Mistake { position: *position, message });
        }
    });
    found
}

/// Libraries that import themselves at their top level, be it through others.
fn circles(libraries: &BTreeMap<&str, Text<'_>>) -> Vec<String> {
    let (mut found, mut done) = (Vec::new(), BTreeSet::new());
    for name in libraries.keys() {
        follow(name, libraries, &mut Vec::new(), &mut done, &mut found);
    }
    found
}

/// Follows the imports of one library; `open` are those that lead to it.
fn follow<'a>(
    name: &'a str,
    libraries: &'a BTreeMap<&str, Text<'_>>,
    open: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
    found: &mut Vec<String>,
) {
    // Longer chains are refused when they are imported.
    let Some(text) = libraries.get(name).filter(|_| !done.contains(name) && open.len() <= modules::NESTED)
    else {
        return;
    };
    open.push(name);
    for statement in text.ast.statements() {
        let Stmt::Import(import, _) = statement else { continue };
        let Expr::StringConstant(next, position) = &import.0 else { continue };
        match modules::circle(open, next) {
            Some(message) => found.push(report::place(&text.source, text.text, *position, &message)),
            None => follow(next, libraries, open, done, found),
        }
    }
    open.pop();
    done.insert(name);
}
