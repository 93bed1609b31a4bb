//! `Tree` -> EROFS image.
