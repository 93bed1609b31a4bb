//! A path that is not there -> an empty directory in its place, for those who only look.

use std::io;
use std::path::Path;

use super::{Dir, Scratch};

impl Dir {
    /// An empty directory that has no name, in the place of one that is not there: nothing is found in it, and nothing can be made.
    ///
    /// # Errors
    /// The directory for temporary files takes none.
    pub fn nowhere(path: &Path) -> io::Result<Self> {
        let fd = Scratch::new()?.dir().fd.try_clone()?;
        Ok(Self { fd, path: path.to_owned() })
    }
}
