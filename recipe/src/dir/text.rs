//! A file by the user's own word -> its text. What is no file is not waited for.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, ensure};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// Reads a whole UTF-8 file; the error names it.
///
/// # Errors
/// It is a pipe, a device, a socket or a directory, cannot be opened or read, or is not UTF-8.
pub fn read_text(path: &Path) -> anyhow::Result<String> {
    let failed = || format!("failed to read {}", path.display());
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    // That is how sockets are opened.
    let is_socket = opened.as_ref().is_err_and(|e| Errno::from_io_error(e) == Some(Errno::NXIO));
    ensure!(!is_socket, "{} is not a file", path.display());
    let file = opened.with_context(failed)?;
    ensure!(file.metadata().with_context(failed)?.is_file(), "{} is not a file", path.display());
    std::io::read_to_string(file).with_context(failed)
}
