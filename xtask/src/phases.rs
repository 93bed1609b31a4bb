//! `cargo xtask e2e --keep`, `--from`, `--only`, `--phases`: one installation in phases, which can be run again one at a time.
//!
//! The disc is LEVITATE_ISO or one built now; computer, snapshots and artefacts are in `target/e2e/phases`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use e2e::phases::{self, Phase, Phases};

use crate::doctor::{self, eprintln_step};
use crate::paths::Paths;
use crate::test;
use crate::tools::Need;

/// Which phases.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "in phases", multiple = true, conflicts_with_all = ["matrix", "boots", "twins", "filter"])]
pub(crate) struct PhaseArgs {
    /// Install once, in phases, as root, and keep a snapshot after each: 4 GB in target/e2e/phases; prints a table.
    #[arg(long)]
    keep: bool,
    /// Begin with this phase, on the snapshot of the one before.
    #[arg(long, value_name = "PHASE", value_parser = phase())]
    from: Option<Phase>,
    /// Run this phase alone, on the snapshot of the one before.
    #[arg(long, value_name = "PHASE", value_parser = phase(), conflicts_with = "from")]
    only: Option<Phase>,
    /// List the phases, and which snapshots there are to go on from.
    #[arg(long, conflicts_with_all = ["keep", "from", "only"])]
    phases: bool,
}

impl PhaseArgs {
    /// Whether any of them was typed.
    pub(crate) fn wanted(&self) -> bool {
        self.keep || self.phases || self.from.is_some() || self.only.is_some()
    }

    /// First and last phase.
    fn range(&self) -> (Phase, Phase) {
        match (self.only, self.from) {
            (Some(only), _) => (only, only),
            (None, from) => (from.unwrap_or(Phase::Disc), Phase::Verify),
        }
    }
}

fn phase() -> impl TypedValueParser<Value = Phase> {
    PossibleValuesParser::new(Phase::ALL.map(Phase::name)).try_map(|name| name.parse::<Phase>())
}

/// Runs phases, or lists them.
pub(crate) fn phases(paths: &Paths, args: &PhaseArgs) -> anyhow::Result<()> {
    let (guide, dir) = (test::guide(paths)?, paths.target.join("e2e/phases"));
    let given = std::env::var_os("LEVITATE_ISO");
    if args.phases {
        let iso = given.map_or_else(|| paths.newest_iso(), |iso| Ok(Some(iso.into())))?;
        doctor::print(phases::list(&dir, iso.as_deref(), &guide)?.trim_end());
        return Ok(());
    }
    doctor::require(Need::Test)?;
    test::root("an installation in phases")?;
    let iso = test::given_iso(paths)?;
    let command = given.map_or_else(String::new, |iso| format!("LEVITATE_ISO={} ", iso.to_string_lossy()));
    let command = format!("{command}cargo xtask e2e");
    let (first, last) = args.range();
    let phases = Phases { iso: &iso, guide: &guide, dir: &dir, keep: args.keep, command: &command };
    doctor::print(phases::table(&phases.run(first, last, &eprintln_step)?).trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        args: PhaseArgs,
        #[arg(long)]
        matrix: bool,
        #[arg(long)]
        boots: bool,
        #[arg(long)]
        twins: bool,
        filter: Option<String>,
    }

    fn typed(words: &[&str]) -> Result<PhaseArgs, String> {
        let typed = Typed::try_parse_from(std::iter::once(&"e2e").chain(words));
        typed.map(|typed| typed.args).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_typed_becomes_a_range() {
        let range = |words: &[&str]| typed(words).unwrap().range();
        assert_eq!(range(&["--keep"]), (Phase::Disc, Phase::Verify));
        assert_eq!(range(&["--from", "base"]), (Phase::Base, Phase::Verify));
        assert_eq!(range(&["--keep", "--only", "boot-loader"]), (Phase::BootLoader, Phase::BootLoader));
        assert!(!typed(&["install"]).unwrap().wanted());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let says = |words: &[&str]| typed(words).unwrap_err();
        assert!(says(&["--from"]).contains("disc, disk, base, configuration, boot-loader, verify"));
        assert!(says(&["--from", "kernel"]).contains("boot-loader"));
        assert!(says(&["--from", "base", "--only", "base"]).contains("cannot be used with"));
        assert!(says(&["--keep", "--matrix"]).contains("cannot be used with"));
        assert!(says(&["--phases", "--keep"]).contains("cannot be used with"));
    }
}
