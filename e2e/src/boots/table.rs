//! What came of the machines: a table, and a verdict.

use std::fmt::Write as _;

use anyhow::ensure;

use super::Row;

/// A line a machine.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut out =
        "| machine | memory | prompt | all units | memory left | |\n|---|--:|--:|--:|--:|---|\n".to_owned();
    let seconds = |s: Option<f64>| s.map_or("-".to_owned(), |s| format!("{s:.0} s"));
    for row in rows {
        let first = |why: &str| why.lines().next().unwrap_or_default().to_owned();
        let result = match (&row.failure, &row.skipped) {
            (Some(why), _) => first(why),
            (None, Some(why)) => format!("SKIPPED: {}", first(why)),
            (None, None) => "passed".to_owned(),
        };
        let free = row.free.map_or("-".to_owned(), |mib| format!("{mib} MiB"));
        let _ = writeln!(
            out,
            "| {} | {} MiB | {} | {} | {free} | {result} |",
            row.name,
            row.memory,
            seconds(row.prompt),
            seconds(row.settled)
        );
    }
    out
}

/// Fails unless each came up; with `may_skip`, unless each that this host can start did, and it can start one.
///
/// # Errors
/// Says which did not.
pub fn all_passed(rows: &[Row], may_skip: bool) -> anyhow::Result<()> {
    let names = |wanted: &dyn Fn(&&Row) -> bool| {
        let named: Vec<_> = rows.iter().filter(wanted).map(|r| r.name).collect();
        (named.len(), named.join(", "))
    };
    let (failed, which) = names(&|row| row.failure.is_some());
    ensure!(failed == 0, "of {} machines {failed} failed: {which}", rows.len());
    let (skipped, which) = names(&|row| row.skipped.is_some());
    ensure!(skipped == 0 || may_skip, "{skipped} machines were skipped: {which} (LEVITATE_NO_SKIP is set)");
    ensure!(skipped < rows.len(), "no machine was started; skipped: {which}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_a_row_and_an_error() {
        assert!(all_passed(&[row(None, None)], false).is_ok());
        let rows = [row(None, None), row(Some("no prompt\nmore"), None)];
        assert_eq!(all_passed(&rows, true).unwrap_err().to_string(), "of 2 machines 1 failed: usb-stick");
        assert!(
            table(&rows).ends_with("| usb-stick | 2048 MiB | 70 s | - | - | no prompt |\n"),
            "{}",
            table(&rows)
        );
    }

    #[test]
    fn what_was_skipped_is_told_and_never_all_there_was() {
        let rows = [row(None, None), row(None, Some("no swtpm"))];
        assert!(all_passed(&rows, true).is_ok());
        assert!(table(&rows).ends_with("| SKIPPED: no swtpm |\n"), "{}", table(&rows));
        let strict = all_passed(&rows, false).unwrap_err().to_string();
        assert!(strict.contains("1 machines were skipped: usb-stick"), "{strict}");
        let nothing = all_passed(&rows[1..], true).unwrap_err().to_string();
        assert!(nothing.contains("no machine was started"), "{nothing}");
    }

    fn row(failure: Option<&str>, skipped: Option<&str>) -> Row {
        Row {
            name: "usb-stick",
            memory: 2048,
            prompt: Some(70.4),
            settled: None,
            free: None,
            failure: failure.map(str::to_owned),
            skipped: skipped.map(str::to_owned),
        }
    }
}
