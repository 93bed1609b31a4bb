//! Files of a release -> the one for this machine. Pure; the rules are in docs/reference/recipe.md.

use crate::archive::{Format, Shape};
use crate::upstream::github::Asset;

/// Endings of what is no program, or another manager's package.
const NEVER: &[&str] = &[
    ".sha256",
    ".sha512",
    ".sha256sum",
    ".sha512sum",
    ".sha1",
    ".md5",
    ".b3",
    ".sig",
    ".asc",
    ".minisig",
    ".pem",
    ".crt",
    ".cert",
    ".sbom",
    ".json",
    ".jsonl",
    ".txt",
    ".md",
    ".yml",
    ".yaml",
    ".toml",
    ".deb",
    ".rpm",
    ".apk",
    ".pkg.tar.zst",
    ".msi",
    ".msix",
    ".exe",
    ".dmg",
    ".pkg",
    ".zsync",
    ".flatpak",
    ".snap",
    ".whl",
    ".vsix",
    ".jar",
    ".d",
    ".blockmap",
    ".bundle",
    ".html",
    ".pdf",
    ".proof",
];

/// Other systems, wherever they stand in a name.
const OTHER_SYSTEMS: &[&str] = &[
    "windows",
    "darwin",
    "macos",
    "apple",
    "freebsd",
    "netbsd",
    "openbsd",
    "dragonfly",
    "android",
    "illumos",
    "solaris",
    "wasm",
    "wasi",
    "mingw",
    "msvc",
];

/// Other systems that are words of their own.
const OTHER_SYSTEM_WORDS: &[&str] = &["win", "win32", "win64", "mac", "osx", "ios", "winx64"];

/// Beginnings of words that name a machine: what `arch()` says of it, and how others write that.
const MACHINES: &[(&str, &[&str])] = &[
    ("x86_64", &["amd64", "x64", "linux64", "64bit", "linuxx64"]),
    ("aarch64", &["aarch64", "arm64", "armv8"]),
    (
        "other",
        &[
            "arm", "i386", "i486", "i586", "i686", "386", "x86", "ia32", "32bit", "linux32", "riscv", "ppc",
            "powerpc", "s390", "mips", "loong", "sparc",
        ],
    ),
];

/// Words of files that are made for a purpose: others are preferred.
const SPECIAL: &[&str] = &[
    "debug",
    "debuginfo",
    "dbg",
    "symbols",
    "profile",
    "baseline",
    "cuda",
    "rocm",
    "vulkan",
    "vendor",
    "vendored",
    "src",
    "source",
    "docs",
    "completions",
    "man",
    "minimal",
    "full",
    "nightly",
];

/// What a file's name says of it.
struct Says {
    linux: bool,
    machine: Option<&'static str>,
    other_system: bool,
    special: usize,
    is_static: bool,
}

fn says(name: &str) -> Says {
    let name = name.to_ascii_lowercase().replace("x86_64", "amd64").replace("x86-64", "amd64");
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let machine_of = |word: &str| {
        let begins = |(_, names): &&(&str, &[&str])| names.iter().any(|n| word.starts_with(n));
        MACHINES.iter().find(begins).map(|(machine, _)| *machine)
    };
    let other_system = OTHER_SYSTEMS.iter().any(|system| name.contains(system))
        || words.iter().any(|word| OTHER_SYSTEM_WORDS.contains(word));
    Says {
        linux: name.contains("linux"),
        machine: words.iter().find_map(|word| machine_of(word)),
        other_system,
        special: words.iter().filter(|word| SPECIAL.contains(word)).count(),
        is_static: words.iter().any(|word| word.starts_with("musl") || *word == "static"),
    }
}

/// The file for Linux on a machine, as `arch()` calls it; else one that names no system and no machine, as sources are; none if there is
/// neither.
pub(super) fn choose<'a>(assets: &'a [Asset], arch: &str) -> Option<&'a Asset> {
    let here = |says: &Says| !says.other_system && says.machine.is_none_or(|machine| machine == arch);
    let fits = |asset: &&Asset| {
        let name = asset.name.to_ascii_lowercase();
        !NEVER.iter().any(|ending| name.ends_with(ending)) && here(&says(&name))
    };
    let fitting: Vec<&Asset> = assets.iter().filter(fits).collect();
    let named = fitting.iter().copied().filter(|asset| {
        let says = says(&asset.name);
        says.linux || says.machine.is_some()
    });
    let best = named.max_by_key(|asset| {
        let says = says(&asset.name);
        let shape = match Format::of_file(&asset.name).shape {
            Shape::Tar => 3,
            Shape::Zip => 2,
            Shape::Single if asset.name.to_ascii_lowercase().ends_with(".appimage") => 0,
            Shape::Single => 1,
        };
        let (linux, machine) = (says.linux, says.machine.is_some());
        let short = std::cmp::Reverse(asset.name.len());
        ((linux, machine), std::cmp::Reverse(says.special), shape, says.is_static, short)
    });
    let source = |asset: &&Asset| Format::of_file(&asset.name).shape == Shape::Tar;
    best.or_else(|| fitting.iter().copied().filter(source).min_by_key(|asset| asset.name.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(arch: &str, names: &[&str]) -> Option<String> {
        let asset = |name: &&str| Asset { name: (*name).to_owned(), browser_download_url: String::new() };
        let assets: Vec<_> = names.iter().map(asset).collect();
        choose(&assets, arch).map(|a| a.name.clone())
    }

    #[test]
    fn the_file_for_this_machine_is_chosen() {
        let ripgrep = [
            "ripgrep-14.1.0-aarch64-apple-darwin.tar.gz",
            "ripgrep-14.1.0-aarch64-unknown-linux-gnu.tar.gz",
            "ripgrep-14.1.0-i686-unknown-linux-gnu.tar.gz",
            "ripgrep-14.1.0-x86_64-pc-windows-gnu.zip",
            "ripgrep-14.1.0-x86_64-unknown-linux-gnu.tar.gz",
            "ripgrep-14.1.0-x86_64-unknown-linux-musl.tar.gz",
            "ripgrep-14.1.0-x86_64-unknown-linux-musl.tar.gz.sha256",
            "ripgrep_14.1.0-1_amd64.deb",
        ];
        assert_eq!(chosen("x86_64", &ripgrep).as_deref(), Some(ripgrep[5]));
        assert_eq!(chosen("aarch64", &ripgrep).as_deref(), Some(ripgrep[1]));
        for (names, expected) in [
            (
                &["jq-linux-i386", "jq-linux-amd64", "jq-linux-arm64", "jq-macos-amd64", "jq-1.7.1.tar.gz"][..],
                Some("jq-linux-amd64"),
            ),
            (
                &[
                    "bun-linux-x64-baseline.zip",
                    "bun-linux-x64-profile.zip",
                    "bun-linux-x64.zip",
                    "bun-windows-x64.zip",
                ],
                Some("bun-linux-x64.zip"),
            ),
            (
                &[
                    "nvim-linux-x86_64.appimage",
                    "nvim-linux-x86_64.tar.gz",
                    "nvim-win64.zip",
                    "nvim-linux-x86_64.appimage.zsync",
                ],
                Some("nvim-linux-x86_64.tar.gz"),
            ),
            (
                &[
                    "gh_2.55.0_linux_386.tar.gz",
                    "gh_2.55.0_linux_amd64.tar.gz",
                    "gh_2.55.0_linux_armv6.tar.gz",
                    "gh_2.55.0_checksums.txt",
                ],
                Some("gh_2.55.0_linux_amd64.tar.gz"),
            ),
            (&["Linux_x86.zip", "Darwin.zip"], None),
            (&["jq-1.7.1.tar.gz", "jq-1.7.1.zip", "jq-macos-arm64"], Some("jq-1.7.1.tar.gz")),
            (&["tool-aarch64-linux.tar.gz"], None),
            (&[], None),
        ] {
            assert_eq!(chosen("x86_64", names).as_deref(), expected, "{names:?}");
        }
    }
}
