//! recstrap: install the live image to a mounted directory.

fn main() -> std::process::ExitCode {
    common::cli::run_main(recstrap::install::cli::run)
}
