//! recfstab: what is mounted below a directory, as fstab(5).

fn main() -> std::process::ExitCode {
    common::cli::run_main(recstrap::fstab::cli::run)
}
