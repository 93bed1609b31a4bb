//! A disc that is not whole is not installed from.

use anyhow::{Context, bail, ensure};
use cheat_test::cheat_aware;
use e2e::boot::COMMAND;
use e2e::install::Computer;
use e2e::layout;

use crate::disc;
use crate::guide::guide;

#[cheat_aware(
    protects = "a disc with a single wrong bit is not installed from, and what was begun is not taken for a system",
    severity = "CRITICAL",
    cheats = [
        "damage the disc where it does not boot any more, so that the shell is never reached",
        "take any failure of any command for the refusal",
        "have recstrap trust a digest that it computes from the damaged image"
    ],
    consequence = "a worn-out stick gives a system that breaks months later",
    sabotage = ["disc-without-damage"]
)]
#[test]
fn a_damaged_disc_is_not_installed_from() -> anyhow::Result<()> {
    let dir = testkit::target().join("e2e/install-damaged");
    let iso = testkit::target().join("e2e/damaged.iso");
    e2e::disc::damaged(&disc::iso()?, &iso)?;
    let computer = Computer::new(&layout::MAIN, &iso, &dir)?;
    let mut vm = computer.boot_disc("1-disc")?;
    let Err(error) = computer.follow(&mut vm, &guide()?, Some("install")) else {
        bail!("recstrap installed from a damaged disc")
    };
    let error = format!("{error:#}");
    ensure!(
        error.contains("step install") && error.contains("`recstrap /mnt` exited with 11 "),
        "expected recstrap to refuse the image, found: {error}"
    );
    let marker = format!("test -e /mnt/{}", common::layout::INCOMPLETE_MARKER);
    vm.console.check(&marker, COMMAND).context("what was begun is not marked").map(drop)
}
