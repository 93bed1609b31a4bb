//! What a recipe can do: known from its code, without running it, and held to when it runs.
//!
//! A capability is a kind and a name: a host that is asked, a program that is run, a file beside the recipe that is used. Where the
//! name is no literal it is [`COMPUTED`], which stands for all of its kind; where the name of a function is computed, for all kinds.
//! Found by [`super::look`] and used twice: people see it (`review`, `diff`, `trust`), and helpers refuse what is not in it
//! ([`Capabilities::allows`]). So what the look misses does not run.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::Context as _;
use common::cli::Mark;
use common::hash::Sha256;

use super::look;
use crate::code::Code;
use crate::exit;

/// The name that stands for all names.
pub const COMPUTED: &str = "(computed)";

/// What a capability is of; the order is that of reviews.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A function whose name is computed: anything.
    Any,
    /// What `pkg.allow` says.
    Allows,
    /// A host of a URL; with the owner where strangers share a host.
    Host,
    /// A script of `shell`.
    Script,
    /// A program of `exec` or `output`.
    Program,
    /// Another helper that runs programs.
    Helper,
    /// A variable of the environment.
    Variable,
    /// A file beside the recipe, with its digest.
    File,
    /// A function that runs when the files are in place, or go.
    Phase,
    /// A library.
    Imports,
    /// A dependency.
    Needs,
    /// A dependency of building.
    BuildNeeds,
    /// Where files go. To be seen, and no more: every version may install others.
    Installs,
}

impl Kind {
    const ALL: &[(Kind, &str)] = &[
        (Kind::Any, "any-helper"),
        (Kind::Allows, "allows"),
        (Kind::Host, "host"),
        (Kind::Script, "script"),
        (Kind::Program, "program"),
        (Kind::Helper, "helper"),
        (Kind::Variable, "variable"),
        (Kind::File, "file"),
        (Kind::Phase, "phase"),
        (Kind::Imports, "imports"),
        (Kind::Needs, "needs"),
        (Kind::BuildNeeds, "needs-to-build"),
        (Kind::Installs, "installs"),
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    /// Whether helpers ask before they do it.
    fn is_held_to(self) -> bool {
        (Self::Host..=Self::File).contains(&self)
    }
}

/// A capability.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability {
    /// Of what.
    pub kind: Kind,
    /// Of which.
    pub name: String,
}

impl Capability {
    /// Of this kind and name.
    #[must_use]
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.name)
    }
}

impl FromStr for Capability {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (word, name) = text.split_once(' ').unwrap_or((text, ""));
        let kind = Kind::ALL.iter().find(|(_, w)| *w == word);
        let (kind, _) =
            kind.with_context(|| format!("expected a capability like \"host example.org\", found {text:?}"))?;
        Ok(Self::new(*kind, name))
    }
}

/// All capabilities of a recipe, each with the place where it is found first, as `FILE:LINE`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities(BTreeMap<Capability, String>);

impl Capabilities {
    /// What a recipe can do; `beside` gives digests of files beside it.
    ///
    /// # Errors
    /// It, or a library, is not Rhai (exit code [`exit::RECIPE`]).
    pub fn of(code: &Code, beside: &dyn Fn(&str) -> Option<Sha256>) -> anyhow::Result<Self> {
        look::look(code, beside).map(Self)
    }

    /// Those that stand in a file.
    #[must_use]
    pub fn listed(all: impl Iterator<Item = Capability>) -> Self {
        Self(all.map(|capability| (capability, String::new())).collect())
    }

    /// Each with its place.
    pub fn iter(&self) -> impl Iterator<Item = (&Capability, &str)> {
        self.0.iter().map(|(capability, at)| (capability, at.as_str()))
    }

    /// Whether something is one of them, or of a kind of which all is.
    #[must_use]
    pub fn has(&self, capability: &Capability) -> bool {
        let all = |kind| self.0.contains_key(&Capability::new(kind, COMPUTED));
        self.0.contains_key(capability)
            || (capability.kind.is_held_to() && (all(capability.kind) || all(Kind::Any)))
    }

    /// What these have beyond others, but for places where files go.
    pub fn beyond<'a>(&'a self, others: &'a Self) -> impl Iterator<Item = (&'a Capability, &'a str)> {
        self.iter().filter(|(capability, _)| capability.kind != Kind::Installs && !others.has(capability))
    }

    /// What a helper asks before it does something.
    ///
    /// # Errors
    /// It was not found in the code (exit code [`exit::TRUST`]).
    pub fn allows(&self, kind: Kind, name: &str) -> anyhow::Result<()> {
        let capability = Capability::new(kind, name);
        if self.has(&capability) {
            return Ok(());
        }
        Err(anyhow::anyhow!("`{capability}` cannot be seen in the recipe, and is refused"))
            .exit(exit::TRUST)
            .hint("`recipe review` must see what a recipe does: call helpers by their names, not through the name in a string")
    }
}

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
pub fn origin(url: &str, whole: bool) -> Option<String> {
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
pub fn script(text: &str) -> String {
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
pub fn program(argv: &[String]) -> String {
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
pub fn is_told(program: &str) -> bool {
    TOLD.contains(&crate::dir::split(program).1)
}

/// A file beside the recipe, with what it is.
#[must_use]
pub fn file(name: &str, digest: Option<&Sha256>) -> String {
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

    #[test]
    fn all_of_a_kind_is_not_all_of_another() {
        let of = |texts: &[&str]| Capabilities::listed(texts.iter().map(|t| t.parse().unwrap()));
        let computed = of(&["host (computed)", "needs a"]);
        assert!(computed.allows(Kind::Host, "a").is_ok());
        assert!(computed.allows(Kind::Program, "a").is_err());
        let any = of(&["any-helper (computed)"]);
        assert!(any.allows(Kind::Script, "rm").is_ok());
        let new = of(&["needs b", "needs a", "installs bin/a", "host x", "phase remove"]);
        let beyond = |old: &Capabilities| new.beyond(old).map(|(c, _)| c.to_string()).collect::<Vec<_>>();
        assert_eq!(beyond(&computed), ["phase remove", "needs b"]);
        assert_eq!(beyond(&any), ["phase remove", "needs a", "needs b"]);
    }
}
