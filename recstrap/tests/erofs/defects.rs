//! One defect at a time in a good image: each is refused, and the error says what it is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{XattrFlags, lsetxattr};

use super::bytes::{mixture, noise};
use super::editor::{Editor, field};
use super::make::mkfs;

/// A defect: its name, how it is made, what the error must say.
type Defect = (&'static str, fn(&mut Editor), &'static str);

/// A tree whose images have all that the defects are put into.
pub(crate) fn fill(dir: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).unwrap();
    fs::create_dir_all(dir.join("dir/sub")).unwrap();
    for name in ["dir/a", "dir/b", "dir/c", "dir/sub/x"] {
        write(name, name.as_bytes());
    }
    symlink("to/somewhere", dir.join("link")).unwrap();
    write("packed", &mixture(3, 200_000));
    write("noise", &noise(4, 10_000));
    write("tail", &[mixture(5, 7000), mixture(6, 1500)].concat());
    fs::hard_link(dir.join("noise"), dir.join("other")).unwrap();
    for (name, value) in [("user.one", &b"1"[..]), ("user.two", b"22")] {
        lsetxattr(dir.join("dir/c"), name, value, XattrFlags::empty()).unwrap();
    }
}

/// An image of that tree.
pub(crate) fn image(args: &[&str]) -> Editor {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    Editor::new(fs::read(mkfs(dir.path(), args).path).unwrap())
}

fn each_is_refused(good: &Editor, defects: &[Defect]) {
    assert_eq!(good.read().unwrap(), 12, "the image without a defect");
    let mut wrong = Vec::new();
    for (name, make, expected) in defects {
        let mut bad = good.clone();
        make(&mut bad);
        // mkfs.erofs puts inodes behind the superblock too, where its checksum covers them.
        if *name != "checksum" && bad.bytes.len() >= 4096 {
            bad.resum();
        }
        match bad.read() {
            Ok(_) => wrong.push(format!("{name}: accepted")),
            Err(e) if e.to_string().contains(expected) => {}
            Err(e) => wrong.push(format!("{name}: {e} (expected: {expected})")),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), defects.len(), wrong.join("\n"));
}

#[test]
fn defects_of_the_superblock() {
    let good = image(&["-zlz4hc", "-C65536"]);
    each_is_refused(
        &good,
        &[
            ("empty", |e| e.bytes.clear(), "too few"),
            ("shorter than a superblock", |e| e.bytes.truncate(1100), "too few"),
            ("cut off by a byte", |e| e.bytes.truncate(e.bytes.len() - 1), "ends beyond"),
            ("cut in half", |e| e.bytes.truncate(e.bytes.len() / 8192 * 4096), "ends beyond"),
            ("magic", |e| e.superblock(0, b"ext4"), "no EROFS image"),
            ("checksum", |e| e.bytes[1024 + 50] ^= 1, "checksum"),
            ("block size 512", |e| e.superblock(12, &[9]), "blocks of 2^9"),
            ("block size 2^255", |e| e.superblock(12, &[255]), "blocks of 2^255"),
            ("two devices", |e| e.set_bits(80, 0x8), "several devices"),
            ("fragments", |e| e.set_bits(80, 0x20), "fragments"),
            ("attribute prefixes", |e| e.set_bits(80, 0x40), "long prefixes"),
            ("48 bit", |e| e.set_bits(80, 0x80), "48-bit"),
            ("metabox", |e| e.set_bits(80, 0x100), "metadata compartment"),
            ("from the future", |e| e.set_bits(80, 0x8000_0000), "unknown features"),
            ("LZMA", |e| e.superblock(84, &[2, 0]), "LZMA compression"),
            ("deflate", |e| e.superblock(84, &[5, 0]), "DEFLATE compression"),
            ("Zstandard", |e| e.superblock(84, &[8, 0]), "Zstandard compression"),
            ("an unknown algorithm", |e| e.superblock(84, &[0, 1]), "unknown (number 8) compression"),
            ("more blocks than bytes", |e| e.superblock(36, &[0xff; 4]), "ends beyond"),
            ("no blocks", |e| e.superblock(36, &[0; 4]), "inodes in 0 bytes"),
            ("fewer blocks than used", |e| e.superblock(36, &[1, 0, 0, 0]), "ends beyond"),
            ("root beyond the image", |e| e.superblock(14, &[0xff; 2]), "ends beyond"),
            ("metadata beyond the image", |e| e.superblock(40, &[0xff; 4]), "ends beyond"),
            ("no inodes", |e| e.superblock(16, &[0; 8]), "0 inodes"),
            ("few inodes", |e| e.superblock(16, &[3, 0, 0, 0, 0, 0, 0, 0]), "more inodes"),
            ("2^64 inodes", |e| e.superblock(16, &[0xff; 8]), "inodes in"),
            ("nanoseconds", |e| e.superblock(32, &[0xff; 4]), "nanoseconds"),
            ("directory blocks", |e| e.superblock(90, &[1]), "directory blocks"),
            (
                "a file for a root",
                |e| e.superblock(14, &(e.inode("noise").nid.0 as u16).to_le_bytes()),
                "the root is no directory",
            ),
        ],
    );
}

#[test]
fn defects_of_inodes_and_links() {
    let good = image(&[]);
    each_is_refused(
        &good,
        &[
            (
                "unknown format bits",
                |e| e.put(e.at("noise") + field::FORMAT, &[0xff, 0xff]),
                "unknown format",
            ),
            ("layout 5", |e| e.put(e.at("noise") + field::FORMAT, &[5 << 1 | 1, 0]), "layout 5"),
            ("layout 7", |e| e.put(e.at("noise") + field::FORMAT, &[7 << 1 | 1, 0]), "layout 7"),
            ("no type", |e| e.put(e.at("noise") + field::MODE, &[0xff, 0x0f]), "has mode 7777"),
            (
                "another type",
                |e| e.put(e.at("noise") + field::MODE, &0o040_755_u16.to_le_bytes()),
                "disagree",
            ),
            ("2^64 bytes", |e| e.put(e.at("noise") + field::SIZE, &[0xff; 8]), "bytes of content"),
            ("2^40 bytes", |e| e.put(e.at("noise") + field::SIZE + 5, &[1]), "ends beyond"),
            ("blocks beyond the image", |e| e.put(e.at("noise") + field::UNION, &[0xff; 4]), "ends beyond"),
            (
                "a tail over two blocks",
                |e| e.put(e.at("dir/a") + field::SIZE, &[0xf8, 0x0f]),
                "cross a block",
            ),
            ("nanoseconds", |e| e.put(e.at("noise") + field::NSEC, &[0xff; 4]), "beyond a second"),
            (
                "attributes beyond the image",
                |e| e.put(e.at("noise") + field::XATTRS, &[0xff; 2]),
                "ends beyond",
            ),
            ("a name too many", |e| e.put(e.at("noise") + field::NLINK, &[1]), "more names than it says"),
            ("no target", |e| e.put(e.at("link") + field::SIZE, &[0]), "target has 0 bytes"),
            ("a target of 4096", |e| e.put(e.at("link") + field::SIZE, &[0, 0x10]), "target has 4096 bytes"),
            ("NUL in a target", |e| e.put(e.body("link") + 2, &[0]), "NUL"),
            (
                "a compressed symlink",
                |e| e.put(e.at("link") + field::FORMAT, &[3 << 1 | 1]),
                "a symlink that is",
            ),
            (
                "a compressed directory",
                |e| e.put(e.at("dir") + field::FORMAT, &[3 << 1 | 1]),
                "a directory that is",
            ),
            (
                "a directory in chunks",
                |e| e.put(e.at("dir") + field::FORMAT, &[4 << 1 | 1]),
                "a directory that is",
            ),
        ],
    );
}

/// Points a name of `/dir` to another inode, which is said to be a directory.
fn point(e: &mut Editor, name: &str, to: &str) {
    let nid = e.inode(to).nid.0;
    let (at, _) = e.dirent("dir", name);
    e.put(at, &nid.to_le_bytes());
    e.put(at + 10, &[2]);
}

fn rename(e: &mut Editor, from: &str, to: &[u8]) {
    let (_, at) = e.dirent("dir", from);
    e.put(at, to);
}

fn names_at(e: &mut Editor, name: &str, offset: u16) {
    let (at, _) = e.dirent("dir", name);
    e.put(at + 8, &offset.to_le_bytes());
}

#[test]
fn defects_of_directories() {
    let good = image(&[]);
    each_is_refused(
        &good,
        &[
            ("a slash", |e| rename(e, "a", b"/"), "no file name"),
            ("a NUL", |e| rename(e, "b", b"\0"), "no file name"),
            ("a name twice", |e| rename(e, "b", b"a"), "out of order or there twice"),
            ("out of order", |e| rename(e, "a", b"z"), "out of order or there twice"),
            ("dot twice", |e| rename(e, "..", b".\0"), "no file name"),
            (".. later", |e| rename(e, "sub", b"..\0"), "out of order"),
            ("a name before dot", |e| rename(e, ".", b"z"), "out of order"),
            ("names before entries", |e| names_at(e, "b", 4), "a name from"),
            ("names beyond the block", |e| names_at(e, "b", 5000), "a name from"),
            ("a name that ends before it starts", |e| names_at(e, "c", 73), "a name from"),
            (
                "an empty name",
                |e| {
                    let (at, _) = e.dirent("dir", "b");
                    let same = [e.bytes[at + 8], e.bytes[at + 9]];
                    e.put(at - 12 + 8, &same);
                },
                "no file name",
            ),
            ("no entries", |e| names_at(e, ".", 0), "names start at 0"),
            ("part of an entry", |e| names_at(e, ".", 13), "names start at 13"),
            ("entries beyond the block", |e| names_at(e, ".", 12_000), "names start at 12000"),
            (
                "nid beyond the image",
                |e| {
                    let (at, _) = e.dirent("dir", "a");
                    e.put(at, &[0xff; 4]);
                },
                "ends beyond",
            ),
            (
                "nid 2^64 - 1",
                |e| {
                    let (at, _) = e.dirent("dir", "a");
                    e.put(at, &[0xff; 8]);
                },
                "no inode has number",
            ),
            ("itself", |e| point(e, "sub", "dir"), "second name for a directory"),
            ("the root", |e| point(e, "sub", ""), "second name for a directory"),
            ("a directory twice", |e| point(e, "a", "dir/sub"), "second name for a directory"),
            (
                "another kind",
                |e| {
                    let (at, _) = e.dirent("dir", "a");
                    e.put(at + 10, &[7]);
                },
                "disagree",
            ),
            ("dot elsewhere", |e| point(e, ".", "dir/sub"), "another directory"),
            ("5 bytes", |e| e.put(e.at("dir/sub") + field::SIZE, &[5]), "block of 5 bytes"),
            (
                "2^24 + 1 bytes",
                |e| e.put(e.at("dir") + field::SIZE, &[1, 0, 0, 1]),
                "directory of 16777217 bytes",
            ),
            ("beyond the image", |e| e.put(e.at("dir") + field::SIZE, &[0, 0, 0xf0, 0]), "ends beyond"),
        ],
    );
}

#[test]
fn defects_of_attributes() {
    let good = image(&[]);
    // The header's 12 bytes, then user.one and its value.
    let first = |e: &Editor| e.xattrs("dir/c") + 12;
    assert_eq!(&good.bytes[first(&good) + 4..first(&good) + 8], b"one1");
    each_is_refused(
        &good,
        &[
            ("a long name", |e| e.put(e.xattrs("dir/c") + 12, &[0xff]), "an attribute of"),
            ("a long value", |e| e.put(e.xattrs("dir/c") + 14, &[0xff, 0xff]), "an attribute of"),
            ("no prefix", |e| e.put(e.xattrs("dir/c") + 13, &[0]), "unknown prefix 0"),
            ("Lustre's prefix", |e| e.put(e.xattrs("dir/c") + 13, &[5]), "unknown prefix 5"),
            ("a long prefix", |e| e.put(e.xattrs("dir/c") + 13, &[0x81]), "long prefixes"),
            ("a list with a name", |e| e.put(e.xattrs("dir/c") + 13, &[2]), "name is empty, too long"),
            ("an empty name", |e| e.put(e.xattrs("dir/c") + 12, &[0, 1, 4, 0]), "name is empty"),
            ("a NUL in a name", |e| e.put(e.xattrs("dir/c") + 17, &[0]), "NUL"),
            ("twice", |e| e.put(e.xattrs("dir/c") + 24, b"one"), "there twice"),
            ("255 shared ones", |e| e.put(e.xattrs("dir/c") + 4, &[255]), "255 shared attributes"),
            (
                "a shared one nowhere",
                |e| {
                    e.put(e.xattrs("dir/c") + 4, &[1]);
                    e.put(e.xattrs("dir/c") + 12, &[0xff; 4]);
                },
                "ends beyond",
            ),
        ],
    );
}

#[test]
fn defects_of_full_indexes() {
    let good = image(&["-zlz4hc", "-C16384", "-Elegacy-compress"]);
    // The tests below count on a cluster of several blocks at the start.
    let count = good.entry("packed", 1);
    assert_eq!((good.bytes[count], good.bytes[count + 5] & 8), (2, 8), "no cluster of several blocks");
    each_is_refused(
        &good,
        &[
            ("unknown kind", |e| e.put(e.index("packed") + 5, &[0x80]), "unknown kind"),
            ("fragment", |e| e.put(e.index("packed") + 4, &[0x22]), "fragments"),
            ("all a fragment", |e| e.put(e.index("packed") + 7, &[0x80]), "fragments"),
            ("LZMA", |e| e.put(e.index("packed") + 6, &[1]), "LZMA"),
            ("larger steps", |e| e.put(e.index("packed") + 7, &[1]), "larger steps"),
            ("second algorithm", |e| e.put(e.entry("packed", 0), &[3]), "second compression algorithm"),
            ("part of a cluster", |e| e.put(e.entry("packed", 0) + 1, &[0x80]), "deduplication"),
            ("unknown bits", |e| e.put(e.entry("packed", 0) + 1, &[0x10]), "unknown kind"),
            ("offset 4096", |e| e.put(e.entry("packed", 0) + 3, &[0x10]), "a cluster at 4096"),
            ("a start in no cluster", |e| e.put(e.entry("packed", 0) + 2, &[1]), "start is in no cluster"),
            ("no start", |e| e.put(e.entry("packed", 0), &[2]), "start is in no cluster"),
            ("a block beyond the image", |e| e.put(e.entry("packed", 0) + 4, &[0xff; 3]), "beyond the image"),
            (
                "clusters that overlap",
                |e| {
                    // Where the second cluster starts, the first one's block.
                    let start = e.entry("packed", 0);
                    let block = e.bytes[start + 4..start + 8].to_vec();
                    let next = (1..).find(|n| e.bytes[e.entry("packed", *n)] < 2).unwrap();
                    e.put(e.entry("packed", next) + 4, &block);
                },
                "overlap",
            ),
            ("no blocks", |e| e.put(e.entry("packed", 1) + 4, &[0, 8]), "without blocks"),
            (
                "2000 blocks",
                |e| e.put(e.entry("packed", 1) + 4, &[0xd0, 0xf]),
                "without blocks, or with too many",
            ),
            ("count missing", |e| e.put(e.entry("packed", 1) + 4, &[1, 0]), "number of blocks is missing"),
            ("count twice", |e| e.put(e.entry("packed", 2) + 4, &[2, 8]), "number of blocks where none"),
            ("distance 0", |e| e.put(e.entry("packed", 2) + 4, &[0, 0]), "wrong cluster"),
            ("distance too far", |e| e.put(e.entry("packed", 2) + 4, &[3, 0]), "wrong cluster"),
            (
                "a cluster of garbage",
                |e| {
                    let start = e.entry("packed", 0) + 4;
                    let block = e.bytes[start] as usize | (e.bytes[start + 1] as usize) << 8;
                    e.put(block * 4096 + 100, &noise(1, 3000));
                },
                "decompress",
            ),
            (
                "a cluster of zeros",
                |e| {
                    let start = e.entry("packed", 0) + 4;
                    let block = e.bytes[start] as usize | (e.bytes[start + 1] as usize) << 8;
                    e.put(block * 4096, &[0; 4096]);
                },
                "a compressed cluster of zeros",
            ),
            (
                "the size less one",
                |e| {
                    let at = e.at("packed") + field::SIZE;
                    let less = (200_000_u64 - 1).to_le_bytes();
                    e.put(at, &less);
                },
                "beyond the file's end",
            ),
            ("2^40 bytes", |e| e.put(e.at("packed") + field::SIZE + 5, &[1]), "an index"),
        ],
    );
}

#[test]
fn defects_of_compact_indexes_and_tails() {
    let good = image(&["-zlz4hc", "-C16384", "-Eztailpacking"]);
    let advise = good.index("tail") + 4;
    assert_eq!(good.bytes[advise] & 8, 8, "no tail was packed");
    each_is_refused(
        &good,
        &[
            ("an empty tail", |e| e.put(e.index("tail") + 2, &[0, 0]), "a tail of 0 bytes"),
            ("a long tail", |e| e.put(e.index("tail") + 2, &[0, 0x11]), "a tail of 4352 bytes"),
            (
                "a tail cut short",
                |e| {
                    let at = e.index("tail") + 2;
                    let less = u16::from_le_bytes([e.bytes[at], e.bytes[at + 1]]) - 20;
                    e.put(at, &less.to_le_bytes());
                },
                "decompress",
            ),
            ("all entries of one kind", |e| e.put(e.index("packed") + 8, &[0xff; 160]), "second compression"),
            ("all entries zeros", |e| e.put(e.index("packed") + 8, &[0; 160]), "overlap"),
            ("small clusters", |e| e.flip(e.index("packed") + 4, 2), ""),
            ("packs of 2 only", |e| e.flip(e.index("packed") + 4, 1), ""),
        ],
    );
}

#[test]
fn defects_of_chunks() {
    let good = image(&["--chunksize=4096", "-Eforce-chunk-indexes"]);
    each_is_refused(
        &good,
        &[
            ("48 bit", |e| e.put(e.at("noise") + field::UNION, &[0x60]), "unknown format 0x60"),
            ("unknown format", |e| e.put(e.at("noise") + field::UNION + 1, &[0x80]), "unknown format"),
            (
                "beyond the image",
                |e| e.put(e.body("noise").next_multiple_of(8) + 4, &[0xff, 0xff, 0xff, 0]),
                "a chunk",
            ),
            ("another device", |e| e.put(e.body("noise").next_multiple_of(8) + 2, &[1]), "a second device"),
            ("2^40 bytes", |e| e.put(e.at("noise") + field::SIZE + 5, &[1]), "a list of chunks"),
        ],
    );
}
