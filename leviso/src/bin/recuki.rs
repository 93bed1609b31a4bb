//! recuki: an installed system in, its UKI on the EFI system partition out.

fn main() -> std::process::ExitCode {
    common::cli::run_main(leviso::recuki::cli::main)
}
