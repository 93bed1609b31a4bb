//! SIGKILL at a system call: points spread over phases and names of calls, and the last 200 calls of a run.

use std::collections::BTreeMap;

use common::layout::{INCOMPLETE_MARKER, INSTALLED_RECORD};

use crate::program::{good_run, install_in_order, settle};
use crate::random::Random;
use crate::{canary, root_or_skip};
use testkit::ledger::{Row, full, planned};
use testkit::strace::{Call, Injection, attack};

#[test]
fn kill_spread() {
    sweep("kill -9, spread over phases and calls", |calls| {
        // One point of each stratum in turn, so that rare calls of short phases are met as surely as the thousands of
        // openat in the middle.
        let mut strata: BTreeMap<(usize, &str), Vec<&Call>> = BTreeMap::new();
        for (call, phase) in calls.iter().zip(phases(calls)) {
            strata.entry((phase, &call.name)).or_default().push(call);
        }
        let mut random = Random::new(9);
        let mut strata: Vec<_> = strata.into_values().collect();
        strata.iter_mut().for_each(|s| random.shuffle(s));
        let longest = strata.iter().map(Vec::len).max().unwrap_or(0);
        let mut points: Vec<Call> = (0..longest)
            .flat_map(|i| strata.iter().filter_map(move |s| s.get(i)))
            .map(|c| (*c).clone())
            .collect();
        if !full() {
            random.shuffle(&mut points);
        }
        (points, planned(300, 8))
    });
}

#[test]
fn kill_last() {
    sweep("kill -9, the last 200 calls", |calls| {
        let last = &calls[calls.len().saturating_sub(200)..];
        let step = if full() { 1 } else { 29 };
        (last.iter().step_by(step).cloned().collect(), usize::MAX)
    });
}

/// Attacks the points that `choose` takes from a good run, until so many were met.
fn sweep(name: &'static str, choose: impl FnOnce(&[Call]) -> (Vec<Call>, usize)) {
    if !root_or_skip(name) {
        return;
    }
    let (image, mut target, log, calls) = good_run();
    let (points, wanted) = choose(&calls);
    let mut row = Row::new(name, calls.len() as u64, points.len().min(wanted) as u64);
    canary::judge_sees(&mut row, &image, &mut target);
    for call in &points {
        if row.injected() >= wanted as u64 {
            break;
        }
        let injection = Injection {
            name: call.name.clone(),
            action: "signal=KILL".into(),
            when: call.nth.to_string(),
            main: call.main,
            path: None,
        };
        let run = attack(&install_in_order(&image, &target.path()), &injection, &log);
        if !run.killed() {
            row.missed();
            target.empty();
            continue;
        }
        let result = settle(run.status, &target.path(), &image);
        let attack = format!("{} of {} ({})", call.nth, call.name, thread(call));
        row.outcome(&attack, result.map(super::program::State::name));
        target.empty();
    }
    row.finish();
}

/// For each call, which part of the run it is in: before the marker, before the first sync, before the record, the end.
fn phases(calls: &[Call]) -> Vec<usize> {
    let record = INSTALLED_RECORD.rsplit('/').next().unwrap_or(INSTALLED_RECORD);
    let mut phase = 0;
    calls
        .iter()
        .map(|call| {
            let mentions = |what: &str| call.line.contains(what);
            phase = match phase {
                0 if mentions(INCOMPLETE_MARKER) => 1,
                1 if call.name == "syncfs" => 2,
                2 if mentions(record) => 3,
                phase => phase,
            };
            phase
        })
        .collect()
}

fn thread(call: &Call) -> &'static str {
    if call.main { "main thread" } else { "any thread" }
}
