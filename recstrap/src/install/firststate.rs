//! What no installed system may have from another one: identity, secrets, traces of a run.
//!
//! In: a plan. Out: the same plan, with such names left out or emptied, each with its reason. leviso's images have none of
//! it; other images may, and a key that a thousand machines share is worse than none.

use super::builder::Builder;
use super::plan::{Fate, Node, What};
use super::source::Source;

/// Names by pattern (`*` stays within one directory), and why they are left out.
const LEFT: &[(&str, &str)] = &[
    ("etc/ssh/ssh_host_*_key", "an SSH host key: each machine makes its own"),
    ("etc/ssh/ssh_host_*_key.pub", "an SSH host key: each machine makes its own"),
    ("var/lib/systemd/random-seed", "a random seed must never be used twice"),
    ("var/lib/random-seed", "a random seed must never be used twice"),
    ("boot/loader/random-seed", "a random seed must never be used twice"),
    ("efi/loader/random-seed", "a random seed must never be used twice"),
    ("var/lib/systemd/credential.secret", "a secret: each machine makes its own"),
    ("var/lib/NetworkManager/secret_key", "a secret: each machine makes its own"),
    ("var/lib/dbus/machine-id", "an identity: each machine makes its own"),
    ("var/log/journal/*", "the journal of another system"),
    ("run/*", "the state of a running system"),
    ("tmp/*", "temporary files of another system"),
    (".recstrap-incomplete", "recstrap's own mark"),
    ("var/lib/levitate/installed.json", "the record of another installation"),
];

/// Where systemd keeps the machine's identity.
const MACHINE_ID: &[u8] = b"etc/machine-id";

/// A machine id that says "none yet" (machine-id(5)): made at the first start.
const NO_ID: &[&[u8]] = &[b"", b"uninitialized", b"uninitialized\n"];

/// Decides about all such names.
///
/// # Errors
/// The machine id cannot be read from the image.
pub fn repair<S: Source>(builder: &mut Builder, source: &S) -> anyhow::Result<()> {
    let mut machine_id = Ok(());
    builder.decide(|path, node| {
        if path == MACHINE_ID {
            return match is_identity(node, source) {
                Ok(true) => Some(Fate::Emptied("an identity: each machine makes its own")),
                Ok(false) => None,
                Err(e) => {
                    machine_id = Err(e);
                    None
                }
            };
        }
        // A link is no secret, what it leads to may be one (dbus links to /etc/machine-id).
        if matches!(node.what, What::Symlink(_)) && path == b"var/lib/dbus/machine-id" {
            return None;
        }
        LEFT.iter().find(|(pattern, _)| matches(pattern.as_bytes(), path)).map(|(_, why)| Fate::Left(why))
    });
    machine_id
}

fn is_identity<S: Source>(node: &Node, source: &S) -> anyhow::Result<bool> {
    let What::File(size) = node.what else { return Ok(false) };
    if size > 64 {
        return Ok(true);
    }
    let mut content = Vec::new();
    source.read(node.id, &mut S::Scratch::default(), &mut content)?;
    Ok(!NO_ID.contains(&&*content))
}

/// One `*` at most, which stands for anything but a slash.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let Some(star) = pattern.iter().position(|&b| b == b'*') else { return pattern == path };
    let (before, after) = (&pattern[..star], &pattern[star + 1..]);
    path.len() >= before.len() + after.len()
        && path.starts_with(before)
        && path.ends_with(after)
        && !path[before.len()..path.len() - after.len()].contains(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_one_directory() {
        for (pattern, path, expected) in [
            ("run/*", "run/x", true),
            ("run/*", "run/x/y", false),
            ("run/*", "run", false),
            ("a_*_b", "a_b", false),
            ("a_*_b", "a_x_b", true),
            ("a", "a", true),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), expected, "{pattern} {path}");
        }
    }
}
