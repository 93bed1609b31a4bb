//! Lock -> files in a content-addressed cache. The only network code in the crate.
