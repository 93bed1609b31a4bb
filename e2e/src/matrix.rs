//! Installations on every layout of disks, one after the other: `cargo xtask e2e --matrix`.
//!
//! Disc, guide, filter -> a row a layout: how long each phase took, or where it failed. Each must boot to a login with no
//! failed unit. It is no test of the default run, since it takes an hour under emulation; so it is none that could
//! count as passed without having run.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::boot::{self, SETTLE};
use crate::guide::Guide;
use crate::install::Computer;
use crate::installed::{self, Identity};
use crate::layout::{self, Layout};

/// What came of one layout.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub layout: &'static str,
    /// Seconds until the live system's prompt, until the installation was done, from power on to a settled system.
    pub seconds: Vec<f64>,
    /// Why it failed, if it did.
    pub failed: Option<anyhow::Error>,
}

/// Installs on the layouts whose name contains `filter`, each in a directory of its own below `dir`; tells `progress`
/// what comes next.
///
/// # Errors
/// No layout has such a name. That an installation fails is a row.
pub fn run(
    iso: &Path,
    guide: &Guide,
    filter: Option<&str>,
    dir: &Path,
    mut progress: impl FnMut(&str),
) -> anyhow::Result<Vec<Row>> {
    let layouts: Vec<&Layout> = std::iter::once(&layout::MAIN)
        .chain(layout::MATRIX)
        .filter(|l| filter.is_none_or(|f| l.name.contains(f)))
        .collect();
    ensure!(!layouts.is_empty(), "no layout is called {:?}; there are {}", filter, names());
    let mut rows = Vec::new();
    for layout in layouts {
        progress(&format!("installing on {}", layout.name));
        let mut seconds = Vec::new();
        let failed = install(iso, guide, layout, &dir.join(layout.name), &mut seconds).err();
        if let Some(why) = &failed {
            progress(&format!("{} FAILED: {why:#}", layout.name));
        }
        rows.push(Row { layout: layout.name, seconds, failed });
    }
    Ok(rows)
}

fn install(
    iso: &Path,
    guide: &Guide,
    layout: &Layout,
    dir: &Path,
    seconds: &mut Vec<f64>,
) -> anyhow::Result<()> {
    let computer = Computer::new(layout, iso, dir)?;
    let started = Instant::now();
    let mut vm = computer.boot_disc("1-disc").context("the disc does not boot")?;
    boot::settled(&mut vm.console)?;
    let live = Identity::of(&mut vm.console)?;
    seconds.push(started.elapsed().as_secs_f64());

    let started = Instant::now();
    computer.follow(&mut vm, guide, None)?;
    drop(vm);
    seconds.push(started.elapsed().as_secs_f64());

    let started = Instant::now();
    let mut vm = computer.boot_disk("2-first-boot").context("the disk does not boot")?;
    installed::log_in(&mut vm.console)?;
    installed::check(&mut vm.console, layout)?;
    installed::details(&mut vm.console, layout, &live)?;
    seconds.push(started.elapsed().as_secs_f64());
    vm.console.send("systemctl poweroff\n")?;
    vm.wait_for_power_off(SETTLE)?;
    // What failed can be looked at; what worked is only large.
    for disk in &computer.disks {
        std::fs::remove_file(&disk.image)
            .with_context(|| format!("failed to remove {}", disk.image.display()))?;
    }
    Ok(())
}

/// The rows for people.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut out = format!("{:<12} {:>6} {:>8} {:>11}  result\n", "layout", "disc", "install", "first boot");
    for row in rows {
        let second = |at: usize| row.seconds.get(at).map_or("-".to_owned(), |s| format!("{s:.0} s"));
        let result = match &row.failed {
            None => "ok".to_owned(),
            Some(why) => format!("FAILED: {why}"),
        };
        // Writing to a String cannot fail.
        let _ =
            writeln!(out, "{:<12} {:>6} {:>8} {:>11}  {result}", row.layout, second(0), second(1), second(2));
    }
    out
}

fn names() -> String {
    std::iter::once(&layout::MAIN).chain(layout::MATRIX).map(|l| l.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_fits_nothing_is_an_error_and_not_an_empty_success() {
        let guide = Guide::parse("```sh step=a\nls\n```\n").unwrap();
        let nowhere = Path::new("/nonexistent");
        let err = run(nowhere, &guide, Some("zfs"), nowhere, |_| ()).unwrap_err().to_string();
        assert!(err.contains("zfs") && err.contains("luks, lvm"), "{err}");
    }

    #[test]
    fn a_failure_is_a_row_with_its_reason() {
        let rows = [
            Row { layout: "ext4", seconds: vec![85.2, 60.0, 70.4], failed: None },
            Row { layout: "luks", seconds: vec![85.2], failed: Some(anyhow::anyhow!("no prompt")) },
        ];
        let text = table(&rows);
        let lines: Vec<_> =
            text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines[1], "ext4 85 s 60 s 70 s ok");
        assert_eq!(lines[2], "luks 85 s - - FAILED: no prompt");
    }
}
