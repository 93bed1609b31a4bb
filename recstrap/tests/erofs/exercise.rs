//! Everything that the reader offers, called on one image; used with bytes of which nobody knows what they are.

use std::fs::File;

use recstrap::erofs::{Encoding, Error, Image, Kind, Nid, Scratch};

/// Content that is decompressed of one image at most: files may name the same blocks over and over.
const BUDGET: u64 = 64 << 20;

/// Reads all names, attributes, targets and contents; the number of names. Panics if the reader breaks its promises.
pub(crate) fn read(file: File) -> Result<u64, Error> {
    let image = Image::open(file)?;
    let mut scratch = Scratch::new();
    let (mut names, mut budget) = (0, BUDGET);
    let mut last: Vec<u8> = Vec::new();
    for name in image.walk() {
        let name = name?;
        names += 1;
        assert!(names <= image.len(), "more names than bytes");
        assert!(name.path.len() <= 4095 && !name.path.contains(&0));
        let parts: Vec<&[u8]> = name.path.split(|&b| b == b'/').collect();
        assert!(name.path.is_empty() || parts.iter().all(|p| !matches!(*p, b"" | b"." | b"..")));
        let key: Vec<u8> = name.path.iter().map(|&b| if b == b'/' { 0 } else { b }).collect();
        assert!(names == 1 || last < key, "out of order");
        last = key;
        let inode = &name.inode;
        assert!(inode.mtime_nsec < 1_000_000_000 && inode.mode <= 0o7777);
        assert_eq!(image.inode(inode.nid)?, *inode);
        assert!(image.xattrs(inode)?.is_sorted_by(|a, b| a.0 < b.0));
        let target = image.target(inode)?;
        assert_eq!(target.is_empty(), inode.kind != Kind::Symlink);
        assert!(target.len() <= 4095 && !target.contains(&0));
        let (mut at, extents) = (0, image.extents(inode)?);
        for extent in extents.iter() {
            assert_eq!(extent.offset, at, "a gap");
            at += extent.len;
            assert!(extent.len > 0 && extent.len <= 12 << 20);
            if extent.encoding == Encoding::Hole {
                // Terabytes of them are legal.
                if at > 16 << 20 {
                    at = inode.size;
                    break;
                }
            } else {
                assert!(extent.at + extent.stored <= image.len(), "outside");
            }
            if budget > extent.len {
                budget -= extent.len;
                assert_eq!(image.read_extent(&extent, &mut scratch)?.len() as u64, extent.len);
            }
        }
        let expected = if inode.kind == Kind::File { inode.size } else { 0 };
        assert_eq!(at, expected, "extents are not as long as the file");
    }
    // What no directory names can be asked for as well.
    for nid in 0..64 {
        if let Ok(inode) = image.inode(Nid(nid)) {
            let _ =
                (image.xattrs(&inode), image.entries(&inode), image.target(&inode), image.extents(&inode));
        }
    }
    let _ = (image.inode(Nid(u64::MAX)), image.inode(Nid(u64::MAX / 32)));
    Ok(names)
}
