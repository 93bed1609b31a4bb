//! recipe: the package manager whose packages are code and whose state is the file.

fn main() -> std::process::ExitCode {
    common::cli::run_main(recipe::cli::run)
}
