//! recipe: the package manager whose packages are code and whose state is the file.

// In glibc's, threads that read recipes wait for each other (TEAM/0038).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    common::cli::run_main(recipe::cli::run)
}
