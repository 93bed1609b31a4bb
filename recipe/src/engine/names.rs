//! What a capability is called: a URL, a script, a program, a file -> the name that both the look and the helper give it.

use common::hash::Sha256;

use super::capability::COMPUTED;

/// Hosts on which everybody can publish: who it is stands first in the path.
const SHARED: &[&str] = &[
    "github.com",
    "raw.githubusercontent.com",
    "gist.githubusercontent.com",
    "gitlab.com",
    "codeberg.org",
    "bitbucket.org",
    "git.sr.ht",
];

/// Who publishes at a URL, of which the beginning is known or the `whole`: its host, with the owner where it is shared. None if that
/// cannot be told.
#[must_use]
pub(super) fn origin(url: &str, whole: bool) -> Option<String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let end = |text: &str| text.find(['/', '?', '#']).or(whole.then_some(text.len()));
    let (host, path) = rest.split_at(end(rest)?);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if host.is_empty() || !host.chars().all(plain) {
        return None;
    }
    let host = host.to_ascii_lowercase();
    let name = host.strip_suffix(":443").unwrap_or(&host);
    if !SHARED.contains(&name) {
        return Some(host);
    }
    // What a server makes of `..` is its own business.
    let lower = path.to_ascii_lowercase();
    if lower.contains("/.") || lower.contains("%2e") || lower.contains("//") || lower.contains('\\') {
        return None;
    }
    let path = path.strip_prefix('/')?;
    let owner = &path[..end(path)?];
    (!owner.is_empty()).then(|| format!("{name}/{}", owner.to_ascii_lowercase()))
}

/// A script as one line that says which it is.
#[must_use]
pub(super) fn script(text: &str) -> String {
    const SHOWN: usize = 60;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line == text && line.len() <= SHOWN && line != COMPUTED {
        return line;
    }
    let head: String = line.chars().take(SHOWN).filter(|c| !c.is_control()).collect();
    format!("{head} ... [{}]", short(&Sha256::of(text.as_bytes())))
}

/// Programs whose arguments say what they do: they take a script, or fetch.
const TOLD: &[&str] = &[
    "sh", "bash", "dash", "zsh", "ksh", "fish", "busybox", "env", "xargs", "timeout", "nice", "nohup",
    "setsid", "find", "awk", "gawk", "sed", "perl", "ruby", "lua", "node", "deno", "bun", "python",
    "python3", "php", "curl", "wget", "git", "rsync", "ssh", "scp", "nc", "npm", "npx", "pip", "pip3", "go",
    "cargo",
];

/// A program by its name, with its arguments where those say what it does.
#[must_use]
pub(super) fn program(argv: &[String]) -> String {
    let Some(name) = argv.first() else { return COMPUTED.to_owned() };
    if !is_told(name) {
        return name.clone();
    }
    let digest = Sha256::of(argv.join("\0").as_bytes());
    let head: String =
        argv.join(" ").chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{head} [{}]", short(&digest))
}

/// Whether its arguments count.
#[must_use]
pub(super) fn is_told(program: &str) -> bool {
    TOLD.contains(&crate::dir::split(program).1)
}

/// A file beside the recipe, with what it is.
#[must_use]
pub(super) fn file(name: &str, digest: Option<&Sha256>) -> String {
    match digest {
        Some(digest) => format!("{name} [{}]", short(digest)),
        None => format!("{name} [missing]"),
    }
}

fn short(digest: &Sha256) -> String {
    digest.to_string()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_known_only_where_nothing_can_change_them() {
        for (url, whole, expected) in [
            ("https://Example.org/a", true, Some("example.org")),
            ("https://example.org", true, Some("example.org")),
            ("https://example.org", false, None),
            ("https://example.org/", false, Some("example.org")),
            ("https://good.example@evil.example/", true, None),
            ("https://good.example\\@evil.example/", true, None),
            ("https://127.0.0.1:80/x", true, Some("127.0.0.1:80")),
            ("ftp://example.org/", true, None),
            ("https:///a", true, None),
            ("https://github.com/Good/x/y", true, Some("github.com/good")),
            ("https://github.com:443/Good/x/y", true, Some("github.com/good")),
            ("https://github.com/good/", false, Some("github.com/good")),
            ("https://github.com/good", false, None),
            ("https://github.com/", true, None),
            ("https://github.com/good/../evil/x", true, None),
            ("https://github.com/good/%2E%2e/evil/x", true, None),
            ("https://github.com//evil/x", true, None),
        ] {
            assert_eq!(origin(url, whole).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn scripts_are_told_apart() {
        assert_eq!(script("make check"), "make check");
        let long = "x".repeat(100);
        for (a, b) in [("a b", "a  b"), ("a\nb", "a b"), (&*long, &*format!("{long}y")), (COMPUTED, "x")] {
            assert_ne!(script(a), script(b));
        }
        assert_ne!(script(COMPUTED), COMPUTED, "a script of this name is not all scripts");
    }
}
