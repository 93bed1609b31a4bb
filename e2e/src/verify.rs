//! What an installed disk must go through before it counts as one: compared with the image, booted, looked at from inside, compared
//! again.
//!
//! Computer with an installed disk -> Ok, or why not; whoever asks is told which [`Phase`] begins, and so knows where it ended. The
//! matrix, the twins and a single installation ask the same questions.

use anyhow::Context;

use crate::boot::{COMMAND, SETTLE};
use crate::compare::Image;
use crate::expected;
use crate::install::Computer;
use crate::installed::{self, Identity};
use crate::matrix::Phase;

/// Takes the computer from the end of the installation through its first boot until it is off again. `live`: the system it was
/// installed from. `typed`: by root, before the checks.
///
/// # Errors
/// Something is not true.
pub fn verify(
    computer: &Computer,
    image: &Image,
    live: &Identity,
    typed: Option<&str>,
    begins: &mut dyn FnMut(Phase),
) -> anyhow::Result<()> {
    let layout = computer.layout();
    if layout.place.is_visible() {
        begins(Phase::Compare);
        computer.compare(image, &[expected::INSTALLED])?;
    }
    begins(Phase::Boot);
    let mut vm = computer.boot_disk("2-first-boot").context("the disk does not boot")?;
    begins(Phase::Checks);
    installed::log_in(&mut vm.console)?;
    if let Some(typed) = typed {
        vm.console.check(typed, COMMAND)?;
    }
    installed::check(&mut vm.console, layout)?;
    installed::details(&mut vm.console, layout, live)?;
    vm.console.send("systemctl poweroff\n")?;
    vm.wait_for_power_off(SETTLE)?;
    drop(vm);
    if layout.place.is_visible() {
        begins(Phase::Again);
        computer.compare(image, &[expected::INSTALLED, expected::FIRST_BOOT])?;
    }
    Ok(())
}
