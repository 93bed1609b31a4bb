//! `cargo xtask`: how everyone starts anything. One file a task; a laptop and CI run the same ones.

mod cli;
mod paths;
mod tools;
mod doctor;
mod cargo;
mod lab;
mod packages;
mod iso;
mod run;
mod test;
mod phases;
mod reliability;
mod torture;
mod cheats;
mod sabotage;
mod timings;
mod tidy;
mod ci;
mod docs;
mod bench;

use clap::Parser;

fn main() -> std::process::ExitCode {
    common::cli::run_main(|| cli::Cli::parse().run())
}
