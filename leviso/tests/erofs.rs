//! EROFS images: fsck.erofs accepts and extracts them, the kernel mounts them, and both show exactly the tree.

#[path = "erofs/host.rs"]
mod host;
#[path = "erofs/check.rs"]
mod check;

use check::{Image, attributes, lz4hc};
use leviso::tree::{Inode, Kind, Meta, Origin, Tree};

fn origin() -> Origin {
    Origin::Generated("test")
}

#[test]
fn a_plain_system_tree_comes_back() {
    let mut tree = Tree::new(1_700_000_000);
    let text = "all work and no play makes jack a dull boy\n".repeat(20_000);
    tree.write("/usr/share/text", text, 0o644, origin()).unwrap();
    tree.write("/usr/bin/tool", b"#!/bin/sh\n".to_vec(), 0o4755, origin()).unwrap();
    tree.write("/etc/empty", b"".to_vec(), 0o600, origin()).unwrap();
    tree.symlink("/bin", "usr/bin", origin()).unwrap();
    let kind = Kind::Char { major: 1, minor: 3 };
    tree.insert("/null", Inode { meta: Meta::root(0o666, 5, origin()), kind }).unwrap();
    let image = Image::write(&tree, &lz4hc());
    image.fsck_accepts_and_extracts(&tree);
    image.mounts(&tree);
}

#[test]
fn real_programs_come_back() {
    let dir = std::path::Path::new("/usr/sbin").canonicalize().unwrap();
    let tree = host::read(&dir).unwrap();
    let image = Image::write(&tree, &lz4hc());
    assert!(image.report.bytes < image.report.content * 2 / 3, "{:?}", image.report);
    image.fsck_accepts_and_extracts(&tree);
    image.mounts(&tree);
}

#[test]
fn extended_attributes_come_back() {
    let mut tree = Tree::new(0);
    let id = tree.write("/ping", vec![7; 100_000], 0o755, origin()).unwrap();
    tree.inode_mut(id).meta.xattrs = attributes(&[
        // VFS_CAP_REVISION_2, cap_net_raw permitted and effective.
        ("security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("trusted.overlay.opaque", b"y"),
        ("user.empty", b""),
        ("user.large", &[b'x'; 3000]),
    ]);
    let image = Image::write(&tree, &lz4hc());
    image.fsck_accepts_and_extracts(&tree);
    image.mounts(&tree);
}
