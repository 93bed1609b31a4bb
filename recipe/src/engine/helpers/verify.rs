//! Helpers that prove that the last download is what its makers published. What is not, is removed from the cache: the next run
//! shall not find it.

use std::fs::File;

use anyhow::{Context as _, bail, ensure};
use common::cli::Mark;
use common::hash::Sha256;
use minisign_verify::{PublicKey, Signature};

use super::acquire::last;
use super::{Group, Helper, MAKING, Text};
use crate::db::Source;
use crate::digest;
use crate::engine::context::Context;
use crate::exit;
use crate::fetch::{Download, wrong};

/// The helpers of this file.
pub(super) const TABLE: &[Helper] = &[
    Helper {
        name: "verify_sha256",
        group: Group::Acquire,
        phases: MAKING,
        usage: "verify_sha256(hex)",
        about: "Fails unless the last download has this SHA-256. What does not match is removed from the cache.",
        add: |r| r.f1(sha256),
    },
    Helper {
        name: "verify_sha512",
        group: Group::Acquire,
        phases: MAKING,
        usage: "verify_sha512(hex)",
        about: "The same by SHA-512.",
        add: |r| r.f1(sha512),
    },
    Helper {
        name: "verify_blake3",
        group: Group::Acquire,
        phases: MAKING,
        usage: "verify_blake3(hex)",
        about: "The same by BLAKE3.",
        add: |r| r.f1(blake3),
    },
    Helper {
        name: "verify_checksums",
        group: Group::Acquire,
        phases: MAKING,
        usage: "verify_checksums(url)",
        about: "Downloads a list of SHA-256 or SHA-512 digests, as sha256sum, BSD or certutil write it, and fails unless the \
                last download's is in it. This finds damage, not malice: who can change the file can change the list.",
        add: |r| r.f1(checksums),
    },
    Helper {
        name: "verify_minisign",
        group: Group::Acquire,
        phases: MAKING,
        usage: "verify_minisign(key)\nverify_minisign(key, url)",
        about: "Downloads the signature (the last download's URL with .minisig, or this one) and fails unless this public key \
                made it of the last download.",
        add: |r| {
            r.f1(minisign);
            r.f2(minisign_at);
        },
    },
];

/// Lists of digests and signatures are not larger.
const SMALL: u64 = 4 << 20;

fn sha256(context: &mut Context, hex: Text) -> anyhow::Result<()> {
    let want: Sha256 = hex.trim().to_ascii_lowercase().parse()?;
    let found = last(context)?.sha256;
    agrees(context, &want.to_string(), &found.to_string())
}

fn sha512(context: &mut Context, hex: Text) -> anyhow::Result<()> {
    let want = digits(&hex, 128, "SHA-512")?;
    let found = sha512_of(last(context)?)?;
    agrees(context, &want, &found)
}

fn blake3(context: &mut Context, hex: Text) -> anyhow::Result<()> {
    let want = digits(&hex, 64, "BLAKE3 digest")?;
    let last = last(context)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(open(last)?).with_context(|| format!("failed to read {}", last.path.display()))?;
    let found = hasher.finalize().to_hex();
    agrees(context, &want, &found)
}

fn checksums(context: &mut Context, url: Text) -> anyhow::Result<()> {
    let file = last(context)?.clone();
    let list = small(context, &url)?;
    let want = digest_of(&list, &file.name);
    let want = want.with_context(|| format!("{url} has no digest of {}", file.name)).exit(exit::INTEGRITY)?;
    let found = if want.len() == 128 { sha512_of(&file)? } else { file.sha256.to_string() };
    same(&file, &want, &found)
}

fn minisign(context: &mut Context, key: Text) -> anyhow::Result<()> {
    let url = format!("{}.minisig", last(context)?.url);
    minisign_at(context, key, url.into())
}

fn minisign_at(context: &mut Context, key: Text, url: Text) -> anyhow::Result<()> {
    let file = last(context)?.clone();
    let key = PublicKey::from_base64(key.trim())
        .map_err(|e| anyhow::anyhow!("expected a minisign public key in base64, found {key:?}: {e}"))?;
    let signature = small(context, &url)?;
    let signature = Signature::decode(&signature)
        .map_err(|e| anyhow::anyhow!("{url} is no minisign signature: {e}"))
        .exit(exit::INTEGRITY)?;
    let check = || -> anyhow::Result<()> {
        let mut verifier = key.verify_stream(&signature)?;
        let read = digest::pieces(open(&file)?, |bytes| verifier.update(bytes));
        read.with_context(|| format!("failed to read {}", file.path.display()))?;
        Ok(verifier.finalize()?)
    };
    check()
        .map_err(|e| {
            forget(&file);
            anyhow::anyhow!("{} is not signed by this key as it is: {e}", file.url)
        })
        .exit(exit::INTEGRITY)
}

/// The digest that a list has for a name: `HEX  NAME` or `HEX *NAME` (sha256sum), `SHA256 (NAME) = HEX` (BSD), or a single
/// digest alone (certutil, release pages).
fn digest_of(list: &str, name: &str) -> Option<String> {
    let words = |line: &str| -> Vec<String> {
        line.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '=' | '*'))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let is_digest =
        |word: &&String| matches!(word.len(), 64 | 128) && word.bytes().all(|b| b.is_ascii_hexdigit());
    let of_line = |line: &str| words(line).iter().find(is_digest).map(|word| word.to_ascii_lowercase());
    let is_its = |line: &&str| words(line).iter().any(|word| word.rsplit('/').next() == Some(name));
    if let Some(digest) = list.lines().filter(is_its).find_map(of_line) {
        return Some(digest);
    }
    let mut all = list.lines().filter_map(of_line);
    match (all.next(), all.next()) {
        // It is a list, and the file is not in it.
        (Some(_), Some(_)) | (None, _) => None,
        (Some(only), None) => {
            let names_another =
                list.lines().filter(|line| of_line(line).is_some()).any(|line| words(line).len() > 1);
            (!names_another).then_some(only)
        }
    }
}

/// A small text from the net. It is no source of the package: `extract` still means what was downloaded before.
fn small(context: &mut Context, url: &str) -> anyhow::Result<String> {
    let text = String::from_utf8(small_bytes(context, url)?);
    text.with_context(|| format!("failed to read {url}")).exit(exit::INTEGRITY)
}

/// As [`small`], whatever it is.
pub(super) fn small_bytes(context: &mut Context, url: &str) -> anyhow::Result<Vec<u8>> {
    let download = context.fetch(url, None)?;
    context.also_used.push(Source { url: url.to_owned(), sha256: download.sha256, size: download.size });
    let read = || -> anyhow::Result<Vec<u8>> {
        ensure!(download.size <= SMALL, "it is larger than {SMALL} bytes");
        Ok(std::fs::read(&download.path)?)
    };
    read().with_context(|| format!("failed to read {url}")).exit(exit::INTEGRITY)
}

fn digits(hex: &str, len: usize, what: &str) -> anyhow::Result<String> {
    let hex = hex.trim().to_ascii_lowercase();
    if hex.len() != len || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        bail!("expected a {what} of {len} hex digits, found {hex:?}");
    }
    Ok(hex)
}

fn open(file: &Download) -> anyhow::Result<File> {
    File::open(&file.path).with_context(|| format!("failed to open {}", file.path.display()))
}

fn sha512_of(file: &Download) -> anyhow::Result<String> {
    digest::sha512(open(file)?).with_context(|| format!("failed to read {}", file.path.display()))
}

/// The last download must have the digest that is wanted, unless that is looked for anew.
fn agrees(context: &mut Context, want: &str, found: &str) -> anyhow::Result<()> {
    match context.learn(want, found)? {
        true => Ok(()),
        false => same(last(context)?, want, found),
    }
}

fn same(file: &Download, want: &str, found: &str) -> anyhow::Result<()> {
    if want == found {
        return Ok(());
    }
    forget(file);
    Err(wrong(&file.url, want, found)).exit(exit::INTEGRITY)
}

pub(super) fn forget(file: &Download) {
    // A cache that cannot be written says so when it is written.
    let _ = std::fs::remove_file(&file.path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_digests_come_in_many_forms() {
        let (a, b) = ("a".repeat(64), "B".repeat(64));
        let long = "c".repeat(128);
        for (list, expected) in [
            (format!("{a}  x.tar.gz\n{b}  y.tar.gz\n"), Some(b.to_lowercase())),
            (format!("{a} *./dist/y.tar.gz\n"), Some(a.clone())),
            (format!("SHA256 (y.tar.gz) = {b}\n"), Some(b.to_lowercase())),
            (format!("{long}  y.tar.gz\n"), Some(long.clone())),
            (format!("{a}\n"), Some(a.clone())),
            (
                format!(
                    "SHA256 hash of y.tar.gz:\n{a}\nCertUtil: -hashfile command completed successfully.\n"
                ),
                Some(a.clone()),
            ),
            (format!("SHA256 (bad) cafe (y.tar.gz) = {b}\n"), Some(b.to_lowercase())),
            (format!("{} {a} y.tar.gz\n", "g".repeat(64)), Some(a.clone())),
            (format!("{a}  x.tar.gz\n"), None),
            (format!("{a}\n{b}\n"), None),
            (format!("{a}  y.tar.gz.sig\n{b}  x\n"), None),
            ("not found\n".to_owned(), None),
        ] {
            assert_eq!(digest_of(&list, "y.tar.gz"), expected, "{list}");
        }
    }
}
