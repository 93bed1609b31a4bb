//! The reader of EROFS images is root's code that reads a stick somebody handed over: whatever is on it, the answer is
//! an error or a tree, never a panic, endless work or all of the memory.

#[path = "erofs/bytes.rs"]
mod bytes;
#[path = "erofs/editor.rs"]
mod editor;
#[path = "erofs/exercise.rs"]
mod exercise;
#[path = "erofs/make.rs"]
mod make;
#[path = "erofs/defects.rs"]
mod defects;
#[path = "erofs/flips.rs"]
mod flips;
