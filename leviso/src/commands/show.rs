//! What is printed: data on stdout, the closing table on stderr.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use leviso::lock::{Lock, LockedPackage};
use leviso::pipeline::Outcome;
use serde_json::{Value, json};

/// One line of data. A reader that went away (`| head`) is an error here and success at the edge.
fn data(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}").context("failed to write to stdout")
}

/// One line for people.
#[expect(clippy::print_stderr, reason = "prose goes to stderr")]
pub(crate) fn note(line: &str) {
    eprintln!("{line}");
}

/// Pretty JSON on stdout.
pub(crate) fn json(value: &Value) -> anyhow::Result<()> {
    data(&serde_json::to_string_pretty(value).context("failed to encode JSON")?)
}

/// Two columns, or a JSON object.
pub(crate) fn paths(rows: &[(String, PathBuf)], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let map: BTreeMap<_, _> = rows.iter().cloned().collect();
        return json(&json!(map));
    }
    rows.iter().try_for_each(|(name, path)| data(&format!("{name}  {}", path.display())))
}

/// The packages of a lock.
pub(crate) fn lock(lock: &Lock, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return json(&serde_json::to_value(lock).context("failed to encode JSON")?);
    }
    for package in &lock.packages {
        data(&format!("{:<60} {:>10} {}", package.nevra(), megabytes(package.size), package.repo))?;
    }
    let total = lock.packages.iter().map(|p| p.size).sum();
    note(&format!("{} packages, {} to download", lock.packages.len(), megabytes(total)));
    Ok(())
}

/// The closing table: where the ISO is, how large, of what, how long each stage took.
pub(crate) fn outcome(outcome: &Outcome) {
    if !outcome.warnings.is_empty() {
        note(&format!("warning: the audit has {} remarks (--json lists them)", outcome.warnings.len()));
    }
    for (stage, took) in &outcome.seconds {
        note(&format!("{:<12} {:>8.2} s", stage.to_string(), took.as_secs_f64()));
    }
    let total: Duration = outcome.seconds.iter().map(|(_, took)| *took).sum();
    note(&format!("{:<12} {:>8.2} s", "total", total.as_secs_f64()));
    if let Some(lock) = &outcome.lock {
        note(&format!("{:<12} {:>8}", "packages", lock.packages.len()));
    }
    if let Some(report) = &outcome.report {
        for (name, output) in report.images() {
            note(&format!("{name:<12} {:>8} MB", megabytes(output.size).trim_end_matches(" MB")));
        }
    }
    if let Some(iso) = &outcome.iso {
        note(&iso.display().to_string());
    }
}

/// The same as JSON.
pub(crate) fn outcome_json(outcome: &Outcome) -> Value {
    let seconds: BTreeMap<_, _> =
        outcome.seconds.iter().map(|(stage, took)| (stage.to_string(), took.as_secs_f64())).collect();
    json!({
        "iso": outcome.iso,
        "packages": outcome.lock.as_ref().map(|l| l.packages.len()),
        "seconds": seconds,
        "warnings": outcome.warnings,
        "report": outcome.report,
    })
}

/// What changed between two locks: one line a package.
pub(crate) fn diff(old: &Lock, new: &Lock, as_json: bool) -> anyhow::Result<()> {
    let rows = changes(old, new);
    if as_json {
        let rows: Vec<_> =
            rows.iter().map(|(name, o, n)| json!({ "name": name, "old": o, "new": n })).collect();
        return json(&json!(rows));
    }
    for (name, old, new) in rows {
        let sign = match (&old, &new) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        data(&format!(
            "{sign} {name:<40} {} -> {}",
            old.as_deref().unwrap_or("-"),
            new.as_deref().unwrap_or("-")
        ))?;
    }
    Ok(())
}

/// The size of the change, for people.
pub(crate) fn diff_note(old: &Lock, new: &Lock) {
    let rows = changes(old, new);
    let added = rows.iter().filter(|(_, old, _)| old.is_none()).count();
    let removed = rows.iter().filter(|(_, _, new)| new.is_none()).count();
    note(&format!("{added} added, {removed} removed, {} changed", rows.len() - added - removed));
}

/// Name, old and new version of every package that differs.
fn changes(old: &Lock, new: &Lock) -> Vec<(String, Option<String>, Option<String>)> {
    fn index(lock: &Lock) -> BTreeMap<(&str, &str), &LockedPackage> {
        lock.packages.iter().map(|p| ((p.name.as_str(), p.arch.as_str()), p)).collect()
    }
    let (old, new) = (index(old), index(new));
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
    let version = |p: Option<&&LockedPackage>| p.map(|p| p.evr.clone());
    keys.into_iter()
        .filter(|k| old.get(k) != new.get(k))
        .map(|k| (k.0.to_owned(), version(old.get(&k)), version(new.get(&k))))
        .collect()
}

/// Decimal megabytes with one digit, as disks and downloads are sold.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

/// The sections of a UKI: name, size, digest, and the text of those that hold text.
pub(crate) fn sections(sections: &leviso::uki::Sections) -> anyhow::Result<()> {
    for section in &sections.sections {
        data(&format!("{:<10} {:>12}  {}", section.name, section.size, section.sha256))?;
        let mut text = section.text.iter().flat_map(|text| text.lines());
        text.try_for_each(|line| data(&format!("    {line}")))?;
    }
    data(if sections.signed { "signed" } else { "not signed" })
}
