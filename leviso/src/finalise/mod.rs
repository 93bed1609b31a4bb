//! What scriptlets would have done, from the packages' own data; one file a concern.

mod conf;
mod lines;
mod string_pool;
pub mod accounts;
pub mod presets;
pub mod ld_so_cache;
pub mod hwdb;
