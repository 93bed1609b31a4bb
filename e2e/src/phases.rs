//! One installation in phases, each of which can be run again alone: `cargo xtask e2e --keep`, then `--from PHASE` or `--only PHASE`.
//!
//! Disc, guide, first and last phase -> a row a phase. The first goes on from the [snapshot] of the phase before: the disc boots again
//! where a live system is needed, and the guide's own steps mount what was mounted by then. Snapshots are made only when asked for,
//! of disks that nothing has mounted. The main line of the guide only; the other layouts are the matrix'.

mod parts;
mod snapshot;
mod table;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Instant;

use anyhow::Context;
use common::cli::Mark;
use serde_json::json;

use crate::boot;
use crate::compare::Image;
use crate::guide::Guide;
use crate::install::Computer;
use crate::installed::Identity;
use crate::layout;
use crate::verify::verify;
use crate::vm::Vm;

pub use table::{list, table};

use parts::Parts;
use snapshot::Store;

/// What an installation is made of, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The disc boots to a prompt, all units run.
    Disc,
    /// Partitions and file systems.
    Disk,
    /// recstrap and fstab.
    Base,
    /// Settings, passwords, the user.
    Configuration,
    /// bootctl and recuki; until the machine restarts.
    BootLoader,
    /// What the matrix asks of an installed disk: compare, boot, checks, again.
    Verify,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Disc, Self::Disk, Self::Base, Self::Configuration, Self::BootLoader, Self::Verify];

    /// As it is typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disc => "disc",
            Self::Disk => "disk",
            Self::Base => "base",
            Self::Configuration => "configuration",
            Self::BootLoader => "boot-loader",
            Self::Verify => "verify",
        }
    }

    fn before(self) -> Option<Self> {
        Self::ALL.into_iter().rfind(|phase| *phase < self)
    }

    fn behind(self) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| *phase > self)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Phase {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        let all = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|phase| phase.name() == name);
        found.with_context(|| format!("no phase is called {name:?}; there are {}", all()))
    }
}

/// What all runs have in common.
#[derive(Debug)]
pub struct Phases<'a> {
    /// The disc.
    pub iso: &'a Path,
    /// The guide.
    pub guide: &'a Guide,
    /// Holds the computer and the snapshots.
    pub dir: &'a Path,
    /// Whether to keep a snapshot after each phase.
    pub keep: bool,
    /// What is typed to run phases, without options: for hints.
    pub command: &'a str,
}

/// What came of a phase that passed.
#[derive(Debug)]
pub struct Row {
    phase: Phase,
    seconds: f64,
    /// Seconds that its snapshot took.
    kept: Option<f64>,
}

impl Phases<'_> {
    /// Runs `first` to `last`; tells `progress` what begins.
    ///
    /// # Errors
    /// A phase fails, or there is no snapshot to go on from; the hint says what to type.
    pub fn run(&self, first: Phase, last: Phase, progress: &dyn Fn(&str)) -> anyhow::Result<Vec<Row>> {
        let parts = Parts::of(self.guide)?;
        let store =
            Store { dir: self.dir.join("snapshots"), disc: snapshot::digest(self.iso)?, parts: &parts };
        let mut run = self.begin(first, &store)?;
        if self.keep {
            for phase in Phase::ALL.into_iter().filter(|phase| *phase >= first) {
                store.forget(phase)?;
            }
        }
        let mut rows = Vec::new();
        for phase in Phase::ALL.into_iter().filter(|phase| (first..=last).contains(phase)) {
            progress(&format!("{phase}: begins"));
            let began = Instant::now();
            let ran = run.phase(phase, &parts).with_context(|| format!("phase {phase} failed"));
            ran.hint(format!("to run it again: `{}`", self.again(phase, &store)))?;
            let mut row = Row { phase, seconds: began.elapsed().as_secs_f64(), kept: None };
            if self.keep {
                let began = Instant::now();
                run.keep(phase, &store).with_context(|| format!("failed to keep the state after {phase}"))?;
                row.kept = Some(began.elapsed().as_secs_f64());
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// A computer as it was before a phase.
    fn begin(&self, first: Phase, store: &Store<'_>) -> anyhow::Result<Run<'_>> {
        let record = first.before().map(|before| {
            let refused = |why| format!("cannot go on from the snapshot of phase {before}: {why}");
            let record = store.check(before).map_err(|why| anyhow::anyhow!(refused(why)));
            let hint = format!("`{}` makes new ones, `cargo xtask e2e --phases` lists them", self.fresh());
            record.hint(hint).map(|record| (store.of(before), record.live))
        });
        let dir = self.dir.join("computer");
        let (computer, live) = match record.transpose()? {
            None => (Computer::new(&layout::MAIN, self.iso, &dir)?, None),
            Some((state, live)) => (Computer::restored(&layout::MAIN, self.iso, &dir, &state)?, Some(live)),
        };
        Ok(Run { iso: self.iso, dir: self.dir, computer, vm: None, live, away: true })
    }

    fn fresh(&self) -> String {
        format!("{} --keep", self.command)
    }

    /// What is typed to run a phase again: from it, or from the nearest one in front that can be gone on from.
    fn again(&self, phase: Phase, store: &Store<'_>) -> String {
        let can = |phase: &Phase| phase.before().is_some_and(|before| store.check(before).is_ok());
        let from = Phase::ALL.into_iter().filter(|p| *p <= phase).rfind(can);
        from.map_or_else(|| self.fresh(), |from| format!("{} --from {from}", self.command))
    }
}

/// A computer on its way.
struct Run<'a> {
    iso: &'a Path,
    dir: &'a Path,
    computer: Computer,
    /// The live system, while it runs.
    vm: Option<Vm>,
    /// What the disc's system was called when the base was installed.
    live: Option<Identity>,
    /// Whether nothing of the disk is in use.
    away: bool,
}

impl Run<'_> {
    fn phase(&mut self, phase: Phase, parts: &Parts) -> anyhow::Result<()> {
        if phase == Phase::Verify {
            return self.verify();
        }
        if self.vm.is_none() {
            let mut vm = self.computer.boot_disc(phase.name())?;
            boot::settled(&mut vm.console)?;
            if phase <= Phase::Base {
                self.live = Some(Identity::of(&mut vm.console)?);
            }
            (self.vm, self.away) = (Some(vm), true);
        }
        let vm = self.vm.as_mut().context("the live system is off")?;
        if self.away {
            self.computer.type_steps(vm, &parts.way_back(phase)?).context("on the way back")?;
        }
        self.away = phase == Phase::Disc;
        self.computer.type_steps(vm, &parts.steps(phase))?;
        if phase == Phase::BootLoader {
            self.vm = None;
        }
        Ok(())
    }

    fn verify(&self) -> anyhow::Result<()> {
        let live = self.live.as_ref().context("it is not known what it was installed from")?;
        let image = Image::of_disc(self.iso, self.dir)?;
        let mut at = None;
        let ended = verify(&self.computer, &image, live, None, &mut |begins| at = Some(begins));
        ended.with_context(|| at.map_or_else(|| "before it began".to_owned(), |at| format!("in its {at}")))
    }

    /// Takes the snapshot, while nothing of the disk is in use and the machine is off or paused.
    fn keep(&mut self, phase: Phase, store: &Store<'_>) -> anyhow::Result<()> {
        let live = self.live.as_ref().context("it is not known what it was installed from")?;
        let Some(vm) = &mut self.vm else { return store.keep(phase, &self.computer, live) };
        if !self.away {
            self.computer.type_steps(vm, &store.parts.way_out(phase)?).context("on the way out")?;
            self.away = true;
        }
        vm.qmp.call("stop", &json!({}))?;
        let kept = store.keep(phase, &self.computer, live);
        vm.qmp.call("cont", &json!({}))?;
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phases::snapshot::tests::{GUIDE, pretend};

    /// Runs `test` with phases of an empty disc in an empty directory.
    fn with_phases(test: impl Fn(&Phases<'_>, &Store<'_>)) {
        let dir = tempfile::tempdir().unwrap();
        let iso = dir.path().join("iso");
        std::fs::write(&iso, "").unwrap();
        let guide = Guide::parse(GUIDE).unwrap();
        let parts = Parts::of(&guide).unwrap();
        let disc = snapshot::digest(&iso).unwrap();
        let store = Store { dir: dir.path().join("snapshots"), disc, parts: &parts };
        let command = "cargo xtask e2e";
        test(&Phases { iso: &iso, guide: &guide, dir: dir.path(), keep: true, command }, &store);
    }

    #[test]
    fn a_snapshot_that_is_not_there_is_an_error_with_a_way_out() {
        with_phases(|phases, store| {
            pretend(store, Phase::Configuration);
            let err = phases.run(Phase::Base, Phase::Base, &|_| ()).unwrap_err();
            assert_eq!(err.to_string(), "cannot go on from the snapshot of phase disk: there is none");
            let hint = common::cli::hint_of(&err).unwrap();
            assert_eq!(
                hint,
                "`cargo xtask e2e --keep` makes new ones, `cargo xtask e2e --phases` lists them"
            );
            // Nothing was taken away for it.
            assert!(store.check(Phase::Configuration).is_ok());
        });
    }

    #[test]
    fn a_failure_names_the_nearest_phase_to_go_on_from() {
        with_phases(|phases, store| {
            assert_eq!(phases.again(Phase::BootLoader, store), "cargo xtask e2e --keep");
            pretend(store, Phase::Disk);
            pretend(store, Phase::BootLoader);
            assert_eq!(phases.again(Phase::BootLoader, store), "cargo xtask e2e --from base");
            pretend(store, Phase::Configuration);
            assert_eq!(phases.again(Phase::BootLoader, store), "cargo xtask e2e --from boot-loader");
        });
    }

    #[test]
    fn the_list_says_what_can_be_gone_on_from() {
        with_phases(|phases, store| {
            pretend(store, Phase::Disk);
            let other = GUIDE.replace("step=boot in=chroot\n", "step=boot in=chroot\ntrue\n");
            let parts = Parts::of(&Guide::parse(&other).unwrap()).unwrap();
            let old = Store { dir: store.dir.clone(), disc: store.disc.clone(), parts: &parts };
            pretend(&old, Phase::BootLoader);
            let list = list(phases.dir, Some(phases.iso), phases.guide).unwrap();
            assert!(list.contains("| disc | - |  |\n"), "{list}");
            assert!(list.contains("go on by --from base |\n"), "{list}");
            assert!(list.contains("refused: the guide said something else up to there |\n"), "{list}");
        });
    }
}
