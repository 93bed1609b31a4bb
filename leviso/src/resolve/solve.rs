//! The rules handed to resolvo, a CDCL SAT solver.
//!
//! A package is a solvable, its name resolvo's package name: of each name at most one version is chosen. What a
//! dependency accepts is an explicit set of solvables, so resolvo never compares versions itself. Two kinds of
//! solvables are not packages:
//! - `any of S`, required by every member of S: stands in conditions (`A if B`) for "something of S is chosen"; or
//!   `none of S`, which keeps every member of S out: an alternative to `A` (see [`refute`]);
//! - `wish` with two candidates, one that requires what is recommended and one that does not, tried in that order.

use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::{self, Display, Write};

use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider,
    HintDependenciesAvailable, Interner, KnownDependencies, LogicalOperator, NameId, Problem, Requirement,
    SolvableId, Solver, SolverCache, StringId, UnsolvableOrCancelled, VersionSetId, VersionSetUnionId,
};

use super::pool::{Id, Pool, Set};
use super::rules::{Clause, Rules};
use crate::repodata::Sym;

/// Propagation rounds of one run. A distribution takes some thousands; a solver that walks in circles must not take
/// the machine's memory with it.
const MAX_ROUNDS: u32 = 200_000;

/// Characters of resolvo's account that are looked at.
const MAX_ACCOUNT: usize = 8 << 10;

/// The chosen packages, ascending; `None` if there is no choice that satisfies everything.
pub(super) fn solve(pool: &Pool<'_>, rules: &Rules) -> Option<Vec<Id>> {
    // Two ways that agree are better evidence that there really is no solution.
    run(pool, rules, &|_| true, false).or_else(|_| run(pool, rules, &|_| true, true)).ok()
}

/// Whether the root clauses `keep` says yes to cannot be satisfied together; then resolvo's account, for people.
///
/// Here `not S` is one more alternative instead of a condition. That finds less natural solutions (it would rather
/// keep `B` out than grant `A if B`), but for conflicts with conditions resolvo 0.12 fails an assertion while it
/// makes its account.
pub(super) fn refute(pool: &Pool<'_>, rules: &Rules, keep: impl Fn(usize) -> bool) -> Option<String> {
    run(pool, rules, &keep, true).err()
}

/// `plain`: without resolvo's conditions.
fn run(pool: &Pool<'_>, rules: &Rules, keep: &dyn Fn(usize) -> bool, plain: bool) -> Result<Vec<Id>, String> {
    let (provider, requirements) = Builder::new(pool, rules, plain).build(keep);
    let problem = Problem::new().requirements(requirements);
    let mut solver = Solver::new(provider);
    match solver.solve(problem) {
        Ok(chosen) => {
            let packages = &solver.provider().packages;
            let ids: Vec<Id> = chosen.into_iter().filter_map(|s| packages[s.into_raw() as usize]).collect();
            Ok(rules.prune(&ids, keep))
        }
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            let mut account = Bounded(String::new());
            if plain {
                // It stops with an error when there is enough: resolvo never ends where requirements go in circles.
                let _ = write!(account, "{}", conflict.display_user_friendly(&solver));
            }
            Err(account.0)
        }
        Err(UnsolvableOrCancelled::Cancelled(_)) => {
            Err(format!("the solver gave up after {MAX_ROUNDS} rounds"))
        }
    }
}

/// Takes [`MAX_ACCOUNT`] characters and then no more.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_ACCOUNT.saturating_sub(self.0.len());
        self.0.extend(text.chars().take(room));
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Everything resolvo may ask, worked out beforehand.
#[derive(Default)]
struct Provider {
    /// By solvable: the package it is.
    packages: Vec<Option<Id>>,
    labels: Vec<String>,
    name_of: Vec<NameId>,
    dependencies: Vec<KnownDependencies>,
    /// By name.
    names: Vec<String>,
    /// By name, in order of preference.
    members: Vec<Vec<SolvableId>>,
    /// By version set: its name and members, ascending.
    sets: Vec<(NameId, Vec<SolvableId>)>,
    unions: Vec<Vec<VersionSetId>>,
    conditions: Vec<Condition>,
    /// How often resolvo asked whether to go on.
    rounds: Cell<u32>,
}

struct Builder<'p> {
    rules: &'p Rules,
    out: Provider,
    /// Packages that can be chosen -> their solvables.
    solvables: HashMap<Id, SolvableId>,
    known_sets: HashMap<(NameId, Vec<SolvableId>), VersionSetId>,
    /// Sets in conditions -> the version set of their `any of`, or `none of` if `plain`, solvable.
    conditions: HashMap<Set, VersionSetId>,
    /// Conditions become alternatives.
    plain: bool,
}

impl<'p> Builder<'p> {
    fn new(pool: &Pool<'_>, rules: &'p Rules, plain: bool) -> Self {
        let mut builder = Self {
            rules,
            out: Provider::default(),
            solvables: HashMap::new(),
            known_sets: HashMap::new(),
            conditions: HashMap::new(),
            plain,
        };
        let mut names: HashMap<Sym, NameId> = HashMap::new();
        // Ascending ids are newest first within a name.
        for &id in rules.packages.keys() {
            let name = *names
                .entry(pool.get(id).name)
                .or_insert_with(|| builder.out.add_name(pool.name(id).to_owned()));
            let label = pool.nevra(id);
            let solvable = builder.out.add_solvable(name, Some(id), label);
            builder.solvables.insert(id, solvable);
        }
        builder
    }

    fn build(mut self, keep: &dyn Fn(usize) -> bool) -> (Provider, Vec<ConditionalRequirement>) {
        let rules = self.rules;
        for (id, clauses) in &rules.packages {
            let mut known = KnownDependencies::default();
            for clause in clauses {
                self.add(clause, &mut known);
            }
            for wish in &rules.wishes[id] {
                known.requirements.push(self.wish(wish));
            }
            let solvable = self.solvables[id];
            let at = &mut self.out.dependencies[solvable.into_raw() as usize];
            // `any of` members were perhaps added already.
            at.requirements.extend(known.requirements);
            at.constrains.extend(known.constrains);
        }
        let mut root = KnownDependencies::default();
        for clause in rules.root.iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, c)| c) {
            self.add(clause, &mut root);
        }
        debug_assert!(root.constrains.is_empty(), "a request only asks for packages to be there");
        (self.out, root.requirements)
    }

    fn add(&mut self, clause: &Clause, known: &mut KnownDependencies) {
        if let ([set], []) = (&clause.neg[..], &clause.pos[..]) {
            known.constrains.extend(self.none_of(set));
            return;
        }
        // Members of a condition that cannot be chosen at all make it false: nothing to do then.
        if clause.neg.iter().any(|set| !set.iter().any(|id| self.solvables.contains_key(id))) {
            return;
        }
        if self.plain {
            let nones: Vec<VersionSetId> = clause.neg.iter().map(|set| self.absent(set)).collect();
            known.requirements.push(self.one_of(nones, &clause.pos).into());
            return;
        }
        let requirement = self.one_of(Vec::new(), &clause.pos);
        let condition = clause.neg.iter().fold(None, |so_far, set| {
            let any = self.any_of(set);
            let this = self.out.add_condition(Condition::Requirement(any));
            Some(match so_far {
                None => this,
                Some(before) => self.out.add_condition(Condition::Binary(LogicalOperator::And, before, this)),
            })
        });
        known.requirements.push(ConditionalRequirement { condition, requirement });
    }

    /// Requires one of `sets` or one of these packages, tried in this order; with none, nothing satisfies it.
    fn one_of(&mut self, mut sets: Vec<VersionSetId>, ids: &[Id]) -> Requirement {
        // resolvo unites whole names: a name stands where its best package stands.
        let mut by_name: Vec<(NameId, Vec<SolvableId>)> = Vec::new();
        for id in ids {
            let solvable = self.solvables[id];
            let name = self.out.name_of[solvable.into_raw() as usize];
            match by_name.iter_mut().find(|(n, _)| *n == name) {
                Some((_, members)) => members.push(solvable),
                None => by_name.push((name, vec![solvable])),
            }
        }
        sets.extend(by_name.into_iter().map(|(name, members)| self.version_set(name, members)));
        match sets.len() {
            0 => {
                let nothing = self.out.add_name("nothing".into());
                Requirement::Single(self.version_set(nothing, Vec::new()))
            }
            1 => Requirement::Single(sets.remove(0)),
            _ => {
                self.out.unions.push(sets);
                Requirement::Union(VersionSetUnionId(index(self.out.unions.len() - 1)))
            }
        }
    }

    /// Constraints that keep all of these out.
    fn none_of(&mut self, ids: &[Id]) -> Vec<VersionSetId> {
        let mut forbidden: Vec<(NameId, Vec<SolvableId>)> = Vec::new();
        for solvable in ids.iter().filter_map(|id| self.solvables.get(id)) {
            let name = self.out.name_of[solvable.into_raw() as usize];
            match forbidden.iter_mut().find(|(n, _)| *n == name) {
                Some((_, members)) => members.push(*solvable),
                None => forbidden.push((name, vec![*solvable])),
            }
        }
        let sets = forbidden.into_iter().map(|(name, out)| {
            let all = &self.out.members[name.into_raw() as usize];
            let rest = all.iter().copied().filter(|s| !out.contains(s)).collect();
            self.version_set(name, rest)
        });
        sets.collect()
    }

    fn any_of(&mut self, set: &Set) -> VersionSetId {
        if let Some(&known) = self.conditions.get(set) {
            return known;
        }
        let name = self.out.add_name("a condition".into());
        let solvable = self.out.add_solvable(name, None, "a condition".into());
        let version_set = self.version_set(name, vec![solvable]);
        for id in set.iter() {
            if let Some(member) = self.solvables.get(id) {
                let requirement = Requirement::Single(version_set).into();
                self.out.dependencies[member.into_raw() as usize].requirements.push(requirement);
            }
        }
        self.conditions.insert(set.clone(), version_set);
        version_set
    }

    fn absent(&mut self, set: &Set) -> VersionSetId {
        if let Some(&known) = self.conditions.get(set) {
            return known;
        }
        let first = set.iter().find_map(|id| self.solvables.get(id)).map(|s| s.into_raw() as usize);
        let label = first.map_or_else(String::new, |i| format!("the absence of {}", self.out.labels[i]));
        let name = self.out.add_name(label.clone());
        let solvable = self.out.add_solvable(name, None, label);
        let constrains = self.none_of(set);
        self.out.dependencies[solvable.into_raw() as usize].constrains = constrains;
        let version_set = self.version_set(name, vec![solvable]);
        self.conditions.insert(set.clone(), version_set);
        version_set
    }

    fn wish(&mut self, clause: &Clause) -> ConditionalRequirement {
        let name = self.out.add_name("a recommendation".into());
        let granted = self.out.add_solvable(name, None, "granted".into());
        let refused = self.out.add_solvable(name, None, "refused".into());
        let mut known = KnownDependencies::default();
        self.add(clause, &mut known);
        self.out.dependencies[granted.into_raw() as usize] = known;
        Requirement::Single(self.version_set(name, vec![granted, refused])).into()
    }

    fn version_set(&mut self, name: NameId, mut members: Vec<SolvableId>) -> VersionSetId {
        members.sort_unstable_by_key(|s| s.into_raw());
        let key = (name, members);
        if let Some(&known) = self.known_sets.get(&key) {
            return known;
        }
        self.out.sets.push(key.clone());
        let id = VersionSetId(index(self.out.sets.len() - 1));
        self.known_sets.insert(key, id);
        id
    }
}

fn index(i: usize) -> u32 {
    u32::try_from(i).unwrap_or_else(|_| unreachable!("4 G of anything do not fit in memory"))
}

impl Provider {
    fn add_name(&mut self, label: String) -> NameId {
        self.names.push(label);
        self.members.push(Vec::new());
        NameId::from_raw(index(self.names.len() - 1))
    }

    fn add_solvable(&mut self, name: NameId, package: Option<Id>, label: String) -> SolvableId {
        let id = SolvableId::from_raw(index(self.packages.len()));
        self.packages.push(package);
        self.labels.push(label);
        self.name_of.push(name);
        self.dependencies.push(KnownDependencies::default());
        self.members[name.into_raw() as usize].push(id);
        id
    }

    fn add_condition(&mut self, condition: Condition) -> ConditionId {
        self.conditions.push(condition);
        ConditionId::new(index(self.conditions.len() - 1))
    }
}

impl Interner for Provider {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        &self.labels[solvable.into_raw() as usize]
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        &self.names[name.into_raw() as usize]
    }

    fn display_version_set(&self, version_set: VersionSetId) -> impl Display + '_ {
        let members = &self.sets[version_set.0 as usize].1;
        let labels: Vec<&str> =
            members.iter().take(3).map(|s| self.labels[s.into_raw() as usize].as_str()).collect();
        labels.join(" | ")
    }

    fn display_string(&self, _: StringId) -> impl Display + '_ {
        ""
    }

    fn version_set_name(&self, version_set: VersionSetId) -> NameId {
        self.sets[version_set.0 as usize].0
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.name_of[solvable.into_raw() as usize]
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.unions[union.0 as usize].iter().copied()
    }

    fn resolve_condition(&self, condition: ConditionId) -> Condition {
        self.conditions[condition.as_u32() as usize].clone()
    }
}

impl DependencyProvider for Provider {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        version_set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let members = &self.sets[version_set.0 as usize].1;
        let inside = |s: &SolvableId| members.binary_search_by_key(&s.into_raw(), |m| m.into_raw()).is_ok();
        candidates.iter().copied().filter(|s| inside(s) != inverse).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let candidates = self.members[name.into_raw() as usize].clone();
        Some(Candidates {
            candidates,
            hint_dependencies_available: HintDependenciesAvailable::All,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        solvables.sort_unstable_by_key(|s| s.into_raw());
    }

    fn should_cancel_with_value(&self) -> Option<Box<dyn Any>> {
        self.rounds.set(self.rounds.get() + 1);
        (self.rounds.get() > MAX_ROUNDS).then(|| Box::new(()) as Box<dyn Any>)
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        Dependencies::Known(self.dependencies[solvable.into_raw() as usize].clone())
    }
}
