//! The text of a recipe, looked at without Rhai: what is at its top level, where each value lies, what literals mean.
//!
//! text -> [`Top`]; text + state -> text ([`splice`]). Pure, and quick: listing 10,000 recipes must not compile them. What
//! is wrong inside functions is Rhai's to find ([`crate::engine`]); tests hold this scanner against Rhai's own lexer.

mod scan;
mod literal;
mod top;
mod splice;
mod edit;

pub use edit::{Literal, field, replace, strings};
pub use literal::Value;
pub use scan::{Place, SyntaxError};
pub use splice::{Change, splice};
pub use top::{Let, Top};

/// The tokens of a text as they stand there, without those of variables of the top level with these names.
///
/// # Errors
/// Strings or comments do not end; with names, also as [`Top::of`].
pub fn words<'a>(text: &'a str, without: &[&str]) -> Result<Vec<&'a str>, SyntaxError> {
    let tokens = scan::tokens(text)?;
    let lets = if without.is_empty() { Vec::new() } else { Top::of(text)?.lets };
    let left_out: Vec<_> =
        lets.into_iter().filter(|l| without.contains(&l.name.as_str())).map(|l| l.span).collect();
    let counts = |at: usize| !left_out.iter().any(|span| span.contains(&at));
    Ok(tokens.into_iter().filter(|t| counts(t.span.start)).map(|t| &text[t.span]).collect())
}
