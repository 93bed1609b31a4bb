//! The package manager whose packages are Rhai scripts and whose state is the recipe file.
