//! Rich (boolean) dependencies: text -> expression -> clauses.
//!
//! Operators and their meaning: rpm's boolean dependencies manual. `A if B` = A or not B; `A if B else C` = (A or
//! not B) and (C or B); `A unless B` = A and not B; `A unless B else C` = (A and not B) or (C and B); `with` and
//! `without` are about one package that does (not) satisfy both sides.

use anyhow::{anyhow, bail};

use crate::repodata::Op;

/// Parentheses inside each other.
const MAX_DEPTH: usize = 32;
/// Terms of a condition with `else`.
const MAX_CONDITION: usize = 64;
/// Clauses of one dependency. The largest in EL10 gives 12.
const MAX_CLAUSES: usize = 512;

/// An expression over leaves `L`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expr<L> {
    Leaf(L),
    And(Vec<Expr<L>>),
    Or(Vec<Expr<L>>),
    Not(Box<Expr<L>>),
    /// One package that satisfies both.
    With(Box<Expr<L>>, Box<Expr<L>>),
    /// One package that satisfies the first and not the second.
    Without(Box<Expr<L>>, Box<Expr<L>>),
}

/// A capability with its bound, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Capability<'a> {
    pub(super) name: &'a str,
    pub(super) op: Op,
    /// Empty when `op` is `Any`.
    pub(super) evr: &'a str,
}

/// Parses `name`, `name OP version` or `(...)`.
pub(super) fn parse(text: &str) -> anyhow::Result<Expr<Capability<'_>>> {
    let mut parser = Parser { rest: text.trim() };
    let expr = parser.operand(0)?;
    if !parser.rest.is_empty() {
        bail!("unexpected {:?} at the end", parser.rest);
    }
    Ok(expr)
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn operand(&mut self, depth: usize) -> anyhow::Result<Expr<Capability<'a>>> {
        if depth > MAX_DEPTH {
            bail!("parentheses are nested deeper than {MAX_DEPTH}");
        }
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest.trim_start();
            return self.group(depth);
        }
        let name = self.word();
        if name.is_empty() {
            bail!("expected a name before {:?}", self.rest);
        }
        let before = self.rest;
        let op = match self.word() {
            "<" => Op::Lt,
            "<=" => Op::Le,
            "=" | "==" => Op::Eq,
            ">=" => Op::Ge,
            ">" => Op::Gt,
            _ => {
                self.rest = before;
                return Ok(Expr::Leaf(Capability { name, op: Op::Any, evr: "" }));
            }
        };
        let evr = self.word();
        if evr.is_empty() {
            bail!("expected a version after {name:?}");
        }
        Ok(Expr::Leaf(Capability { name, op, evr }))
    }

    /// What is between parentheses, and the closing one.
    fn group(&mut self, depth: usize) -> anyhow::Result<Expr<Capability<'a>>> {
        let first = self.operand(depth + 1)?;
        if self.closes() {
            return Ok(first);
        }
        let operator = self.word();
        let second = self.operand(depth + 1)?;
        let expr = match operator {
            "and" | "or" => {
                let mut all = vec![first, second];
                while !self.rest.starts_with(')') {
                    let next = self.word();
                    if next != operator {
                        bail!("expected {operator:?} or a closing parenthesis, found {next:?}");
                    }
                    all.push(self.operand(depth + 1)?);
                }
                if operator == "and" { Expr::And(all) } else { Expr::Or(all) }
            }
            "with" => {
                let mut expr = Expr::With(first.into(), second.into());
                while !self.rest.starts_with(')') {
                    let next = self.word();
                    if next != "with" {
                        bail!("expected \"with\" or a closing parenthesis, found {next:?}");
                    }
                    expr = Expr::With(expr.into(), self.operand(depth + 1)?.into());
                }
                expr
            }
            "without" => Expr::Without(first.into(), second.into()),
            "if" | "unless" => {
                let other = match self.rest.starts_with(')') {
                    true => None,
                    false => match self.word() {
                        "else" => Some(self.operand(depth + 1)?),
                        next => bail!("expected \"else\" or a closing parenthesis, found {next:?}"),
                    },
                };
                // The condition is written out twice when there is an else.
                if other.is_some() && size(&second) > MAX_CONDITION {
                    bail!("the condition before else has more than {MAX_CONDITION} terms");
                }
                conditional(operator == "if", first, second, other)
            }
            other => bail!("unknown operator {other:?}"),
        };
        if !self.closes() {
            bail!("expected a closing parenthesis, found {:?}", self.rest);
        }
        Ok(expr)
    }

    fn closes(&mut self) -> bool {
        let Some(rest) = self.rest.strip_prefix(')') else { return false };
        self.rest = rest.trim_start();
        true
    }

    /// Up to white space or a closing parenthesis that the word did not open: `libz.so.1()(64bit)` is one word.
    fn word(&mut self) -> &'a str {
        let mut open = 0usize;
        let end = self.rest.find(|c: char| {
            match c {
                '(' => open += 1,
                ')' if open == 0 => return true,
                ')' => open -= 1,
                _ => {}
            }
            c.is_whitespace()
        });
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.trim_start();
        word
    }
}

fn conditional<L: Clone>(is_if: bool, a: Expr<L>, b: Expr<L>, c: Option<Expr<L>>) -> Expr<L> {
    let not_b = Expr::Not(b.clone().into());
    match (is_if, c) {
        (true, None) => Expr::Or(vec![a, not_b]),
        (true, Some(c)) => Expr::And(vec![Expr::Or(vec![a, not_b]), Expr::Or(vec![c, b])]),
        (false, None) => Expr::And(vec![a, not_b]),
        (false, Some(c)) => Expr::Or(vec![Expr::And(vec![a, not_b]), Expr::And(vec![c, b])]),
    }
}

fn size<L>(expr: &Expr<L>) -> usize {
    match expr {
        Expr::Leaf(_) => 1,
        Expr::And(all) | Expr::Or(all) => all.iter().map(size).sum(),
        Expr::Not(inner) => size(inner),
        Expr::With(a, b) | Expr::Without(a, b) => size(a) + size(b),
    }
}

/// One clause: none of the packages of one of the `neg` sets is there, or one of `pos` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetClause<S> {
    pub(super) neg: Vec<S>,
    /// In the order in which the alternatives are written.
    pub(super) pos: Vec<S>,
}

/// The expression (its negation with `negate`) as a conjunction of clauses.
pub(super) fn clauses<S: Clone>(expr: &Expr<S>, negate: bool) -> anyhow::Result<Vec<SetClause<S>>> {
    let list = match (expr, negate) {
        (Expr::Leaf(set), false) => vec![SetClause { neg: vec![], pos: vec![set.clone()] }],
        (Expr::Leaf(set), true) => vec![SetClause { neg: vec![set.clone()], pos: vec![] }],
        (Expr::Not(inner), _) => clauses(inner, !negate)?,
        (Expr::And(all), false) | (Expr::Or(all), true) => {
            let mut out = Vec::new();
            for part in all {
                out.extend(clauses(part, negate)?);
                check(&out)?;
            }
            out
        }
        (Expr::Or(all), false) | (Expr::And(all), true) => {
            let mut out = vec![SetClause { neg: vec![], pos: vec![] }];
            for part in all {
                let part = clauses(part, negate)?;
                if out.len().saturating_mul(part.len()) > MAX_CLAUSES {
                    return Err(too_many());
                }
                let pairs = out.iter().flat_map(|a| part.iter().map(move |b| (a, b)));
                out = pairs
                    .map(|(a, b)| SetClause {
                        neg: a.neg.iter().chain(&b.neg).cloned().collect(),
                        pos: a.pos.iter().chain(&b.pos).cloned().collect(),
                    })
                    .collect();
            }
            out
        }
        (Expr::With(..) | Expr::Without(..), _) => {
            unreachable!("with and without became leaves when the sets were looked up")
        }
    };
    check(&list)?;
    Ok(list)
}

fn check<S>(list: &[SetClause<S>]) -> anyhow::Result<()> {
    if list.len() > MAX_CLAUSES { Err(too_many()) } else { Ok(()) }
}

fn too_many() -> anyhow::Error {
    anyhow!("the dependency has more than {MAX_CLAUSES} alternatives")
}
