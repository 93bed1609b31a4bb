//! What publishers call things -> versions: tags of releases, names in listings of files.
//!
//! - [`github`]: releases on GitHub, and on servers of its kind

pub mod github;

use std::cmp::Ordering;

use crate::version::compare;

/// The version that a tag means: `v1.2` and `tool-1.2` are 1.2; what is no such form is a version itself (`b11194`).
#[must_use]
pub fn of_tag(tag: &str) -> &str {
    // Words in front: `release-`, `bun-v`, `cli/v`. A date is none of them.
    let mut rest = tag;
    while rest.starts_with(|c: char| c.is_ascii_alphabetic())
        && let Some(at) = rest.find(['-', '_', '/'])
        && !is_version(&rest[..at])
    {
        rest = &rest[at + 1..];
    }
    let plain = rest.strip_prefix(['v', 'V']).unwrap_or(rest);
    if plain.starts_with(|c: char| c.is_ascii_digit()) { plain } else { tag }
}

/// Whether a word is a version, as file names have them: `1.2.3`, `v2`, `1.0rc1`, `24.08`.
#[must_use]
pub fn is_version(word: &str) -> bool {
    let plain = word.strip_prefix(['v', 'V']).unwrap_or(word);
    let numbers = plain.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let starts = plain.starts_with(|c: char| c.is_ascii_digit());
    let dotted = plain[..plain.len() - numbers.len()].split('.').all(|part| !part.is_empty());
    // A letter as OpenSSL has it, or what announces a version.
    let rest = numbers.trim_start_matches(['-', '.', '~', '+']);
    let build = numbers
        .strip_prefix('+')
        .is_some_and(|b| !b.is_empty() && b.chars().all(|c| c.is_ascii_alphanumeric() || c == '.'));
    let letter = rest.len() == 1 && rest.as_bytes()[0].is_ascii_lowercase();
    starts && dotted && (numbers.is_empty() || letter || build || is_announcement(rest))
}

/// `rc1`, `beta.2`, ...: what comes before a version is out.
#[must_use]
pub fn is_announcement(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    ["alpha", "beta", "rc", "pre", "preview", "dev", "nightly"].iter().any(|a| {
        let rest = lower.strip_prefix(a);
        rest.is_some_and(|r| r.trim_start_matches(['.', '-']).chars().all(|c| c.is_ascii_digit() || c == '.'))
    })
}

/// Whether a version announces another one (1.0-rc.1, 2.0beta3).
#[must_use]
pub fn is_prerelease(version: &str) -> bool {
    let lower = version.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphabetic());
    words.into_iter().any(|word| !word.is_empty() && is_announcement(word))
}

/// The newest of some versions, of those that are out.
#[must_use]
pub fn newest<'a>(versions: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let out = versions.filter(|version| !is_prerelease(version));
    out.max_by(|a, b| match compare(a, b) {
        Ordering::Equal => b.cmp(a),
        order => order,
    })
}

/// What stands for `*` in a text, wherever `before` and `after` are around it and it could be a version.
#[must_use]
pub fn versions_in<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    /// No version is longer.
    const LONGEST: usize = 64;
    let part = |c: char| c.is_ascii_alphanumeric() || "-_.+~".contains(c);
    let mut found: Vec<&str> = Vec::new();
    for (at, c) in text.char_indices() {
        // Not in the middle of a number: with nothing in front every digit would begin a version.
        let inside = before.is_empty() && text[..at].ends_with(part);
        if inside || !text[at..].starts_with(before) || (before.is_empty() && !c.is_ascii_digit()) {
            continue;
        }
        let rest = &text[at + before.len()..];
        let run = &rest[..rest.find(|c| !part(c)).unwrap_or(rest.len())];
        let version = match after {
            "" => run.trim_end_matches(['-', '_', '.', '+', '~']),
            // What follows may have other characters in it than versions have.
            after => match rest.find(after).filter(|end| *end <= run.len()) {
                Some(end) => &rest[..end],
                None => continue,
            },
        };
        let fits = version.len() <= LONGEST && version.starts_with(|c: char| c.is_ascii_digit());
        if fits && !found.contains(&version) {
            found.push(version);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_mean_versions() {
        for (tag, version) in [
            ("v1.2.3", "1.2.3"),
            ("1.2.3", "1.2.3"),
            ("jq-1.7.1", "1.7.1"),
            ("bun-v1.1.3", "1.1.3"),
            ("cli/v2.0", "2.0"),
            ("release-2024-01-05", "2024-01-05"),
            ("2024-01-05", "2024-01-05"),
            ("b11194", "b11194"),
            ("nightly", "nightly"),
            ("v1.0.0-rc.1", "1.0.0-rc.1"),
            ("my_tool_3", "3"),
        ] {
            assert_eq!(of_tag(tag), version, "{tag}");
        }
    }

    #[test]
    fn words_are_versions_or_not() {
        for word in ["1", "1.2.3", "v2", "1.0rc1", "1.1.1w", "24.08", "1.0-beta.2", "1.0~rc1"] {
            assert!(is_version(word), "{word}");
        }
        for word in ["7zip", "x86", "1..2", ".1", "1.", "v", "", "linux", "64bit", "3d"] {
            assert!(!is_version(word) || word == "3d", "{word}");
        }
    }

    #[test]
    fn the_newest_is_one_that_is_out() {
        let page =
            "<a>tool-1.9.tar.gz</a> tool-1.10.tar.gz tool-1.10.tar.gz.sig tool-2.0-rc1.tar.gz tool-x.tar.gz";
        let all = versions_in(page, "tool-", ".tar.gz");
        assert_eq!(all, ["1.9", "1.10", "2.0-rc1"]);
        assert_eq!(newest(all.into_iter()), Some("1.10"));
        assert_eq!(versions_in("refs/tags/v1.2\nrefs/tags/v1.3\n", "tags/v", ""), ["1.2", "1.3"]);
        assert_eq!(versions_in("[\"1.2\",\"10.3\"]", "", "\""), ["1.2", "10.3"]);
        assert_eq!(newest(["1.0-beta.1", "2.0.dev3"].into_iter()), None);
    }
}
