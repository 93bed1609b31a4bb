//! `cargo xtask test`: everything, in the release profile (one compilation serves the ISO and the tests).

use std::path::PathBuf;

use anyhow::Context;
use common::cli::Mark;
use common::cmd::Cmd;
use e2e::boots;
use e2e::guide::Guide;
use e2e::matrix::{self, Matrix};
use e2e::twins::{self, Twins};

use crate::cli::IsoArgs;
use crate::doctor::eprintln_step;
use crate::paths::Paths;
use crate::timings::Timings;
use crate::tools::Need;
use crate::{cargo, cheats, doctor, iso, lab};

/// The tests that boot, which no other selection includes (e2e/Cargo.toml).
const MACHINES: [&str; 2] = ["--test", "machines"];

/// Builds the ISO, runs the tests of all crates, then those that boot it. Says what was skipped.
pub(crate) fn test(paths: &Paths) -> anyhow::Result<()> {
    let mut timings = Timings::begin(paths, "2-test")?;
    timings.step("tools", || doctor::require(Need::Test))?;
    // Its tests run also where the ISO is made from Rocky.
    if common::cmd::which("apt-get").is_some() {
        timings.step("lab", || lab::lab(paths, false))?;
    }
    let iso = timings.step("ISO", || iso::iso(paths, &IsoArgs::default()))?;
    let (ledger, protected) = (paths.skip_ledger(), paths.cheat_ledger());
    for ledger in [&ledger, &protected] {
        if ledger.exists() {
            std::fs::remove_file(ledger)?;
        }
    }
    let cargo_test = |paths: &Paths| {
        cargo_test(paths).env("LEVITATE_SKIP_LEDGER", &ledger).env("CHEAT_TEST_LEDGER", &protected)
    };
    let all = timings.step("testing all crates", || {
        let all = cargo_test(paths);
        all.env("LEVITATE_KERNEL_ROOT", kernel_root(paths)?).run()
    });
    let boot =
        timings.step("booting the ISO", || cargo_test(paths).args(MACHINES).env("LEVITATE_ISO", iso).run());
    if ledger.exists() {
        let skipped = common::fs::read_to_string(&ledger)?;
        eprintln_step(&format!("{} checks did NOT run:\n{skipped}", skipped.lines().count()));
    }
    all.and(boot)?;
    cheats::all_critical_ran(paths)?;
    timings.finish()
}

/// Builds the ISO and runs the tests that boot it.
pub(crate) fn e2e(paths: &Paths, filter: Option<&str>) -> anyhow::Result<()> {
    doctor::require(Need::Run)?;
    let iso = iso::iso(paths, &IsoArgs::default())?;
    let mut cmd = cargo_test(paths).args(MACHINES).env("LEVITATE_ISO", iso);
    if let Some(filter) = filter {
        cmd = cmd.arg(filter);
    }
    cmd.args(["--", "--nocapture"]).run()
}

/// Installs the ISO (LEVITATE_ISO, or one built now) on every layout of disks and prints a table on stdout; fails unless
/// each passed.
pub(crate) fn matrix(paths: &Paths, filter: Option<&str>, jobs: Option<usize>) -> anyhow::Result<()> {
    doctor::require(Need::Test)?;
    root("the matrix")?;
    let iso = given_iso(paths)?;
    let guide = guide(paths)?;
    let dir = paths.target.join("e2e/matrix");
    let jobs = jobs.unwrap_or_else(jobs_that_fit);
    let rows = Matrix { iso: &iso, guide: &guide, dir: &dir, jobs }.run(filter, &eprintln_step)?;
    doctor::print(matrix::table(&rows).trim_end());
    matrix::all_passed(&rows).with_context(|| format!("see {}", dir.display()))
}

/// Starts the ISO (LEVITATE_ISO, or one built now) on every kind of machine and prints a table on stdout; fails unless each came up.
pub(crate) fn boots(paths: &Paths, filter: Option<&str>) -> anyhow::Result<()> {
    doctor::require(Need::Run)?;
    let dir = paths.target.join("e2e/boots");
    let rows = boots::run(&given_iso(paths)?, &dir, filter, &eprintln_step)?;
    doctor::print(boots::table(&rows).trim_end());
    let may_skip = std::env::var_os("LEVITATE_NO_SKIP").is_none();
    boots::all_passed(&rows, may_skip).with_context(|| format!("see {}", dir.display()))
}

/// Installs the ISO (LEVITATE_ISO, or one built now) once, and then with one thing wrong each time; prints a table on stdout; fails unless
/// each was noticed where it should be.
pub(crate) fn twins(paths: &Paths, filter: Option<&str>) -> anyhow::Result<()> {
    doctor::require(Need::Test)?;
    root("making twins")?;
    let (iso, guide, dir) = (given_iso(paths)?, guide(paths)?, paths.target.join("e2e/twins"));
    let rows = Twins { iso: &iso, guide: &guide, dir: &dir }.run(filter, &eprintln_step)?;
    doctor::print(twins::table(&rows).trim_end());
    twins::all_noticed(&rows).with_context(|| format!("see {}", dir.display()))
}

/// Half of what `what` checks are comparisons with mounted disks: without them it would pass for less than it says.
pub(crate) fn root(what: &str) -> anyhow::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(anyhow::anyhow!("{what} mounts the installed disks, which needs root"))
        .hint("run it as root; `cargo xtask e2e` needs none")
}

pub(crate) fn guide(paths: &Paths) -> anyhow::Result<Guide> {
    let guide = paths.root.join("docs/guide/install.md");
    Guide::parse(&common::fs::read_to_string(&guide)?)
        .with_context(|| format!("failed to read {}", guide.display()))
}

pub(crate) fn given_iso(paths: &Paths) -> anyhow::Result<PathBuf> {
    match std::env::var_os("LEVITATE_ISO") {
        Some(iso) => Ok(PathBuf::from(iso)),
        None => iso::iso(paths, &IsoArgs::default()),
    }
}

/// One machine a processor (under emulation it uses one), as far as 3 GiB of free memory each go.
fn jobs_that_fit() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = info.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
    let kib = free.and_then(|l| l.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0);
    processors.min(kib / (3 << 20)).max(1)
}

/// The newest image, unpacked by erofs-utils: tests of module indexes and of the initramfs want a real kernel.
fn kernel_root(paths: &Paths) -> anyhow::Result<PathBuf> {
    let images = ["rocky10", "lab"].map(|profile| paths.work().join(profile).join("rootfs.erofs"));
    let newest = images
        .into_iter()
        .filter(|i| i.exists())
        .max_by_key(|i| i.metadata().and_then(|m| m.modified()).ok());
    let image =
        newest.with_context(|| format!("leviso left no root file system in {}", paths.work().display()))?;
    let root = paths.target.join("kernel-root");
    if root.exists() {
        std::fs::remove_dir_all(&root).with_context(|| format!("failed to empty {}", root.display()))?;
    }
    Cmd::new("fsck.erofs").arg(format!("--extract={}", root.display())).arg(image).output().map(drop)?;
    anyhow::ensure!(
        root.join("usr/lib/modules").is_dir(),
        "fsck.erofs left no kernel modules in {}",
        root.display()
    );
    Ok(root)
}

/// `cargo test` with the signals as a terminal has them: what starts jobs in the background may ignore SIGINT, and what
/// is ignored stays so in all that is started from there, recchroot too.
fn cargo_test(paths: &Paths) -> Cmd {
    let cmd = cargo::cargo(paths).args(["test", "--release", "--locked", "--workspace", "--no-fail-fast"]);
    cmd.under("env", &["--default-signal"])
}
