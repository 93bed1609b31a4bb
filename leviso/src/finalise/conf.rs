//! Configuration fragments as systemd's tools find and read them: `conf_files_list()` and its quoting.
//!
//! Directories + suffix -> paths in the order in which they apply. A file in an earlier directory hides one of the
//! same name in a later one; an empty file or a link to /dev/null thereby takes the vendor's file away (sysusers.d(5),
//! systemd.preset(5), tmpfiles.d(5), "Configuration directories and precedence").

use std::collections::BTreeMap;

use anyhow::Context;

use crate::tree::Tree;

/// A fragment: its absolute path and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Absolute path in the tree.
    pub(super) path: String,
    /// Whole content.
    pub(super) text: String,
}

/// The paths of the fragments of `dirs` (highest priority first) whose names end in `suffix`, sorted by file name.
pub(super) fn paths(tree: &Tree, dirs: &[&str], suffix: &[u8]) -> Vec<Vec<u8>> {
    let mut found: BTreeMap<&[u8], &str> = BTreeMap::new();
    for dir in dirs {
        for name in tree.list(dir) {
            if name.ends_with(suffix) && name.first() != Some(&b'.') {
                found.entry(name).or_insert(dir);
            }
        }
    }
    found.into_iter().map(|(name, dir)| [dir.as_bytes(), b"/", name].concat()).collect()
}

/// The fragments of `dirs` (highest priority first) whose names end in `suffix`, sorted by file name.
///
/// # Errors
/// A fragment is not UTF-8.
pub(super) fn fragments(tree: &Tree, dirs: &[&str], suffix: &str) -> anyhow::Result<Vec<Fragment>> {
    paths(tree, dirs, suffix.as_bytes())
        .into_iter()
        .map(|raw| {
            let path = String::from_utf8_lossy(&raw).into_owned();
            // A link to /dev/null (or to nothing) has no content here: that is what masks a vendor file.
            let text = text_of(tree, &raw)
                .unwrap_or(Ok(String::new()))
                .with_context(|| format!("failed to parse {path}"))?;
            Ok(Fragment { path, text })
        })
        .collect()
}

/// The text of the regular file at `path`; `None` if there is none.
pub(super) fn text_of(tree: &Tree, path: &[u8]) -> Option<anyhow::Result<String>> {
    let bytes = tree.read(path).ok()?;
    Some(String::from_utf8(bytes.to_vec()).context("expected UTF-8"))
}

/// Splits a line into words: blanks separate, `"` and `'` quote, a backslash takes the next character literally.
///
/// # Errors
/// A quote is not closed, or the line ends in a backslash.
pub(super) fn words(line: &str) -> anyhow::Result<Vec<String>> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => word
                .get_or_insert_default()
                .push(chars.next().context("expected a character after the backslash")?),
            (c, Some(q)) if c == q => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ' | '\t' | '\n' | '\r', None) => out.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    anyhow::ensure!(quote.is_none(), "expected a closing quote in {line:?}");
    out.extend(word);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Origin;

    #[test]
    fn words_are_split_as_systemd_does() {
        let got = words(r#"u  x - "A \"B\" c" '' a\ b"#).unwrap();
        assert_eq!(got, ["u", "x", "-", "A \"B\" c", "", "a b"]);
        assert!(words("u \"x").is_err());
        assert!(words("u x\\").is_err());
    }

    #[test]
    fn a_file_in_etc_hides_the_vendors() {
        let mut tree = Tree::new(0);
        let o = Origin::Generated("test");
        tree.write("/usr/lib/x.d/b.conf", "vendor", 0o644, o.clone()).unwrap();
        tree.write("/usr/lib/x.d/a.conf", "a", 0o644, o.clone()).unwrap();
        tree.write("/usr/lib/x.d/a.txt", "no", 0o644, o.clone()).unwrap();
        tree.symlink("/etc/x.d/b.conf", "/dev/null", o).unwrap();
        let got = fragments(&tree, &["/etc/x.d", "/usr/lib/x.d"], ".conf").unwrap();
        let got: Vec<_> = got.iter().map(|f| (f.path.as_str(), f.text.as_str())).collect();
        assert_eq!(got, [("/usr/lib/x.d/a.conf", "a"), ("/etc/x.d/b.conf", "")]);
    }
}
