//! EROFS images: fsck.erofs accepts and extracts them, the kernel mounts them, and both show exactly the tree.

#[path = "erofs/host.rs"]
mod host;
#[path = "erofs/check.rs"]
mod check;
#[path = "erofs/reader.rs"]
mod reader;
#[path = "erofs/random.rs"]
mod random;

use check::{Image, attributes, lz4, lz4hc, noise, options, plain};
use leviso::tree::{Inode, Kind, Meta, Origin, Owner, Tree};

fn origin() -> Origin {
    Origin::Generated("test")
}

/// Puts an inode of any kind at a path.
fn put(tree: &mut Tree, path: impl AsRef<[u8]>, mode: u16, kind: Kind) {
    tree.insert(path, Inode { meta: Meta::root(mode, 5, origin()), kind }).unwrap();
}

/// Both oracles, and our own reader, see the tree in its image.
fn comes_back(tree: &Tree, options: &leviso::erofs::Options) -> Image {
    let image = Image::write(tree, options);
    image.fsck_accepts_and_extracts(tree);
    image.mounts(tree);
    reader::reads(&image.path, tree);
    image
}

#[test]
fn every_kind_of_inode_comes_back() {
    let mut tree = Tree::new(1_700_000_000);
    let text = "all work and no play makes jack a dull boy\n".repeat(20_000);
    tree.write("/usr/share/text", text, 0o644, origin()).unwrap();
    tree.write("/usr/bin/tool", b"#!/bin/sh\n".to_vec(), 0o4755, origin()).unwrap();
    tree.write("/etc/empty", b"".to_vec(), 0o600, origin()).unwrap();
    tree.mkdir_p("/empty", &origin()).unwrap();
    tree.symlink("/bin", "usr/bin", origin()).unwrap();
    // Targets around what fits behind an inode, and the longest there is.
    for len in [1, 4000, 4031, 4032, 4033, 4064, 4065, 4095] {
        tree.symlink(format!("/links/{len}"), vec![b'a'; len], origin()).unwrap();
    }
    put(&mut tree, "/null", 0o666, Kind::Char { major: 1, minor: 3 });
    put(&mut tree, "/large", 0o600, Kind::Char { major: 4095, minor: 0xf_ffff });
    put(&mut tree, "/vda", 0o660, Kind::Block { major: 254, minor: 0x1_2345 });
    put(&mut tree, "/fifo", 0o622, Kind::Fifo);
    put(&mut tree, "/socket", 0o777, Kind::Socket);
    put(&mut tree, "/tmp", 0o1777, Kind::Dir(leviso::tree::Entries::new()));
    put(&mut tree, "/setgid", 0o2775, Kind::Dir(leviso::tree::Entries::new()));
    put(&mut tree, "/shut", 0, Kind::File(b"secret".to_vec().into()));
    for options in [lz4hc(), lz4(), plain()] {
        comes_back(&tree, &options);
    }
}

/// fsck.erofs 1.5 reads twelve bytes behind every inode, so none may end where the image ends.
#[test]
fn metadata_that_would_fill_its_blocks_exactly_is_accepted() {
    let mut ends = Vec::new();
    for files in 50..200 {
        let mut tree = Tree::new(1_700_000_000);
        for i in 0..files {
            put(&mut tree, format!("/{i}"), 0o600, Kind::Char { major: 1, minor: i });
        }
        let image = Image::write(&tree, &plain());
        let (ok, text) = image.fsck(&[]);
        assert!(ok, "{files} files: {text}");
        ends.push(image.report.bytes);
    }
    // The sizes go through the end of a block, or nothing was tried.
    assert!(ends[0] < ends[ends.len() - 1], "{ends:?}");
}

#[test]
fn names_are_bytes() {
    let mut tree = Tree::new(0);
    let names: [&[u8]; 8] = [
        b"\xff\xfe",
        b"!before-dot",
        b"-dash",
        b"a b\nc",
        &[b'n'; 255],
        b"\x80",
        b"...",
        "\u{e4}".as_bytes(),
    ];
    for name in names {
        tree.write([b"/d/", name].concat(), name.to_vec(), 0o644, origin()).unwrap();
        tree.write([b"/", name].concat(), name.to_vec(), 0o644, origin()).unwrap();
    }
    comes_back(&tree, &lz4hc());
}

#[test]
fn owners_and_times_are_exact() {
    let mut tree = Tree::new(1_700_000_000);
    let times =
        [(0, 0), (1_700_000_000, 0), (1_700_000_000, 1), (1, 999_999_999), (5_000_000_000, 7), (-5, 3)];
    for (i, (mtime, mtime_nsec)) in times.into_iter().enumerate() {
        for (user, group) in [(0, 0), (65535, 65535), (65536, 0), (0, 4_000_000_000)] {
            let mut meta = Meta::root(0o644, mtime, origin());
            meta.mtime_nsec = mtime_nsec;
            (meta.user, meta.group) = (Owner::Id(user), Owner::Id(group));
            let kind = Kind::File(vec![b'x'; i * 1000].into());
            tree.insert(format!("/{i}-{user}-{group}"), Inode { meta, kind }).unwrap();
        }
    }
    comes_back(&tree, &lz4hc());
}

#[test]
fn hard_links_are_one_inode() {
    let mut tree = Tree::new(0);
    let id = tree.write("/a", b"linked ".repeat(3000), 0o644, origin()).unwrap();
    tree.mkdir_p("/d/e", &origin()).unwrap();
    for i in 0..300 {
        tree.link(format!("/d/e/{i}"), id).unwrap();
    }
    let image = comes_back(&tree, &lz4hc());
    assert_eq!(image.report.inodes, 4);
    assert_eq!(image.report.content, 21_000);
}

#[test]
fn extended_attributes_come_back() {
    let mut tree = Tree::new(0);
    let acl: &[u8] =
        b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\x01\0\0\0\x04\0\x04\0\xff\xff\xff\xff\
        \x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    let id = tree.write("/ping", b"ping".repeat(25_000), 0o755, origin()).unwrap();
    tree.inode_mut(id).meta.xattrs = attributes(&[
        // VFS_CAP_REVISION_2, cap_net_raw permitted and effective.
        ("security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("trusted.overlay.opaque", b"y"),
        ("user.empty", b""),
        ("user.large", &[b'x'; 3000]),
    ]);
    let id = tree.mkdir_p("/acl", &origin()).unwrap();
    tree.inode_mut(id).meta.mode = 0o640;
    let acls = [("system.posix_acl_access", acl), ("system.posix_acl_default", acl)];
    tree.inode_mut(id).meta.xattrs = attributes(&acls);
    // More than a block behind one inode, with a tail behind that; and a link whose target finds no room there.
    let id = tree.write("/many", b"many".to_vec(), 0o644, origin()).unwrap();
    let many: Vec<String> = (0..100).map(|i| format!("user.attribute-number-{i}")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (&**name, &[b'v'; 200][..])).collect();
    tree.inode_mut(id).meta.xattrs = attributes(&many);
    let id = tree.symlink("/link", vec![b't'; 3000], origin()).unwrap();
    tree.inode_mut(id).meta.xattrs = attributes(&[("trusted.large", &[b'x'; 3000])]);
    comes_back(&tree, &lz4hc());
}

#[test]
fn sizes_around_blocks_clusters_and_pieces_come_back() {
    let mut tree = Tree::new(0);
    let sizes =
        [1, 100, 4030, 4031, 4032, 4033, 4095, 4096, 4097, 8191, 8192, 8193, 16384, 65536, 65537, 300_000];
    let piece = 4 << 20;
    for size in sizes.into_iter().chain([piece - 1, piece, piece + 1, 2 * piece + 5000]) {
        let text: Vec<u8> = (0..size).map(|i| b"etaoin shrdlu"[(i * i / 7) % 13]).collect();
        let mut half = noise(size as u64, size);
        half[size / 3..size / 2].fill(b'-');
        tree.write(format!("/text-{size}"), text, 0o644, origin()).unwrap();
        tree.write(format!("/noise-{size}"), noise(size as u64 + 1, size), 0o644, origin()).unwrap();
        tree.write(format!("/half-{size}"), half, 0o644, origin()).unwrap();
        tree.write(format!("/zeros-{size}"), vec![0; size], 0o644, origin()).unwrap();
    }
    for pcluster in [4096, 8192, 65536, 1 << 20] {
        for tail_packing in [false, true] {
            comes_back(&tree, &leviso::erofs::Options { pcluster, tail_packing, ..lz4() });
        }
    }
    comes_back(&tree, &plain());
    comes_back(
        &tree,
        &leviso::erofs::Options { algorithm: leviso::erofs::Algorithm::Lz4Hc { level: 12 }, ..lz4hc() },
    );
}

#[test]
fn what_does_not_shrink_is_stored_as_it_is() {
    let mut tree = Tree::new(0);
    tree.write("/noise", noise(1, 3_000_000), 0o644, origin()).unwrap();
    tree.write("/text", b"text ".repeat(100_000), 0o644, origin()).unwrap();
    let image = comes_back(&tree, &lz4hc());
    assert_eq!((image.report.stored, image.report.compressed), (1, 1));
    assert!(image.report.bytes < 3_000_000 + 5 * 4096, "{:?}", image.report);
}

#[test]
fn a_directory_of_100000_names_comes_back() {
    let mut tree = Tree::new(0);
    for i in 0..100_000_u32 {
        let name = format!("/big/{:x}-{i}", i.wrapping_mul(2_654_435_761));
        tree.write(name, if i % 1000 == 0 { b"some".to_vec() } else { Vec::new() }, 0o644, origin()).unwrap();
    }
    comes_back(&tree, &lz4hc());
}

#[test]
fn a_sparse_file_of_more_than_4_gib_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sparse");
    let file = std::fs::File::create_new(&path).unwrap();
    let size = (4 << 30) + 12_345;
    file.set_len(size).unwrap();
    for at in [0, 1 << 30, (4 << 30) - 3, size - 6] {
        std::os::unix::fs::FileExt::write_all_at(&file, b"island", at).unwrap();
    }
    let map = leviso::tree::Mapped::new(&std::fs::File::open(&path).unwrap()).unwrap();
    let content = leviso::tree::Content::mapped(&map, 0..map.as_slice().len()).unwrap();
    let mut tree = Tree::new(0);
    put(&mut tree, "/sparse", 0o644, Kind::File(content));
    // 1 MiB clusters: the smallest for long runs.
    let image = Image::write(&tree, &leviso::erofs::Options { pcluster: 1 << 20, ..lz4() });
    assert!(image.report.bytes < size / 100, "{:?}", image.report);
    let (ok, text) = image.fsck(&[]);
    assert!(ok, "{text}");
    image.mounts(&tree);
}

#[test]
fn real_programs_come_back() {
    let dir = std::path::Path::new("/usr/sbin").canonicalize().unwrap();
    let tree = host::read(&dir).unwrap();
    let image = comes_back(&tree, &options(9, 65536));
    assert!(image.report.bytes < image.report.content * 2 / 3, "{:?}", image.report);
}

#[test]
fn the_same_tree_gives_the_same_bytes_on_any_number_of_threads() {
    let mut tree = Tree::new(0);
    for i in 0..40 {
        let mut content = noise(i, 700_000);
        content[100_000..600_000].fill(i as u8);
        tree.write(format!("/{i}"), content, 0o644, origin()).unwrap();
    }
    tree.write("/large", b"large ".repeat(3 << 20), 0o644, origin()).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let image = pool.install(|| Image::write(&tree, &lz4hc()));
        std::fs::read(&image.path).unwrap()
    };
    let one = on(1);
    assert!(one == on(4) && one == on(3));
    // The identity is the content's: another byte, another volume.
    let first = Image::write(&tree, &lz4hc()).report;
    tree.write("/1", b"other".to_vec(), 0o644, origin()).unwrap();
    let second = Image::write(&tree, &lz4hc()).report;
    assert_ne!(first.uuid, second.uuid);
    assert_ne!(first.digest, second.digest);
}

#[test]
fn damage_is_noticed() {
    let mut tree = Tree::new(0);
    let text: String = (0..60_000).map(|i| format!("line {i}\n")).collect();
    tree.write("/text", text, 0o644, origin()).unwrap();
    let image = Image::write(&tree, &lz4hc());
    assert!(image.fsck(&["--extract"]).0);
    let good = std::fs::read(&image.path).unwrap();
    // In the superblock, in the first cluster, in the inode of the root.
    for (at, what) in [(1024 + 70, "superblock"), (4096 + 3000, "data"), (good.len() - 4096 + 34, "inode")] {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        std::fs::write(&image.path, bad).unwrap();
        let (ok, text) = image.fsck(&["--extract"]);
        assert!(!ok, "damage in the {what} went unnoticed: {text}");
    }
}

#[test]
fn the_superblock_says_what_was_asked_for() {
    let uuid = *b"0123456789abcdef";
    let options = leviso::erofs::Options { uuid: Some(uuid), label: "SIXTEEN-BYTES-OK".into(), ..lz4hc() };
    let image = Image::write(&Tree::new(0), &options);
    let dump =
        common::cmd::Cmd::new(testkit::oracle("dump.erofs")).arg("-s").arg(&image.path).read().unwrap();
    for line in ["30313233-3435-3637-3839-616263646566", "0xE0F5E1E2", "sb_csum", "0padding", "big_pcluster"]
    {
        assert!(dump.contains(line), "{line}: {dump}");
    }
    let bytes = std::fs::read(&image.path).unwrap();
    assert_eq!(&bytes[1024 + 64..1024 + 80], b"SIXTEEN-BYTES-OK");
    assert_eq!(common::hash::Sha256::of(&bytes), image.report.digest);
    assert_eq!(image.report.uuid, uuid);
    image.fsck_accepts_and_extracts(&Tree::new(0));
}

/// The error of writing a tree with one inode in it.
fn refused(kind: Kind, change: impl FnOnce(&mut Meta)) -> anyhow::Error {
    let mut tree = Tree::new(0);
    let mut meta = Meta::root(0o644, 0, origin());
    change(&mut meta);
    tree.insert("/bad", Inode { meta, kind }).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    leviso::erofs::write(&tree, &mut file, &lz4hc(), &leviso::progress::Quiet).unwrap_err()
}

#[test]
fn what_cannot_be_stored_is_named() {
    use common::cli::{exit_code, report};
    use leviso::exit;
    let file = || Kind::File(b"x".to_vec().into());
    let err = refused(file(), |meta| meta.user = Owner::Name("chrony".into()));
    assert!(report(&err).contains("/bad belongs to user chrony"), "{err:?}");
    assert_eq!(exit_code(&err), exit::SYSTEM);
    let err = refused(file(), |meta| meta.xattrs = attributes(&[("other.name", b"")]));
    assert!(report(&err).contains("/bad") && report(&err).contains("other.name"), "{err:?}");
    let err = refused(file(), |meta| meta.xattrs = attributes(&[("user.big", &[0; 65536])]));
    assert!(report(&err).contains("larger than 65535"), "{err:?}");
    let err = refused(Kind::Symlink(vec![b'x'; 4096].into()), |_| {});
    assert!(report(&err).contains("longer than 4095"), "{err:?}");
    let err = refused(Kind::Char { major: 4096, minor: 0 }, |_| {});
    assert!(report(&err).contains("4096:0"), "{err:?}");
    assert_eq!(exit_code(&err), exit::IMAGE);
    let mut tree = Tree::new(0);
    tree.write([&b"/"[..], &[b'n'; 256]].concat(), b"".to_vec(), 0o644, origin()).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let err = leviso::erofs::write(&tree, &mut file, &lz4hc(), &leviso::progress::Quiet).unwrap_err();
    assert!(report(&err).contains("longer than 255"), "{err:?}");
}

#[test]
fn a_full_disk_is_reported_as_such() {
    if !testkit::is_root() {
        testkit::skip("EROFS image on a full disk", "not root: cannot mount a small file system");
        return;
    }
    let mut tree = Tree::new(0);
    tree.write("/noise", noise(1, 3_000_000), 0o644, origin()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mount = check::Mount::small(&dir.path().join("small"));
    let path = mount.0.join("image");
    let mut full = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
    let err = leviso::erofs::write(&tree, &mut full, &lz4hc(), &leviso::progress::Quiet).unwrap_err();
    assert_eq!(common::cli::exit_code(&err), common::cli::code::NO_SPACE, "{err:?}");
    drop(full);
}
