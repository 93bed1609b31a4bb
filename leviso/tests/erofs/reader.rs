//! What recstrap's reader makes of an image, compared with the tree.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use leviso::tree::{InodeId, Kind, Owner, Tree, Xattrs};
use recstrap::erofs::{self, Image, Name, Nid, Scratch};

/// Panics at the first difference between the tree and what the reader finds in its image.
pub(crate) fn reads(path: &Path, tree: &Tree) {
    let image = Image::open(File::open(path).unwrap()).unwrap();
    let names: Vec<Name> = image.walk().collect::<Result<_, _>>().unwrap();
    let mut expected = vec![(Vec::new(), Tree::ROOT)];
    expected.extend(tree.walk().into_iter().map(|(path, id)| (path[1..].to_vec(), id)));
    assert_eq!(
        names.iter().map(|name| &name.path).collect::<Vec<_>>(),
        expected.iter().map(|(path, _)| path).collect::<Vec<_>>()
    );
    let mut inodes: HashMap<InodeId, (Nid, &[u8])> = HashMap::new();
    for (name, (path, id)) in names.iter().zip(&expected) {
        let shown = String::from_utf8_lossy(path).into_owned();
        let (nid, first) = *inodes.entry(*id).or_insert((name.inode.nid, path));
        assert_eq!(nid, name.inode.nid, "inode of {shown}");
        assert_eq!(name.first.as_deref(), (first != path).then_some(first), "first name of {shown}");
        same(&image, &name.inode, tree, *id, &shown);
    }
    assert_eq!(image.inode_count(), inodes.len() as u64);
}

fn same(image: &Image, found: &erofs::Inode, tree: &Tree, id: InodeId, shown: &str) {
    let inode = tree.inode(id);
    let meta = &inode.meta;
    assert_eq!(found.mode, u32::from(meta.mode), "mode of {shown}");
    assert_eq!((found.mtime, found.mtime_nsec), (meta.mtime, meta.mtime_nsec), "time of {shown}");
    let owners = (Owner::Id(found.uid), Owner::Id(found.gid));
    assert_eq!(owners, (meta.user.clone(), meta.group.clone()), "owners of {shown}");
    assert_eq!(
        image.xattrs(found).unwrap().into_iter().collect::<Xattrs>(),
        meta.xattrs,
        "attributes of {shown}"
    );
    let kind = match &inode.kind {
        Kind::Dir(_) => erofs::Kind::Dir,
        Kind::File(content) => {
            same_content(image, found, content.as_slice(), shown);
            erofs::Kind::File
        }
        Kind::Symlink(target) => {
            assert_eq!(image.target(found).unwrap(), &**target, "target of {shown}");
            erofs::Kind::Symlink
        }
        Kind::Char { major, minor } => erofs::Kind::Char(*major, *minor),
        Kind::Block { major, minor } => erofs::Kind::Block(*major, *minor),
        Kind::Fifo => erofs::Kind::Fifo,
        Kind::Socket => erofs::Kind::Socket,
    };
    assert_eq!(found.kind, kind, "kind of {shown}");
}

fn same_content(image: &Image, found: &erofs::Inode, expected: &[u8], shown: &str) {
    let mut scratch = Scratch::new();
    let mut at = 0;
    for extent in image.extents(found).unwrap().iter() {
        assert_eq!(extent.offset, at as u64, "a gap in {shown}");
        let bytes = image.read_extent(&extent, &mut scratch).unwrap();
        // Not assert_eq: the report would be megabytes.
        assert!(expected.get(at..at + bytes.len()) == Some(bytes), "content of {shown} differs behind {at}");
        at += bytes.len();
    }
    assert_eq!(at, expected.len(), "size of {shown}");
}
