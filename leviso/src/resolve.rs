//! Profile + repository metadata -> lock: which packages, from where, with which digest.
