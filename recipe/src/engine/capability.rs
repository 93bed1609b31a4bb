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

#[cfg(test)]
mod tests {
    use super::*;

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
