//! Which of two versions is newer, and what a dependency asks for.
//!
//! Semantic versions where both are some (1.0.0-rc.1 comes before 1.0.0); else rpm's order, which knows every other habit
//! (1.2, 2024.09, b11194). A `v` in front means nothing.

use std::cmp::Ordering;
use std::fmt;

use anyhow::{Context, ensure};

use crate::recipe::{check_name, check_needed};

/// Compares two versions.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let plain = |v: &str| {
        let rest = v.strip_prefix('v').filter(|r| r.starts_with(|c: char| c.is_ascii_digit()));
        rest.unwrap_or(v).to_owned()
    };
    let (a, b) = (plain(a), plain(b));
    match (semver::Version::parse(&a), semver::Version::parse(&b)) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => rpm_version::rpm_evr_compare(&a, &b),
    }
}

/// Compares a version of rpm's, `[EPOCH:]VERSION[-RELEASE]`, with one that is asked for: by as much as that one has.
fn compare_evr(evr: &str, wanted: &str) -> Ordering {
    let (epoch, rest) = evr.split_once(':').unwrap_or(("0", evr));
    let (version, release) = rest.split_once('-').map_or((rest, None), |(v, r)| (v, Some(r)));
    let (wanted, has_release) = match (wanted.split_once('-'), release) {
        (Some((wanted, _)), None) => (wanted, false),
        (found, _) => (wanted, found.is_some()),
    };
    let epoch = if wanted.contains(':') { format!("{epoch}:") } else { String::new() };
    let release = release.filter(|_| has_release).map(|r| format!("-{r}")).unwrap_or_default();
    rpm_version::rpm_evr_compare(&format!("{epoch}{version}{release}"), wanted)
}

/// What a dependency asks for: a name, and conditions that all must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The package, or what one of the base provides: a capability (`pkgconfig(zlib)`) or an absolute path.
    pub name: String,
    /// `>= 1.1.0`, ...
    conditions: Vec<(Operator, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Less,
    LessEqual,
    Equal,
    NotEqual,
    GreaterEqual,
    Greater,
}

/// Longer ones first: `<=` begins with `<`.
const OPERATORS: &[(&str, Operator)] = &[
    ("<=", Operator::LessEqual),
    (">=", Operator::GreaterEqual),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("=", Operator::Equal),
];

impl Requirement {
    /// Reads `name`, `name >= 1.1.0`, `name >= 1.1, < 2`, `pkgconfig(zlib) >= 1.2`, `/usr/bin/cc`.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let wrong = || format!("expected a dependency like \"openssl >= 1.1.0\", found {text:?}");
        let end = text.find(['<', '>', '=', '!', ' ', '\t']).unwrap_or(text.len());
        let (name, rest) = text.trim_start().split_at(end.min(text.trim_start().len()));
        check_needed(name).map_err(|_| anyhow::anyhow!("{}", wrong()))?;
        let rest = rest.trim();
        let parts = if rest.is_empty() { Vec::new() } else { rest.split(',').map(str::trim).collect() };
        let condition = |part: &str| {
            let (sign, operator) =
                OPERATORS.iter().find(|(sign, _)| part.starts_with(sign)).with_context(wrong)?;
            let version = part[sign.len()..].trim();
            ensure!(!version.is_empty() && !version.contains([' ', '<', '>', '=', '!']), wrong());
            Ok((*operator, version.to_owned()))
        };
        ensure!(parts.is_empty() || !name.starts_with('/'), "{}: a path has no version", wrong());
        let conditions = parts.into_iter().map(condition).collect::<anyhow::Result<_>>()?;
        Ok(Self { name: name.to_owned(), conditions })
    }

    /// Whether a recipe could have its name.
    #[must_use]
    pub fn names_recipe(&self) -> bool {
        check_name(&self.name).is_ok()
    }

    /// Whether a version is what is asked for.
    #[must_use]
    pub fn accepts(&self, version: &str) -> bool {
        self.holds(|wanted| compare(version, wanted))
    }

    /// Whether a version of rpm's is: `[EPOCH:]VERSION[-RELEASE]`, compared as rpm does, without epoch and release where the
    /// condition has none. What has no version meets no condition.
    #[must_use]
    pub fn accepts_evr(&self, evr: Option<&str>) -> bool {
        evr.map_or(self.conditions.is_empty(), |evr| {
            self.holds(|wanted| compare_evr(evr, wanted.strip_prefix('v').unwrap_or(wanted)))
        })
    }

    fn holds(&self, compare: impl Fn(&str) -> Ordering) -> bool {
        self.conditions.iter().all(|(operator, wanted)| {
            let order = compare(wanted);
            match operator {
                Operator::Less => order.is_lt(),
                Operator::LessEqual => order.is_le(),
                Operator::Equal => order.is_eq(),
                Operator::NotEqual => order.is_ne(),
                Operator::GreaterEqual => order.is_ge(),
                Operator::Greater => order.is_gt(),
            }
        })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (i, (operator, version)) in self.conditions.iter().enumerate() {
            let sign = OPERATORS.iter().find(|(_, o)| o == operator).map_or("", |(sign, _)| sign);
            write!(f, "{}{sign} {version}", if i == 0 { " " } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_habits_have_an_order() {
        let ascending = [
            ["1.2", "1.10"],
            ["1.0.0-rc.1", "1.0.0"],
            ["v0.9.1", "0.10.0"],
            ["2024.09", "2024.10.1"],
            ["b9", "b11194"],
            ["1.0", "1.0.1"],
            ["14.1.0", "v14.1.1"],
            ["1.1.1w", "3.0"],
            ["1.0~beta", "1.0"],
            ["9", "1:1"],
        ];
        for [a, b] in ascending {
            assert_eq!(compare(a, b), Ordering::Less, "{a} {b}");
            assert_eq!(compare(b, a), Ordering::Greater, "{b} {a}");
            assert_eq!((compare(a, a), compare(b, b)), (Ordering::Equal, Ordering::Equal));
        }
    }

    #[test]
    fn requirements_are_read_and_written_back() {
        for (text, shown, yes, no) in [
            ("openssl >= 1.1.0", "openssl >= 1.1.0", "3.0.1", "1.0.2"),
            ("a>=1,<2", "a >= 1, < 2", "1.9", "2.0"),
            ("a == 1.0", "a == 1.0", "1.0", "1.1"),
            ("a = 1.0", "a == 1.0", "1.0", "1.1"),
            ("a != 3", "a != 3", "2", "3"),
            ("a > 3", "a > 3", "3.1", "3"),
        ] {
            let requirement = Requirement::parse(text).unwrap();
            assert_eq!(requirement.to_string(), shown);
            assert!(requirement.accepts(yes) && !requirement.accepts(no), "{text}");
        }
        assert!(Requirement::parse("a").unwrap().accepts("anything"));
        for text in [
            "", ">= 1", "a >=", "a ~ 1", "a 1", "a >= 1 2", "a/b", "a >= 1,", "a(b", "a)b(", "(a)", "()",
            "/", "/a/../b", "/a//b", "/a/", "/a >= 1", "a(b c)", "a\n",
        ] {
            assert!(Requirement::parse(text).is_err(), "{text:?}");
        }
        for text in [
            "pkgconfig(zlib)",
            "libc.so.6(GLIBC_2.34)(64bit)",
            "libc.so.6()(64bit)",
            "perl(Foo::Bar) >= 1",
            "/usr/bin/[",
            "cmake(Qt6/Core)",
        ] {
            let requirement = Requirement::parse(text).unwrap();
            assert!(!requirement.names_recipe() && requirement.to_string() == text, "{text}");
        }
    }

    #[test]
    fn versions_of_the_base_are_compared_by_what_is_asked_for() {
        for (evr, text, expected) in [
            ("1:3.2.2-16.el10", "a >= 1.1.0", true),
            ("1:3.2.2-16.el10", "a == 3.2.2", true),
            ("1:3.2.2-16.el10", "a == 3.2.2-16.el10", true),
            ("1:3.2.2-16.el10", "a > 3.2.2", false),
            ("1:3.2.2-16.el10", "a > 3.2.2-9", true),
            ("1:3.2.2-16.el10", "a < 1:3", false),
            ("1:3.2.2-16.el10", "a < 2:1", true),
            ("3.2.2-16.el10", "a >= 0:3.2", true),
            ("3.2.2-16.el10", "a >= v3.2, < 4", true),
            ("3.2.2-16.el10", "a >= 3.2, < 3.2.2", false),
            ("1.3", "a == 1.3-4", true),
            ("1.0~beta-1", "a >= 1.0", false),
            // No semantic version, although it looks like one with a prerelease.
            ("1.0.0-6.el10", "a >= 1.0.0", true),
        ] {
            let requirement = Requirement::parse(text).unwrap();
            assert_eq!(requirement.accepts_evr(Some(evr)), expected, "{evr} for {text}");
        }
        assert!(Requirement::parse("a").unwrap().accepts_evr(None));
        assert!(!Requirement::parse("a >= 1").unwrap().accepts_evr(None));
    }
}
