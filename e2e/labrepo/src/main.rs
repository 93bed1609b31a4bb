//! labrepo: make the lab repository.

fn main() {}
