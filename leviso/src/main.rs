//! leviso: build a bootable ISO from signed RPMs.

fn main() {}
