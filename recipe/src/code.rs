//! A recipe with all that can run of it: its text and the libraries it may import, read once.
//!
//! What is looked at before it runs (digests, the lock file, trust) and what runs are the same strings, whatever happens to the
//! files meanwhile. Of an installed version both come from its record.

use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cli::Mark;
use common::hash::Sha256;

use crate::digest::{self, Libraries};
use crate::dir::Dir;
use crate::recipe::{Recipe, with_text};
use crate::{db, exit};

/// Whose lines messages name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// Those of the recipe's own files.
    #[default]
    Here,
    /// Those of the files in this directory, which were copied line by line.
    CopyOf(PathBuf),
    /// Those of this file, as which it was kept when it was installed: the recipe file may say something else by now.
    Kept(PathBuf),
}

/// A recipe's code.
#[derive(Debug, Clone)]
pub struct Code {
    /// What the recipe says of itself.
    pub recipe: Recipe,
    /// Its text.
    pub text: String,
    /// What it may import, by name.
    pub libraries: Libraries,
    /// Where it comes from.
    pub origin: Origin,
}

impl Code {
    /// Reads a recipe file, and of the `lib` directory beside it what it may import.
    ///
    /// # Errors
    /// As [`Recipe::load`], or a library cannot be read (exit code [`exit::RECIPE`]).
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let (recipe, text) = with_text(path)?;
        Self::new(recipe, text)
    }

    /// A recipe's text with the libraries that lie beside its file now.
    ///
    /// # Errors
    /// A library cannot be read (exit code [`exit::RECIPE`]).
    pub fn new(recipe: Recipe, text: String) -> anyhow::Result<Self> {
        let libraries = digest::libraries(&text, &lib(&recipe));
        let libraries = libraries
            .with_context(|| format!("cannot tell what {} imports", recipe.name))
            .exit(exit::RECIPE)?;
        Ok(Self { recipe, text, libraries, origin: Origin::Here })
    }

    /// A version as transaction `tx` installed it, with the libraries of that time; none if its text was not kept. `recipe` is its
    /// recipe file as it is now. Records of before libraries were kept have those of now.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn kept(own: &Dir, recipe: &Recipe, tx: &str) -> anyhow::Result<Option<Self>> {
        let Some(text) = db::recipe(own, &recipe.name, tx)? else { return Ok(None) };
        let old = Recipe::parse(&text, &recipe.path)?;
        let origin = Origin::Kept(own.path.join(db::text(&recipe.name, tx)));
        match db::read(own, &recipe.name, tx)?.and_then(|record| record.libraries) {
            Some(libraries) => Ok(Some(Self { recipe: old, text, libraries, origin })),
            None => Self::new(old, text).map(|code| Some(Self { origin, ..code })),
        }
    }

    /// What is installed, as it was installed; none if nothing is, or its text was not kept.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn installed(own: &Dir, recipe: &Recipe) -> anyhow::Result<Option<Self>> {
        match recipe.state.tx.as_deref().filter(|_| recipe.state.installed) {
            Some(tx) => Self::kept(own, recipe, tx),
            None => Ok(None),
        }
    }

    /// Where libraries lie.
    #[must_use]
    pub fn lib(&self) -> PathBuf {
        lib(&self.recipe)
    }

    /// Whether it is what was installed once: mistakes in it cannot be mended any more, and it must be removable all the same.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        matches!(self.origin, Origin::Kept(_))
    }

    /// What messages call its text.
    #[must_use]
    pub fn source(&self) -> String {
        match &self.origin {
            Origin::Here => self.recipe.path.display().to_string(),
            Origin::CopyOf(dir) => {
                dir.join(self.recipe.path.file_name().unwrap_or_default()).display().to_string()
            }
            Origin::Kept(file) => file.display().to_string(),
        }
    }

    /// What messages call the text of a library.
    #[must_use]
    pub fn library(&self, name: &str) -> String {
        match &self.origin {
            Origin::Here => self.lib().join(format!("{name}.rhai")).display().to_string(),
            Origin::CopyOf(dir) => dir.join(format!("lib/{name}.rhai")).display().to_string(),
            Origin::Kept(file) => format!("{}: lib/{name}.rhai", file.display()),
        }
    }

    /// All its texts, by what messages call them; the recipe's own is the first.
    pub fn texts(&self) -> impl Iterator<Item = (String, &str)> {
        let libraries = self.libraries.iter().map(|(name, text)| (self.library(name), text.as_str()));
        std::iter::once((self.source(), self.text.as_str())).chain(libraries)
    }

    /// The text that messages call so; none if it is not one of this code.
    #[must_use]
    pub fn text_of(&self, source: &str) -> Option<&str> {
        self.texts().find(|(name, _)| name == source).map(|(_, text)| text)
    }

    /// What all of it says, whatever the state is.
    ///
    /// # Errors
    /// A text is not Rhai (exit code [`exit::RECIPE`]).
    pub fn digest(&self) -> anyhow::Result<Sha256> {
        digest::of(&self.text, &self.libraries)
            .with_context(|| format!("cannot tell what {} says", self.recipe.name))
            .exit(exit::RECIPE)
    }
}

fn lib(recipe: &Recipe) -> PathBuf {
    recipe.path.parent().map(|dir| dir.join("lib")).unwrap_or_default()
}
