//! The problem as clauses over packages: everything reachable from the request, nothing of the solver yet.
//!
//! Preference among the packages that satisfy one dependency, first rule that decides (the solver tries them in this
//! order):
//! 1. a package that is needed in any case (requested, or the only name that satisfies something needed),
//! 2. the order in which `(a or b)` writes its alternatives,
//! 3. a package of the very name that is asked for,
//! 4. one that nothing needed obsoletes,
//! 5. the repository with the lower priority number,
//! 6. the shorter name, then the alphabet,
//! 7. the newest version, the machine's architecture before noarch, the earlier repository.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::pool::{Id, Pool, Set};
use super::rich::{self, Expr};
use crate::profile::Profile;
use crate::repodata::{Dep, Op, Strings, Sym};

/// Why a clause is there; the text is what a person would write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// The profile asks for it.
    Request(String),
    Requires(String),
    Conflicts(String),
    Obsoletes(String),
    Recommends(String),
    /// The dependency cannot be read: text and reason.
    Broken(String, String),
}

/// If its package is chosen: of one of the `neg` sets nothing is chosen, or one of `pos` is.
#[derive(Debug, Clone)]
pub(super) struct Clause {
    pub(super) neg: Vec<Set>,
    /// In order of preference.
    pub(super) pos: Vec<Id>,
    pub(super) why: Why,
}

/// The clauses of everything that can matter.
pub(super) struct Rules {
    pub(super) root: Vec<Clause>,
    pub(super) packages: BTreeMap<Id, Vec<Clause>>,
    /// Recommended: may fail.
    pub(super) wishes: BTreeMap<Id, Vec<Clause>>,
}

/// Collects the rules for what `include` asks for.
pub(super) fn rules(profile: &Profile, pool: &Pool<'_>) -> Rules {
    let include: BTreeSet<&String> = profile.packages.include.iter().collect();
    let root: Vec<Clause> = include.into_iter().flat_map(|text| request(pool, text)).collect();
    let mut rules = Rules { root, packages: BTreeMap::new(), wishes: BTreeMap::new() };
    let mut todo: VecDeque<Id> = rules.root.iter().flat_map(|c| c.pos.iter().copied()).collect();
    while let Some(id) = todo.pop_front() {
        if rules.packages.contains_key(&id) {
            continue;
        }
        let own = of_package(pool, id);
        let wishes = if profile.packages.weak { wishes_of(pool, id) } else { Vec::new() };
        todo.extend(own.iter().chain(&wishes).flat_map(|c| c.pos.iter().copied()));
        rules.packages.insert(id, own);
        rules.wishes.insert(id, wishes);
    }
    rules.order(pool);
    rules
}

/// A request: a package name if there is one, else anything that provides it.
fn request(pool: &Pool<'_>, text: &str) -> Vec<Clause> {
    let named = pool.named(text);
    if !named.is_empty() {
        return vec![Clause { neg: vec![], pos: named.to_vec(), why: Why::Request(text.to_owned()) }];
    }
    let looked_up = rich::parse(text).and_then(|e| pool.look_up(&e, &|set| set));
    match looked_up.and_then(|expr| to_clauses(&expr, false, &|| Why::Request(text.to_owned()))) {
        Ok(clauses) => clauses,
        Err(e) => vec![broken(text, &e)],
    }
}

fn of_package(pool: &Pool<'_>, id: Id) -> Vec<Clause> {
    let package = pool.get(id).package;
    let mut out = Vec::new();
    for dep in package.requires.iter().map(|&d| pool.dep(id, d)) {
        let why = || Why::Requires(pool.show(dep));
        let clauses = pool.expression(dep, None).and_then(|expr| to_clauses(&expr, false, &why));
        match clauses {
            Ok(clauses) => out.extend(clauses.into_iter().filter_map(|c| seen_from(id, c))),
            Err(e) => out.push(broken(&pool.show(dep), &e)),
        }
    }
    for dep in package.conflicts.iter().map(|&d| pool.dep(id, d)) {
        let why = || Why::Conflicts(pool.show(dep));
        let clauses = pool.expression(dep, Some(id)).and_then(|expr| to_clauses(&expr, true, &why));
        match clauses {
            Ok(clauses) => out.extend(clauses.into_iter().filter_map(|c| seen_from(id, c))),
            Err(e) => out.push(broken(&pool.show(dep), &e)),
        }
    }
    for dep in package.obsoletes.iter().map(|&d| pool.dep(id, d)) {
        let name = pool.get(id).name;
        let others = pool.named_in_range(dep);
        let others: Set = others.iter().copied().filter(|&o| pool.get(o).name != name).collect();
        if !others.is_empty() {
            out.push(Clause { neg: vec![others], pos: vec![], why: Why::Obsoletes(pool.show(dep)) });
        }
    }
    out
}

fn wishes_of(pool: &Pool<'_>, id: Id) -> Vec<Clause> {
    let deps = pool.get(id).package.recommends.iter().map(|&d| pool.dep(id, d));
    let clauses = deps.filter_map(|dep| {
        let why = || Why::Recommends(pool.show(dep));
        // One that cannot be read or satisfied is a wish that stays one.
        pool.expression(dep, None).and_then(|expr| to_clauses(&expr, false, &why)).ok()
    });
    clauses.flatten().filter_map(|c| seen_from(id, c)).filter(|c| !c.pos.is_empty()).collect()
}

fn broken(text: &str, error: &anyhow::Error) -> Clause {
    Clause { neg: vec![], pos: vec![], why: Why::Broken(text.to_owned(), format!("{error:#}")) }
}

fn to_clauses(expr: &Expr<Set>, negate: bool, why: &dyn Fn() -> Why) -> anyhow::Result<Vec<Clause>> {
    let clauses = rich::clauses(expr, negate)?;
    let flat = clauses.into_iter().map(|c| {
        let mut seen = BTreeSet::new();
        let pos = c.pos.iter().flat_map(|set| set.iter().copied()).filter(|&id| seen.insert(id)).collect();
        // Nothing can be chosen of an empty set: that part of the clause is true.
        let always = c.neg.iter().any(|set| set.is_empty());
        (!always).then(|| Clause { neg: c.neg, pos, why: why() })
    });
    Ok(flat.flatten().collect())
}

/// The clause of a package, given that the package itself is there: `None` if it holds by that alone.
fn seen_from(id: Id, mut clause: Clause) -> Option<Clause> {
    if clause.pos.contains(&id) {
        return None;
    }
    clause.neg.retain(|set| !set.contains(&id));
    Some(clause)
}

impl Rules {
    /// The packages of a solution that something needs: the solver stops at a solution, not at the smallest. What is
    /// the only one of the solution to satisfy a clause stays first, then the preferred of several.
    pub(super) fn prune(&self, chosen: &[Id], keep: impl Fn(usize) -> bool) -> Vec<Id> {
        let chosen: BTreeSet<Id> = chosen.iter().copied().collect();
        let mut kept: BTreeSet<Id> = BTreeSet::new();
        loop {
            let root = self.root.iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, clause)| clause);
            let of_kept = kept.iter().flat_map(|id| self.packages[id].iter().chain(&self.wishes[id]));
            let open: Vec<Vec<Id>> = root
                .chain(of_kept)
                .filter(|c| c.neg.iter().all(|set| set.iter().any(|id| kept.contains(id))))
                .filter(|c| !c.pos.iter().any(|id| kept.contains(id)))
                .map(|c| c.pos.iter().copied().filter(|id| chosen.contains(id)).collect())
                // Nothing is left of wishes that were not granted, and of conflicts.
                .filter(|live: &Vec<Id>| !live.is_empty())
                .collect();
            let Some(first) = open.first() else { return kept.into_iter().collect() };
            let only: Vec<Id> = open.iter().filter(|live| live.len() == 1).map(|live| live[0]).collect();
            if only.is_empty() {
                kept.insert(first[0]);
            } else {
                kept.extend(only);
            }
        }
    }

    /// Sorts every clause's alternatives by preference.
    fn order(&mut self, pool: &Pool<'_>) {
        let needed = self.needed(pool);
        let obsoleted = self.obsoleted_by(&needed, pool);
        let own = self.root.iter_mut();
        let own = own.chain(self.packages.values_mut().flatten()).chain(self.wishes.values_mut().flatten());
        for clause in own {
            let asked = match &clause.why {
                Why::Request(text) | Why::Requires(text) | Why::Recommends(text) => text.split(' ').next(),
                _ => None,
            };
            // Alternatives are written in order only in a rich dependency.
            let written = matches!(asked, Some(text) if text.starts_with('('));
            let mut alternatives: HashMap<Sym, usize> = HashMap::new();
            for (i, &id) in clause.pos.iter().enumerate() {
                alternatives.entry(pool.get(id).name).or_insert(i);
            }
            clause.pos.sort_by_cached_key(|&id| {
                let candidate = pool.get(id);
                let name = pool.name(id);
                (
                    !needed.contains(&candidate.name),
                    if written { alternatives[&candidate.name] } else { 0 },
                    asked != Some(name),
                    obsoleted.contains(&id),
                    pool.priorities[candidate.repo],
                    name.len(),
                    name.to_owned(),
                    id,
                )
            });
        }
    }

    /// The names that every solution has: closure over clauses that only one name can satisfy.
    fn needed(&self, pool: &Pool<'_>) -> BTreeSet<Sym> {
        let mut needed = BTreeSet::new();
        let mut todo: Vec<&Clause> = self.root.iter().collect();
        while let Some(clause) = todo.pop() {
            let mut names = clause.pos.iter().map(|&id| pool.get(id).name);
            let Some(first) = names.next() else { continue };
            if !clause.neg.is_empty() || names.any(|n| n != first) || !needed.insert(first) {
                continue;
            }
            // The newest is what will be taken unless something forbids it.
            let newest = clause.pos.iter().min();
            todo.extend(newest.and_then(|id| self.packages.get(id)).into_iter().flatten());
        }
        needed
    }

    fn obsoleted_by(&self, needed: &BTreeSet<Sym>, pool: &Pool<'_>) -> BTreeSet<Id> {
        let needed = self.packages.iter().filter(|(id, _)| needed.contains(&pool.get(**id).name));
        let clauses = needed.flat_map(|(_, clauses)| clauses).filter(|c| matches!(c.why, Why::Obsoletes(_)));
        clauses.flat_map(|c| c.neg.iter().flat_map(|set| set.iter().copied())).collect()
    }
}

/// Paths that are required (by the request, or by a package that can matter) and that nobody provides yet: what
/// filelists.xml is needed for.
pub(super) fn unmet_paths(profile: &Profile, pool: &Pool<'_>) -> BTreeSet<String> {
    let rules = rules(profile, pool);
    let mut out = BTreeSet::new();
    let mut note = |name: &str| {
        let paths = match rich::parse(name) {
            Ok(expr) => leaves(&expr),
            Err(_) => return,
        };
        for path in paths.into_iter().filter(|p| p.starts_with('/')) {
            let found = pool.strings.find(path).is_some_and(|name| {
                !pool.providers(Dep { name, op: Op::Any, evr: Strings::EMPTY }).is_empty()
            });
            if !found {
                out.insert(path.to_owned());
            }
        }
    };
    profile.packages.include.iter().for_each(|text| note(text));
    for &id in rules.packages.keys() {
        let package = pool.get(id).package;
        let wanted =
            package.requires.iter().chain(if profile.packages.weak { &package.recommends[..] } else { &[] });
        for dep in wanted.chain(&package.conflicts) {
            let text = pool.strings.get(pool.dep(id, *dep).name);
            // Only these two forms can name a path.
            if text.starts_with('/') || text.starts_with('(') {
                note(text);
            }
        }
    }
    out
}

fn leaves<'a>(expr: &Expr<rich::Capability<'a>>) -> Vec<&'a str> {
    match expr {
        Expr::Leaf(cap) => vec![cap.name],
        Expr::And(all) | Expr::Or(all) => all.iter().flat_map(leaves).collect(),
        Expr::Not(inner) => leaves(inner),
        Expr::With(a, b) | Expr::Without(a, b) => [leaves(a), leaves(b)].concat(),
    }
}
