//! Tree -> its listing and tree digest ([`common::listing`]), by which recstrap proves what it wrote.
//!
//! Contents are hashed in parallel, each inode once; the text depends on nothing but the tree.

use std::io::Write;

use anyhow::{Context, anyhow};
use common::cli::Mark;
use common::hash::Sha256;
use common::listing::{self, Entry, Xattr};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Inode, InodeId, Kind, Owner, Tree};
use crate::exit;

/// What a tree holds, in four numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// SHA-256 of the listing.
    pub digest: Sha256,
    /// Names, the root among them.
    pub entries: u64,
    /// Bytes of all regular files, each inode once.
    pub bytes: u64,
}

/// Writes the listing of `tree`; `io::sink()` for the digest alone.
///
/// # Errors
/// An owner still goes by name ([`exit::SYSTEM`]), or `out` cannot be written.
pub fn write(tree: &Tree, out: impl Write) -> anyhow::Result<Summary> {
    let mut names = vec![(Vec::new(), Tree::ROOT)];
    names.extend(tree.walk().into_iter().map(|(path, id)| (path[1..].to_vec(), id)));
    // The first name of each inode, by id: a later one refers to it.
    let mut firsts: Vec<Option<usize>> = vec![None; tree.id_count()];
    for (at, (_, id)) in names.iter().enumerate() {
        firsts[id.index()].get_or_insert(at);
    }
    let once: Vec<_> =
        names.iter().enumerate().filter(|(at, (_, id))| firsts[id.index()] == Some(*at)).collect();
    let digests: Vec<(InodeId, Sha256, u64)> = once
        .par_iter()
        .filter_map(|(_, (_, id))| match &tree.inode(*id).kind {
            Kind::File(content) => Some((*id, Sha256::of(content.as_slice()), content.len())),
            _ => None,
        })
        .collect();
    let mut by_id = vec![None; tree.id_count()];
    for (id, digest, _) in &digests {
        by_id[id.index()] = Some(*digest);
    }

    let failed = "failed to write the listing";
    let mut listing = listing::Listing::new(out).context(failed)?;
    for (at, (path, id)) in names.iter().enumerate() {
        let inode = tree.inode(*id);
        let xattrs: Vec<Xattr> = inode.meta.xattrs.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
        let first = firsts[id.index()].filter(|first| *first != at);
        let hardlink = first.map(|first| &*names[first].0);
        listing.push(&entry(path, inode, by_id[id.index()], &xattrs, hardlink)?).context(failed)?;
    }
    let (digest, mut out) = listing.finish();
    out.flush().context(failed)?;
    Ok(Summary { digest, entries: names.len() as u64, bytes: digests.iter().map(|(_, _, len)| len).sum() })
}

fn entry<'e>(
    path: &'e [u8],
    inode: &'e Inode,
    digest: Option<Sha256>,
    xattrs: &'e [Xattr],
    hardlink: Option<&'e [u8]>,
) -> anyhow::Result<Entry<'e>> {
    let id = |owner: &Owner| match owner {
        Owner::Id(id) => Ok(*id),
        Owner::Name(name) => {
            Err(anyhow!("/{} belongs to {name}, who has no number yet", String::from_utf8_lossy(path)))
                .exit(exit::SYSTEM)
        }
    };
    let kind = match &inode.kind {
        Kind::Dir(_) => listing::Kind::Dir,
        Kind::File(content) => listing::Kind::File {
            size: content.len(),
            sha256: digest.unwrap_or_else(|| unreachable!("every file was hashed")),
        },
        Kind::Symlink(target) => listing::Kind::Symlink(target),
        Kind::Char { major, minor } => listing::Kind::Char(*major, *minor),
        Kind::Block { major, minor } => listing::Kind::Block(*major, *minor),
        Kind::Fifo => listing::Kind::Fifo,
        Kind::Socket => listing::Kind::Socket,
    };
    Ok(Entry {
        path,
        kind,
        mode: inode.meta.mode.into(),
        uid: id(&inode.meta.user)?,
        gid: id(&inode.meta.group)?,
        mtime: inode.meta.mtime,
        mtime_nsec: inode.meta.mtime_nsec,
        xattrs,
        hardlink,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Origin;

    #[test]
    fn names_come_in_walk_order_and_hard_links_name_the_first() {
        let origin = || Origin::Generated("test");
        let mut tree = Tree::new(7);
        let id = tree.write("/b/file", b"abc".to_vec(), 0o644, origin()).unwrap();
        tree.link("/b-link", id).unwrap();
        tree.symlink("/c", "b", origin()).unwrap();
        let mut text = Vec::new();
        let summary = write(&tree, &mut text).unwrap();
        let digest = Sha256::of(b"abc");
        let common = "uid=0 gid=0 time=7.000000000";
        let file = format!("type=file mode=0644 {common} size=3 sha256digest={digest}");
        assert_eq!(
            String::from_utf8(text.clone()).unwrap(),
            format!(
                "#mtree\n. type=dir mode=0755 {common}\n./b type=dir mode=0755 {common}\n./b/file {file}\n\
                 ./b-link {file} hardlink=./b/file\n./c type=link mode=0777 {common} link=b\n"
            )
        );
        assert_eq!(summary, Summary { digest: Sha256::of(&text), entries: 5, bytes: 3 });
        tree.inode_mut(id).meta.user = Owner::Name("nobody".into());
        assert!(write(&tree, Vec::new()).unwrap_err().to_string().contains("/b/file belongs to nobody"));
    }
}
