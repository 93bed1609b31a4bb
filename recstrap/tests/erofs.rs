//! The reader of EROFS images sees what the kernel sees, in images of mkfs.erofs made in every way that it reads; and
//! refuses, without a panic, what is damaged or hostile.

#[path = "erofs/listing.rs"]
mod listing;
#[path = "erofs/make.rs"]
mod make;
#[path = "erofs/tree.rs"]
mod tree;

/// Ways to make an image: the options of mkfs.erofs 1.5.
const WAYS: &[&[&str]] = &[
    &[],
    &["-Enoinline_data"],
    &["-Eforce-inode-compact", "-T1600000000"],
    &["-x-1"],
    &["-x0"],
    &["-zlz4"],
    &["-zlz4hc"],
    &["-zlz4hc", "-Elegacy-compress"],
    &["-zlz4hc,12", "-C16384"],
    &["-zlz4hc,12", "-C65536", "-Eztailpacking"],
    &["-zlz4", "-C1048576"],
    &["-zlz4", "-Eztailpacking"],
    &["-zlz4", "-Eztailpacking,legacy-compress"],
    &["-zlz4hc", "-C65536", "--max-extent-bytes=131072"],
    &["--chunksize=4096"],
    &["--chunksize=65536"],
    &["--chunksize=4096", "-Eforce-chunk-indexes"],
];

#[test]
fn images_of_mkfs_read_as_the_kernel_reads_them() {
    if !testkit::is_root() {
        return testkit::skip("images_of_mkfs_read_as_the_kernel_reads_them", "mounting needs root");
    }
    let dir = tempfile::tempdir().unwrap();
    tree::fill(dir.path());
    for way in WAYS {
        let image = make::mkfs(dir.path(), way);
        let ours = listing::of_image(&image.path).unwrap_or_else(|e| panic!("{way:?}: {e}"));
        listing::assert_same(&ours, &image.mounted(), &format!("{way:?}"));
    }
}
