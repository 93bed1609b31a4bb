//! What a postinst script does: the units it enables, and whether anything is left besides what debhelper adds.

use std::collections::BTreeSet;

/// Units a script enables on the first installation, and those of users.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Enabled {
    /// Enabled for the system.
    pub system: BTreeSet<String>,
    /// Enabled for every user.
    pub user: BTreeSet<String>,
}

/// Reads the units out of deb-systemd-helper's calls. A unit inside `debian-installed` is enabled on upgrades only.
#[must_use]
pub fn enabled_units(script: &str) -> Enabled {
    let mut enabled = Enabled::default();
    let quoted = |line: &str| line.split('\'').nth(1).map(str::to_owned);
    let lines: Vec<&str> = script.lines().filter(|l| l.contains("deb-systemd-helper")).collect();
    let upgrades: BTreeSet<String> =
        lines.iter().filter(|l| l.contains("debian-installed")).filter_map(|l| quoted(l)).collect();
    for line in lines.iter().filter(|l| l.contains(" enable ")) {
        match quoted(line) {
            Some(unit) if upgrades.contains(&unit) => {}
            Some(unit) if line.contains("--user") => drop(enabled.user.insert(unit)),
            Some(unit) => drop(enabled.system.insert(unit)),
            None => {}
        }
    }
    enabled
}

/// Whether a script does more than what debhelper wrote into it.
#[must_use]
pub fn does_something(script: &str) -> bool {
    let mut generated = false;
    let trivial = ["", "set -e", "exit 0", ":", "\"$@\""];
    script.lines().map(str::trim).any(|line| {
        if line.starts_with("# Automatically added by") {
            generated = true;
        }
        let counts = !generated
            && !line.starts_with('#')
            && !trivial.contains(&line)
            // Removing and renaming old files: nothing old is there.
            && !line.starts_with("dpkg-maintscript-helper");
        if line.starts_with("# End automatically added section") {
            generated = false;
        }
        counts
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_first_installations_only() {
        let script = "\
            if deb-systemd-helper --quiet was-enabled 'a.service'; then\n\
            deb-systemd-helper enable 'a.service' >/dev/null || true\n\
            if deb-systemd-helper debian-installed 'b.socket'; then\n\
            deb-systemd-helper enable 'b.socket' >/dev/null || true\n\
            deb-systemd-helper --user enable 'c.socket' >/dev/null || true\n";
        let enabled = enabled_units(script);
        assert_eq!(enabled.system.into_iter().collect::<Vec<_>>(), ["a.service"]);
        assert_eq!(enabled.user.into_iter().collect::<Vec<_>>(), ["c.socket"]);
    }

    #[test]
    fn generated_parts_do_not_count() {
        let generated =
            "#!/bin/sh\nset -e\n# Automatically added by dh_x\nldconfig\n# End automatically added section\n";
        assert!(!does_something(generated));
        assert!(does_something(&format!("{generated}touch /x\nexit 0\n")));
    }
}
