//! The matrix for people: rows -> a table, and whether all is well.

use std::fmt::Write as _;

use anyhow::ensure;

use super::{Outcome, Phase, Row};

/// A line a layout: seconds per phase (`-` where there are none), and how it ended.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut out = format!("{:<12}", "layout");
    for phase in Phase::ALL {
        let _ = write!(out, " {phase:>8}");
    }
    out.push_str("  result\n");
    for row in rows {
        // Writing to a String cannot fail.
        let _ = write!(out, "{:<12}", row.layout);
        for phase in Phase::ALL {
            let seconds = row.seconds.iter().find(|(p, _)| *p == phase);
            let _ = write!(out, " {:>8}", seconds.map_or("-".to_owned(), |(_, s)| format!("{s:.0} s")));
        }
        let _ = match &row.outcome {
            Outcome::Passed => writeln!(out, "  passed"),
            Outcome::NotRun => writeln!(out, "  NOT RUN"),
            Outcome::Failed(phase, why) => {
                let why = why.to_string();
                writeln!(out, "  FAILED in {phase}: {}", why.lines().next().unwrap_or_default())
            }
        };
    }
    out
}

/// Fails unless each row passed: one that was not run is as bad as one that failed.
///
/// # Errors
/// Says how many of which.
pub fn all_passed(rows: &[Row]) -> anyhow::Result<()> {
    let failed = rows.iter().filter(|r| matches!(r.outcome, Outcome::Failed(..))).count();
    let not_run = rows.iter().filter(|r| matches!(r.outcome, Outcome::NotRun)).count();
    ensure!(!rows.is_empty(), "no layout was tried");
    ensure!(failed + not_run == 0, "of {} layouts {failed} failed and {not_run} were not run", rows.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_a_row_with_its_phase_and_reason() {
        let rows = [
            Row {
                layout: "ext4",
                seconds: vec![(Phase::Disc, 85.2), (Phase::Boot, 60.0)],
                outcome: Outcome::Passed,
            },
            Row {
                layout: "luks",
                seconds: vec![(Phase::Disc, 85.2)],
                outcome: Outcome::Failed(Phase::Install, anyhow::anyhow!("no prompt\nmore")),
            },
            Row { layout: "lvm", seconds: Vec::new(), outcome: Outcome::NotRun },
        ];
        let text = table(&rows);
        let lines: Vec<_> =
            text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines[0], "layout disc install compare boot checks again result");
        assert_eq!(lines[1], "ext4 85 s - - 60 s - - passed");
        assert_eq!(lines[2], "luks 85 s - - - - - FAILED in install: no prompt");
        assert_eq!(lines[3], "lvm - - - - - - NOT RUN");
    }

    #[test]
    fn all_is_well_only_when_each_was_run_and_passed() {
        let row = |outcome| Row { layout: "ext4", seconds: Vec::new(), outcome };
        assert!(all_passed(&[row(Outcome::Passed)]).is_ok());
        assert!(all_passed(&[]).is_err());
        assert!(all_passed(&[row(Outcome::Passed), row(Outcome::NotRun)]).is_err());
        let failed = row(Outcome::Failed(Phase::Boot, anyhow::anyhow!("x")));
        let err = all_passed(&[failed, row(Outcome::Passed), row(Outcome::NotRun)]).unwrap_err().to_string();
        assert_eq!(err, "of 3 layouts 1 failed and 1 were not run");
    }
}
