//! What a package is made from, as it is typed: an address, a file, a repository -> a file that can be looked into.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use common::cli::{Mark, code};
use common::hash::Sha256;

use super::asset;
use super::name::{Named, of_file, of_url, segments};
use crate::exit;
use crate::fetch::{Fetcher, Want};
use crate::upstream::github::{self, About};
use crate::upstream::of_tag;

/// Where a file is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The network.
    Url(String),
    /// This machine.
    Path(PathBuf),
}

/// A file, and what is known of it.
#[derive(Debug)]
pub(super) struct Origin {
    /// Where it is from.
    pub(super) place: Place,
    /// What it is called.
    pub(super) file_name: String,
    /// Its bytes.
    pub(super) file: File,
    /// Their digest.
    pub(super) sha256: Sha256,
    /// What its name says.
    pub(super) named: Named,
    /// Whose release it is: owner and name at GitHub.
    pub(super) repo: Option<String>,
    /// What the repository says of itself.
    pub(super) about: About,
}

/// Finds a file, and downloads it. `arch`: for which machine, where a release has several.
///
/// # Errors
/// It is not there, or cannot be downloaded.
pub(super) fn find(word: &OsStr, arch: &str, fetcher: &Fetcher, offline: bool) -> anyhow::Result<Origin> {
    // Only a path can be something else than text.
    let Some(word) = word.to_str() else { return of_path(Path::new(word)) };
    if let Some((repo, tag)) = repository(word).exit(code::USAGE)? {
        return of_release(&repo, tag.as_deref(), arch, fetcher, offline);
    }
    if let Some((scheme, _)) = word.split_once("://") {
        let known = matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https");
        let known = || -> anyhow::Result<()> {
            ensure!(known, "expected an address that begins with https://, found {word:?}");
            Ok(())
        };
        known().exit(code::USAGE)?;
        // Who has releases there can be asked for the next one.
        let repo = of_github(word).and_then(|parts| match parts[..] {
            [owner, name, "releases" | "archive", ..] => Some(format!("{owner}/{name}")),
            _ => None,
        });
        let repo = repo.filter(|repo| github::split(repo).is_ok());
        let about = About::default();
        return download(word.to_owned(), of_url(word), repo, about, fetcher, offline);
    }
    of_path(Path::new(word))
}

/// A file of this machine.
fn of_path(path: &Path) -> anyhow::Result<Origin> {
    let word = path.display();
    let file = File::open(path).with_context(|| format!("failed to open {word}")).exit(exit::NOT_FOUND);
    let file = file.hint("an address begins with https://, a repository with github:")?;
    ensure!(file.metadata()?.is_file(), "expected an archive or a program, found that {word} is neither");
    let (sha256, _) = Sha256::of_reader(&file).with_context(|| format!("failed to read {word}"))?;
    // The recipe names it.
    let file_name = path.file_name().unwrap_or_default().to_str();
    let file_name = file_name.with_context(|| format!("expected a file name in UTF-8, found {word}"));
    let file_name = file_name.exit(code::USAGE)?.to_owned();
    ensure!(
        !file_name.is_empty() && !file_name.starts_with('.') && !file_name.ends_with(".rhai"),
        "expected an archive or a program, found {word}"
    );
    let file = File::open(path).with_context(|| format!("failed to open {word}"))?;
    let named = of_file(&file_name);
    Ok(Origin {
        place: Place::Path(path.to_owned()),
        file_name,
        file,
        sha256,
        named,
        repo: None,
        about: About::default(),
    })
}

fn download(
    url: String,
    named: Named,
    repo: Option<String>,
    about: About,
    fetcher: &Fetcher,
    offline: bool,
) -> anyhow::Result<Origin> {
    let found = if offline { fetcher.get(&url, Want::default())? } else { fetcher.fresh(&url)? };
    let file = File::open(&found.path).with_context(|| format!("failed to open {}", found.path.display()))?;
    Ok(Origin {
        place: Place::Url(url),
        file_name: found.name,
        file,
        sha256: found.sha256,
        named,
        repo,
        about,
    })
}

/// A release: its file for this machine, or its sources.
fn of_release(
    repo: &str,
    tag: Option<&str>,
    arch: &str,
    fetcher: &Fetcher,
    offline: bool,
) -> anyhow::Result<Origin> {
    let release = github::release(fetcher, repo, tag)?;
    // Nice to have, and not worth an error.
    let mut about = github::about(fetcher, repo).unwrap_or_default();
    let (page, _) = release.html_url.split_once("/releases").unwrap_or_default();
    about.homepage = about.homepage.filter(|url| !url.is_empty()).or(Some(page.to_owned()));
    let url = match asset::choose(&release.assets, arch) {
        Some(asset) => asset.browser_download_url.clone(),
        None if page.is_empty() => {
            let names: Vec<_> = release.assets.iter().take(8).map(|a| a.name.as_str()).collect();
            let what = format!("release {} of {repo} has no file for Linux on {arch}", release.tag_name);
            let hint = format!("it has {}; --from takes an address, too", names.join(", "));
            return Err(anyhow::anyhow!(what)).exit(exit::NOT_FOUND).hint(hint);
        }
        None => format!("{page}/archive/refs/tags/{}.tar.gz", release.tag_name),
    };
    let mut named = of_url(&url);
    named.version = Some(of_tag(&release.tag_name).to_owned());
    named.name = named.name.or_else(|| repo.split_once('/').map(|(_, name)| name.to_ascii_lowercase()));
    download(url, named, Some(repo.to_owned()), about, fetcher, offline)
}

/// Repository and tag, if a word names these: `github:owner/name`, `github:owner/name@tag`, the pages of a repository and its releases.
fn repository(word: &str) -> anyhow::Result<Option<(String, Option<String>)>> {
    if let Some(rest) = word.strip_prefix("github:") {
        let (repo, tag) =
            rest.split_once('@').map_or((rest, None), |(repo, tag)| (repo, Some(tag.to_owned())));
        github::split(repo)?;
        return Ok(Some((repo.to_owned(), tag)));
    }
    let Some(parts) = of_github(word) else { return Ok(None) };
    let (repo, tag) = match parts[..] {
        [owner, name] | [owner, name, "releases"] | [owner, name, "releases", "latest"] => {
            (format!("{owner}/{}", name.trim_end_matches(".git")), None)
        }
        [owner, name, "releases", "tag", ref tag @ ..] if !tag.is_empty() => {
            (format!("{owner}/{name}"), Some(tag.join("/")))
        }
        _ => return Ok(None),
    };
    github::split(&repo)?;
    Ok(Some((repo, tag)))
}

/// The names of a path at GitHub, or at the server whose API is asked instead of its.
fn of_github(url: &str) -> Option<Vec<&str>> {
    let host = |url: &str| -> Option<String> {
        let (_, rest) = url.split_once("://")?;
        Some(rest.split(['/', '?', '#']).next()?.to_ascii_lowercase())
    };
    let (here, api) = (host(url)?, host(&github::api())?);
    let is_its = here == api || Some(here.as_str()) == api.strip_prefix("api.");
    is_its.then(|| segments(url))
}
