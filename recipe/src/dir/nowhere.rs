//! A path that is not there -> an empty directory in its place, for those who only look.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use common::beneath::DIR;
use rustix::fs::{CWD, Mode};

use super::Dir;

impl Dir {
    /// An empty directory that has no name, in the place of one that is not there: nothing is found in it, and nothing can be made.
    ///
    /// # Errors
    /// The directory for temporary files takes none.
    pub fn nowhere(path: &Path) -> io::Result<Self> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let name = format!("recipe-{}-{}", std::process::id(), since.as_nanos());
        let temp = std::env::temp_dir().join(name);
        rustix::fs::mkdir(&temp, Mode::from_raw_mode(0o700))?;
        let opened = rustix::fs::openat(CWD, &temp, DIR, Mode::empty());
        std::fs::remove_dir(&temp)?;
        Ok(Self { fd: opened?, path: path.to_owned() })
    }
}
