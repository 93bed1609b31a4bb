//! The one package of the lab that no .deb stands behind: presets, as a distribution's release package has them, and
//! what mends Debian's units.
//!
//! Debian has no `disable *` preset; its maintainer scripts enable units one by one. Enterprise Linux has one, and enables
//! by preset what should run. So what the scripts enable becomes a preset here.

use crate::debian::scripts::Enabled;
use crate::rpm::Package;

use super::plan::Presets;

/// Its name.
pub const NAME: &str = "lab-release";

/// Debian mounts a tmpfs on /run/lock, and lvm2-monitor may run just before: it makes /run/lock/lvm, the mount hides it,
/// and its lock cannot be opened. On Enterprise Linux nothing is mounted there.
const AFTER_RUN_LOCK: &[u8] = b"[Unit]\nRequiresMountsFor=/run/lock\n";

/// Makes it from the units that all scripts together enable.
#[must_use]
pub fn package(enabled: &Enabled, presets: &Presets, build_time: u32) -> Package {
    let mut system = String::from("# Units of systemd that Debian's packaging leaves off.\n");
    presets.disable.iter().for_each(|unit| system.push_str(&format!("disable {unit}\n")));
    system.push_str("# What Debian's maintainer scripts enable on the first installation.\n");
    let all = enabled.system.iter().chain(&presets.enable);
    all.for_each(|unit| system.push_str(&format!("enable {unit}\n")));
    let mut user = String::from("# What Debian's maintainer scripts enable for every user.\n");
    enabled.user.iter().for_each(|unit| user.push_str(&format!("enable {unit}\n")));
    let dir = "/usr/lib/systemd";
    let mut package = Package::new(NAME, "13", "1", "noarch")
        .file(format!("{dir}/system-preset/80-lab.preset"), system.as_bytes(), 0o644)
        .file(format!("{dir}/system-preset/99-default-disable.preset"), b"disable *\n", 0o644)
        .file(format!("{dir}/user-preset/80-lab.preset"), user.as_bytes(), 0o644)
        .file(format!("{dir}/system/lvm2-monitor.service.d/run-lock.conf"), AFTER_RUN_LOCK, 0o644)
        .file(format!("{dir}/user-preset/99-default-disable.preset"), b"disable *\n", 0o644)
        .provides("system-release");
    package.summary = "Presets and mended units of the LevitateOS lab".into();
    package.description = "What Debian's maintainer scripts enable, as systemd presets.".into();
    package.build_time = build_time;
    package.files.iter_mut().for_each(|f| f.mtime = build_time);
    package
}
