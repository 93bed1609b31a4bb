//! Releases on GitHub: its API, asked for text without a token.
//!
//! RECIPE_GITHUB_API is the API of another server of its kind: `https://HOST/api/v3` of GitHub Enterprise.

use anyhow::{Context, ensure};
use common::cli::Mark;
use serde::Deserialize;

use crate::exit;
use crate::fetch::Fetcher;

/// Names the API's address.
pub const API: &str = "RECIPE_GITHUB_API";

/// A release.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Release {
    /// Its tag.
    pub tag_name: String,
    /// Its page.
    #[serde(default)]
    pub html_url: String,
    /// Its files.
    #[serde(default)]
    pub assets: Vec<Asset>,
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Asset {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub browser_download_url: String,
}

/// What a repository says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct About {
    /// One line.
    #[serde(default)]
    pub description: Option<String>,
    /// Its page, if it has one besides the repository.
    #[serde(default)]
    pub homepage: Option<String>,
    /// Its licence.
    #[serde(default)]
    pub license: Option<Licence>,
}

/// A licence.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Licence {
    /// As SPDX calls it; NOASSERTION where GitHub does not know it.
    #[serde(default)]
    pub spdx_id: Option<String>,
}

/// The API's address.
#[must_use]
pub fn api() -> String {
    let other = std::env::var(API).ok().filter(|url| !url.is_empty());
    other.unwrap_or_else(|| "https://api.github.com".to_owned()).trim_end_matches('/').to_owned()
}

/// A repository's release: that of a tag, or the latest that is no announcement.
///
/// # Errors
/// `repo` is not `owner/name`, it has no such release, or the server cannot be asked (exit code [`exit::FETCH`]).
pub fn release(fetcher: &Fetcher, repo: &str, tag: Option<&str>) -> anyhow::Result<Release> {
    let (owner, name) = split(repo)?;
    let which = match tag {
        Some(tag) => format!("tags/{}", escaped(tag)),
        None => "latest".to_owned(),
    };
    let what = tag.map_or_else(|| "latest release".to_owned(), |tag| format!("release {tag}"));
    ask(fetcher, &format!("repos/{owner}/{name}/releases/{which}"))
        .with_context(|| format!("failed to find the {what} of {repo}"))
        .exit(exit::FETCH)
        .hint(
            "a repository without releases is HTTP 404; GitHub answers 60 times an hour, then it is HTTP 403",
        )
}

/// What a repository says of itself.
///
/// # Errors
/// As [`release`].
pub fn about(fetcher: &Fetcher, repo: &str) -> anyhow::Result<About> {
    let (owner, name) = split(repo)?;
    ask(fetcher, &format!("repos/{owner}/{name}"))
}

fn ask<T: for<'de> Deserialize<'de>>(fetcher: &Fetcher, path: &str) -> anyhow::Result<T> {
    let url = format!("{}/{path}", api());
    let text = fetcher.text(&url)?;
    serde_json::from_str(&text)
        .with_context(|| format!("{url} is not what GitHub's API answers"))
        .exit(exit::FETCH)
}

/// Owner and name of a repository.
///
/// # Errors
/// It is written otherwise.
pub fn split(repo: &str) -> anyhow::Result<(&str, &str)> {
    let plain = |part: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(fits)
    };
    let parts = repo.split_once('/').filter(|(owner, name)| plain(owner) && plain(name));
    ensure!(parts.is_some(), "expected a repository like owner/name, found {repo:?}");
    Ok(parts.unwrap_or_default())
}

/// A tag in a path of the API; a slash in it belongs there.
fn escaped(tag: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/".contains(&b);
    tag.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
