//! Images by mkfs.erofs.

use std::path::{Path, PathBuf};

use common::cmd::Cmd;
use tempfile::TempDir;

/// An image in a directory of its own.
pub(crate) struct Made {
    _dir: TempDir,
    pub(crate) path: PathBuf,
}

/// Makes an image of `tree`.
pub(crate) fn mkfs(tree: &Path, args: &[&str]) -> Made {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    let cmd = Cmd::new(testkit::oracle("mkfs.erofs")).arg("--quiet").args(args).arg(&path).arg(tree);
    cmd.read().unwrap();
    Made { _dir: dir, path }
}
