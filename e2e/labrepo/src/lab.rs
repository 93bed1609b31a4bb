//! The lab: Debian packages -> a signed RPM repository.
//!
//! ```text
//! DIR/repo/Packages/*/*.rpm, DIR/repo/repodata/     the repository
//! DIR/RPM-GPG-KEY-lab, DIR/fingerprint              its certificate; the fingerprint alone, one line
//! DIR/state/secret.asc, DIR/state/NAME.json         the secret key (0600); one record a package
//! CACHE                                             apt's directory, see `apt`
//! ```
//!
//! A record holds the digest of everything its RPM was made from (the .deb, this code, the plan, the key): while that is
//! the same and the file is there, the RPM is not made again. Needs no root.

pub mod plan;
pub mod apt;
pub mod convert;
pub mod effects;
pub mod release;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::Context;
use common::hash::Sha256;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::debian::deb::Deb;
use crate::debian::scripts::Enabled;
use crate::key::{Algorithm, SigningKey};
use crate::repo::{CODE, Entry, Repodata, Storage, remove_others, write_changed};
use crate::rpm::Package;
use apt::{Apt, Archive};
use plan::Plan;
pub use report::Report;

/// Keys are made with this date, so that every package (all are younger) can be signed at its own build time: 2020-01-01.
const KEY_TIME: u32 = 1_577_836_800;

/// What was done.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The directory of the lab.
    pub dir: PathBuf,
    /// Fingerprint of its key.
    pub fingerprint: String,
    /// Packages in the repository.
    pub packages: usize,
    /// How many of them were made by this run.
    pub converted: usize,
    /// Size of all RPMs, bytes.
    pub size: u64,
    /// Packages whose maintainer script does something nobody has looked at.
    pub unaccounted: Vec<String>,
    /// Wall-clock time of this run.
    pub seconds: f64,
}

/// What is kept of a converted package.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    inputs: Sha256,
    entry: Entry,
    size: u64,
    build_time: u32,
    enabled: Enabled,
    unaccounted: bool,
}

/// Makes or renews the lab in `dir`, with apt's files in `cache`.
///
/// # Errors
/// The host has no usable apt, the mirror does not answer, a package cannot be converted, the disk is full.
pub fn build(dir: &Path, cache: &Path, update: bool, report: &Report) -> anyhow::Result<Summary> {
    let started = Instant::now();
    let plan = Plan::load()?;
    let apt = Apt::configure(cache, &plan)?;
    apt.update(update, report)?;
    let archives = apt.closure(&plan)?;
    apt.download(&plan, &archives, report)?;

    let state = dir.join("state");
    std::fs::create_dir_all(&state).with_context(|| format!("failed to create {}", state.display()))?;
    let key = SigningKey::load_or_generate(
        &state.join("secret.asc"),
        "LevitateOS lab (tests only)",
        KEY_TIME,
        Algorithm::Rsa3072,
    )?;
    let lab = Lab { dir, state, plan, key, base: OnceLock::new() };
    let summary = lab.write(&archives, started, report)?;
    Ok(summary)
}

struct Lab<'a> {
    dir: &'a Path,
    state: PathBuf,
    plan: Plan,
    key: SigningKey,
    /// Directories of base-files, read when the first package is converted.
    base: OnceLock<BTreeSet<Vec<u8>>>,
}

impl Lab<'_> {
    fn write(&self, archives: &[Archive], started: Instant, report: &Report) -> anyhow::Result<Summary> {
        let wanted: Vec<&Archive> = archives.iter().filter(|a| !self.plan.drops(&a.name)).collect();
        let recipe = self.recipe()?;
        let mut records: BTreeMap<String, Record> = BTreeMap::new();
        let mut todo = Vec::new();
        for archive in wanted {
            let inputs = Sha256::of(format!("{recipe} {}", archive.sha256).as_bytes());
            match self.record(&archive.name, inputs) {
                Some(record) => drop(records.insert(archive.name.clone(), record)),
                None => todo.push((archive, inputs)),
            }
        }
        let converted = self.convert_all(&todo, archives, report)?;
        let mut made = converted.len();
        records.extend(converted);
        made += usize::from(self.release(&mut records, recipe)?);
        self.finish(&records)?;
        Ok(Summary {
            dir: self.dir.to_owned(),
            fingerprint: self.key.fingerprint(),
            packages: records.len(),
            converted: made,
            size: records.values().map(|r| r.size).sum(),
            unaccounted: records.iter().filter(|(_, r)| r.unaccounted).map(|(n, _)| n.clone()).collect(),
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// Digest of what all conversions depend on: this crate's code, its data, the key.
    fn recipe(&self) -> anyhow::Result<Sha256> {
        let mut text = self.key.fingerprint();
        for part in [
            include_str!("../data/lab.toml"),
            include_str!("../data/effects.toml"),
            include_str!("lab/convert.rs"),
            include_str!("lab/effects.rs"),
            include_str!("lab/release.rs"),
            include_str!("debian/deb.rs"),
            include_str!("debian/relations.rs"),
            include_str!("debian/scripts.rs"),
            include_str!("lab/plan.rs"),
            CODE,
        ] {
            text.push_str(part);
        }
        Ok(Sha256::of(text.as_bytes()))
    }

    /// The record of a package, if its RPM is up to date and in place.
    fn record(&self, name: &str, inputs: Sha256) -> Option<Record> {
        let text = std::fs::read(self.state.join(format!("{name}.json"))).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        let file = self.repo().join(&record.entry.href);
        let there = file.metadata().is_ok_and(|m| m.len() == record.size);
        (record.inputs == inputs && there).then_some(record)
    }

    fn convert_all(
        &self,
        todo: &[(&Archive, Sha256)],
        archives: &[Archive],
        report: &Report,
    ) -> anyhow::Result<BTreeMap<String, Record>> {
        if todo.is_empty() {
            return Ok(BTreeMap::new());
        }
        let base =
            archives.iter().find(|a| a.name == "base-files").context("the closure has no base-files")?;
        let base = convert::directories(&Deb::open(&base.path)?);
        let base = self.base.get_or_init(|| base);
        report.begin_items("convert", todo.len() as u64);
        // Largest first, so that the kernel does not start last and alone.
        let mut order: Vec<_> = todo.iter().collect();
        order.sort_by_key(|(archive, _)| std::cmp::Reverse(archive.size));
        let records = order
            .into_par_iter()
            .map(|(archive, inputs)| {
                let record = self.convert(archive, *inputs, base)?;
                report.advance(1);
                Ok((archive.name.clone(), record))
            })
            .collect::<anyhow::Result<BTreeMap<_, _>>>();
        report.end();
        records
    }

    fn convert(&self, archive: &Archive, inputs: Sha256, base: &BTreeSet<Vec<u8>>) -> anyhow::Result<Record> {
        let found = Sha256::of_file(&archive.path)?;
        if found != archive.sha256 {
            let _ = std::fs::remove_file(&archive.path);
            anyhow::bail!("{}: expected sha256 {}, found {found}", archive.path.display(), archive.sha256);
        }
        let converted = convert::convert(Deb::open(&archive.path)?, &self.plan, base)?;
        let (enabled, unaccounted) = (converted.enabled, converted.unaccounted);
        self.store(&converted.package, inputs, enabled, unaccounted)
    }

    /// Builds an RPM, writes it and its record.
    fn store(
        &self,
        package: &Package,
        inputs: Sha256,
        enabled: Enabled,
        unaccounted: bool,
    ) -> anyhow::Result<Record> {
        let rpm = package.build(&self.key)?;
        let entry = Entry::new(&rpm);
        common::fs::write_atomic(&self.repo().join(&entry.href), &rpm.bytes)?;
        let (size, build_time) = (rpm.bytes.len() as u64, package.build_time);
        let record = Record { inputs, entry, size, build_time, enabled, unaccounted };
        let text = serde_json::to_vec(&record).context("failed to write a record")?;
        common::fs::write_atomic(&self.state.join(format!("{}.json", package.name)), &text)?;
        Ok(record)
    }

    /// The synthetic package; says whether it was made anew.
    fn release(&self, records: &mut BTreeMap<String, Record>, recipe: Sha256) -> anyhow::Result<bool> {
        let mut enabled = Enabled::default();
        for record in records.values() {
            enabled.system.extend(record.enabled.system.iter().cloned());
            enabled.user.extend(record.enabled.user.iter().cloned());
        }
        let newest = records.values().map(|r| r.build_time).max().unwrap_or(KEY_TIME);
        let inputs = Sha256::of(format!("{recipe} {newest} {enabled:?}").as_bytes());
        let old = self.record(release::NAME, inputs);
        let made = old.is_none();
        let record = match old {
            Some(record) => record,
            None => {
                let package = release::package(&enabled, &self.plan.presets, newest);
                self.store(&package, inputs, Enabled::default(), false)?
            }
        };
        records.insert(release::NAME.to_owned(), record);
        Ok(made)
    }

    /// Repodata, key files, and the removal of what is no longer part of it.
    fn finish(&self, records: &BTreeMap<String, Record>) -> anyhow::Result<()> {
        let entries: Vec<Entry> = records.values().map(|r| r.entry.clone()).collect();
        // The revision becomes the date of locks made from this lab: a fact of its packages, not of the clock.
        let newest = records.values().map(|r| r.build_time).max().unwrap_or(KEY_TIME);
        Repodata::render(&entries, newest, Storage::Zstd)?.write(&self.repo(), Some(&self.key), newest)?;
        write_changed(&self.dir.join("RPM-GPG-KEY-lab"), &self.key.certificate()?)?;
        write_changed(&self.dir.join("fingerprint"), format!("{}\n", self.key.fingerprint()).as_bytes())?;
        remove_others(&self.repo(), &entries)
    }

    fn repo(&self) -> PathBuf {
        self.dir.join("repo")
    }
}
