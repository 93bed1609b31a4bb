//! systemd.preset(5): which units are on by default. The first line that matches decides; what none matches is on.

use crate::finalise::conf;
use crate::tree::Tree;

use super::name::UnitName;

/// What a preset says about a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Enable it; a template with these instances, or as it is if there are none.
    Enable(Vec<String>),
    /// Disable it.
    Disable,
    /// Leave it as it is.
    Ignore,
}

#[derive(Debug, Clone)]
struct Rule {
    verdict: Verdict,
    pattern: String,
}

/// All preset lines, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules(Vec<Rule>);

impl Rules {
    /// Reads the preset files of `dirs`, highest priority first.
    ///
    /// # Errors
    /// A file is not UTF-8.
    pub(super) fn read(tree: &Tree, dirs: &[&str]) -> anyhow::Result<Self> {
        let mut rules = Vec::new();
        for fragment in conf::fragments(tree, dirs, ".preset")? {
            rules.extend(fragment.text.lines().filter_map(rule));
        }
        Ok(Self(rules))
    }

    /// The verdict about a unit.
    pub(super) fn verdict(&self, unit: &UnitName<'_>) -> Verdict {
        for Rule { verdict, pattern } in &self.0 {
            if let Verdict::Enable(instances) = verdict
                && !instances.is_empty()
            {
                let names_template = unit.is_template() && pattern == unit.full;
                let names_instance = unit.template().is_some_and(|t| t == *pattern)
                    && instances.iter().any(|i| Some(i.as_str()) == unit.instance);
                if names_template {
                    return verdict.clone();
                }
                if names_instance {
                    return Verdict::Enable(Vec::new());
                }
            }
            if matches(pattern.as_bytes(), unit.full.as_bytes()) {
                return match verdict {
                    Verdict::Enable(_) => Verdict::Enable(Vec::new()),
                    other => other.clone(),
                };
            }
        }
        Verdict::Enable(Vec::new())
    }
}

/// One line; what is not understood is passed over, as systemd passes it over.
fn rule(line: &str) -> Option<Rule> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let mut words = line.split_whitespace();
    let (action, pattern) = (words.next()?, words.next()?.to_owned());
    let verdict = match action {
        "enable" => Verdict::Enable(words.map(str::to_owned).collect()),
        "disable" => Verdict::Disable,
        "ignore" => Verdict::Ignore,
        _ => return None,
    };
    Some(Rule { verdict, pattern })
}

/// fnmatch(3) with FNM_NOESCAPE: `*`, `?`, `[set]`, `[!set]`, ranges in sets.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // Where to go on after a mismatch: the last `*` and how much of the name it has taken. Linear backtracking.
    let mut retry: Option<(usize, usize)> = None;
    let (mut p, mut n) = (0, 0);
    loop {
        let step = match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
                continue;
            }
            None if n == name.len() => return true,
            Some(&c) if n < name.len() => one(pattern, p, c, name[n]),
            _ => None,
        };
        match (step, &mut retry) {
            (Some(next), _) => (p, n) = (next, n + 1),
            (None, Some((after_star, taken))) if *taken < name.len() => {
                *taken += 1;
                (p, n) = (*after_star, *taken);
            }
            _ => return false,
        }
    }
}

/// Matches one byte with the pattern element at `p`; the position after the element if it does.
fn one(pattern: &[u8], p: usize, element: u8, byte: u8) -> Option<usize> {
    let set_end = (element == b'[').then(|| {
        let first = p + 1 + usize::from(matches!(pattern.get(p + 1), Some(b'!' | b'^')));
        // A `]` in the first place is one of the set.
        pattern.iter().skip(first + 1).position(|&b| b == b']').map(|i| (first, first + 1 + i))
    });
    match set_end.flatten() {
        Some((first, end)) => {
            let set = &pattern[first..end];
            let mut found = false;
            let mut i = 0;
            while i < set.len() {
                let range = i + 2 < set.len() && set[i + 1] == b'-';
                let high = if range { set[i + 2] } else { set[i] };
                found |= (set[i]..=high).contains(&byte);
                i += if range { 3 } else { 1 };
            }
            (found == (first == p + 1)).then_some(end + 1)
        }
        None => (element == b'?' || element == byte).then_some(p + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        for (pattern, name, expected) in [
            ("*", "a.service", true),
            ("a*.service", "ab.service", true),
            ("a*b*c.timer", "axxbyyc.timer", true),
            ("a?.service", "ab.service", true),
            ("a?.service", "a.service", false),
            ("[ab]*", "b.target", true),
            ("[!ab]*", "b.target", false),
            ("[a-c]x", "bx", true),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("systemd-journal-gatewayd.*", "systemd-journal-gatewayd.socket", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
