//! What three or more LevitateOS tools share. Std and core crates only: no network, no RPM, no Rhai.
//!
//! Entry test: a thing comes in here when three tools use it and no caller would want it otherwise.
//!
//! - [`beneath`]: lookups that stay below a directory
//! - [`cli`]: run a tool's `main`, print its error once with a hint, map it to a documented exit code
//! - [`cmd`]: the one door to subprocesses
//! - [`fs`]: files that appear whole or not at all
//! - [`hash`]: SHA-256 as a type, hashing readers
//! - [`listing`]: a file tree as text, and its digest
//! - [`layout`]: names two tools must agree on (labels, paths on the disc, kernel parameters)
//! - [`mounts`]: what is mounted where
//! - `proxy`, with the feature `tls`: the user's proxies
//! - `tls`, a feature: https that trusts what the system trusts
//! - [`url`]: where the web may lead us

pub mod beneath;
pub mod cli;
pub mod cmd;
pub mod fs;
pub mod hash;
pub mod listing;
pub mod layout;
pub mod mounts;
#[cfg(feature = "tls")]
pub mod proxy;
#[cfg(feature = "tls")]
pub mod tls;
pub mod url;
