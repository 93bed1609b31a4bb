//! Addresses and file names -> what a package is called, and its version. Pure.
//!
//! `ripgrep-14.1.0-x86_64-unknown-linux-musl.tar.gz` is ripgrep 14.1.0; `v1.2.3.tar.gz` is 1.2.3 of what the address names; `jq-linux-amd64`
//! below `download/jq-1.7.1/` is jq 1.7.1.

use crate::archive::Format;
use crate::state::quote;
use crate::upstream::{is_announcement, is_version, of_tag};

/// What a name says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// The package, in small letters.
    pub(super) name: Option<String>,
    /// Its version, without `v`.
    pub(super) version: Option<String>,
}

/// Words that say for which machine a file is, or how it is made.
const PLATFORM: &[&str] = &[
    "linux",
    "linux64",
    "linux32",
    "unknown",
    "gnu",
    "musl",
    "gnueabihf",
    "musleabihf",
    "static",
    "amd64",
    "x64",
    "x86",
    "64bit",
    "i686",
    "i386",
    "386",
    "aarch64",
    "arm64",
    "arm",
    "armv6",
    "armv7",
    "armhf",
    "riscv64",
    "ppc64le",
    "s390x",
    "pc",
    "windows",
    "darwin",
    "macos",
    "apple",
    "generic",
    "portable",
    "bin",
    "binary",
    "src",
    "source",
    "ubuntu",
    "debian",
    "appimage",
];

/// Whether a word of a file's name says for which machine it is.
fn is_platform(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    PLATFORM.contains(&word.as_str()) || word.starts_with("glibc")
}

/// A file's name, without what says how it is packed.
pub(super) fn stem(file: &str) -> &str {
    let stem = Format::of_file(file).single_name(file);
    stem.strip_suffix(".AppImage").or_else(|| stem.strip_suffix(".appimage")).unwrap_or(stem)
}

/// A word of a name, and where it ends.
type Word<'a> = (&'a str, usize);

fn words(stem: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = 0;
    let is_end = |at: usize, c: char| {
        let next = || stem[at + 1..].split(['-', '_', '.']).next().unwrap_or_default();
        match c {
            '-' | '_' => true,
            // `direnv.linux-amd64`, `tsetup.7.0.9`: but not the points of a version.
            '.' => is_platform(next()) || (is_version(next()) && stem[..at].chars().all(char::is_alphabetic)),
            _ => false,
        }
    };
    let ends = stem.char_indices().filter(|(at, c)| is_end(*at, *c)).map(|(at, _)| at);
    for end in ends.chain([stem.len()]) {
        let word = &stem[start..end];
        let behind = |part: &str| start + (part.as_ptr() as usize - word.as_ptr() as usize) + part.len();
        words.extend(apart(word).map(|part| (part, behind(part))));
        start = (end + 1).min(stem.len());
    }
    words
}

/// `go1.22.5.linux` is three words in one.
fn apart(word: &str) -> impl Iterator<Item = &str> {
    let digits =
        |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let name = word.len() - word.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
    let version = &word[name..][..digits(&word[name..])];
    let dotted = version.trim_end_matches('.');
    let rest = &word[name + version.len()..];
    let splits = dotted.contains('.')
        && !dotted.starts_with('.')
        && !matches!(&word[..name], "v" | "V")
        && !is_platform(&word[..name])
        && (rest.is_empty() || is_platform(rest));
    let parts = if splits { [&word[..name], dotted, rest] } else { [word, "", ""] };
    parts.into_iter().filter(|part| !part.is_empty())
}

/// What a file's name says.
pub(super) fn of_file(file: &str) -> Named {
    // The only machine whose name has a separator in it.
    let stem = stem(file).replace("x86_64", "amd64").replace("x86-64", "amd64").replace("X86_64", "amd64");
    let words = words(&stem);
    let is = |at: usize, dotted: bool| is_version(words[at].0) && (!dotted || words[at].0.contains('.'));
    let all = 0..words.len();
    let at = all.clone().find(|at| is(*at, true)).or_else(|| all.clone().find(|at| is(*at, false)));
    let version = at.map(|at| {
        let (first, mut end) = words[at];
        let start = end - first.len();
        let number = |at: usize, len: usize| {
            words.get(at).is_some_and(|(w, _)| w.len() == len && w.chars().all(|c| c.is_ascii_digit()))
        };
        let mut next = at + 1;
        // A day.
        if number(at, 4) && number(at + 1, 2) && number(at + 2, 2) {
            (next, end) = (at + 3, words[at + 2].1);
        }
        if let Some((_, behind)) = words.get(next).filter(|(word, _)| is_announcement(word)) {
            end = *behind;
        }
        stem[start..end].trim_start_matches(['v', 'V']).to_owned()
    });
    let before = &words[..at.unwrap_or(words.len())];
    let end = before.iter().position(|(word, _)| is_platform(word)).filter(|end| *end > 0 && at.is_none());
    let before = &before[..end.unwrap_or(before.len())];
    let name = match before {
        [.., (_, end)] if before.iter().all(|(word, _)| !is_platform(word)) => stem[..*end].to_owned(),
        _ => before.iter().map(|(w, _)| *w).filter(|w| !is_platform(w)).collect::<Vec<_>>().join("-"),
    };
    let name = Some(name.trim_matches(['-', '_', '.']).to_ascii_lowercase()).filter(|name| !name.is_empty());
    Named { name, version }
}

/// The names of an address's path.
pub(super) fn segments(url: &str) -> Vec<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['?', '#']).next().unwrap_or_default().split('/').skip(1).filter(|s| !s.is_empty()).collect()
}

/// What an address says: first the file's name, then the directories it lies in.
pub(super) fn of_url(url: &str) -> Named {
    let segments = segments(url);
    let Some((file, dirs)) = segments.split_last() else { return Named::default() };
    let mut named = of_file(file);
    // OWNER/REPOSITORY/releases/download/TAG/FILE, OWNER/REPOSITORY/archive/refs/tags/TAG.tar.gz.
    let forge = dirs.iter().position(|dir| matches!(*dir, "releases" | "archive")).filter(|at| *at >= 2);
    let repository = forge.map(|at| dirs[at - 1].to_ascii_lowercase());
    let of_dir = |dir: &&str| Some(of_tag(dir)).filter(|v| is_version(v)).map(str::to_owned);
    let dir = dirs.iter().rev().find_map(of_dir);
    if forge.is_some_and(|at| dirs[at] == "archive") {
        // The file is the tag.
        named.version =
            Some(of_tag(stem(file))).filter(|v| is_version(v)).map(str::to_owned).or(named.version);
        named.name = repository.or(named.name);
        return named;
    }
    let tag = forge.and_then(|at| dirs.get(at + 2)).filter(|tag| tag.contains(|c: char| c.is_ascii_digit()));
    if let Some(tag) = tag.map(|tag| of_tag(tag)).filter(|_| named.version.is_none()) {
        // `llama-b11194-bin.tar.gz`: only the tag says that this is a version.
        let before = file.find(tag).map(|at| file[..at].trim_end_matches(['-', '_', '.', 'v']));
        named.name = before.filter(|n| !n.is_empty()).map(str::to_ascii_lowercase).or(named.name);
        named.version = Some(tag.to_owned());
    }
    named.version = named.version.or(dir);
    named.name = named.name.or(repository);
    named
}

/// A text as Rhai source, with `${pkg.version}` where the version stands. Whether it does.
pub(super) fn with_version(text: &str, version: &str) -> (String, bool) {
    let skip =
        text.find("://").and_then(|at| text[at + 3..].find('/').map(|path| at + 3 + path)).unwrap_or(0);
    let mut out = text[..skip].to_owned();
    let (mut last, mut found) = (skip, false);
    for (at, _) in text[skip..].match_indices(version).filter(|_| !version.is_empty()) {
        let (start, end) = (skip + at, skip + at + version.len());
        if start >= last && stands_alone(&text[..start], version, &text[end..]) {
            out.push_str(&text[last..start]);
            out.push_str("${pkg.version}");
            (last, found) = (end, true);
        }
    }
    out.push_str(&text[last..]);
    let plain = !text.contains(['`', '\\', '$']) && !text.chars().any(char::is_control);
    if found && plain { (format!("`{out}`"), true) } else { (quote(text), false) }
}

/// Whether this is a version, and no part of another number.
fn stands_alone(before: &str, version: &str, after: &str) -> bool {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let (mut front, mut back) = (before.chars().rev(), after.chars());
    let (b, a) = (front.next(), back.next());
    let letter = b.is_some_and(|c| c.is_ascii_alphabetic() && !matches!(c, 'v' | 'V'));
    let number = digit(b) || (b == Some('.') && digit(front.next())) || (letter && !version.contains('.'));
    let longer = a.is_some_and(|c| c.is_ascii_alphanumeric()) || (a == Some('.') && digit(back.next()));
    !number && !longer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(named: &Named) -> (&str, &str) {
        (named.name.as_deref().unwrap_or("-"), named.version.as_deref().unwrap_or("-"))
    }

    #[test]
    fn file_names_say_name_and_version() {
        for (file, name, version) in [
            ("ripgrep-14.1.0-x86_64-unknown-linux-musl.tar.gz", "ripgrep", "14.1.0"),
            ("fd-v10.2.0-x86_64-unknown-linux-gnu.tar.gz", "fd", "10.2.0"),
            ("lazygit_0.44.1_Linux_x86_64.tar.gz", "lazygit", "0.44.1"),
            ("hugo_extended_0.128.0_linux-amd64.tar.gz", "hugo_extended", "0.128.0"),
            ("node-v20.11.1-linux-x64.tar.xz", "node", "20.11.1"),
            ("go1.22.5.linux-amd64.tar.gz", "go", "1.22.5"),
            ("jq-linux-amd64", "jq", "-"),
            ("eza_x86_64-unknown-linux-gnu.tar.gz", "eza", "-"),
            ("v1.2.3.tar.gz", "-", "1.2.3"),
            ("hello-2.10.tar.gz", "hello", "2.10"),
            ("tool-1.0-rc1.tar.xz", "tool", "1.0-rc1"),
            ("tool-2024-01-05-linux.zip", "tool", "2024-01-05"),
            ("p-1.tar.gz", "p", "1"),
            ("qt-6-tools-1.2.3.tar.gz", "qt-6-tools", "1.2.3"),
            ("Obsidian-1.6.7.AppImage", "obsidian", "1.6.7"),
            ("ripgrep-14.1.0.crate", "ripgrep", "14.1.0"),
            ("7zip-24.08-src.tar.xz", "7zip", "24.08"),
            ("openssl-1.1.1w.tar.gz", "openssl", "1.1.1w"),
            ("kubectl", "kubectl", "-"),
            ("direnv.linux-amd64", "direnv", "-"),
            ("shellcheck-v0.11.0.linux.x86_64.tar.xz", "shellcheck", "0.11.0"),
            ("sops-v3.13.3.linux.amd64", "sops", "3.13.3"),
            ("tsetup.7.0.9.tar.xz", "tsetup", "7.0.9"),
            ("tool-1.0-beta.2-linux.tar.gz", "tool", "1.0-beta.2"),
        ] {
            assert_eq!(pair(&of_file(file)), (name, version), "{file}");
        }
    }

    #[test]
    fn addresses_say_what_file_names_do_not() {
        for (url, name, version) in [
            ("https://h/jqlang/jq/releases/download/jq-1.7.1/jq-linux-amd64", "jq", "1.7.1"),
            ("https://h/o/Tool/archive/refs/tags/v1.2.3.tar.gz", "tool", "1.2.3"),
            (
                "https://h/o/llama.cpp/releases/download/b11194/llama-b11194-bin-ubuntu-x64.zip",
                "llama",
                "b11194",
            ),
            (
                "https://h/o/r/releases/download/20260623/py-3.14.6+20260623-x86_64-linux.zip",
                "py",
                "3.14.6+20260623",
            ),
            ("https://h/o/tool/archive/v2.0.zip", "tool", "2.0"),
            ("https://h/release/v1.31.0/bin/linux/amd64/kubectl", "kubectl", "1.31.0"),
            ("https://h/o/r/releases/download/v3.1/linux-amd64.tar.gz", "r", "3.1"),
            ("https://h:8080/p-1.tar.gz?x=2.0#y", "p", "1"),
            ("https://h/", "-", "-"),
        ] {
            assert_eq!(pair(&of_url(url)), (name, version), "{url}");
        }
    }

    #[test]
    fn versions_are_replaced_where_they_are_one() {
        for (text, version, expected) in [
            ("https://127.0.0.1:1/p-1.tar.gz", "1", "`https://127.0.0.1:1/p-${pkg.version}.tar.gz`"),
            ("https://h/v1.2/t-1.2-x.gz", "1.2", "`https://h/v${pkg.version}/t-${pkg.version}-x.gz`"),
            (
                "https://h/1.2.3/11.2/1.25/t-1.2.zip",
                "1.2",
                "`https://h/1.2.3/11.2/1.25/t-${pkg.version}.zip`",
            ),
            ("go1.22.5.linux", "1.22.5", "`go${pkg.version}.linux`"),
            ("sha1/x86", "1", "\"sha1/x86\""),
            ("https://h/latest/tool", "1.2", "\"https://h/latest/tool\""),
            ("https://h/`${x}-1.2", "1.2", "\"https://h/`${x}-1.2\""),
        ] {
            assert_eq!(with_version(text, version).0, expected);
        }
    }
}
