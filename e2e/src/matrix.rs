//! Installations on every layout of disks: `cargo xtask e2e --matrix`.
//!
//! Disc, guide, filter -> a row a layout: how long each phase took, or in which it failed. Each must boot to a login with
//! no failed unit and hold the files of the image, before and after. It is no test of the default run, since it takes an
//! hour of processor time under emulation; so it is none that could count as passed without having run.

mod table;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, ensure};

pub use table::{all_passed, table};

use crate::boot;
use crate::compare::Image;
use crate::guide::Guide;
use crate::install::Computer;
use crate::installed::Identity;
use crate::layout::{self, Layout};
use crate::verify::verify;

/// What is done with a layout, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The disc boots to a prompt, all units run.
    Disc,
    /// The guide's commands.
    Install,
    /// The host compares the root with the image.
    Compare,
    /// From power on to the question for a name.
    Boot,
    /// What must be true in the running system; until it is off.
    Checks,
    /// The host compares the root with the image again.
    Again,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Disc, Self::Install, Self::Compare, Self::Boot, Self::Checks, Self::Again];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Disc => "disc",
            Self::Install => "install",
            Self::Compare => "compare",
            Self::Boot => "boot",
            Self::Checks => "checks",
            Self::Again => "again",
        })
    }
}

/// How it ended.
#[derive(Debug)]
pub enum Outcome {
    /// Nobody got to it.
    NotRun,
    /// All phases passed.
    Passed,
    /// One did not.
    Failed(Phase, anyhow::Error),
}

/// What came of one layout.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub layout: &'static str,
    /// Seconds of the phases that passed; a comparison is missing where the host cannot see the root.
    pub seconds: Vec<(Phase, f64)>,
    /// How it ended.
    pub outcome: Outcome,
}

/// What all installations have in common.
#[derive(Debug)]
pub struct Matrix<'a> {
    /// The disc.
    pub iso: &'a Path,
    /// The guide.
    pub guide: &'a Guide,
    /// Each layout gets a directory of its own in here.
    pub dir: &'a Path,
    /// How many at a time.
    pub jobs: usize,
}

impl Matrix<'_> {
    /// Installs on the layouts whose name contains `filter`; tells `progress` what begins and what failed.
    ///
    /// # Errors
    /// No layout has such a name, or the disc has no image. That an installation fails is a row.
    pub fn run(&self, filter: Option<&str>, progress: &(dyn Fn(&str) + Sync)) -> anyhow::Result<Vec<Row>> {
        let layouts: Vec<_> =
            layout::all().filter(|l| filter.is_none_or(|filter| l.name.contains(filter))).collect();
        ensure!(!layouts.is_empty(), "no layout is called {:?}; there are {}", filter, names());
        let image = Image::of_disc(self.iso, self.dir)?;
        let rows = layouts.iter().map(|l| Row::new(l.name)).collect();
        let (rows, next) = (Mutex::new(rows), AtomicUsize::new(0));
        let work = || {
            while let Some((at, layout)) = take(&next, &layouts) {
                let mut row = Row::new(layout.name);
                self.layout(layout, &image, &mut row, progress);
                let rows: &mut Vec<Row> = &mut rows.lock().unwrap_or_else(PoisonError::into_inner);
                rows[at] = row;
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.jobs.max(1)).map(|_| scope.spawn(work)).collect();
            for thread in threads {
                // A panic leaves the row as it was: not run.
                let _ = thread.join();
            }
        });
        Ok(rows.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn layout(&self, layout: &Layout, image: &Image, row: &mut Row, progress: &dyn Fn(&str)) {
        progress(&format!("{}: begins", layout.name));
        let mut clock = Clock { phase: Phase::Disc, since: Instant::now(), row };
        let ended = self.install(layout, image, &mut clock);
        let phase = clock.phase;
        row.outcome = match ended {
            Ok(()) => {
                progress(&format!("{}: passed", layout.name));
                Outcome::Passed
            }
            Err(why) => {
                progress(&format!("{}: FAILED in phase {phase}: {why:#}", layout.name));
                Outcome::Failed(phase, why)
            }
        };
    }

    fn install(&self, layout: &Layout, image: &Image, clock: &mut Clock<'_>) -> anyhow::Result<()> {
        let computer = Computer::new(layout, self.iso, &self.dir.join(layout.name))?;
        let mut vm = computer.boot_disc("1-disc").context("the disc does not boot")?;
        boot::settled(&mut vm.console)?;
        let live = Identity::of(&mut vm.console)?;
        clock.begins(Phase::Install);

        computer.follow(&mut vm, self.guide, None)?;
        drop(vm);
        verify(&computer, image, &live, None, &mut |phase| clock.begins(phase))?;
        clock.passed();
        // What failed can be looked at; what worked is only large.
        for disk in &computer.disks {
            std::fs::remove_file(&disk.image)
                .with_context(|| format!("failed to remove {}", disk.image.display()))?;
        }
        Ok(())
    }
}

impl Row {
    fn new(layout: &'static str) -> Self {
        Self { layout, seconds: Vec::new(), outcome: Outcome::NotRun }
    }
}

/// Which phase we are in, and since when.
struct Clock<'a> {
    phase: Phase,
    since: Instant,
    row: &'a mut Row,
}

impl Clock<'_> {
    /// The phase before it is over.
    fn begins(&mut self, next: Phase) {
        self.passed();
        (self.phase, self.since) = (next, Instant::now());
    }

    /// Notes the time of the phase that is over.
    fn passed(&mut self) {
        self.row.seconds.push((self.phase, self.since.elapsed().as_secs_f64()));
    }
}

fn take<'a>(next: &AtomicUsize, layouts: &[&'a Layout]) -> Option<(usize, &'a Layout)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    layouts.get(at).map(|layout| (at, *layout))
}

fn names() -> String {
    layout::all().map(|l| l.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_fits_nothing_is_an_error_and_not_an_empty_success() {
        let guide = Guide::parse("```sh step=a\nls\n```\n").unwrap();
        let nowhere = Path::new("/nonexistent");
        let matrix = Matrix { iso: nowhere, guide: &guide, dir: nowhere, jobs: 1 };
        let err = matrix.run(Some("zfs"), &|_| ()).unwrap_err().to_string();
        assert!(err.contains("zfs") && err.contains("luks, lvm"), "{err}");
    }

    #[test]
    fn a_failure_is_in_the_phase_it_happened_in() {
        let mut row = Row::new("ext4");
        let mut clock = Clock { phase: Phase::Disc, since: Instant::now(), row: &mut row };
        clock.begins(Phase::Install);
        clock.begins(Phase::Boot);
        assert_eq!(clock.phase, Phase::Boot);
        let passed: Vec<_> = row.seconds.iter().map(|(phase, _)| *phase).collect();
        assert_eq!(passed, [Phase::Disc, Phase::Install]);
    }
}
