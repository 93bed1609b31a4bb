//! Negative twins: installations with one thing wrong, each of which must be stopped, and in the phase that is there to notice it:
//! `cargo xtask e2e --twins`.
//!
//! Disc, guide, filter -> a row a twin: where it ended, and where it should have. One sound installation is made first; it must
//! pass all phases, else a twin that fails says nothing. What is wrong with a twin is done to a copy of its disk, to the disc, or
//! typed into the running system, never to the checks.

mod list;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde::Serialize;

use crate::boot;
use crate::compare::Image;
use crate::guide::Guide;
use crate::install::Computer;
use crate::installed::Identity;
use crate::layout;
use crate::matrix::Phase;
use crate::verify::verify;

/// An installation with one thing wrong.
struct Twin {
    name: &'static str,
    what: Wrong,
    /// Where it must be noticed.
    phase: Phase,
    /// What must be said there.
    says: &'static str,
}

/// What is wrong.
enum Wrong {
    /// The disc: makes a bad copy of it.
    Disc(fn(disc: &Disc<'_>, copy: &Path) -> anyhow::Result<()>),
    /// The kernel is given these parameters when the disc boots.
    Parameters(&'static str),
    /// The computer, after the installation.
    Computer(fn(&Computer) -> anyhow::Result<()>),
    /// The installed root file system, mounted on a directory of the host.
    Root(fn(&Path) -> anyhow::Result<()>),
    /// Typed by root in the running system, before the checks.
    Typed(&'static str),
}

/// A disc to make a bad copy of.
struct Disc<'a> {
    iso: &'a Path,
    image: &'a Image,
}

/// What came of one.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name; `sound` is the one with nothing wrong.
    pub twin: &'static str,
    /// In which phase it must end; none for the sound one.
    pub expected: Option<String>,
    /// In which it did; none if it passed all.
    pub found: Option<String>,
    /// How long that took.
    pub seconds: f64,
    /// Why this is not as it should be.
    pub failure: Option<String>,
}

/// What all twins have in common.
#[derive(Debug)]
pub struct Twins<'a> {
    /// The disc.
    pub iso: &'a Path,
    /// The guide.
    pub guide: &'a Guide,
    /// Each twin gets a directory of its own in here.
    pub dir: &'a Path,
}

/// Where and why it ended.
struct Ended {
    phase: Phase,
    why: anyhow::Error,
}

impl Twins<'_> {
    /// Installs, and tries the twins whose name contains `filter`; tells `progress` what begins and what was wrong.
    ///
    /// # Errors
    /// No twin has such a name, or the sound installation does not pass. That a twin is not noticed is a row.
    pub fn run(&self, filter: Option<&str>, progress: &dyn Fn(&str)) -> anyhow::Result<Vec<Row>> {
        let twins: Vec<_> =
            list::TWINS.iter().filter(|t| filter.is_none_or(|filter| t.name.contains(filter))).collect();
        let names = || list::TWINS.iter().map(|t| t.name).collect::<Vec<_>>().join(", ");
        ensure!(
            !twins.is_empty(),
            "no twin is called {:?}; there are {}",
            filter.unwrap_or_default(),
            names()
        );
        let image = Image::of_disc(self.iso, self.dir)?;
        progress("sound: begins");
        let (sound, live, row) = self.sound(&image)?;
        let mut rows = vec![row];
        for twin in twins {
            progress(&format!("{}: begins", twin.name));
            let began = Instant::now();
            let ended = self.twin(twin, &image, &sound, &live)?;
            let row = Row::new(twin, ended, began.elapsed().as_secs_f64());
            if let Some(why) = &row.failure {
                progress(&format!("{}: NOT NOTICED as it should be: {why}", twin.name));
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// The installation with nothing wrong; a copy of it has passed every phase.
    fn sound(&self, image: &Image) -> anyhow::Result<(Computer, Identity, Row)> {
        let began = Instant::now();
        let computer = Computer::new(&layout::MAIN, self.iso, &self.dir.join("installed"))?;
        let mut vm = computer.boot_disc("disc")?;
        boot::settled(&mut vm.console)?;
        let live = Identity::of(&mut vm.console)?;
        computer.follow(&mut vm, self.guide, None)?;
        drop(vm);
        let copy = computer.copy(&self.dir.join("sound"))?;
        if let Some(Ended { phase, why }) = installation(&copy, image, &live, None) {
            return Err(why.context(format!(
                "an installation with nothing wrong fails in phase {phase}, so no twin can say anything"
            )));
        }
        let seconds = began.elapsed().as_secs_f64();
        Ok((computer, live, Row { twin: "sound", expected: None, found: None, seconds, failure: None }))
    }

    /// Where it ends. An error is one of ours: it could not be made.
    fn twin(
        &self,
        twin: &Twin,
        image: &Image,
        sound: &Computer,
        live: &Identity,
    ) -> anyhow::Result<Option<Ended>> {
        let dir = self.dir.join(twin.name);
        let made = || format!("cannot make the twin {}", twin.name);
        let ended = match &twin.what {
            Wrong::Disc(spoil) => {
                let copy = self.dir.join("bad.iso");
                spoil(&Disc { iso: self.iso, image }, &copy).with_context(made)?;
                let ended = self.disc(Computer::new(&layout::MAIN, &copy, &dir)?);
                std::fs::remove_file(&copy).with_context(made)?;
                ended
            }
            Wrong::Parameters(words) => {
                self.disc(Computer::new(&layout::MAIN, self.iso, &dir)?.parameters(words))
            }
            Wrong::Computer(spoil) => {
                let computer = sound.copy(&dir)?;
                spoil(&computer).with_context(made)?;
                installation(&computer, image, live, None)
            }
            Wrong::Root(spoil) => {
                let computer = sound.copy(&dir)?;
                {
                    let root = computer.mount_root()?;
                    spoil(&root.dir).with_context(made)?;
                }
                installation(&computer, image, live, None)
            }
            Wrong::Typed(command) => installation(&sound.copy(&dir)?, image, live, Some(command)),
        };
        // Artefacts of each stay, disks are only large.
        for disk in std::fs::read_dir(&dir).with_context(made)?.flatten() {
            if disk.path().extension().is_some_and(|e| e == "raw") {
                std::fs::remove_file(disk.path()).with_context(made)?;
            }
        }
        Ok(ended)
    }

    /// Boots a disc and installs from it, up to and with recstrap.
    fn disc(&self, computer: Computer) -> Option<Ended> {
        let mut phase = Phase::Disc;
        let mut work = || {
            let mut vm = computer.boot_disc("disc")?;
            boot::settled(&mut vm.console)?;
            phase = Phase::Install;
            computer.follow(&mut vm, self.guide, Some("install"))
        };
        work().err().map(|why| Ended { phase, why })
    }
}

/// An installed disk through all phases; `typed`: by root, before the checks.
fn installation(computer: &Computer, image: &Image, live: &Identity, typed: Option<&str>) -> Option<Ended> {
    let mut phase = Phase::Compare;
    let ended = verify(computer, image, live, typed, &mut |begins| phase = begins);
    ended.err().map(|why| Ended { phase, why })
}

impl Row {
    fn new(twin: &Twin, ended: Option<Ended>, seconds: f64) -> Self {
        let failure = match &ended {
            None => Some("it passed all phases".to_owned()),
            Some(Ended { phase, why }) if *phase != twin.phase => {
                Some(format!("expected it to end in phase {}, it ended in {phase}: {why:#}", twin.phase))
            }
            Some(Ended { why, .. }) => {
                let why = format!("{why:#}");
                (!why.contains(twin.says)).then(|| format!("expected to hear {:?}, heard {why}", twin.says))
            }
        };
        let found = ended.map(|ended| ended.phase.to_string());
        Self { twin: twin.name, expected: Some(twin.phase.to_string()), found, seconds, failure }
    }
}

/// A line a twin.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut out = "| twin | must end in | ended in | seconds | |\n|---|---|---|--:|---|\n".to_owned();
    for row in rows {
        let phase = |phase: &Option<String>| phase.clone().unwrap_or_else(|| "-".to_owned());
        let result =
            row.failure.as_deref().map_or("as it should", |why| why.lines().next().unwrap_or_default());
        let (expected, found) = (phase(&row.expected), phase(&row.found));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| {} | {expected} | {found} | {:.0} | {result} |", row.twin, row.seconds);
    }
    out
}

/// Fails unless each was noticed where it should be.
///
/// # Errors
/// Says which were not.
pub fn all_noticed(rows: &[Row]) -> anyhow::Result<()> {
    ensure!(rows.len() > 1, "no twin was tried");
    let missed: Vec<_> = rows.iter().filter(|r| r.failure.is_some()).map(|r| r.twin).collect();
    ensure!(
        missed.is_empty(),
        "of {} twins {} were not noticed: {}",
        rows.len() - 1,
        missed.len(),
        missed.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWIN: Twin = Twin { name: "a", what: Wrong::Typed("true"), phase: Phase::Boot, says: "emergency" };

    fn ended(phase: Phase, why: &'static str) -> Option<Ended> {
        Some(Ended { phase, why: anyhow::anyhow!(why).context("outer") })
    }

    #[test]
    fn only_the_right_phase_with_the_right_words_counts() {
        let failure = |ended| Row::new(&TWIN, ended, 1.0).failure;
        assert_eq!(failure(ended(Phase::Boot, "an emergency shell")), None);
        assert!(failure(ended(Phase::Boot, "a timeout")).unwrap().contains("heard outer: a timeout"));
        assert!(failure(ended(Phase::Checks, "an emergency shell")).unwrap().contains("ended in checks"));
        assert_eq!(failure(None).unwrap(), "it passed all phases");
    }

    #[test]
    fn nothing_tried_is_no_success() {
        let sound = Row { twin: "sound", expected: None, found: None, seconds: 1.0, failure: None };
        assert!(all_noticed(&[sound]).is_err());
        let sound = Row { twin: "sound", expected: None, found: None, seconds: 1.0, failure: None };
        let rows = [sound, Row::new(&TWIN, None, 2.0)];
        assert_eq!(all_noticed(&rows).unwrap_err().to_string(), "of 1 twins 1 were not noticed: a");
        assert!(table(&rows).ends_with("| a | boot | - | 2 | it passed all phases |\n"), "{}", table(&rows));
    }

    #[test]
    fn every_twin_has_a_name_of_its_own() {
        let mut names: Vec<_> = list::TWINS.iter().map(|t| t.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), list::TWINS.len());
    }
}
