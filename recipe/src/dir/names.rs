//! What is in a directory: its names, without `.` and `..`.

use std::ffi::CString;
use std::io;

use anyhow::Context;
use common::cli::Mark;

use super::Dir;
use crate::exit;

impl Dir {
    /// Names in this directory, without `.` and `..`, sorted.
    ///
    /// # Errors
    /// It cannot be read, or a name is not UTF-8.
    pub fn names(&self) -> anyhow::Result<Vec<String>> {
        let context = || format!("failed to read {}", self.path.display());
        let utf8 = |name: CString| {
            let name = name.into_string().map_err(std::ffi::IntoStringError::into_cstring);
            let name = name.map_err(|n| anyhow::anyhow!("expected a name in UTF-8, found {n:?}"));
            name.exit(exit::INTEGRITY).with_context(context)
        };
        let names = self.raw_names().with_context(context)?;
        let mut names = names.into_iter().map(utf8).collect::<anyhow::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// As [`Dir::names`], without those that are not UTF-8.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn utf8_names(&self) -> io::Result<Vec<String>> {
        let mut names: Vec<_> =
            self.raw_names()?.into_iter().filter_map(|name| name.into_string().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// As [`Dir::names`], unsorted and as they are.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn raw_names(&self) -> io::Result<Vec<CString>> {
        Ok(self.numbered_names()?.into_iter().map(|(_, name)| name).collect())
    }

    /// As [`Dir::raw_names`], each with the number of its inode.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn numbered_names(&self) -> io::Result<Vec<(u64, CString)>> {
        let mut names = Vec::new();
        // `read_from` opens it once more, so that the position is its own.
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push((entry.ino(), entry.file_name().to_owned()));
            }
        }
        Ok(names)
    }
}
