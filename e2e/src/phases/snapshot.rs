//! What a computer was at the end of each phase, kept to go on from.
//!
//! ```text
//! DIR/PHASE/disk0.raw, variables.fd, tpm/   what it keeps without power
//! DIR/PHASE/record.json                     what it came from; written last, so without it there is no snapshot
//! ```
//!
//! A snapshot is good for the disc that made it, and for a guide that says the same up to the end of its phase. Whoever types
//! something else from there on gets a system that nobody would have installed, so that is refused.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cmd::Cmd;
use serde::{Deserialize, Serialize};

use super::Phase;
use super::parts::Parts;
use crate::install::Computer;
use crate::installed::Identity;

const RECORD: &str = "record.json";

/// What a snapshot came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// SHA-256 of the disc.
    pub(super) disc: String,
    /// SHA-256 of the guide's steps that were typed.
    pub(super) guide: String,
    /// The live system it was installed from.
    pub(super) live: Identity,
}

/// Why there is nothing to go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    None,
    Unreadable(String),
    OtherDisc { snapshot: String, now: String },
    OtherGuide,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("there is none"),
            Self::Unreadable(why) => write!(f, "its record cannot be read: {why}"),
            Self::OtherDisc { snapshot, now } => {
                let short = |digest: &str| digest.chars().take(12).collect::<String>();
                write!(f, "another disc made it (SHA-256 {}..., not {}...)", short(snapshot), short(now))
            }
            Self::OtherGuide => f.write_str("the guide said something else up to there"),
        }
    }
}

impl std::error::Error for Refused {}

/// All snapshots, and what is to be gone on with.
#[derive(Debug)]
pub(super) struct Store<'a> {
    /// One directory a phase.
    pub(super) dir: PathBuf,
    /// SHA-256 of the disc; empty where there is none.
    pub(super) disc: String,
    pub(super) parts: &'a Parts,
}

impl Store<'_> {
    /// Where that of a phase is.
    pub(super) fn of(&self, phase: Phase) -> PathBuf {
        self.dir.join(phase.name())
    }

    /// Keeps the state of a computer, which must not run meanwhile.
    pub(super) fn keep(&self, phase: Phase, computer: &Computer, live: &Identity) -> anyhow::Result<()> {
        self.forget(phase)?;
        computer.save(&self.of(phase))?;
        self.record(phase, live)
    }

    fn record(&self, phase: Phase, live: &Identity) -> anyhow::Result<()> {
        let record = Record {
            disc: self.disc.clone(),
            guide: self.parts.digest(phase).to_string(),
            live: live.clone(),
        };
        let json = serde_json::to_vec_pretty(&record).context("failed to encode the record")?;
        common::fs::write_atomic(&self.of(phase).join(RECORD), &json)
    }

    /// Its record, if one may go on from it.
    pub(super) fn check(&self, phase: Phase) -> Result<Record, Refused> {
        let file = self.of(phase).join(RECORD);
        if !file.exists() {
            return Err(Refused::None);
        }
        let unreadable = |why: String| Refused::Unreadable(why);
        let json = common::fs::read(&file).map_err(|e| unreadable(format!("{e:#}")))?;
        let record: Record = serde_json::from_slice(&json).map_err(|e| unreadable(e.to_string()))?;
        if record.disc != self.disc {
            return Err(Refused::OtherDisc { snapshot: record.disc, now: self.disc.clone() });
        }
        if record.guide != self.parts.digest(phase).to_string() {
            return Err(Refused::OtherGuide);
        }
        Ok(record)
    }

    /// Takes that of a phase away, its record first.
    pub(super) fn forget(&self, phase: Phase) -> anyhow::Result<()> {
        let dir = self.of(phase);
        let context = || format!("failed to remove {}", dir.display());
        if dir.join(RECORD).exists() {
            std::fs::remove_file(dir.join(RECORD)).with_context(context)?;
        }
        if dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(context)?;
        }
        Ok(())
    }

    /// What it takes of the disk, in MiB.
    pub(super) fn size(&self, phase: Phase) -> anyhow::Result<u64> {
        let du = Cmd::new("du").args(["--summarize", "--block-size=1M"]).arg(self.of(phase)).read()?;
        let mib = du.split_whitespace().next().and_then(|n| n.parse().ok());
        mib.with_context(|| format!("expected a size, found {du:?}"))
    }
}

/// SHA-256 of a disc.
pub(super) fn digest(disc: &Path) -> anyhow::Result<String> {
    Ok(common::hash::Sha256::of_file(disc)?.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::guide::Guide;
    use crate::layout;

    pub(in super::super) const GUIDE: &str = include_str!("../../../docs/guide/install.md");

    fn live() -> Identity {
        Identity { machine_id: "1".into(), host_keys: "2".into(), kernel: "3".into() }
    }

    fn parts(guide: &str) -> Parts {
        Parts::of(&Guide::parse(guide).unwrap()).unwrap()
    }

    /// A snapshot of nothing but its record.
    pub(in super::super) fn pretend(store: &Store<'_>, phase: Phase) {
        std::fs::create_dir_all(store.of(phase)).unwrap();
        store.record(phase, &live()).unwrap();
    }

    #[test]
    fn only_what_came_from_this_disc_and_this_guide_is_gone_on_from() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (parts(GUIDE), parts(&GUIDE.replace("recfstab -U", "recfstab -L")));
        let store = |disc: &str, parts| Store { dir: dir.path().join("snapshots"), disc: disc.into(), parts };
        let ours = store("aaaaaaaaaaaaaaaa", &old);
        assert_eq!(ours.check(Phase::Base), Err(Refused::None));
        pretend(&ours, Phase::Disk);
        pretend(&ours, Phase::Base);
        assert_eq!(ours.check(Phase::Base).unwrap().live, live());

        let refused = store("bbbbbbbbbbbbbbbb", &old).check(Phase::Base).unwrap_err().to_string();
        assert!(
            refused.contains("another disc") && refused.contains("aaaaaaaaaaaa..., not bbbb"),
            "{refused}"
        );
        let edited = store("aaaaaaaaaaaaaaaa", &new);
        assert_eq!(edited.check(Phase::Base), Err(Refused::OtherGuide));
        // What was edited comes later.
        assert!(edited.check(Phase::Disk).is_ok());

        std::fs::write(ours.of(Phase::Base).join(RECORD), "{}").unwrap();
        assert!(matches!(ours.check(Phase::Base), Err(Refused::Unreadable(_))));
        ours.forget(Phase::Base).unwrap();
        assert_eq!(ours.check(Phase::Base), Err(Refused::None));
        assert!(!ours.of(Phase::Base).exists());
    }

    #[test]
    fn a_computer_comes_back_with_all_that_it_keeps_without_power() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let computer = Computer::new(&layout::MAIN, &at("iso"), &at("a")).unwrap().with_tpm();
        let write = |name: &str, text: &str| std::fs::write(at(name), text).unwrap();
        std::fs::create_dir(at("a/tpm")).unwrap();
        write("a/disk0.raw", "disk");
        write("a/variables.fd", "variables");
        write("a/tpm/tpm2-00.permall", "tpm");
        write("a/console.log", "no state");

        let parts = parts(GUIDE);
        let store = Store { dir: at("snapshots"), disc: String::new(), parts: &parts };
        store.keep(Phase::Base, &computer, &live()).unwrap();
        write("a/disk0.raw", "other");
        Computer::restored(&layout::MAIN, &at("iso"), &at("b"), &store.of(Phase::Base)).unwrap();
        let read = |name: &str| std::fs::read_to_string(at(name)).unwrap();
        assert_eq!(read("b/disk0.raw"), "disk");
        assert_eq!(read("b/variables.fd"), "variables");
        assert_eq!(read("b/tpm/tpm2-00.permall"), "tpm");
        assert!(!at("b/console.log").exists());
    }
}
