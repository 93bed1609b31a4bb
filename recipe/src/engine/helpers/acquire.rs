//! Helpers that get sources.

use std::io;

use anyhow::{Context as _, ensure};
use common::cli::Mark;
use common::hash::Sha256;

use super::{Group, Helper, MAKING, Text};
use crate::db::{BESIDE, Source};
use crate::dir::Dir;
use crate::engine::capability::Kind;
use crate::engine::context::Context;
use crate::engine::names::file;
use crate::exit;
use crate::fetch::Download;

/// The helpers of this file.
pub(super) const TABLE: &[Helper] = &[
    Helper {
        name: "download",
        group: Group::Acquire,
        phases: MAKING,
        usage: "download(url) -> path\ndownload(url, sha256) -> path",
        about: "Downloads a file into the cache and remembers it for `extract`, `verify_*` and `install_*`; these mean the last \
                one, `install_*` also the one whose path they are given. With a digest any other file is refused. Interrupted \
                downloads go on where they ended, without a digest only if the server says that it has the same file still; \
                https never turns into http.",
        add: |r| {
            r.f1(download);
            r.f2(download_sha256);
        },
    },
    Helper {
        name: "copy_source",
        group: Group::Acquire,
        phases: MAKING,
        usage: "copy_source(path)\ncopy_source(path, sha256)",
        about: "Copies a file that lies beside the recipe (a patch, a service) into the build directory. With a digest any other \
                file is refused.",
        add: |r| {
            r.f1(|c, path: Text| copy_source(c, &path, None));
            r.f2(|c, path: Text, sha256: Text| copy_source(c, &path, Some(digest(&sha256)?)));
        },
    },
];

fn download(context: &mut Context, url: Text) -> anyhow::Result<Text> {
    get(context, &url, None)
}

fn download_sha256(context: &mut Context, url: Text, sha256: Text) -> anyhow::Result<Text> {
    let want = digest(&sha256)?;
    if !context.learns(&want.to_string()) {
        return get(context, &url, Some(want));
    }
    let path = get(context, &url, None)?;
    let found = last(context)?.sha256.to_string();
    context.learn(&want.to_string(), &found)?;
    Ok(path)
}

fn digest(hex: &str) -> anyhow::Result<Sha256> {
    hex.trim().to_ascii_lowercase().parse()
}

fn get(context: &mut Context, url: &str, want: Option<Sha256>) -> anyhow::Result<Text> {
    let download = context.fetch(url, want)?;
    let path = download.path.to_string_lossy().into_owned();
    context.downloads.push(download);
    Ok(path.into())
}

/// The download that helpers mean when they name none.
pub(super) fn last(context: &Context) -> anyhow::Result<&Download> {
    context.downloads.last().context("nothing was downloaded yet").exit(exit::RECIPE)
}

fn copy_source(context: &mut Context, path: &str, want: Option<Sha256>) -> anyhow::Result<()> {
    let mut from = open_beside(context, path)?;
    let failed = || format!("failed to copy {path}");
    let into = context.build.sub(&context.cwd)?;
    into.create(path.as_bytes(), 0o644)
        .and_then(|mut to| io::copy(&mut from, &mut to))
        .with_context(failed)?;
    // What was copied is what counts: the file beside the recipe may be another one by now.
    let (sha256, size) = into.read(path).and_then(Sha256::of_reader).with_context(failed)?;
    let want = match want {
        // By `recipe update --hash`.
        Some(want) if context.learn(&want.to_string(), &sha256.to_string())? => None,
        want => want,
    };
    used(context, path, want, sha256, size)
}

/// A file beside the recipe that becomes part of the package, or decides about it; `want` is the digest that the recipe says.
fn used(
    context: &mut Context,
    path: &str,
    want: Option<Sha256>,
    sha256: Sha256,
    size: u64,
) -> anyhow::Result<()> {
    let url = format!("{BESIDE}{path}");
    context.granted.allows(Kind::File, &file(path, Some(&sha256)))?;
    let found = context.pinned(&url, want)?.is_met(&format!("{path} beside the recipe"), sha256, size);
    context.held_to_lock(found)?;
    context.also_used.push(Source { url, sha256, size });
    Ok(())
}

/// The content of a file beside the recipe.
pub(super) fn beside(context: &mut Context, path: &str) -> anyhow::Result<Vec<u8>> {
    let what = || format!("failed to read {path} beside the recipe");
    let mut bytes = Vec::new();
    let mut from = open_beside(context, path)?;
    io::Read::read_to_end(&mut from, &mut bytes).with_context(what)?;
    used(context, path, None, Sha256::of(&bytes), bytes.len() as u64)?;
    Ok(bytes)
}

fn open_beside(context: &Context, path: &str) -> anyhow::Result<std::fs::File> {
    ensure!(
        !path.contains('/') && !path.starts_with('.'),
        "expected the name of a file beside the recipe, found {path:?}"
    );
    let beside =
        Dir::open(&context.beside).with_context(|| format!("failed to open {}", context.beside.display()))?;
    beside.read(path).with_context(|| format!("failed to read {path} beside the recipe"))
}
