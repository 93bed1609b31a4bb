//! Where a repository's files may come from: base URLs of the profile, then a mirror list or metalink.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use common::hash::Sha256;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::Fetcher;
use crate::profile::Repo;

/// What follows a base URL in a metalink.
const REPOMD: &str = "repodata/repomd.xml";
/// Enough to find one that works.
const MAX_MIRRORS: usize = 50;

/// The base URLs of one repository. The list of mirrors is fetched only when the profile's own URLs fail.
#[derive(Debug)]
pub struct Mirrors {
    repo: Repo,
    more: OnceLock<Result<Vec<String>, String>>,
    /// The base that delivered last: the next file asks it first.
    first: AtomicUsize,
}

/// A metalink's word on repomd.xml (<https://www.rfc-editor.org/rfc/rfc5854>, and the older version 3 that
/// MirrorManager speaks).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metalink {
    /// Digest of repomd.xml.
    pub repomd: Sha256,
    /// Base URLs, best first.
    pub bases: Vec<String>,
}

impl Mirrors {
    /// The mirrors of a repository of the profile.
    #[must_use]
    pub fn of(repo: &Repo) -> Self {
        Self { repo: repo.clone(), more: OnceLock::new(), first: AtomicUsize::new(0) }
    }

    /// The repository's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.repo.id
    }

    /// All base URLs in the order they should be tried; the list of mirrors is fetched only when it is reached.
    pub fn bases(&self, fetcher: &Fetcher) -> impl Iterator<Item = String> {
        // Another thread may change which is first: take the order once.
        let first = self.first.load(Ordering::Relaxed);
        let rest = (0..).filter(move |n| *n != first);
        std::iter::once(first).chain(rest).map_while(move |n| self.at(n, fetcher))
    }

    /// Why there is no list of mirrors, if it was asked for and could not be had.
    #[must_use]
    pub fn list_failure(&self) -> Option<String> {
        self.more.get()?.as_ref().err().cloned()
    }

    /// Remembers that this base works.
    pub(crate) fn works(&self, base: &str) {
        let more = self.more.get().and_then(|m| m.as_ref().ok()).into_iter().flatten();
        if let Some(n) = self
            .repo
            .baseurl
            .iter()
            .chain(more)
            .position(|b| b.trim_end_matches('/') == base.trim_end_matches('/'))
        {
            self.first.store(n, Ordering::Relaxed);
        }
    }

    fn at(&self, index: usize, fetcher: &Fetcher) -> Option<String> {
        if let Some(base) = self.repo.baseurl.get(index) {
            return Some(base.clone());
        }
        let more = self.more.get_or_init(|| self.load(fetcher).map_err(|e| one_line(&e)));
        more.as_ref().ok()?.get(index - self.repo.baseurl.len()).cloned()
    }

    fn load(&self, fetcher: &Fetcher) -> anyhow::Result<Vec<String>> {
        let mut bases = Vec::new();
        if let Some(url) = &self.repo.mirrorlist {
            let list = fetcher
                .small([url.clone()], |_, bytes| parse_list(&bytes))
                .with_context(|| format!("failed to fetch the mirror list of {:?}", self.repo.id))?;
            bases.extend(list);
        }
        if let Some(url) = &self.repo.metalink {
            bases.extend(metalink(url, fetcher)?.bases);
        }
        bases.retain(|b| !self.repo.baseurl.contains(b));
        if !self.repo.signed_metadata && self.repo.metalink.is_none() {
            // Nothing but the connection vouches for the metadata then.
            bases.retain(|b| !b.starts_with("http://"));
        }
        bases.truncate(MAX_MIRRORS);
        Ok(bases)
    }
}

/// Fetches and parses a metalink.
///
/// # Errors
/// It cannot be fetched or is not one.
pub(crate) fn metalink(url: &str, fetcher: &Fetcher) -> anyhow::Result<Metalink> {
    fetcher.small([url.to_owned()], |_, bytes| parse_metalink(&bytes)).context("failed to fetch the metalink")
}

/// `base` with or without a slash at its end, and a relative location, percent-encoded where it must be.
pub(crate) fn join(base: &str, location: &str) -> String {
    let mut url = base.trim_end_matches('/').to_owned();
    url.push('/');
    for byte in location.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => url.push(byte.into()),
            b'-' | b'.' | b'_' | b'~' | b'/' | b'+' | b':' | b'@' | b'=' | b',' | b'!' => {
                url.push(byte.into());
            }
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

/// A location comes from metadata: it must stay below its repository.
pub(super) fn check_location(location: &str) -> anyhow::Result<()> {
    let good = |c: &str| !c.is_empty() && c != "." && c != "..";
    let fine = location.split('/').all(good) && !location.contains(['\\', '\0', '\n', '?', '#']);
    ensure!(fine && location.len() < 1024, "the location {location:?} does not lie inside its repository");
    Ok(())
}

/// One base URL a line; `#` begins a comment. An HTML page is not a mirror list.
fn parse_list(bytes: &[u8]) -> anyhow::Result<Vec<String>> {
    let text = std::str::from_utf8(bytes).context("the mirror list is not text")?;
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let mut bases = Vec::new();
    for line in lines {
        ensure!(is_url(line), "the mirror list has a line that is no URL: {:?}", head(line));
        bases.push(line.to_owned());
    }
    ensure!(!bases.is_empty(), "the mirror list is empty");
    Ok(bases)
}

fn parse_metalink(bytes: &[u8]) -> anyhow::Result<Metalink> {
    let text = std::str::from_utf8(bytes).context("the metalink is not UTF-8")?;
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let (mut wanted_hash, mut repomd, mut bases) = (false, None, Vec::new());
    let mut chars = String::new();
    loop {
        match reader.read_event().context("the metalink is not XML")? {
            Event::Start(start) => {
                let name = start.local_name().as_ref().to_owned();
                ensure!(path.len() < 32, "the metalink is nested too deeply");
                if name == "hash" {
                    let kind = start.try_get_attribute("type")?;
                    let sha256 = kind.is_some_and(|a| matches!(&*a.value, "sha256" | "sha-256"));
                    // `alternates` are digests of older states: accepting them would allow a freeze.
                    wanted_hash = sha256 && !path.iter().any(|p| p == "alternates");
                }
                path.push(name);
                chars.clear();
            }
            Event::Text(text) => chars.push_str(&text),
            Event::GeneralRef(entity) if &*entity == "amp" => chars.push('&'),
            Event::End(_) => {
                match path.pop().as_deref() {
                    Some("hash") if wanted_hash && repomd.is_none() => {
                        repomd = Some(chars.trim().parse::<Sha256>().context("in the metalink")?);
                    }
                    Some("url") => bases.extend(chars.trim().strip_suffix(REPOMD).map(str::to_owned)),
                    _ => {}
                }
                chars.clear();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    // rsync and ftp are listed too.
    bases.retain(|b| is_url(b));
    let repomd = repomd.context("the metalink has no SHA-256 of repomd.xml")?;
    // Those over https first; the order is the server's otherwise.
    bases.sort_by_key(|b| !b.starts_with("https:"));
    Ok(Metalink { repomd, bases })
}

fn is_url(text: &str) -> bool {
    let scheme = ["https://", "http://", "file:///"].iter().any(|s| text.starts_with(s));
    scheme && !text.contains(['<', '>', '"', ' '])
}

fn head(text: &str) -> String {
    text.chars().take(60).collect()
}

/// An error with its causes in one line: it becomes part of another error's text.
fn one_line(err: &anyhow::Error) -> String {
    format!("{err:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_stay_inside_and_are_encoded() {
        for bad in ["../x", "/etc/passwd", "a//b", "", "a/./b", "http://x/y?z", "a\nb"] {
            assert!(check_location(bad).is_err(), "{bad}");
        }
        assert!(check_location("Packages/g/gcc-c++-1:14^20-1.rpm").is_ok());
        assert_eq!(join("https://m/x/", "P/a b^1%.rpm"), "https://m/x/P/a%20b%5E1%25.rpm");
    }

    #[test]
    fn an_error_page_is_no_mirror_list() {
        assert!(parse_list(b"<html><body>It works</body></html>").is_err());
        assert!(parse_list(b"# nothing here\n").is_err());
        assert_eq!(parse_list(b"# c\nhttps://a/\n\nhttp://b/\n").unwrap(), ["https://a/", "http://b/"]);
    }

    #[test]
    fn a_metalink_gives_the_current_digest_and_the_bases() {
        let digest = Sha256::of(b"now");
        let xml = format!(
            r#"<?xml version="1.0"?><metalink version="3.0" xmlns:mm0="x"><files><file name="repomd.xml">
            <mm0:alternates><mm0:alternate><verification><hash type="sha256">{old}</hash></verification>
            </mm0:alternate></mm0:alternates>
            <verification><hash type="md5">0</hash><hash type="sha256">{digest}</hash></verification>
            <resources><url protocol="rsync">rsync://r/repodata/repomd.xml</url>
            <url protocol="http">http://a/x/repodata/repomd.xml</url>
            <url protocol="https">https://b/repodata/repomd.xml</url></resources></file></files></metalink>"#,
            old = Sha256::of(b"old")
        );
        let link = parse_metalink(xml.as_bytes()).unwrap();
        assert_eq!(link, Metalink { repomd: digest, bases: vec!["https://b/".into(), "http://a/x/".into()] });
        assert!(parse_metalink(b"<html>").is_err());
    }
}
