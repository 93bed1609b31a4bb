//! A directory of one's own in the one for temporary files; gone with its owner.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use common::beneath::DIR;
use rustix::fs::{CWD, Mode};
use rustix::io::Errno;

use super::Dir;

/// The directory. Nobody else looks into it.
#[derive(Debug)]
pub struct Scratch {
    dir: Dir,
}

impl Scratch {
    /// Makes one.
    ///
    /// # Errors
    /// The directory for temporary files takes none.
    pub fn new() -> io::Result<Self> {
        let path = fresh(&std::env::temp_dir())?;
        let opened = rustix::fs::openat(CWD, &path, DIR, Mode::empty());
        match opened {
            Ok(fd) => Ok(Self { dir: Dir { fd, path } }),
            Err(e) => std::fs::remove_dir(&path).and(Err(e.into())),
        }
    }

    /// To work in.
    #[must_use]
    pub fn dir(&self) -> &Dir {
        &self.dir
    }
}

/// Makes a directory whose name nothing has.
fn fresh(above: &Path) -> io::Result<PathBuf> {
    loop {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let path = above.join(format!("recipe-{}-{}", std::process::id(), since.as_nanos()));
        match rustix::fs::mkdir(&path, Mode::from_raw_mode(0o700)) {
            // Another thread's.
            Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
            Ok(()) => return Ok(path),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let (Some(above), Some(name)) = (self.dir.path.parent(), self.dir.path.file_name()) {
            // What is left is for whoever tidies up temporary files.
            let _ = Dir::open(above).map(|dir| dir.remove_tree(name.as_encoded_bytes()));
        }
    }
}
