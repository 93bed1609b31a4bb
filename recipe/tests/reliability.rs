//! Attacks on `recipe`: whatever happens while it works, a package is there or it is not.
//!
//! Each test is a sweep: it attacks many runs of the real program, lets the next command recover, judges what is there, and
//! reports a row of counts. `cargo test` runs a sample; with LEVITATE_FULL=1 all of it.

#[path = "cli/rig.rs"]
mod rig;
#[path = "cli/forge.rs"]
mod forge;
#[path = "reliability/state.rs"]
mod state;
#[path = "reliability/world.rs"]
mod world;
#[path = "reliability/sweeps.rs"]
mod sweeps;
#[path = "reliability/power.rs"]
mod power;
#[path = "reliability/scene.rs"]
mod scene;
#[path = "reliability/pairs.rs"]
mod pairs;
#[path = "reliability/kinds.rs"]
mod kinds;
#[path = "reliability/hostile.rs"]
mod hostile;
#[path = "reliability/benign.rs"]
mod benign;
#[path = "reliability/swaps.rs"]
mod swaps;
