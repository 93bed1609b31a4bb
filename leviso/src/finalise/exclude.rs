//! Leaves out what the profile does not want in the image (`[image] exclude`), such as translations.
//!
//! Globs over absolute paths (`*` matches slashes too). A directory that matches goes with all that is in it. A glob
//! that matches nothing is an error: it was written for other packages, or is misspelt.

use anyhow::bail;
use common::cli::Mark;

use crate::exit;
use crate::glob;
use crate::tree::Tree;

/// Takes the paths that match out of the tree.
///
/// # Errors
/// A glob matches nothing; exit code [`exit::PROFILE`].
pub fn apply(tree: &mut Tree, globs: &[String]) -> anyhow::Result<()> {
    exclude(tree, globs).exit(exit::PROFILE)
}

fn exclude(tree: &mut Tree, globs: &[String]) -> anyhow::Result<()> {
    let mut used = vec![false; globs.len()];
    for (path, _) in tree.walk() {
        for (glob, used) in globs.iter().zip(&mut used) {
            if glob::matches(glob.as_bytes(), &path) {
                *used = true;
                // It may be gone already, with the directory above it.
                let _ = tree.remove(&path);
            }
        }
    }
    match globs.iter().zip(used).find(|(_, used)| !used) {
        Some((glob, _)) => bail!("image.exclude has {glob:?}, which matches no path in the packages"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Origin;

    #[test]
    fn whole_directories_go_and_the_rest_stays() {
        let mut tree = Tree::new(0);
        for path in ["/usr/share/locale/de/a", "/usr/share/locale/locale.alias", "/usr/share/doc/x"] {
            tree.write(path, "", 0o644, Origin::Generated("test")).expect("written");
        }
        apply(&mut tree, &["/usr/share/locale/*/*".into(), "/usr/share/doc".into()]).expect("applied");
        let left: Vec<_> =
            tree.walk().into_iter().map(|(p, _)| String::from_utf8(p).expect("text")).collect();
        let kept = [
            "/usr",
            "/usr/share",
            "/usr/share/locale",
            "/usr/share/locale/de",
            "/usr/share/locale/locale.alias",
        ];
        assert_eq!(left, kept);
    }

    #[test]
    fn a_glob_for_nothing_is_an_error() {
        let err = apply(&mut Tree::new(0), &["/nothing".into()]).expect_err("refused");
        assert!(err.to_string().contains("\"/nothing\", which matches no path"), "{err}");
    }
}
