//! recchroot: a command in the root of another system.

fn main() -> std::process::ExitCode {
    common::cli::run_main(recstrap::chroot::cli::run)
}
