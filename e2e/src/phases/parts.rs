//! Which steps of the guide are in which phase, and how one gets out of an installation that goes on and back into it.
//!
//! Guide -> [`Parts`]. A phase begins with a step of its own and goes on to the first of the next, so a step that the guide gets one
//! day is in a phase. Out and back one gets by the guide's own steps, typed again.

use anyhow::{Context, ensure};
use common::hash::Sha256;

use super::Phase;
use crate::guide::{Guide, Step};
use crate::layout;

/// Names of partitions; whatever is typed after a boot of the disc needs them.
const DISK: &str = "disk";
const MOUNT: &str = "mount";
const ENTER: &str = "enter";
const LEAVE: &str = "leave";
const UNMOUNT: &str = "unmount";

/// The guide's main line in phases.
#[derive(Debug)]
pub(super) struct Parts(Vec<(Phase, Step)>);

impl Phase {
    /// The step that it begins with.
    fn first_step(self) -> Option<&'static str> {
        match self {
            Self::Disc | Self::Verify => None,
            Self::Disk => Some(DISK),
            Self::Base => Some("install"),
            Self::Configuration => Some(ENTER),
            Self::BootLoader => Some("boot"),
        }
    }
}

impl Parts {
    /// # Errors
    /// The guide lacks a step that a phase begins with, has it out of order, or one in front of all.
    pub(super) fn of(guide: &Guide) -> anyhow::Result<Self> {
        let mut waiting = Phase::ALL.into_iter().filter(|p| p.first_step().is_some()).peekable();
        let mut parts: Vec<(Phase, Step)> = Vec::new();
        for step in guide.steps(layout::MAIN.guide)? {
            let begins = waiting.next_if(|p| p.first_step() == Some(step.name.as_str()));
            let phase = begins.or_else(|| parts.last().map(|(phase, _)| *phase));
            let phase = phase.with_context(|| format!("step {} of the guide is in no phase", step.name))?;
            parts.push((phase, step));
        }
        let left = waiting.next().map(|p| format!("{p}, which begins with step {:?}", p.first_step()));
        ensure!(left.is_none(), "the guide has no phase {} in its place", left.unwrap_or_default());
        Ok(Self(parts))
    }

    /// The steps of a phase.
    pub(super) fn steps(&self, phase: Phase) -> Vec<Step> {
        self.0.iter().filter(|(of, _)| *of == phase).map(|(_, step)| step.clone()).collect()
    }

    /// What was typed up to the end of a phase, as a digest: later steps may change, and it is still good.
    pub(super) fn digest(&self, phase: Phase) -> Sha256 {
        let typed = self.0.iter().filter(|(of, _)| *of <= phase);
        Sha256::of(typed.map(|(_, s)| format!("{}\0{}\0", s.name, s.text)).collect::<String>().as_bytes())
    }

    /// What is typed at the end of a phase so that nothing of the disk is in use.
    pub(super) fn way_out(&self, phase: Phase) -> anyhow::Result<Vec<Step>> {
        let steps = self.steps(phase);
        let inside = steps.last().is_some_and(|last| last.in_chroot || last.name == ENTER);
        let leave = if inside { Some(LEAVE) } else { None };
        let unmount = if steps.is_empty() { None } else { Some(UNMOUNT) };
        leave.into_iter().chain(unmount).map(|name| self.named(name)).collect()
    }

    /// What is typed in front of a phase when nothing of the disk is in use, as after a boot of the disc.
    pub(super) fn way_back(&self, phase: Phase) -> anyhow::Result<Vec<Step>> {
        let first = self.steps(phase).into_iter().next();
        let Some(first) = first.filter(|_| phase > Phase::Disk) else { return Ok(Vec::new()) };
        let enter = if first.in_chroot { Some(ENTER) } else { None };
        [DISK, MOUNT].into_iter().chain(enter).map(|name| self.named(name)).collect()
    }

    fn named(&self, name: &str) -> anyhow::Result<Step> {
        let found = self.0.iter().find(|(_, step)| step.name == name);
        found.map(|(_, step)| step.clone()).with_context(|| format!("the guide has no step {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The guide that is published.
    const GUIDE: &str = include_str!("../../../docs/guide/install.md");

    fn parts(guide: &str) -> anyhow::Result<Parts> {
        Parts::of(&Guide::parse(guide)?)
    }

    fn names(steps: Vec<Step>) -> Vec<String> {
        steps.into_iter().map(|step| step.name).collect()
    }

    #[test]
    fn every_step_of_the_guide_is_in_one_phase() {
        let parts = parts(GUIDE).unwrap();
        let all = Phase::ALL.into_iter().flat_map(|p| parts.steps(p)).collect();
        assert_eq!(names(all), names(Guide::parse(GUIDE).unwrap().steps(None).unwrap()));
        assert_eq!(names(parts.steps(Phase::Disk)), ["disk", "partition", "format", "mount"]);
        assert_eq!(names(parts.steps(Phase::Base)), ["install", "fstab"]);
        assert_eq!(names(parts.steps(Phase::BootLoader)), ["boot", "leave", "unmount", "reboot"]);
        assert!(parts.steps(Phase::Disc).is_empty() && parts.steps(Phase::Verify).is_empty());
    }

    #[test]
    fn out_and_back_are_steps_of_the_guide_and_none_that_erases() {
        let parts = parts(GUIDE).unwrap();
        let out = |phase| names(parts.way_out(phase).unwrap());
        let back = |phase| names(parts.way_back(phase).unwrap());
        assert_eq!(out(Phase::Disc), [""; 0]);
        assert_eq!(out(Phase::Disk), ["unmount"]);
        assert_eq!(out(Phase::Configuration), ["leave", "unmount"]);
        assert_eq!(back(Phase::Disk), [""; 0]);
        assert_eq!(back(Phase::Base), ["disk", "mount"]);
        assert_eq!(back(Phase::Configuration), ["disk", "mount"]);
        assert_eq!(back(Phase::BootLoader), ["disk", "mount", "enter"]);
        assert_eq!(back(Phase::Verify), [""; 0]);
    }

    #[test]
    fn only_what_was_typed_by_then_counts() {
        let old = parts(GUIDE).unwrap();
        let new = parts(&GUIDE.replace("echo levitate >", "echo other >")).unwrap();
        let same = |phase| old.digest(phase) == new.digest(phase);
        assert!(same(Phase::Disk) && same(Phase::Base));
        assert!(!same(Phase::Configuration) && !same(Phase::BootLoader) && !same(Phase::Verify));
    }

    #[test]
    fn a_guide_without_a_phase_is_an_error() {
        let err = parts(&GUIDE.replace("step=boot in", "step=loader in")).unwrap_err().to_string();
        assert!(err.contains("no phase boot-loader"), "{err}");
        let err = parts(&format!("```sh step=first\nls\n```\n{GUIDE}")).unwrap_err().to_string();
        assert!(err.contains("step first"), "{err}");
    }
}
