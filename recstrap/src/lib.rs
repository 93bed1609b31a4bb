//! recstrap: from the live image to an installed system.
//!
//! This version holds the preflight: may this directory be installed to? Extraction and verification build on it, and
//! recfstab and recchroot join it.

pub mod preflight;
