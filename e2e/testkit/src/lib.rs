//! What tests of several crates share: oracle tools, trees as the kernel shows them ([`tree`]), a web server that
//! misbehaves ([`server`]), also over https ([`certificates`]), a person's terminal ([`terminal`]), attacks on system calls ([`strace`]) and their counts ([`ledger`]), disks that record what is
//! written and lose power ([`disk`], [`write_log`], [`power`], [`scratch`]), numbers that look random ([`random`]), and the list of
//! checks that could not run.
//!
//! A check that needs what this machine lacks calls [`skip`]: it is printed, written to the ledger
//! (`target/skipped-checks`, or the file LEVITATE_SKIP_LEDGER names) and does not count as passed. With
//! LEVITATE_NO_SKIP=1, as CI sets it, a skip is a failure; what no installation could mend (the running kernel lacks a
//! file system) calls [`cannot`] instead, which is recorded in the same way and never fails.

pub mod certificates;
pub mod disk;
pub mod ledger;
pub mod power;
pub mod random;
pub mod scratch;
pub mod server;
pub mod strace;
pub mod terminal;
pub mod tree;
pub mod write_log;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The workspace's root directory.
#[must_use]
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace exists")
}

/// Cargo's target directory: where the lab and the ISOs are.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The path of a tool that a test compares our work with.
///
/// # Panics
/// It is not installed. A missing oracle is a failed test, not a passed one.
#[must_use]
pub fn oracle(program: &str) -> PathBuf {
    common::cmd::which(program).unwrap_or_else(|| {
        panic!(
            "this test compares with `{program}`, which is not installed; run `cargo xtask doctor --install`"
        )
    })
}

/// Copies a program that is to be run at once. Not by ourselves: another test may start a program just then, which would have the open
/// file for a moment, and what is open for writing cannot be run.
///
/// # Panics
/// It cannot be copied.
pub fn copy_program(program: impl AsRef<Path>, to: impl AsRef<Path>) {
    common::cmd::Cmd::new("cp").arg(program.as_ref()).arg(to.as_ref()).run().expect("copied");
}

/// Whether this process may mount (root in the initial user namespace, or close enough to try).
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Records that `check` did not run and why. The caller returns after it.
///
/// # Panics
/// LEVITATE_NO_SKIP=1 is set.
pub fn skip(check: &str, why: &str) {
    assert!(
        std::env::var_os("LEVITATE_NO_SKIP").is_none(),
        "SKIPPED {check}: {why} (LEVITATE_NO_SKIP is set)"
    );
    cannot(check, why);
}

/// Records that `check` cannot run on this machine, whatever is installed. The caller returns after it.
///
/// # Panics
/// The ledger cannot be written.
pub fn cannot(check: &str, why: &str) {
    // The harness names a test's thread after it.
    let test = std::thread::current().name().map(|name| format!(" [{name}]")).unwrap_or_default();
    let line = format!("SKIPPED {check}: {why}{test}");
    let ledger = std::env::var_os("LEVITATE_SKIP_LEDGER")
        .map_or_else(|| target().join("skipped-checks"), PathBuf::from);
    let written = std::fs::create_dir_all(ledger.parent().unwrap_or(&ledger))
        .and_then(|()| OpenOptions::new().create(true).append(true).open(&ledger))
        .and_then(|mut f| writeln!(f, "{line}"));
    if let Err(e) = written {
        panic!("failed to record a skipped check in {}: {e}", ledger.display());
    }
    #[expect(clippy::print_stderr, reason = "a skipped check says so")]
    {
        eprintln!("{line}");
    }
}
