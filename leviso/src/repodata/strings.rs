//! Each distinct string once: text -> number.

use std::collections::HashMap;
use std::sync::Arc;

/// A string of one [`Strings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sym(pub(crate) u32);

/// The strings of one repository. Symbol 0 is the empty string.
#[derive(Debug, Clone)]
pub struct Strings {
    known: HashMap<Arc<str>, Sym>,
    list: Vec<Arc<str>>,
}

impl Default for Strings {
    fn default() -> Self {
        let mut strings = Self { known: HashMap::new(), list: Vec::new() };
        strings.intern("");
        strings
    }
}

impl Strings {
    /// The empty string.
    pub const EMPTY: Sym = Sym(0);

    /// The symbol of `text`, a new one if it was not there.
    pub fn intern(&mut self, text: &str) -> Sym {
        if let Some(&sym) = self.known.get(text) {
            return sym;
        }
        let sym = Sym(u32::try_from(self.list.len()).unwrap_or_else(|_| unreachable!("4 G strings")));
        let text: Arc<str> = text.into();
        self.list.push(Arc::clone(&text));
        self.known.insert(text, sym);
        sym
    }

    /// The symbol of `text`, if it was interned.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Sym> {
        self.known.get(text).copied()
    }

    /// The text of a symbol of this table.
    #[must_use]
    pub fn get(&self, sym: Sym) -> &str {
        &self.list[sym.0 as usize]
    }

    /// All of them, in the order of their symbols.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|text| &**text)
    }

    /// How many there are: symbols index arrays of this length.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the empty string is always there")]
    pub fn len(&self) -> usize {
        self.list.len()
    }
}
