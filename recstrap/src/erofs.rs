//! Reads EROFS images.
