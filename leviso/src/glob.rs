//! Shell patterns over bytes, as fnmatch(3) without flags: `*`, `?`, `[a-z]`, `[!a-z]`, backslash.
//!
//! `*` matches slashes and leading dots too; callers that go through directories split at slashes first.

/// Whether the whole text matches. Iterative: the last `*` is the only place to go back to.
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    loop {
        if n == name.len() && p == pattern.len() {
            return true;
        }
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
            continue;
        }
        if let Some(len) = name.get(n).and_then(|&byte| one(&pattern[p..], byte)) {
            (p, n) = (p + len, n + 1);
            continue;
        }
        match star {
            Some((at, from)) if from < name.len() => {
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            }
            _ => return false,
        }
    }
}

/// How many bytes of the pattern match this one byte, if it does.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern.first()? {
        b'?' => Some(1),
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        b'[' => set(pattern, byte).unwrap_or((byte == b'[').then_some(1)),
        &literal => (literal == byte).then_some(1),
    }
}

/// `[...]`; the outer `None` when the bracket is never closed and stands for itself.
fn set(pattern: &[u8], byte: u8) -> Option<Option<usize>> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = 1 + usize::from(negated);
    let end = first + 1 + pattern.get(first + 1..)?.iter().position(|&b| b == b']')?;
    let mut members = &pattern[first..end];
    let mut hit = false;
    while let Some((&low, rest)) = members.split_first() {
        let (high, rest) = match rest {
            [b'-', high, rest @ ..] => (*high, rest),
            _ => (low, rest),
        };
        hit |= (low..=high).contains(&byte);
        members = rest;
    }
    Some((hit != negated).then_some(end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.rpmsave", false),
            ("a*b*c", "a1b2b3c", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[0-9][!a-c]x", "7dx", true),
            ("[0-9][!a-c]x", "7bx", false),
            ("[]a]", "]", true),
            ("[", "[", true),
            ("\\*", "*", true),
            ("*", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
