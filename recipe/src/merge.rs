//! Three texts -> one: what was installed, what the user made of it, what the package has now.
//!
//! Texts are bytes in lines: no encoding is asked of them, and none is changed. What has a NUL in it is no text.

use diffy::{DiffOptions, MergeOptions};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// Both changes are in it.
    Clean(Vec<u8>),
    /// Both have changed the same lines: the text with marks around them, and how many such places it has.
    Conflicts(Vec<u8>, usize),
    /// What was installed is not known.
    NoBase,
    /// Not all of them are texts.
    Binary,
}

impl Merged {
    /// In words.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Self::Clean(_) => "merges cleanly",
            Self::Conflicts(..) => "conflicts",
            Self::NoBase => "what it was made from is not known",
            Self::Binary => "is not text",
        }
    }
}

/// Merges. Without `base` only what is equal anyway.
#[must_use]
pub fn merge(base: Option<&[u8]>, ours: &[u8], theirs: &[u8]) -> Merged {
    if ours == theirs {
        return Merged::Clean(ours.to_vec());
    }
    if [base.unwrap_or_default(), ours, theirs].iter().any(|text| text.contains(&0)) {
        return Merged::Binary;
    }
    match base {
        None => Merged::NoBase,
        Some(base) => marked(base, ours, theirs),
    }
}

/// Merges, with marks where both have changed something; an empty `base` if it is not known.
#[must_use]
pub fn marked(base: &[u8], ours: &[u8], theirs: &[u8]) -> Merged {
    match MergeOptions::new().merge_bytes(base, ours, theirs) {
        Ok(text) => Merged::Clean(text),
        Err(text) => {
            let count = text.split(|b| *b == b'\n').filter(|line| line.starts_with(b"<<<<<<< ours")).count();
            Merged::Conflicts(text, count)
        }
    }
}

/// A unified diff; none of what is not text.
#[must_use]
pub fn diff(from: (&str, &[u8]), to: (&str, &[u8])) -> Option<Vec<u8>> {
    (!from.1.contains(&0) && !to.1.contains(&0)).then(|| unified(from, to))
}

/// A unified diff of texts.
pub(crate) fn unified(from: (&str, &[u8]), to: (&str, &[u8])) -> Vec<u8> {
    let mut options = DiffOptions::new();
    options.set_original_filename(from.0.to_owned()).set_modified_filename(to.0.to_owned());
    options.create_patch_bytes(from.1, to.1).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence of numbers that is always the same.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % n
        }

        /// Lines of a few kinds, some not UTF-8 or with CR, with or without a newline at the end.
        fn text(&mut self) -> Vec<u8> {
            let kinds: [&[u8]; 5] = [b"a = 1", b"", b"b\xff\xe4", b"c\r", b"# d"];
            let lines: Vec<_> = (0..self.below(8)).map(|_| kinds[self.below(5) as usize]).collect();
            let mut text = lines.join(&b'\n');
            if self.below(3) > 0 {
                text.push(b'\n');
            }
            text
        }
    }

    #[test]
    fn one_change_alone_is_taken_as_it_is() {
        let mut numbers = Numbers(1);
        for _ in 0..3000 {
            let (base, text) = (numbers.text(), numbers.text());
            assert_eq!(merge(Some(&base), &base, &text), Merged::Clean(text.clone()));
            assert_eq!(merge(Some(&base), &text, &base), Merged::Clean(text.clone()));
            assert_eq!(merge(Some(&base), &text, &text), Merged::Clean(text));
        }
    }

    #[test]
    fn changes_far_from_each_other_are_both_taken_and_others_are_marked() {
        let base = b"a = 1\n# one\n# two\n# three\nb = 1\n";
        let ours = b"a = \xe4\n# one\n# two\n# three\nb = 1\n";
        let theirs = b"a = 1\n# one\n# two\n# three\nb = 2";
        let both = b"a = \xe4\n# one\n# two\n# three\nb = 2";
        assert_eq!(merge(Some(base), ours, theirs), Merged::Clean(both.to_vec()));
        let Merged::Conflicts(text, 1) = merge(Some(base), ours, b"a = 3\n# one\n# two\n# three\nb = 1\n")
        else {
            panic!("both changed the same line")
        };
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains("<<<<<<< ours") && text.contains("=======") && text.contains(">>>>>>> theirs"));
        assert!(text.ends_with("# three\nb = 1\n"), "{text}");
        assert_eq!(merge(None, ours, theirs), Merged::NoBase);
        assert_eq!(merge(Some(base), b"a\0", theirs), Merged::Binary);
    }
}
