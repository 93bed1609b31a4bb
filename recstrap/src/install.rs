//! `recstrap`: is the target fit, then image -> target.
//!
//! - [`preflight`]: everything that speaks against installing to a directory
//! - [`cli`]: what can be typed, and what is printed

pub mod cli;
pub mod preflight;
