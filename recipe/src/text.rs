//! The text of a recipe, looked at without Rhai: what is at its top level, where each value lies, what literals mean.
//!
//! text -> [`Top`]; text + state -> text ([`splice`]). Pure, and quick: listing 10,000 recipes must not compile them. What
//! is wrong inside functions is Rhai's to find ([`crate::engine`]); tests hold this scanner against Rhai's own lexer.

mod scan;
mod literal;
mod top;
mod splice;

pub use literal::Value;
pub use scan::{Place, SyntaxError};
pub use splice::{Change, splice};
pub use top::{Let, Top};
