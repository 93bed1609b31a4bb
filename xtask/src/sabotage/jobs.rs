//! All sabotages of a run, each compiled in the one copy, in an order that keeps the processors busy.
//!
//! In: jobs. Out: how each ended, in their order. Programs that boot machines are compiled first and then run on a thread of their
//! own, one after another, while the rest is compiled and run; when nothing is left to compile, a second machine may start. There are
//! never more than two: under emulation more do not come up in time.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

use super::patch::Patch;
use super::program::{Program, Run, boots};
use super::tree::Tree;
use crate::cheats::scan::Promise;
use crate::doctor::eprintln_step;

/// A test to run, and what is planted before it is compiled; nothing, to see that it passes.
pub(super) struct Job<'c> {
    pub(super) promise: &'c Promise,
    pub(super) patch: Option<&'c Patch>,
}

impl Job<'_> {
    /// What its log is called.
    fn name(&self) -> String {
        match self.patch {
            Some(patch) => patch.name.clone(),
            None => format!("{}-{}-as-it-is", self.promise.krate, self.promise.path.replace("::", "-")),
        }
    }

    /// Compiles the program with the sabotage in it; the copy is as it was afterwards.
    fn compile(&self, tree: &Tree, jobs: usize) -> anyhow::Result<Program> {
        let Some(patch) = self.patch else {
            eprintln_step(&format!("{}, as it is", self.promise.test));
            return Program::compile(tree, self.promise, &self.name(), jobs);
        };
        eprintln_step(&format!("{}: {}", patch.name, patch.what));
        let planted = tree.plant(patch)?;
        let program = Program::compile(tree, self.promise, &patch.name, jobs);
        planted.undo()?;
        program
    }
}

/// Runs all of them.
pub(super) fn run(tree: &Tree, jobs: &[Job<'_>]) -> anyhow::Result<Vec<Run>> {
    let runs: Mutex<Vec<Option<anyhow::Result<Run>>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let keep = |at: usize, run| runs.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(run);
    let (machines, waiting) = mpsc::channel::<(usize, Program)>();
    let waiting = Mutex::new(waiting);
    let run_machines = || {
        while let Some((at, program)) = next(&waiting) {
            keep(at, program.run(tree));
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        // When compiling fails, this ends what waits, and then the thread.
        let machines = machines;
        let (booting, rest): (Vec<_>, Vec<_>) =
            jobs.iter().enumerate().partition(|(_, job)| boots(job.promise));
        for (at, job) in &booting {
            // The first machine leaves a processor free; it needs one of its own.
            let others = if *at == booting[0].0 { 0 } else { 1 };
            let program = job.compile(tree, processors.saturating_sub(others).max(1))?;
            if others == 0 {
                scope.spawn(run_machines);
            }
            machines.send((*at, program)).context("the thread of machines has ended")?;
        }
        let jobs = processors.saturating_sub(usize::from(!booting.is_empty())).max(1);
        for (at, job) in rest {
            keep(at, job.compile(tree, jobs)?.run(tree));
        }
        drop(machines);
        run_machines();
        Ok(())
    })?;
    let runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
    runs.into_iter().map(|run| run.context("a sabotage was not run")?).collect()
}

/// The next that waits; none when there will not be any more.
fn next<T>(waiting: &Mutex<Receiver<T>>) -> Option<T> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
