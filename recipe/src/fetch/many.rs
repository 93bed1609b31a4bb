//! Several files at the same time, with one line of progress for all of them.

use std::num::NonZero;

use super::{Download, Fetcher, Want, slot};
use crate::crew;
use crate::db::Source;
use crate::voice::{note, progress::Tasks};

/// How many files are downloaded at the same time, if nobody says it.
pub const JOBS: NonZero<usize> = NonZero::new(4).unwrap();

impl Fetcher {
    /// Files that are known to the last byte, in their order; each is said when it is there, or cannot be had.
    pub fn all(&self, jobs: NonZero<usize>, files: &[Source]) -> Vec<anyhow::Result<Download>> {
        let progress = Tasks::new(files.len(), "files");
        let mut count = 0;
        let get = |file: &Source| self.get(&file.url, Want::all(file.sha256, file.size));
        crew::each(jobs, files, get, |at, result| {
            count += 1;
            progress.one_more();
            // What ^C broke off is one error, said by who asked.
            if result.is_ok() || !self.interrupt.is_set() {
                note(&format!("[{count}/{}] {}", files.len(), files[at].url));
            }
        })
    }

    /// Whether a file is in the cache, as far as its name says so.
    #[must_use]
    pub fn seems_to_have(&self, file: &Source) -> bool {
        self.cache.join(slot(&file.url)).join(file.sha256.to_string()).exists()
    }
}
