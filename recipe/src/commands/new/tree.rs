//! An unpacked directory -> what its files are, by their first bytes and their rights.

use std::io::Read;

use anyhow::{Context, ensure};

use crate::dir::{self, Dir};

/// More files are not looked at.
const MOST: usize = 200_000;
/// Deeper directories neither.
const DEPTH: usize = 32;

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A program or library in machine code, for a machine as `arch()` calls it.
    Elf(&'static str),
    /// It begins with `#!`.
    Script,
    /// A manual page's source.
    Roff,
    /// A symbolic link, and where it leads.
    Link(String),
    /// Anything else.
    Other,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Its path below the directory.
    pub(super) path: String,
    /// Whether it may be run.
    pub(super) exec: bool,
    /// What it is.
    pub(super) kind: Kind,
}

impl File {
    /// Its last name.
    pub(super) fn name(&self) -> &str {
        dir::split(&self.path).1
    }

    /// The directory it lies in.
    pub(super) fn parent(&self) -> &str {
        dir::split(&self.path).0
    }

    /// Names of the directories above it.
    pub(super) fn dirs(&self) -> impl Iterator<Item = &str> {
        self.parent().split('/').filter(|name| !name.is_empty())
    }

    /// Whether it lies where completions do.
    pub(super) fn is_among_completions(&self) -> bool {
        self.dirs().any(|dir| dir.to_ascii_lowercase().contains("complet") || dir == "site-functions")
    }
}

/// All files below a directory, sorted; names that are not UTF-8 are left out.
///
/// # Errors
/// Something cannot be read, or there is far too much of it.
pub(super) fn list(root: &Dir) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    walk(root, "", DEPTH, &mut files)?;
    Ok(files)
}

fn walk(dir: &Dir, path: &str, depth: usize, files: &mut Vec<File>) -> anyhow::Result<()> {
    for name in dir.utf8_names().with_context(|| format!("failed to list {}", dir.path.display()))? {
        ensure!(files.len() < MOST, "it has more than {MOST} files");
        let below = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        let Some(stat) = dir.stat(&name)? else { continue };
        let kind = dir::kind(&stat);
        if kind.is_dir() {
            if depth > 0 {
                walk(&dir.sub(&name)?, &below, depth - 1, files)?;
            }
        } else if kind.is_symlink() {
            let to = dir.link_target(&name).with_context(|| format!("failed to read the link {below}"))?;
            files.push(File { path: below, exec: false, kind: Kind::Link(to) });
        } else if kind.is_file() {
            let mut head = Vec::new();
            let read = dir.read(&name).and_then(|file| file.take(HEAD).read_to_end(&mut head));
            read.with_context(|| format!("failed to read {below}"))?;
            files.push(File { path: below, exec: stat.st_mode & 0o111 != 0, kind: of(&head) });
        }
    }
    Ok(())
}

/// So many bytes say what a file is.
pub(super) const HEAD: u64 = 256;

/// What a file is that begins so.
pub(super) fn of(head: &[u8]) -> Kind {
    match head {
        [0x7f, b'E', b'L', b'F', ..] => Kind::Elf(match (head.get(4), head.get(18..20)) {
            (Some(2), Some([62, 0])) => "x86_64",
            (Some(2), Some([183, 0])) => "aarch64",
            _ => "another machine",
        }),
        [b'#', b'!', ..] => Kind::Script,
        // A comment, then a request: `.TH`, `.Dd`.
        _ if head.starts_with(b".") || head.starts_with(b"'\\\"") => Kind::Roff,
        _ => Kind::Other,
    }
}
