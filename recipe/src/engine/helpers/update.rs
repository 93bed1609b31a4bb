//! Helpers of `check_update()`: what publishers have by now. Asked for anew each time; the cache neither gives nor keeps it.

use anyhow::bail;
use common::cli::Mark;
use rhai::{Array, Dynamic};

use super::programs::words;
use super::{Group, Helper, Text};
use crate::engine::PHASES;
use crate::engine::context::Context;
use crate::exit;
use crate::upstream::{self, github};

/// The helpers of this file.
pub(super) const TABLE: &[Helper] = &[
    Helper {
        name: "http_get",
        group: Group::Update,
        phases: &["check_update"],
        usage: "http_get(url) -> string",
        about: "The text at an address, of at most 4 MiB. For JSON there is Rhai's `parse_json`.",
        add: |r| r.f1(http_get),
    },
    Helper {
        name: "github_latest",
        group: Group::Update,
        phases: &["check_update"],
        usage: "github_latest(repository) -> version",
        about: "The version of the latest release of a repository on GitHub (`\"owner/name\"`), which is its tag without `v` or \
                the like in front. RECIPE_GITHUB_API is the API of another server than GitHub's own.",
        add: |r| r.f1(github_latest),
    },
    Helper {
        name: "versions",
        group: Group::Update,
        phases: PHASES,
        usage: "versions(text, pattern) -> array",
        about: "All versions in a text, as the page of a download directory: what stands where the pattern has its `*`, as in \
                `tool-*.tar.gz`.",
        add: |r| r.f2(versions),
    },
    Helper {
        name: "newest",
        group: Group::Update,
        phases: PHASES,
        usage: "newest(versions) -> version or ()",
        about: "The newest of an array of versions, without those that only announce one (rc, beta); () if there is none.",
        add: |r| r.f1(newest),
    },
];

fn http_get(context: &mut Context, url: Text) -> anyhow::Result<Text> {
    context.may_ask(&url)?;
    context.fetcher.text(&url).map(Text::from)
}

fn github_latest(context: &mut Context, repo: Text) -> anyhow::Result<Text> {
    context.may_ask(&format!("https://github.com/{repo}"))?;
    let release = github::release(&context.fetcher, &repo, None)?;
    Ok(upstream::of_tag(&release.tag_name).into())
}

fn versions(_: &mut Context, text: Text, pattern: Text) -> anyhow::Result<Array> {
    let parts: Vec<_> = pattern.split('*').collect();
    match parts[..] {
        [before, after] if pattern.len() > 1 => {
            Ok(upstream::versions_in(&text, before, after).into_iter().map(|v| v.to_owned().into()).collect())
        }
        _ => bail!("expected a pattern with one *, as in \"tool-*.tar.gz\", found {pattern:?}"),
    }
}

fn newest(_: &mut Context, versions: Array) -> anyhow::Result<Dynamic> {
    let all = words(&versions).exit(exit::RECIPE)?;
    Ok(upstream::newest(all.iter().map(String::as_str)).map_or(Dynamic::UNIT, |v| v.to_owned().into()))
}
