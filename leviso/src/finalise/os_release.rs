//! /usr/lib/os-release from the profile, and the link /etc/os-release (os-release(5)).
//!
//! The UKI's .osrel section and the boot menu are made from it. The distribution's other marks (such as
//! /etc/redhat-release) stay: third-party software recognises the base by them.

use anyhow::{Context, ensure};
use common::cli::Mark;

use crate::exit;
use crate::profile::Profile;
use crate::tree::{Origin, Tree};

const ORIGIN: Origin = Origin::Generated("os-release");

/// Writes both.
///
/// # Errors
/// A field holds what os-release(5) does not allow; exit code [`exit::PROFILE`].
pub fn apply(tree: &mut Tree, profile: &Profile) -> anyhow::Result<()> {
    let text = render(profile, tree.epoch()).context("failed to write os-release").exit(exit::PROFILE)?;
    // Whatever is there may be a link to a file of another name: the name itself is replaced.
    tree.write("/usr/lib/os-release", text, 0o644, ORIGIN)?;
    tree.symlink("/etc/os-release", "../usr/lib/os-release", ORIGIN)?;
    Ok(())
}

fn render(profile: &Profile, epoch: i64) -> anyhow::Result<String> {
    let os = &profile.os;
    let date = jiff::Timestamp::from_second(epoch).context("the build's date is out of range")?;
    let image_version = date.strftime("%Y%m%d").to_string();
    let image_id = format!("{}-{}", os.id, profile.name);
    let pretty = format!("{} {}", os.name, os.version_id);
    let mut out = String::new();
    for (key, value, is_identifier) in [
        ("NAME", Some(os.name.as_str()), false),
        ("PRETTY_NAME", Some(&pretty), false),
        ("ID", Some(&os.id), true),
        ("ID_LIKE", Some(&os.id_like), false),
        ("VERSION_ID", Some(&os.version_id), true),
        ("VARIANT_ID", os.variant_id.as_deref(), true),
        ("IMAGE_ID", Some(&image_id), true),
        ("IMAGE_VERSION", Some(&image_version), true),
        ("HOME_URL", Some(&os.home_url), false),
        ("DEFAULT_HOSTNAME", Some(&os.hostname), false),
    ] {
        let Some(value) = value.filter(|v| !v.is_empty()) else { continue };
        ensure!(!value.chars().any(char::is_control), "expected one line of text for {key}, found {value:?}");
        let plain =
            value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        ensure!(
            plain || !is_identifier,
            "expected only a-z, 0-9, `.`, `_` and `-` for {key}, found {value:?}"
        );
        out += &if plain { format!("{key}={value}\n") } else { format!("{key}=\"{}\"\n", quoted(value)) };
    }
    Ok(out)
}

/// The inside of a double-quoted shell string.
fn quoted(value: &str) -> String {
    value
        .chars()
        .flat_map(|c| matches!(c, '"' | '\\' | '$' | '`').then_some('\\').into_iter().chain([c]))
        .collect()
}
