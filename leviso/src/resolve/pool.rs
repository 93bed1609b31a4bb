//! The packages that may be chosen, from all repositories, and who provides what.
//!
//! Filters, in this order: architecture, each repository's include and exclude globs, the profile's excludes, then
//! priority (a name is taken only from the repositories of the lowest number that offer it, as in dnf), then of one
//! NEVRA the first repository's. Packages are numbered by name, newest first, so the result does not depend on the
//! order of the metadata.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use super::evr;
use super::rich::{self, Expr};
use crate::glob;
use crate::profile::Profile;
use crate::repodata::{Dep, Op, Package, RepoMetadata, Strings, Sym};

/// Index of a package in the pool.
pub(super) type Id = u32;

/// Packages, ascending, each once.
pub(super) type Set = Rc<[Id]>;

/// A package that may be chosen.
pub(super) struct Candidate<'r> {
    pub(super) repo: usize,
    pub(super) package: &'r Package,
    pub(super) name: Sym,
}

/// All candidates.
pub(super) struct Pool<'r> {
    pub(super) repos: &'r [RepoMetadata],
    pub(super) strings: Strings,
    pub(super) candidates: Vec<Candidate<'r>>,
    /// Per repository: its symbols -> ours.
    maps: Vec<Vec<Sym>>,
    pub(super) priorities: Vec<u32>,
    by_name: BTreeMap<Sym, Vec<Id>>,
    provides: HashMap<Sym, Vec<(Id, Op, Sym)>>,
    files: HashMap<Sym, Vec<Id>>,
    cache: RefCell<HashMap<Dep, Set>>,
}

impl<'r> Pool<'r> {
    pub(super) fn new(profile: &Profile, repos: &'r [RepoMetadata]) -> Self {
        let mut strings = Strings::default();
        let maps: Vec<Vec<Sym>> =
            repos.iter().map(|repo| repo.strings.iter().map(|s| strings.intern(s)).collect()).collect();
        let settings = |repo: &RepoMetadata| profile.repos.iter().position(|r| r.id == repo.id);
        let priorities: Vec<u32> =
            repos.iter().map(|r| settings(r).map_or(99, |i| profile.repos[i].priority)).collect();
        let order: Vec<usize> = repos.iter().map(|r| settings(r).unwrap_or(usize::MAX)).collect();

        let mut taken = Vec::new();
        let mut best: HashMap<Sym, u32> = HashMap::new();
        for (r, repo) in repos.iter().enumerate() {
            for package in &repo.packages {
                if why_filtered(profile, repo, package).is_some() {
                    continue;
                }
                let name = maps[r][package.name.0 as usize];
                let lowest = best.entry(name).or_insert(priorities[r]);
                *lowest = priorities[r].min(*lowest);
                taken.push(Candidate { repo: r, package, name });
            }
        }
        taken.retain(|c| best.get(&c.name) == Some(&priorities[c.repo]));
        let text = |c: &Candidate<'r>, sym: Sym| repos[c.repo].text(sym);
        taken.sort_by(|a, b| {
            let names = text(a, a.package.name).cmp(text(b, b.package.name));
            names
                .then_with(|| evr::compare(text(b, b.package.evr), text(a, a.package.evr)))
                .then_with(|| text(b, b.package.evr).cmp(text(a, a.package.evr)))
                // The machine's own architecture before noarch.
                .then_with(|| Reverse(text(a, a.package.arch)).cmp(&Reverse(text(b, b.package.arch))))
                .then_with(|| order[a.repo].cmp(&order[b.repo]))
                .then_with(|| text(a, a.package.location).cmp(text(b, b.package.location)))
        });
        taken.dedup_by(|b, a| {
            a.name == b.name
                && text(a, a.package.evr) == text(b, b.package.evr)
                && text(a, a.package.arch) == text(b, b.package.arch)
        });

        let mut pool = Self {
            repos,
            strings,
            candidates: taken,
            maps,
            priorities,
            by_name: BTreeMap::new(),
            provides: HashMap::new(),
            files: HashMap::new(),
            cache: RefCell::default(),
        };
        pool.index();
        pool
    }

    /// The candidates of a name, newest first.
    pub(super) fn named(&self, name: &str) -> &[Id] {
        let ids = self.strings.find(name).and_then(|sym| self.by_name.get(&sym));
        ids.map_or(&[], Vec::as_slice)
    }

    /// Names of all candidates.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|&sym| self.strings.get(sym))
    }

    pub(super) fn get(&self, id: Id) -> &Candidate<'r> {
        &self.candidates[id as usize]
    }

    pub(super) fn name(&self, id: Id) -> &str {
        self.strings.get(self.get(id).name)
    }

    pub(super) fn evr(&self, id: Id) -> &'r str {
        let candidate = self.get(id);
        self.repos[candidate.repo].text(candidate.package.evr)
    }

    /// `name-evr.arch`, epoch only if not 0.
    pub(super) fn nevra(&self, id: Id) -> String {
        let candidate = self.get(id);
        let evr = self.evr(id);
        let arch = self.repos[candidate.repo].text(candidate.package.arch);
        format!("{}-{}.{arch}", self.name(id), evr.strip_prefix("0:").unwrap_or(evr))
    }

    /// A dependency of a package in our symbols.
    pub(super) fn dep(&self, id: Id, dep: Dep) -> Dep {
        let map = &self.maps[self.get(id).repo];
        Dep { name: map[dep.name.0 as usize], op: dep.op, evr: map[dep.evr.0 as usize] }
    }

    /// `name OP version` of a dependency in our symbols.
    pub(super) fn show(&self, dep: Dep) -> String {
        let name = self.strings.get(dep.name);
        let op = match dep.op {
            Op::Any => return name.to_owned(),
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Eq => "=",
            Op::Ge => ">=",
            Op::Gt => ">",
        };
        let evr = self.strings.get(dep.evr);
        format!("{name} {op} {}", evr.strip_prefix("0:").unwrap_or(evr))
    }

    /// Who provides a capability in that range; a path also by having the file.
    pub(super) fn providers(&self, dep: Dep) -> Set {
        if let Some(set) = self.cache.borrow().get(&dep) {
            return Rc::clone(set);
        }
        let set = self.providers_of(dep.name, dep.op, self.strings.get(dep.evr));
        self.cache.borrow_mut().insert(dep, Rc::clone(&set));
        set
    }

    /// Packages of that very name in that range: what Obsoletes is about.
    pub(super) fn named_in_range(&self, dep: Dep) -> Set {
        let ids = self.by_name.get(&dep.name).map_or(&[][..], Vec::as_slice);
        let bound = (dep.op, self.strings.get(dep.evr));
        ids.iter().copied().filter(|&id| evr::overlap((Op::Eq, self.evr(id)), bound)).collect()
    }

    /// Parses a dependency (rich if it begins with a parenthesis) and looks its leaves up; none of the sets holds
    /// `without`, which is how a package does not conflict with itself.
    pub(super) fn expression(&self, dep: Dep, without: Option<Id>) -> anyhow::Result<Expr<Set>> {
        let text = self.strings.get(dep.name);
        let drop = |set: Set| match without {
            Some(id) if set.contains(&id) => set.iter().copied().filter(|&i| i != id).collect(),
            _ => set,
        };
        if !text.starts_with('(') {
            return Ok(Expr::Leaf(drop(self.providers(dep))));
        }
        let parsed = rich::parse(text)?;
        self.look_up(&parsed, &drop)
    }

    /// The sets of an expression's leaves; `with` and `without` become leaves.
    pub(super) fn look_up(
        &self,
        expr: &Expr<rich::Capability<'_>>,
        drop: &dyn Fn(Set) -> Set,
    ) -> anyhow::Result<Expr<Set>> {
        let all = |list: &[Expr<rich::Capability<'_>>]| {
            list.iter().map(|e| self.look_up(e, drop)).collect::<anyhow::Result<Vec<_>>>()
        };
        Ok(match expr {
            Expr::Leaf(cap) => {
                let name = self.strings.find(cap.name);
                Expr::Leaf(drop(name.map_or_else(|| [].into(), |n| self.providers_of(n, cap.op, cap.evr))))
            }
            Expr::And(list) => Expr::And(all(list)?),
            Expr::Or(list) => Expr::Or(all(list)?),
            Expr::Not(inner) => Expr::Not(self.look_up(inner, drop)?.into()),
            Expr::With(a, b) | Expr::Without(a, b) => {
                let (a, b) = (self.one_package(a, drop)?, self.one_package(b, drop)?);
                let b: HashSet<Id> = b.iter().copied().collect();
                let keep_common = matches!(expr, Expr::With(..));
                Expr::Leaf(a.iter().copied().filter(|id| b.contains(id) == keep_common).collect())
            }
        })
    }

    /// The packages each of which alone satisfies the expression.
    fn one_package(
        &self,
        expr: &Expr<rich::Capability<'_>>,
        drop: &dyn Fn(Set) -> Set,
    ) -> anyhow::Result<Set> {
        match expr {
            Expr::Or(list) => {
                let mut out = Vec::new();
                for part in list {
                    out.extend(self.one_package(part, drop)?.iter().copied());
                }
                out.sort_unstable();
                out.dedup();
                Ok(out.into())
            }
            Expr::Leaf(_) | Expr::With(..) | Expr::Without(..) => match self.look_up(expr, drop)? {
                Expr::Leaf(set) => Ok(set),
                _ => unreachable!("leaves, with and without look up as leaves"),
            },
            Expr::And(_) | Expr::Not(_) => {
                anyhow::bail!("`with` and `without` take names, `or`, `with` and `without` only")
            }
        }
    }

    fn providers_of(&self, name: Sym, op: Op, evr: &str) -> Set {
        let entries = self.provides.get(&name).map_or(&[][..], Vec::as_slice);
        let offered = |(_, o, e): &&(Id, Op, Sym)| evr::overlap((*o, self.strings.get(*e)), (op, evr));
        let mut out: Vec<Id> = entries.iter().filter(offered).map(|e| e.0).collect();
        out.extend(self.files.get(&name).into_iter().flatten());
        out.sort_unstable();
        out.dedup();
        out.into()
    }

    fn index(&mut self) {
        for (id, candidate) in (0..).zip(&self.candidates) {
            let map = &self.maps[candidate.repo];
            let at = |sym: Sym| map[sym.0 as usize];
            self.by_name.entry(candidate.name).or_default().push(id);
            let own = (id, Op::Eq, at(candidate.package.evr));
            self.provides.entry(candidate.name).or_default().push(own);
            for dep in &candidate.package.provides {
                self.provides.entry(at(dep.name)).or_default().push((id, dep.op, at(dep.evr)));
            }
            for &path in &candidate.package.files {
                self.files.entry(at(path)).or_default().push(id);
            }
        }
    }
}

/// Why a package is not a candidate, if the profile's filters drop it (priority aside).
pub(super) fn why_filtered(profile: &Profile, repo: &RepoMetadata, package: &Package) -> Option<String> {
    let (name, arch) = (repo.text(package.name), repo.text(package.arch));
    if arch != profile.arch && arch != "noarch" {
        return Some(format!("its architecture is {arch}"));
    }
    let full = format!("{name}.{arch}");
    let matches =
        |pattern: &String| [name, &full].iter().any(|t| glob::matches(pattern.as_bytes(), t.as_bytes()));
    if let Some(settings) = profile.repos.iter().find(|r| r.id == repo.id) {
        if !settings.includepkgs.is_empty() && !settings.includepkgs.iter().any(matches) {
            return Some("includepkgs of its repository leaves it out".into());
        }
        if settings.excludepkgs.iter().any(matches) {
            return Some("excludepkgs of its repository names it".into());
        }
    }
    if profile.packages.exclude.iter().any(matches) {
        return Some("the profile excludes it".into());
    }
    None
}
