//! recstrap by the real program on real file systems: what arrives, what is refused, what happens when it goes wrong.
//!
//! Images are made by mkfs.erofs; what must arrive is computed from the kernel's own mount of them. Everything here needs root.

mod lab;
mod arrives;
mod refusals;
mod interrupted;
mod attacks;
mod disks;
mod options;
mod hostile;
mod screen;
mod medium;
