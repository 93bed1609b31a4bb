//! recipe: packages are Rhai scripts, and the recipe file holds their state.
//!
//! This version reads recipes: [`recipe::Recipe`] from text, never running any of it. Installing, state changes and
//! transactions build on this.

pub mod recipe;
