//! recstrap: check whether a directory can be installed to.

mod cli;

use clap::Parser;

fn main() -> std::process::ExitCode {
    common::cli::run_main(|| cli::Cli::parse().run())
}
