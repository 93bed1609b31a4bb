//! `recstrap`: is the target fit, then image -> target, then is it really there.
//!
//! [`run`] is the product on one page, in the order of events; TEAM/0014-installing.md says why this order. Modules:
//!
//! - [`cli`]: what can be typed, and what is printed; [`exit`]: how it ends
//! - [`preflight`]: everything that speaks against installing to a directory
//! - [`manifest`], [`image`]: what is installed, and what it must be; [`plan`], [`builder`]: its names, in memory;
//!   [`firststate`]: what no installed system may have from another one
//! - [`marker`], [`empty`]: an installation is under way; what an interrupted one left is removed
//! - [`root`], [`source`], [`content`], [`attributes`], [`extract`], [`writeback`]: writing, never outside of
//!   the target; [`covered`]: below mounts
//! - [`verify`]: reading back; [`proof`]: whether that is what must be there; [`record`]: what stays of it
//! - [`control`], [`progress`]: stopping, and saying what happens
//!
//! Invariants: nothing outside of the target is written; without success the marker stays; success means that all of
//! it is on the disk and was read back from there.

pub mod cli;
pub mod exit;
pub mod control;
pub mod progress;
pub mod manifest;
pub mod source;
pub mod plan;
pub mod builder;
pub mod firststate;
pub mod image;
pub mod root;
pub mod preflight;
pub mod marker;
pub mod empty;
pub mod content;
pub mod attributes;
pub mod extract;
pub mod writeback;
pub mod covered;
pub mod verify;
pub mod proof;
pub mod record;

use anyhow::Context;
use common::cli::{Mark, code};
use common::hash::Sha256;

use control::Control;
use preflight::Ready;
use preflight::target::Content;
use progress::Progress;
use record::Record;
use writeback::Writeback;

/// How an installation is done.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Threads that decompress, write and read back.
    pub jobs: usize,
    /// Whether the target is read back.
    pub verify: bool,
    /// Patterns of names that were not wanted, for the record.
    pub excludes: Vec<String>,
}

/// What was done.
#[derive(Debug)]
pub struct Done {
    /// The record as it is on the target.
    pub record: Record,
    /// Names installed.
    pub names: u64,
    /// Bytes of files installed.
    pub bytes: u64,
}

/// Installs: the order of events.
///
/// # Errors
/// The exit code says of what kind ([`exit`]); the marker is left in the target.
pub fn run(
    ready: &Ready,
    settings: &Settings,
    control: &Control,
    progress: &mut Progress,
) -> anyhow::Result<Done> {
    let Ready { root, plan, image, manifest, keep_home, .. } = ready;
    marker::put(root, ready.content == Content::Interrupted, ready.image_digest())?;
    if ready.content != Content::Empty {
        progress.phase("empty", 0);
        empty::empty(root, *keep_home, control)?;
    }

    progress.phase("extract", plan.bytes());
    let (digests, image_digest) = extract(ready, settings, control, progress)?;
    for path in covered::finish(root, plan)? {
        progress
            .tell(&format!("not as in the image: {path} below what is mounted there (it cannot be reached)"));
    }

    progress.phase("sync", 0);
    sync(root, plan)?;
    control.outcome()?;

    let tree = proof::prove(ready, settings, &digests, control, progress)?;
    if settings.verify {
        progress.phase("sync", 0);
        sync(root, plan)?;
        control.outcome()?;
    }

    progress.phase("record", 0);
    let record = Record {
        schema: record::SCHEMA,
        tool: concat!("recstrap ", env!("CARGO_PKG_VERSION")),
        time: marker::now(),
        image: record::Image { sha256: image_digest, size: image.size, vouched: manifest.is_some() },
        tree,
        volume: ready.mount.as_ref().and_then(record::volume),
        excludes: settings.excludes.clone(),
        differences: record::differences(plan),
    };
    record::write(root, plan, &record)?;
    marker::remove(root, |dir| attributes::set_times(dir, plan.node(0)))?;
    let installed = || plan.nodes.iter().filter(|n| n.fate == plan::Fate::Install);
    let bytes = installed().filter(|n| n.link_to.is_none()).map(plan::Node::size).sum();
    Ok(Done { record, names: installed().count() as u64, bytes })
}

/// Extraction, while one thread hashes the image ahead of it, and another has written files go to the disk behind it.
fn extract(
    ready: &Ready,
    settings: &Settings,
    control: &Control,
    progress: &Progress,
) -> anyhow::Result<(extract::Digests, Sha256)> {
    let Ready { root, plan, image, manifest, .. } = ready;
    let expected = manifest.map(|m| m.image);
    let writeback = Writeback::default();
    let (digests, hashed) = std::thread::scope(|scope| {
        let hashed = scope.spawn(|| control.note(image.hash(expected, control)));
        scope.spawn(|| control.note(writeback.run(|| sync(root, plan))));
        let hash = proof::hash(ready, settings);
        let job = extract::Job { root, plan, source: image, hash, writeback: &writeback, control, progress };
        let digests = control.note(job.run(settings.jobs));
        writeback.end();
        (digests, hashed.join().ok().flatten())
    });
    control.outcome()?;
    digests.zip(hashed).context("a thread ended without a result")
}

/// Everything on the disk: the target's file system and those mounted below it.
fn sync(root: &root::Root, plan: &plan::Plan) -> anyhow::Result<()> {
    rustix::fs::syncfs(&root.fd)
        .map_err(std::io::Error::from)
        .with_context(|| format!("failed to sync {}", root.path.display()))
        .exit(exit::TARGET)?;
    for place in &plan.places {
        let failed = || format!("failed to sync {}", root.show(&place.path));
        let dir =
            root.dir(&place.path).map_err(std::io::Error::from).with_context(failed).exit(exit::TARGET)?;
        rustix::fs::syncfs(&dir).map_err(std::io::Error::from).with_context(failed).exit(exit::TARGET)?;
    }
    Ok(())
}

/// What a failed run leaves, and what to do.
#[must_use]
pub fn advice(failure: &anyhow::Error) -> &'static str {
    match common::cli::exit_code(failure) {
        code::NO_SPACE => {
            "TARGET is not whole: use a larger partition or --exclude, then run the same command again; it starts over"
        }
        code::INTERRUPTED => "TARGET is not whole: run the same command again; it starts over",
        _ => "TARGET is not whole: mend the cause, then run the same command again; it starts over",
    }
}
