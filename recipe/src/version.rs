//! Which of two versions is newer, and what a dependency asks for.
//!
//! Semantic versions where both are some (1.0.0-rc.1 comes before 1.0.0); else rpm's order, which knows every other habit
//! (1.2, 2024.09, b11194). A `v` in front means nothing.

use std::cmp::Ordering;
use std::fmt;

use anyhow::{Context, ensure};

use crate::recipe::check_name;

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

/// What a dependency asks for: a name, and conditions that all must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The package.
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
    /// Reads `name`, `name >= 1.1.0`, `name >= 1.1, < 2`.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let wrong = || format!("expected a dependency like \"openssl >= 1.1.0\", found {text:?}");
        let end = text.find(['<', '>', '=', '!', ' ', '\t']).unwrap_or(text.len());
        let (name, rest) = text.trim_start().split_at(end.min(text.trim_start().len()));
        check_name(name).map_err(|_| anyhow::anyhow!("{}", wrong()))?;
        let rest = rest.trim();
        let parts = if rest.is_empty() { Vec::new() } else { rest.split(',').map(str::trim).collect() };
        let condition = |part: &str| {
            let (sign, operator) =
                OPERATORS.iter().find(|(sign, _)| part.starts_with(sign)).with_context(wrong)?;
            let version = part[sign.len()..].trim();
            ensure!(!version.is_empty() && !version.contains([' ', '<', '>', '=', '!']), wrong());
            Ok((*operator, version.to_owned()))
        };
        let conditions = parts.into_iter().map(condition).collect::<anyhow::Result<_>>()?;
        Ok(Self { name: name.to_owned(), conditions })
    }

    /// Whether a version is what is asked for.
    #[must_use]
    pub fn accepts(&self, version: &str) -> bool {
        self.conditions.iter().all(|(operator, wanted)| {
            let order = compare(version, wanted);
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
        for text in ["", ">= 1", "a >=", "a ~ 1", "a 1", "a >= 1 2", "a/b", "a >= 1,"] {
            assert!(Requirement::parse(text).is_err(), "{text:?}");
        }
    }
}
