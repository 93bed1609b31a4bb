//! recipe: the package manager. This version lists, shows and checks recipes.

mod cli;

use clap::Parser;

fn main() -> std::process::ExitCode {
    common::cli::run_main(|| cli::Cli::parse().run())
}
