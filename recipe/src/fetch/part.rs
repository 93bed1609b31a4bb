//! A download that has begun: its bytes so far, and which of the server's files they are of.
//!
//! ```text
//! part       the bytes, locked by who downloads them
//! part.of    what the server calls that file, and how long it is (JSON)
//! ```
//!
//! Only a digest shows afterwards that a rest was another file's. So without one it goes on only where the server itself says
//! that it has the same file still: by a strong ETag, or a date of which it can be sure (RFC 9110, 8.8 and 13.1.5). And not when
//! the system was started in between: what a power cut leaves of a file may have holes.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::Context;
use common::cli::tell;
use jiff::fmt::rfc2822;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use ureq::http::{HeaderMap, Response};

use crate::dir::Dir;
use crate::interrupt::{Interrupt, PAUSE};

/// Its name.
pub(super) const PART: &str = "part";
/// The name of what is known of it.
pub(super) const OF: &str = "part.of";

/// Which file of the server's it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Of {
    /// What only this version of it is called, as `If-Range` has it.
    name: Option<String>,
    /// Bytes.
    total: Option<u64>,
    /// When the system was started.
    boot: Option<String>,
}

/// A download that has begun.
#[derive(Debug)]
pub(super) struct Part<'a> {
    file: File,
    /// Where it is; none if it is not kept.
    dir: Option<&'a Dir>,
    of: Of,
    /// There is a digest.
    is_sure: bool,
}

impl<'a> Part<'a> {
    /// The one in a directory, which others wait for from now on; `is_sure` if its digest will be compared.
    ///
    /// # Errors
    /// It cannot be opened, or a signal came while another recipe had it.
    pub(super) fn open(dir: &'a Dir, is_sure: bool, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let path = dir.path.join(PART);
        let context = || format!("failed to write {}", path.display());
        let options = || File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut told = false;
        loop {
            let file = options().with_context(context)?;
            // Another recipe may be downloading the same: then its file is ours too.
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    if !told {
                        tell(&format!("waiting: another recipe downloads {}", path.display()));
                        told = true;
                    }
                    interrupt.sleep(PAUSE)?;
                    continue;
                }
                Err(Errno::INTR) => continue,
                Err(e) => return Err(e).with_context(context),
            }
            // What was `part` when it was opened may be the other's whole file by now.
            let (here, open) =
                (dir.stat(PART).with_context(context)?, file.metadata().with_context(context)?);
            if here.is_some_and(|here| (here.st_dev, here.st_ino) == (open.dev(), open.ino())) {
                let of = dir.read(OF).ok().and_then(|known| serde_json::from_reader(known).ok());
                let of = of.filter(|of: &Of| of.boot == boot()).unwrap_or_default();
                return Ok(Self { file, dir: Some(dir), of, is_sure });
            }
        }
    }

    /// One that is in memory, and is begun anew each time.
    ///
    /// # Errors
    /// There is no memory.
    pub(super) fn in_memory() -> io::Result<Self> {
        let file = rustix::fs::memfd_create("text", rustix::fs::MemfdFlags::CLOEXEC)?;
        Ok(Self { file: file.into(), dir: None, of: Of::default(), is_sure: false })
    }

    /// How much of it is there.
    ///
    /// # Errors
    /// It cannot be examined.
    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Where it goes on: at its end, if that can be told from another file's.
    ///
    /// # Errors
    /// It cannot be emptied.
    pub(super) fn goes_on_at(&mut self) -> io::Result<u64> {
        if !self.is_sure && (self.dir.is_none() || self.of.name.is_none()) {
            self.empty()?;
        }
        self.file.seek(SeekFrom::End(0))
    }

    /// What the server has to have still, as it called it.
    pub(super) fn name(&self) -> Option<&str> {
        self.of.name.as_deref()
    }

    /// Whether an answer has the rest of it from this byte on; else why not.
    pub(super) fn is_rest<T>(&self, from: u64, answer: &Response<T>) -> Result<(), String> {
        let field = |name| field(answer.headers(), name);
        let range = field("content-range").and_then(|range| range.strip_prefix("bytes "));
        let Some((bytes, total)) = range.and_then(|range| range.split_once('/')) else {
            return Err("it does not say which range it sends".to_owned());
        };
        let total = total.parse::<u64>().ok();
        let last = |end: &str| total.is_none_or(|total| end.parse::<u64>().is_ok_and(|end| end + 1 == total));
        if !bytes.strip_prefix(&format!("{from}-")).is_some_and(last) {
            return Err(format!("asked from byte {from}, got another range"));
        }
        let another = self.of.total.zip(total).is_some_and(|(was, is)| was != is);
        // Some answer a range whatever `If-Range` says.
        let is_tag = self.name().is_some_and(|name| name.starts_with('"'));
        if another || (is_tag && self.name() != field("etag")) {
            return Err(CHANGED.to_owned());
        }
        Ok(())
    }

    /// Begins anew with the whole file that an answer has.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn begin<T>(&mut self, answer: &Response<T>) -> io::Result<()> {
        self.empty()?;
        let total = field(answer.headers(), "content-length").and_then(|length| length.parse().ok());
        self.of = Of { name: name(answer.headers()), total, boot: boot() };
        let says_something = self.of.name.is_some() || self.of.total.is_some();
        match self.dir.filter(|_| says_something) {
            Some(dir) => std::fs::write(dir.path.join(OF), serde_json::to_vec(&self.of)?),
            None => Ok(()),
        }
    }

    /// Forgets all of it. What is known of it goes last: of an empty file it says nothing wrong.
    ///
    /// # Errors
    /// It cannot be emptied.
    pub(super) fn empty(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.of = Of::default();
        self.dir.map_or(Ok(()), |dir| dir.remove_file(OF))
    }

    /// What has come.
    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// It is whole, and gets its name.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub(super) fn finish(self, name: &str) -> anyhow::Result<()> {
        let Some(dir) = self.dir else { return Ok(()) };
        let path = |name: &str| -> PathBuf { dir.path.join(name) };
        let context = || format!("failed to write {}", path(name).display());
        // Once `part` is gone the next one may be another recipe's, and so what is known of it.
        dir.remove_file(OF).with_context(context)?;
        std::fs::rename(path(PART), path(name)).with_context(context)?;
        dir.sync().with_context(context)
    }

    /// It was not needed: somebody else has downloaded the file.
    pub(super) fn discard_if_empty(self) {
        if self.len().is_ok_and(|len| len == 0) {
            self.discard();
        }
    }

    /// It is good for nothing, and goes. What cannot be removed is emptied by the next run.
    pub(super) fn discard(self) {
        if let Some(dir) = self.dir {
            drop(dir.remove_file(OF).and_then(|()| dir.remove_file(PART)));
        }
    }
}

/// What is said when another file is there than before.
pub(super) const CHANGED: &str = "the file on the server has changed";

/// What only this version of a file is called, if it is called anything.
fn name(fields: &HeaderMap) -> Option<String> {
    let field = |name| field(fields, name);
    match field("etag") {
        // A weak one may be that of similar bytes, and then the date may, too.
        Some(tag) => Some(tag).filter(|tag| tag.starts_with('"')),
        None => field("last-modified").filter(|date| is_past(date, field("date"))),
    }
    .map(str::to_owned)
}

/// Whether a file's date is none of a moment that went on when the answer was sent: it could change then and have the same date.
fn is_past(modified: &str, sent: Option<&str>) -> bool {
    let seconds = |date: &str| {
        rfc2822::DateTimeParser::new().parse_timestamp(date).ok().map(jiff::Timestamp::as_second)
    };
    seconds(modified).zip(sent.and_then(seconds)).is_some_and(|(modified, sent)| modified < sent)
}

/// A field of the head, where it is a text.
pub(super) fn field<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(|value| value.to_str().ok())
}

/// The number of this start of the system, where there is one.
fn boot() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(all: &[(&'static str, &str)]) -> HeaderMap {
        all.iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn only_names_of_one_version_count() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let later = "Sun, 06 Nov 1994 08:49:38 GMT";
        for (all, expected) in [
            (&[("etag", "\"a\""), ("last-modified", date)][..], Some("\"a\"")),
            (&[("etag", "W/\"a\""), ("last-modified", date), ("date", later)], None),
            (&[("last-modified", date), ("date", later)], Some(date)),
            (&[("last-modified", date), ("date", date)], None),
            (&[("last-modified", date)], None),
            (&[("last-modified", "yesterday"), ("date", later)], None),
            (&[], None),
        ] {
            assert_eq!(name(&fields(all)).as_deref(), expected, "{all:?}");
        }
    }

    /// After a power cut a file may be as long as it was, and have holes.
    #[test]
    fn another_start_of_the_system_begins_anew_without_a_digest() {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = Dir::open(temp.path()).expect("opened");
        let write = |boot: Option<String>| {
            let of = Of { name: Some("\"a\"".into()), total: Some(9), boot };
            std::fs::write(temp.path().join(PART), "half").expect("written");
            std::fs::write(temp.path().join(OF), serde_json::to_vec(&of).expect("JSON")).expect("written");
        };
        let at = |is_sure| {
            Part::open(&dir, is_sure, &Interrupt::default()).expect("opened").goes_on_at().expect("known")
        };
        write(boot());
        assert_eq!((at(true), at(false)), (4, 4));
        write(Some("another".into()));
        assert_eq!((at(true), at(false)), (4, 0));
        assert!(!temp.path().join(OF).exists());
    }
}
