//! What only a whole machine can prove: the disc boots, the guide installs a system that boots, what is wrong is refused.
//!
//! One program, so that as many machines run at a time as there are processors; the names of the modules begin the longest test first.

mod disc;
mod guide;
mod live;
mod loader;
mod refused;
mod release;
