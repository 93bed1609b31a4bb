//! How long the parts of a run took, and whether that is longer than last time on this machine.
//!
//! Steps of `cargo xtask ci` and `test`, and what each machine noted in its `timings.json` -> `target/timings.json` (written after each
//! step, so that a run that fails leaves it, too) and a table. What the last whole run took is kept outside of the checkout, in
//! the user's cache, since CI starts from a new one; a boot that takes [`SLOWER`] times as long is a warning, never a failure: machines are
//! noisy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::Context;

use crate::doctor::{self, eprintln_step};
use crate::paths::Paths;

/// How many times as long as before is worth a warning.
const SLOWER: f64 = 1.5;
/// What is shorter than this many seconds may double by chance.
const SHORT: f64 = 10.0;

/// Seconds by name; names sort in the order in which things are done.
type Table = BTreeMap<String, f64>;

/// The times of one run.
pub(crate) struct Timings {
    file: PathBuf,
    machines: PathBuf,
    since: SystemTime,
    part: &'static str,
    count: usize,
    table: Table,
}

impl Timings {
    /// Begins part `part` of a run (`1-ci`, `2-test`); what the other parts took stays.
    pub(crate) fn begin(paths: &Paths, part: &'static str) -> anyhow::Result<Self> {
        let file = paths.target.join("timings.json");
        let mut table = read(&file)?;
        // Machines are those of `cargo xtask test`; sabotage comes after it.
        let keeps_machines = part > "3-";
        table.retain(|name, _| !name.starts_with(part) && (keeps_machines || !name.starts_with("3-")));
        Ok(Self { file, machines: paths.target.join("e2e"), since: SystemTime::now(), part, count: 0, table })
    }

    /// Does a step and notes how long it took, also when it fails.
    pub(crate) fn step<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        eprintln_step(name);
        let began = Instant::now();
        let done = work();
        self.count += 1;
        let name = format!("{} {:02} {name}", self.part, self.count);
        self.table.insert(name, tenths(began.elapsed().as_secs_f64()));
        self.write()?;
        done
    }

    /// Notes how long something took that is a part of a step.
    pub(crate) fn note(&mut self, name: &str, seconds: f64) -> anyhow::Result<()> {
        self.table.insert(format!("{} {:02} {name}", self.part, self.count), tenths(seconds));
        self.write()
    }

    /// The run is over and was good: adds what its machines noted, prints the table, warns of what has become slower, and
    /// keeps it for the next run.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let machines = machines(&self.machines, self.since)?;
        self.table.extend(machines);
        self.write()?;
        let last = kept()?;
        let before = match &last {
            Some(file) => read(file)?,
            None => Table::new(),
        };
        doctor::print(table(&self.table, &before).trim_end());
        for warning in slower(&self.table, &before) {
            eprintln_step(&warning);
        }
        let Some(last) = last else { return Ok(()) };
        if let Some(dir) = last.parent() {
            std::fs::create_dir_all(dir).with_context(|| format!("failed to create {}", dir.display()))?;
        }
        common::fs::write_atomic(&last, &serde_json::to_vec_pretty(&self.table)?)
    }

    fn write(&self) -> anyhow::Result<()> {
        common::fs::write_atomic(&self.file, &serde_json::to_vec_pretty(&self.table)?)
    }
}

/// Where the times of the last good run are kept; none for who has no home.
fn kept() -> anyhow::Result<Option<PathBuf>> {
    let env = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = env("XDG_CACHE_HOME").or_else(|| env("HOME").map(|home| home.join(".cache")));
    let dir = cache.map(|cache| std::path::absolute(cache.join("levitateos")));
    Ok(dir.transpose().context("failed to find the cache directory")?.map(|dir| dir.join("timings.json")))
}

fn read(file: &Path) -> anyhow::Result<Table> {
    if !file.exists() {
        return Ok(Table::new());
    }
    // A file of an older program, or half of one, is as good as none.
    Ok(serde_json::from_str(&common::fs::read_to_string(file)?).unwrap_or_default())
}

/// `MACHINE STEP` -> seconds since power on, of each machine below a directory that ran since then.
fn machines(dir: &Path, since: SystemTime) -> anyhow::Result<Table> {
    let mut table = Table::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(at) = dirs.pop() {
        // What a test takes away meanwhile has no times to tell.
        let Ok(entries) = std::fs::read_dir(&at) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                dirs.push(path);
            } else if path.ends_with("timings.json") && entry.metadata()?.modified()? >= since {
                let machine = at.strip_prefix(dir).unwrap_or(&at).display();
                for (number, step) in steps(&path)?.into_iter().enumerate() {
                    let name = format!("3-machine {machine}: {:02} {}", number + 1, step.name);
                    table.insert(name, tenths(step.at));
                }
            }
        }
    }
    Ok(table)
}

/// A line of what a machine writes.
#[derive(serde::Deserialize)]
struct Step {
    name: String,
    at: f64,
}

fn steps(file: &Path) -> anyhow::Result<Vec<Step>> {
    serde_json::from_str(&common::fs::read_to_string(file)?)
        .with_context(|| format!("failed to read {}", file.display()))
}

fn tenths(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

fn table(now: &Table, before: &Table) -> String {
    let mut out = "| step | seconds | last time |\n|---|--:|--:|\n".to_owned();
    for (name, seconds) in now {
        let last = before.get(name).map_or_else(|| "-".to_owned(), |s| format!("{s:.1}"));
        out.push_str(&format!("| {name} | {seconds:.1} | {last} |\n"));
    }
    out
}

/// What machines took much longer for than last time.
fn slower(now: &Table, before: &Table) -> Vec<String> {
    let machines = now.iter().filter(|(name, _)| name.starts_with("3-"));
    let both = machines.filter_map(|(name, now)| before.get(name).map(|before| (name, *now, *before)));
    both.filter(|(_, now, before)| now.max(*before) >= SHORT && *now > before * SLOWER)
        .map(|(name, now, before)| {
            format!(
                "SLOWER: {name} took {now:.0} s, {:.1} times as long as in the last run ({before:.0} s)",
                now / before
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_much_slower_is_told() {
        let table = |list: &[(&str, f64)]| list.iter().map(|(n, s)| ((*n).to_owned(), *s)).collect::<Table>();
        let before = table(&[
            ("3-machine a: 01 prompt", 60.0),
            ("3-machine b: 01 prompt", 60.0),
            ("1-ci 01 fmt", 1.0),
        ]);
        let now = table(&[
            ("3-machine a: 01 prompt", 89.0),
            ("3-machine b: 01 prompt", 91.0),
            ("3-machine c: 01 prompt", 900.0),
            ("1-ci 01 fmt", 100.0),
        ]);
        let told = slower(&now, &before);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("machine b") && told[0].contains("1.5 times"), "{told:?}");
    }

    #[test]
    fn machines_of_earlier_runs_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let machine = dir.path().join("install/1-disc");
        std::fs::create_dir_all(&machine).unwrap();
        std::fs::write(machine.join("timings.json"), r#"[{ "name": "prompt", "at": 61.23 }]"#).unwrap();
        let found = machines(dir.path(), SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("3-machine install/1-disc: 01 prompt".to_owned(), 61.2)]
        );
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        assert!(machines(dir.path(), later).unwrap().is_empty());
    }

    #[test]
    fn a_step_that_fails_leaves_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { root: dir.path().to_owned(), target: dir.path().to_owned() };
        let mut timings = Timings::begin(&paths, "1-ci").unwrap();
        timings.step("works", || Ok(())).unwrap();
        timings.step::<()>("fails", || anyhow::bail!("no")).unwrap_err();
        let table = read(&dir.path().join("timings.json")).unwrap();
        assert_eq!(table.keys().collect::<Vec<_>>(), ["1-ci 01 works", "1-ci 02 fails"]);
    }

    #[test]
    fn machines_are_forgotten_when_they_start_anew() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { root: dir.path().to_owned(), target: dir.path().to_owned() };
        let left_by = |part: &'static str| {
            let old =
                r#"{ "2-test 01 tools": 1.0, "3-machine a: 01 prompt": 2.0, "4-sabotage 01 planting": 3.0 }"#;
            std::fs::write(dir.path().join("timings.json"), old).unwrap();
            Timings::begin(&paths, part).unwrap().table.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(left_by("2-test"), ["4-sabotage 01 planting"]);
        assert_eq!(left_by("4-sabotage"), ["2-test 01 tools", "3-machine a: 01 prompt"]);
    }
}
