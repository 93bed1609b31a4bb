//! `#[cheat_aware]`: a test says which promise it protects, how one could cheat it, and what users lose.
//!
//! ```text
//! #[cheat_aware(
//!     protects = "the live system boots without a failed unit",
//!     severity = "CRITICAL",
//!     cheats = ["mask the units that fail", "accept `degraded`"],
//!     consequence = "people boot into a system that is broken from the start"
//! )]
//! #[test]
//! fn boots() { ... }
//! ```
//!
//! Attribute + function -> the same function, which on failure (panic or `Err`) also prints all of that on stderr.
//! Invariants: a function that passes is not changed in what it does; every field is required and not empty; a
//! mistake is a compile error at the place of the mistake.

mod args;
mod expand;

use proc_macro::TokenStream;

/// Documents a test and makes its failure say what it means. See the crate's documentation.
#[proc_macro_attribute]
pub fn cheat_aware(args: TokenStream, item: TokenStream) -> TokenStream {
    let args = syn::parse_macro_input!(args as args::Args);
    let function = syn::parse_macro_input!(item as syn::ItemFn);
    expand::expand(&args, &function).unwrap_or_else(|e| e.to_compile_error()).into()
}
