//! What scriptlets would have done, from the packages' own data; one file a concern.

mod conf;
pub mod accounts;
pub mod presets;
pub mod ld_so_cache;
