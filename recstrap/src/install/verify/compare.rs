//! What was found of one name <-> what was to be written of it.
//!
//! In: the plan's node, the attributes and the content that were read. Out: the name's line of the listing of the target,
//! and what differs.

use common::hash::Sha256;
use common::listing::{self, Entry, Kind, Xattr};
use rustix::fs::{AtFlags, Stat};

use super::super::attributes;
use super::super::extract::NO_FILE;
use super::super::plan::Fate;
use super::{Job, Part, lossy};

impl Job<'_> {
    /// Renders what is expected and what was found; they are equal, or it is a difference.
    pub(super) fn compare(
        &self,
        at: u32,
        path: &[u8],
        found: Option<(&Stat, Kind<'_>, Vec<Xattr>)>,
        part: &mut Part,
    ) {
        let node = self.plan.node(at);
        let link = node.link_to.map(|source| self.plan.path(source));
        let Some((stat, kind, mut xattrs)) = found else {
            part.wrong.push(format!("/{}: expected it, found nothing", lossy(path)));
            return;
        };
        let file = node.first.unwrap_or(at);
        let content = match (node.fate, self.digests[file as usize], &kind) {
            (Fate::Install, None, Kind::File { sha256, .. }) => {
                part.digests.push((file, *sha256));
                *sha256
            }
            (_, known, _) => known.unwrap_or(NO_FILE),
        };
        let mut expected = node.entry(path, content, link.as_deref());
        if let (Fate::Emptied(_), Kind::File { size, sha256 }) = (node.fate, &mut expected.kind) {
            (*size, *sha256) = (0, Sha256::of(b""));
        }
        // What the kernel adds by itself is no difference, unless the image has it too.
        xattrs.retain(|(name, _)| {
            !attributes::is_the_systems(name) || node.xattrs.iter().any(|(wanted, _)| wanted == name)
        });
        // Whether it really is a link shows in the number of the inode.
        let is_linked = node.link_to.is_none_or(|source| self.same_inode(source, stat));
        let mut entry = Entry {
            path,
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: stat.st_mtime,
            mtime_nsec: stat.st_mtime_nsec as u32,
            xattrs: &xattrs,
            hardlink: if is_linked { link.as_deref() } else { None },
        };
        if self.plan.is_plain(node) {
            // FAT has none of these.
            entry = Entry { kind: entry.kind, ..expected.clone() };
        }
        let found = listing::line(&entry);
        if expected != entry {
            let expected = listing::line(&expected);
            if expected != found {
                part.wrong.push(format!("/{}: {}", lossy(path), what_differs(&expected, &found)));
            }
        }
        part.lines.push((at, found));
    }

    fn same_inode(&self, source: u32, stat: &Stat) -> bool {
        let node = self.plan.node(source);
        let look = || {
            let dir = self.root.dir(&self.plan.path(node.parent))?;
            rustix::fs::statat(&dir, &*node.name, AtFlags::SYMLINK_NOFOLLOW)
        };
        look().is_ok_and(|other| (other.st_dev, other.st_ino) == (stat.st_dev, stat.st_ino))
    }
}

/// The words of two lines that are not the same in both.
fn what_differs(expected: &[u8], found: &[u8]) -> String {
    let words = |line: &[u8]| -> Vec<String> {
        line.trim_ascii().split(|&b| b == b' ').map(|w| String::from_utf8_lossy(w).into_owned()).collect()
    };
    let (expected, found) = (words(expected), words(found));
    let only = |here: &[String], there: &[String]| -> String {
        let only: Vec<_> = here.iter().filter(|w| !there.contains(w)).cloned().collect();
        if only.is_empty() { "nothing more".to_owned() } else { only.join(" ") }
    };
    format!("expected {}, found {}", only(&expected, &found), only(&found, &expected))
}
