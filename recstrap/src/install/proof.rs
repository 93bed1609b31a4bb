//! What is on the disk is what the manifest says, proved by one digest, or it is said what is wrong and whose fault it is.
//!
//! In: an installation that was written and synced. Out: the digests of both trees. With a manifest, no content is hashed while
//! it is written: what is read back is hashed, and the digest of the whole tree with these contents must be the
//! manifest's. That says the same of every byte as hashing twice would, for half the price. Only when it is not so, the
//! contents of the image are hashed too, and the target is read once more, to name what differs.

use anyhow::{bail, ensure};
use common::cli::Mark;
use common::hash::Sha256;

use super::control::Control;
use super::extract::{self, Digests, Hash};
use super::preflight::Ready;
use super::progress::Progress;
use super::record::Trees;
use super::writeback::Writeback;
use super::{Settings, exit, image, verify};

/// What has to be hashed while the target is written.
#[must_use]
pub fn hash(ready: &Ready, settings: &Settings) -> Hash {
    match (&ready.manifest, settings.verify) {
        (None, _) => Hash::All,
        (Some(_), true) => Hash::Absent,
        // The image is the manifest's, byte for byte; that what was unpacked is right was not to be proved.
        (Some(_), false) => Hash::Nothing,
    }
}

/// Reads back what was written, unless it is not wanted.
///
/// # Errors
/// The target differs, the image is not the manifest's, or one of them cannot be read.
pub fn prove(
    ready: &Ready,
    settings: &Settings,
    digests: &Digests,
    control: &Control,
    progress: &mut Progress,
) -> anyhow::Result<Trees> {
    let (plan, manifest) = (&ready.plan, ready.manifest.as_ref().map(|m| m.tree.digest));
    if !settings.verify {
        let image = manifest.map_or_else(|| extract::tree_digest(plan, digests), Ok)?;
        return Ok(Trees { image, target: None });
    }
    progress.phase("verify", plan.bytes());
    let found = read_back(ready, settings, digests, control, progress)?;
    if found.count == 0 {
        let image = extract::tree_digest(plan, &found.digests)?;
        // Where everything was installed as it is, the digests of both are one.
        let is_same = !plan.is_whole() || found.digest == Some(image);
        if is_same && manifest.is_none_or(|expected| expected == image) {
            return Ok(Trees { image, target: found.digest });
        }
    }
    let found = if let Some(expected) = manifest {
        progress.phase("examine", plan.bytes());
        let Ready { root, image: source, .. } = ready;
        let (hash, writeback) = (Hash::All, &Writeback::default());
        let job = extract::Job { root, plan, source, hash, writeback, control, progress };
        let digests = job.digests(settings.jobs)?;
        compare_trees(expected, extract::tree_digest(plan, &digests)?)?;
        let again = read_back(ready, settings, &digests, control, progress)?;
        if again.count > 0 { again } else { found }
    } else {
        found
    };
    differs(&found)
        .exit(exit::DIFFERENT)
        .hint("the disk or its controller may be failing: look into `dmesg` and at `smartctl -a`")
}

fn read_back(
    ready: &Ready,
    settings: &Settings,
    digests: &Digests,
    control: &Control,
    progress: &Progress,
) -> anyhow::Result<verify::Found> {
    let Ready { root, plan, keep_home, .. } = ready;
    verify::Job { root, plan, digests, keep_home: *keep_home, control, progress }.run(settings.jobs)
}

fn compare_trees(expected: Sha256, found: Sha256) -> anyhow::Result<()> {
    let compare = || {
        ensure!(expected == found, "the manifest says tree digest {expected}, the image holds {found}");
        Ok(())
    };
    compare().exit(exit::IMAGE).hint(image::HINT)
}

fn differs(found: &verify::Found) -> anyhow::Result<Trees> {
    if found.count == 0 {
        bail!("what is on the disk is not what was written: it was read twice and was not the same");
    }
    let more = found.count - found.differences.len();
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    let list = found.differences.join("\n  ");
    bail!("what is on the disk is not what was written: {} differences\n  {list}{more}", found.count)
}
