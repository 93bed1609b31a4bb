//! Every ELF finds its interpreter, libraries and symbol versions; every file has an owner.
