//! Which units start: the packages' presets, then the profile's services.
//!
//! Unit files + preset files + profile -> links below /etc/systemd/system and /etc/systemd/user, the very links that
//! `systemctl --root preset-all` and `systemctl --root --global preset-all` make (tests compare with them).

mod name;
mod rules;
mod unit;
mod links;

use anyhow::{Context, ensure};
use common::cli::Mark;

use crate::exit;
use crate::profile::Services;
use crate::tree::Tree;
use name::UnitName;
use rules::{Rules, Verdict};
use unit::{Found, Manager, SYSTEM, USER};

/// Applies the presets of both managers, then disables, enables and masks what the profile says.
///
/// The profile's `disable` and `mask` may name units that are not there (one profile serves several package sets);
/// `enable` and `default-target` may not.
///
/// # Errors
/// A unit to enable does not exist or has nothing to enable; exit code [`exit::SYSTEM`].
pub fn apply(tree: &mut Tree, services: &Services) -> anyhow::Result<()> {
    preset_all(tree, &SYSTEM).context("failed to apply the system presets").exit(exit::SYSTEM)?;
    preset_all(tree, &USER).context("failed to apply the user presets").exit(exit::SYSTEM)?;
    apply_services(tree, services).context("failed to apply the profile's services").exit(exit::SYSTEM)
}

fn preset_all(tree: &mut Tree, manager: &Manager) -> anyhow::Result<()> {
    let rules = Rules::read(tree, manager.preset_dirs)?;
    let (mut on, mut off) = (Vec::new(), Vec::new());
    for full in manager.names(tree) {
        let name = UnitName::parse(&full).unwrap_or_else(|| unreachable!("names() lists valid names"));
        if !matches!(manager.find(tree, &name)?, Found::Unit(_)) {
            continue;
        }
        match rules.verdict(&name) {
            Verdict::Enable(instances) if instances.is_empty() => on.push(full),
            Verdict::Enable(instances) => on.extend(instances.iter().map(|i| name.with_instance(i))),
            Verdict::Disable => off.push(full),
            Verdict::Ignore => {}
        }
    }
    links::disable(tree, manager, &off)?;
    // Units without anything to enable are the normal case here.
    links::enable(tree, manager, &on)?;
    Ok(())
}

fn apply_services(tree: &mut Tree, services: &Services) -> anyhow::Result<()> {
    for name in
        services.enable.iter().chain(&services.disable).chain(&services.mask).chain(&services.default_target)
    {
        ensure!(UnitName::parse(name).is_some(), "expected a unit name with its type, found {name:?}");
    }
    links::disable(tree, &SYSTEM, &services.disable)?;
    let without_effect = links::enable(tree, &SYSTEM, &services.enable)?;
    ensure!(
        without_effect.is_empty(),
        "these units are to be enabled, but do not exist, are masked or have no [Install] section: {}",
        without_effect.join(" ")
    );
    for name in &services.mask {
        links::mask(tree, &SYSTEM, name)?;
    }
    if let Some(target) = &services.default_target {
        let Found::Unit(unit) = SYSTEM.resolve(tree, target)? else {
            anyhow::bail!("the default target {target} does not exist");
        };
        links::set_default(tree, &unit)?;
    }
    Ok(())
}
