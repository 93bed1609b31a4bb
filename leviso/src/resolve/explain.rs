//! Why there is no solution, in one screen.
//!
//! Most failures are plain: something needed is offered by nobody. Then the chain from the request to it is shown, with
//! what comes near and why it does not count. Otherwise requests exclude each other: the smallest set of requests that
//! still fails is searched for, and resolvo's account of that smaller problem is shown.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use common::cli::Mark;

use super::pool::{Id, Pool, why_filtered};
use super::rich::{self, Expr};
use super::rules::{Clause, Rules, Why};
use super::{evr, solve};
use crate::exit;
use crate::profile::Profile;
use crate::repodata::{Op, RepoMetadata, Strings};

/// Requests that are explained one by one; the rest is counted.
const MAX_SHOWN: usize = 4;
/// Lines of resolvo's account.
const MAX_LINES: usize = 24;
/// Steps of one chain.
const MAX_CHAIN: usize = 8;
/// Solver runs spent on finding the smallest failing set of requests.
const MAX_RUNS: usize = 60;

/// The error for a request that cannot be met.
pub(super) fn explain(profile: &Profile, pool: &Pool<'_>, rules: &Rules) -> anyhow::Error {
    let dead = dead(rules);
    let failing: Vec<&Clause> = rules
        .root
        .iter()
        .filter(|c| c.neg.is_empty() && c.pos.iter().all(|id| dead.contains_key(id)))
        .collect();
    let (text, hint) = if failing.is_empty() {
        (conflicting(pool, rules), "take one of them out of the profile, or exclude what they fight over")
    } else {
        // One missing thing often fails many requests: each end of a chain is shown once.
        let mut ends = BTreeSet::new();
        let chains = failing.iter().map(|clause| chain(profile, pool, rules, &dead, clause));
        let shown: Vec<String> = chains
            .filter(|text| {
                let end = text.lines().rev().find(|l| !l.starts_with("    ")).unwrap_or_default();
                let what = [" requires ", " asks for "].iter().find_map(|verb| end.split_once(verb));
                ends.insert(what.map_or(end, |(_, what)| what).to_owned())
            })
            .take(MAX_SHOWN)
            .collect();
        let mut text = shown.join("\n");
        if failing.len() > shown.len() {
            text += &format!("\n  and {} more requests fail", failing.len() - shown.len());
        }
        (text, "add the repository that has it to the profile, or take the request out of it")
    };
    let searched: Vec<String> =
        pool.repos.iter().map(|r| format!("{} ({} packages)", r.id, r.packages.len())).collect();
    let searched = if searched.is_empty() { "none".to_owned() } else { searched.join(", ") };
    let report: anyhow::Result<()> = Err(anyhow!(
        "no set of packages satisfies profile {}\n{text}\n  repositories: {searched}",
        profile.name
    ))
    .exit(exit::RESOLVE)
    .hint(hint);
    report.expect_err("it was made an error just above")
}

/// Packages that can never be chosen because of what they require, with the round in which that was found: every
/// cause of a round lies in an earlier one.
fn dead(rules: &Rules) -> BTreeMap<Id, usize> {
    let mut dead = BTreeMap::new();
    for round in 0.. {
        let alive = rules.packages.iter().filter(|(id, _)| !dead.contains_key(*id));
        let fails = |c: &Clause| c.neg.is_empty() && c.pos.iter().all(|id| dead.contains_key(id));
        let new: Vec<Id> =
            alive.filter(|(_, clauses)| clauses.iter().any(fails)).map(|(id, _)| *id).collect();
        if new.is_empty() {
            break;
        }
        dead.extend(new.into_iter().map(|id| (id, round)));
    }
    dead
}

/// From a request down to what nobody offers, one line a step.
fn chain(
    profile: &Profile,
    pool: &Pool<'_>,
    rules: &Rules,
    dead: &BTreeMap<Id, usize>,
    root: &Clause,
) -> String {
    let mut lines = Vec::new();
    let mut clause = root;
    let mut who = "the profile".to_owned();
    loop {
        let (verb, what) = match &clause.why {
            Why::Request(text) => ("asks for", text),
            Why::Requires(text) => ("requires", text),
            Why::Recommends(text) => ("recommends", text),
            Why::Conflicts(text) => ("conflicts with", text),
            Why::Obsoletes(text) => ("obsoletes", text),
            Why::Broken(text, why) => {
                lines.push(format!("  {who} has the dependency {text:?}, which cannot be read: {why}"));
                return lines.join("\n");
            }
        };
        let Some(&best) = clause.pos.first() else {
            lines.push(format!("  {who} {verb} {what}, which nothing offers"));
            lines.extend(near(profile, pool, what));
            return lines.join("\n");
        };
        let others = match clause.pos.len() {
            1 => String::new(),
            n => format!(" (and {} others, none of which can be had)", n - 1),
        };
        let offered = pool.nevra(best);
        lines.push(format!("  {who} {verb} {what}, offered by {offered}{others}"));
        let round = dead[&best];
        let cause = rules.packages[&best]
            .iter()
            .find(|c| c.neg.is_empty() && c.pos.iter().all(|id| dead.get(id).is_some_and(|&r| r < round)));
        let Some(cause) = cause else { unreachable!("a dead package has a cause of an earlier round") };
        if lines.len() >= MAX_CHAIN {
            lines.push("  ...".into());
            return lines.join("\n");
        }
        who = offered;
        clause = cause;
    }
}

/// What comes near a dependency that nobody satisfies: wrong versions, filtered packages, similar names.
fn near(profile: &Profile, pool: &Pool<'_>, what: &str) -> Vec<String> {
    let Ok(expr) = rich::parse(what) else { return Vec::new() };
    let mut lines = Vec::new();
    for cap in capabilities(&expr).into_iter().take(3) {
        let mut offers: Vec<String> = Vec::new();
        for repo in pool.repos {
            offers.extend(offers_in(profile, pool, repo, &cap));
        }
        offers.sort();
        offers.dedup();
        let hidden = offers.len().saturating_sub(3);
        lines.extend(offers.into_iter().take(3));
        if hidden > 0 {
            lines.push(format!("    and {hidden} more that do not fit"));
        }
        if lines.is_empty() {
            let similar = similar(pool, cap.name);
            if !similar.is_empty() {
                lines.push(format!("    did you mean {}?", similar.join(", ")));
            }
        }
    }
    lines
}

/// The packages of a repository that offer the name, and why they do not count.
fn offers_in(
    profile: &Profile,
    pool: &Pool<'_>,
    repo: &RepoMetadata,
    cap: &rich::Capability<'_>,
) -> Vec<String> {
    let Some(name) = repo.strings.find(cap.name) else { return Vec::new() };
    let offers = repo.packages.iter().filter_map(|package| {
        let own = (package.name == name).then_some((Op::Eq, package.evr));
        let listed = package.provides.iter().filter(|d| d.name == name).map(|d| (d.op, d.evr));
        let file = package.files.contains(&name).then_some((Op::Any, Strings::EMPTY));
        let bounds: Vec<_> = own.into_iter().chain(listed).chain(file).collect();
        let (_, offered) = *bounds.first()?;
        let nevra =
            format!("{}-{}.{}", repo.text(package.name), repo.text(package.evr), repo.text(package.arch));
        let nevra = nevra.replacen("-0:", "-", 1);
        if let Some(why) = why_filtered(profile, repo, package) {
            return Some(format!("    {nevra} in {} is left out: {why}", repo.id));
        }
        if !bounds.iter().any(|(op, evr)| evr::overlap((*op, repo.text(*evr)), (cap.op, cap.evr))) {
            let offered = repo.text(offered);
            let offered = offered.strip_prefix("0:").unwrap_or(offered);
            return Some(format!("    {nevra} in {} offers version {offered} only", repo.id));
        }
        let known = pool.named(repo.text(package.name)).iter().any(|&id| pool.nevra(id) == nevra);
        (!known).then(|| format!("    {nevra} in {} gives way to a repository of better priority", repo.id))
    });
    offers.collect()
}

fn capabilities<'a>(expr: &Expr<rich::Capability<'a>>) -> Vec<rich::Capability<'a>> {
    match expr {
        Expr::Leaf(cap) => vec![cap.clone()],
        Expr::And(all) | Expr::Or(all) => all.iter().flat_map(capabilities).collect(),
        Expr::Not(inner) => capabilities(inner),
        Expr::With(a, b) | Expr::Without(a, b) => [capabilities(a), capabilities(b)].concat(),
    }
}

/// Up to three package names that differ in a letter or two, or that begin or end with the name.
fn similar(pool: &Pool<'_>, name: &str) -> Vec<String> {
    let short = |c: &str| c.len().abs_diff(name.len()) <= 2;
    let mut found: Vec<(usize, &str)> = pool
        .names()
        .filter_map(|candidate| {
            let distance = if short(candidate) { distance(candidate, name) } else { usize::MAX };
            let part = name.len() >= 4 && (candidate.starts_with(name) || candidate.ends_with(name));
            let rank = if distance <= 2 && distance < name.len() { distance } else { 3 };
            (rank < 3 || part).then_some((rank, candidate))
        })
        .collect();
    found.sort();
    found.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let change = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn conflicting(pool: &Pool<'_>, rules: &Rules) -> String {
    let core = smallest(pool, rules);
    let account = solve::refute(pool, rules, |i| core.contains(&i)).unwrap_or_default();
    let asked = core.iter().filter_map(|&i| match &rules.root[i].why {
        Why::Request(text) => Some(text.as_str()),
        _ => None,
    });
    let asked: Vec<&str> = asked.collect();
    let lines: Vec<&str> = account.lines().collect();
    let mut text = match asked[..] {
        [one] => format!("  {one} cannot be installed:"),
        _ => format!("  these requests exclude each other: {}", asked.join(", ")),
    };
    for line in lines.iter().take(MAX_LINES) {
        text += &format!("\n  {line}");
    }
    if lines.len() > MAX_LINES {
        text += &format!("\n  ... {} more lines", lines.len() - MAX_LINES);
    }
    text
}

/// A smallest set of root clauses that cannot be satisfied (no proper subset fails).
/// Stops early, with a larger set, when it takes too many runs.
fn smallest(pool: &Pool<'_>, rules: &Rules) -> Vec<usize> {
    let mut core: Vec<usize> = (0..rules.root.len()).collect();
    let mut runs = 0;
    let mut chunk = core.len().div_ceil(2);
    // Leave out ever smaller runs of requests as long as the rest still fails.
    while chunk >= 1 {
        let mut start = 0;
        while start < core.len() && runs < MAX_RUNS {
            let end = (start + chunk).min(core.len());
            let rest: Vec<usize> = core[..start].iter().chain(&core[end..]).copied().collect();
            runs += 1;
            if !rest.is_empty() && solve::refute(pool, rules, |i| rest.contains(&i)).is_some() {
                core = rest;
            } else {
                start = end;
            }
        }
        if chunk == 1 {
            break;
        }
        chunk = chunk.div_ceil(2);
    }
    core
}
