//! What is known of a string before anything runs: literals, what is put together of them, and variables that are bound once.
//!
//! A guess for people to read, and a promise only because helpers compare: what turns out otherwise is refused. So a name that is
//! bound twice, assigned to or perhaps changed by a method is not known, lest honest recipes be refused.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Expr, Stmt};

use crate::text::Value;

/// Variables that are made of variables are followed so far.
const DEPTH: u8 = 8;

/// What is known of a string.
pub(super) enum Known {
    Whole(String),
    Begins(String),
}

/// Calls with every node of a tree, also those that Rhai's own walk leaves out: values of `break`.
pub(super) fn each(ast: &AST, f: &mut dyn FnMut(&ASTNode<'_>)) {
    ast.walk(&mut |nodes: &[ASTNode<'_>]| visit(nodes, f));
}

/// As [`each`], of what runs with the top level: neither functions nor closures.
pub(super) fn each_of_top(ast: &AST, f: &mut dyn FnMut(&ASTNode<'_>)) {
    for statement in ast.statements() {
        statement.walk(&mut Vec::new(), &mut |nodes: &[ASTNode<'_>]| visit(nodes, f));
    }
}

fn visit(nodes: &[ASTNode<'_>], f: &mut dyn FnMut(&ASTNode<'_>)) -> bool {
    let Some(node) = nodes.last() else { return true };
    f(node);
    if let ASTNode::Stmt(Stmt::BreakLoop(Some(value), ..)) = node {
        value.walk(&mut Vec::new(), &mut |nodes: &[ASTNode<'_>]| visit(nodes, f));
    }
    true
}

/// The strings of a text.
pub(super) struct Strings<'a> {
    /// Variables of the top level: functions cannot change them.
    top: BTreeSet<String>,
    bound: BTreeMap<String, Bound>,
    pkg: Option<&'a Value>,
}

#[derive(Default)]
struct Bound {
    times: usize,
    value: Option<Expr>,
    /// It may have become another one.
    changed: bool,
}

impl<'a> Strings<'a> {
    /// Of a tree; `pkg` is what the recipe says of itself.
    pub(super) fn of(ast: &AST, pkg: Option<&'a Value>) -> Self {
        let top = ast.statements().iter().filter_map(|statement| match statement {
            Stmt::Var(variable, ..) => Some(variable.0.name.to_string()),
            _ => None,
        });
        let mut strings = Self { top: top.collect(), bound: BTreeMap::new(), pkg };
        for function in ast.iter_functions() {
            function.params.iter().for_each(|name| strings.bind(name, None));
        }
        each(ast, &mut |node| strings.node(node));
        strings
    }

    /// Whether something besides the top level binds a name.
    pub(super) fn binds(&self, name: &str) -> bool {
        self.bound.get(name).is_some_and(|bound| bound.times > usize::from(self.top.contains(name)))
    }

    fn node(&mut self, node: &ASTNode<'_>) {
        match node {
            ASTNode::Stmt(Stmt::Var(variable, ..)) => {
                self.bind(&variable.0.name, Some(variable.1.clone()));
            }
            ASTNode::Stmt(Stmt::For(each, ..)) => {
                self.bind(&each.0.name, None);
                each.1.iter().for_each(|counter| self.bind(&counter.name, None));
            }
            ASTNode::Stmt(Stmt::TryCatch(catch, ..)) => {
                if let Expr::Variable(variable, ..) = &catch.expr {
                    self.bind(&variable.1, None);
                }
            }
            ASTNode::Stmt(Stmt::Assignment(assignment)) => self.change(&assignment.1.lhs),
            ASTNode::Expr(Expr::Dot(pair, ..)) if calls(&pair.rhs) => self.change(&pair.lhs),
            _ => {}
        }
    }

    fn bind(&mut self, name: &str, value: Option<Expr>) {
        let bound = self.bound.entry(name.to_owned()).or_default();
        bound.times += 1;
        bound.value = value;
    }

    fn change(&mut self, expr: &Expr) {
        match expr {
            Expr::Variable(variable, ..) => {
                self.bound.entry(variable.1.to_string()).or_default().changed = true;
            }
            Expr::Dot(pair, ..) | Expr::Index(pair, ..) => self.change(&pair.lhs),
            _ => {}
        }
    }

    /// The string, if all of it is known.
    pub(super) fn whole(&self, expr: &Expr) -> Option<String> {
        match self.text(expr)? {
            Known::Whole(text) => Some(text),
            Known::Begins(_) => None,
        }
    }

    /// What is known of a string.
    pub(super) fn text(&self, expr: &Expr) -> Option<Known> {
        self.follow(expr, DEPTH)
    }

    fn follow(&self, expr: &Expr, depth: u8) -> Option<Known> {
        let depth = depth.checked_sub(1)?;
        match expr {
            Expr::StringConstant(text, _) => Some(Known::Whole(text.to_string())),
            Expr::InterpolatedString(parts, _) => self.join(parts, depth),
            Expr::FnCall(call, _) if call.op_token.is_some() && call.name == "+" => {
                self.join(&call.args, depth)
            }
            // One of a library has a namespace.
            Expr::Variable(variable, ..) if variable.2.is_empty() => {
                let name = variable.1.as_str();
                let bound = self.bound.get(name).filter(|bound| bound.times == 1)?;
                let stays = self.top.contains(name) || !bound.changed;
                self.follow(bound.value.as_ref().filter(|_| stays)?, depth)
            }
            Expr::Dot(pair, ..) => match (&pair.lhs, &pair.rhs) {
                (Expr::Variable(variable, ..), Expr::Property(field, _)) if variable.1 == "pkg" => {
                    let own = self.bound.get("pkg").is_none_or(|b| b.times <= 1 && self.top.contains("pkg"));
                    Some(Known::Whole(self.pkg.filter(|_| own)?.get(&field.2)?.as_text()?.to_owned()))
                }
                _ => None,
            },
            Expr::Stmt(block) => match block.statements() {
                [Stmt::Expr(only)] => self.follow(only, depth),
                _ => None,
            },
            _ => None,
        }
    }

    fn join(&self, parts: &[Expr], depth: u8) -> Option<Known> {
        let mut all = String::new();
        for part in parts {
            match self.follow(part, depth) {
                Some(Known::Whole(text)) => all.push_str(&text),
                Some(Known::Begins(text)) => return Some(Known::Begins(all + text.as_str())),
                None => return Some(Known::Begins(all)),
            }
        }
        Some(Known::Whole(all))
    }
}

/// Whether a chain of properties ends in a call, which may change what it is called on.
fn calls(expr: &Expr) -> bool {
    match expr {
        Expr::MethodCall(..) => true,
        Expr::Dot(pair, ..) | Expr::Index(pair, ..) => calls(&pair.lhs) || calls(&pair.rhs),
        _ => false,
    }
}
