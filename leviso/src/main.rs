//! leviso: signed RPMs in, bootable ISO out. Parses, runs, maps the result to an exit code.

mod bars;
mod cli;
mod commands;

use clap::Parser;

fn main() -> std::process::ExitCode {
    common::cli::run_main(|| commands::run(cli::Cli::parse()))
}
