//! What is Debian's: packages, their control data, version and dependency syntax.

pub mod deb;
pub mod relations;
pub mod scripts;
