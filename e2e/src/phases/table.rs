//! What came of the phases, and what there is to go on from, as tables.

use std::fmt::Write as _;
use std::path::Path;

use super::parts::Parts;
use super::snapshot::{self, Refused, Store};
use super::{Phase, Row};
use crate::guide::Guide;

/// A line a phase.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut out = "| phase | seconds | its snapshot |\n|---|--:|--:|\n".to_owned();
    for Row { phase, seconds, kept } in rows {
        let kept = kept.map_or("-".to_owned(), |kept| format!("{kept:.0}"));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| {phase} | {seconds:.0} | {kept} |");
    }
    out
}

/// A line a phase: what there is to go on from with this disc (if there is one) and this guide.
///
/// # Errors
/// The guide has no such phases, or a file cannot be read.
pub fn list(dir: &Path, disc: Option<&Path>, guide: &Guide) -> anyhow::Result<String> {
    let parts = Parts::of(guide)?;
    let disc = disc.map(snapshot::digest).transpose()?.unwrap_or_default();
    let store = Store { dir: dir.join("snapshots"), disc, parts: &parts };
    let mut out = "| phase | snapshot | |\n|---|--:|---|\n".to_owned();
    for phase in Phase::ALL {
        let (size, says) = match (store.check(phase), phase.behind()) {
            (Err(Refused::None), _) => ("-".to_owned(), String::new()),
            (Err(why), _) => (format!("{} MiB", store.size(phase)?), format!("refused: {why}")),
            (Ok(_), Some(next)) => (format!("{} MiB", store.size(phase)?), format!("go on by --from {next}")),
            (Ok(_), None) => (format!("{} MiB", store.size(phase)?), String::new()),
        };
        let _ = writeln!(out, "| {phase} | {size} | {says} |");
    }
    Ok(out)
}
