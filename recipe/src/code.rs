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

/// A recipe's code.
#[derive(Debug, Clone)]
pub struct Code {
    /// What the recipe says of itself.
    pub recipe: Recipe,
    /// Its text.
    pub text: String,
    /// What it may import, by name.
    pub libraries: Libraries,
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
        Ok(Self { recipe, text, libraries })
    }

    /// A version as transaction `tx` installed it, with the libraries of that time; none if its text was not kept. `recipe` is its
    /// recipe file as it is now. Records of before libraries were kept have those of now.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn kept(own: &Dir, recipe: &Recipe, tx: &str) -> anyhow::Result<Option<Self>> {
        let Some(text) = db::recipe(own, &recipe.name, tx)? else { return Ok(None) };
        let old = Recipe::parse(&text, &recipe.path)?;
        match db::read(own, &recipe.name, tx)?.and_then(|record| record.libraries) {
            Some(libraries) => Ok(Some(Self { recipe: old, text, libraries })),
            None => Self::new(old, text).map(Some),
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

    /// The text that a file of this code has; none if it is not one of it.
    #[must_use]
    pub fn text_of(&self, file: &Path) -> Option<&str> {
        if file == self.recipe.path {
            return Some(&self.text);
        }
        let name = file.strip_prefix(self.lib()).ok()?.file_stem()?.to_str()?;
        self.libraries.get(name).map(String::as_str)
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
