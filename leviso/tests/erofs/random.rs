//! Random trees: whatever the mixture, both oracles and our reader see the tree in its image.

use leviso::erofs::{Algorithm, Options};
use leviso::tree::{Entries, Inode, Kind, Meta, Origin, Owner, Tree, Xattrs};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::check::{Image, lz4hc, noise};
use super::reader;

/// A piece of content: noise, or a byte repeated.
#[derive(Debug, Clone)]
enum Run {
    Noise(u64, usize),
    Same(u8, usize),
}

#[derive(Debug, Clone)]
enum What {
    Dir,
    File(Vec<Run>),
    Symlink(Vec<u8>),
    Device(u32, u32),
    Fifo,
    /// Another name of an earlier file.
    Link(usize),
}

fn what() -> impl Strategy<Value = What> {
    let len = || prop_oneof![4 => 0..6000_usize, 1 => 0..120_000_usize];
    let run = prop_oneof![
        (any::<u64>(), len()).prop_map(|(seed, len)| Run::Noise(seed, len)),
        (any::<u8>(), len()).prop_map(|(byte, len)| Run::Same(byte, len)),
    ];
    prop_oneof![
        2 => Just(What::Dir),
        6 => vec(run, 0..5).prop_map(What::File),
        2 => vec(1..=255_u8, 1..300).prop_map(What::Symlink),
        1 => (0..4096_u32, 0..1_048_576_u32).prop_map(|(major, minor)| What::Device(major, minor)),
        1 => Just(What::Fifo),
        1 => any::<usize>().prop_map(What::Link),
    ]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("no separator", |b| *b != 0 && *b != b'/');
    vec(byte, 1..40).prop_filter("a name of its own", |name| name != b"." && name != b"..")
}

fn meta() -> impl Strategy<Value = Meta> {
    let xattrs = btree_map("user\\.[a-z]{1,20}", vec(any::<u8>(), 0..400), 0..3);
    (0..0o10000_u16, any::<u32>(), any::<u16>(), 0..4_000_000_000_i64, 0..1_000_000_000_u32, xattrs).prop_map(
        |(mode, user, group, mtime, mtime_nsec, xattrs)| {
            // -1 means "no owner" to the kernel.
            let user = Owner::Id(user & 0x7fff_ffff);
            let xattrs: Xattrs = xattrs.into_iter().map(|(k, v)| (k.into_bytes().into(), v.into())).collect();
            let group = Owner::Id(group.into());
            Meta { mode, user, group, mtime, mtime_nsec, xattrs, origin: Origin::Generated("test") }
        },
    )
}

fn tree(specs: Vec<(usize, Vec<u8>, Meta, What)>) -> Tree {
    let mut tree = Tree::new(1_700_000_000);
    let (mut dirs, mut files) = (vec![Vec::new()], Vec::new());
    for (parent, name, mut meta, what) in specs {
        let parent: &Vec<u8> = &dirs[parent % dirs.len()];
        let path = [parent, &b"/"[..], &name].concat();
        if tree.lstat(&path).is_ok() {
            continue;
        }
        let kind = match what {
            What::Dir => Kind::Dir(Entries::new()),
            What::File(runs) => {
                let bytes = runs.into_iter().flat_map(|run| match run {
                    Run::Noise(seed, len) => noise(seed, len),
                    Run::Same(byte, len) => vec![byte; len],
                });
                Kind::File(bytes.collect::<Vec<u8>>().into())
            }
            What::Symlink(target) => {
                // user. attributes are for files and directories, and a link's permissions are fixed.
                meta.xattrs = Xattrs::new();
                meta.mode = 0o777;
                Kind::Symlink(target.into())
            }
            What::Device(major, minor) => {
                meta.xattrs = Xattrs::new();
                Kind::Char { major, minor }
            }
            What::Fifo => {
                meta.xattrs = Xattrs::new();
                Kind::Fifo
            }
            What::Link(_) if files.is_empty() => continue,
            What::Link(which) => {
                tree.link(&path, files[which % files.len()]).unwrap();
                continue;
            }
        };
        let is_file = matches!(kind, Kind::File(_));
        let is_dir = matches!(kind, Kind::Dir(_));
        let id = tree.insert(&path, Inode { meta, kind }).unwrap();
        if is_file {
            files.push(id);
        }
        if is_dir {
            dirs.push(path);
        }
    }
    tree
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_come_back(
        specs in vec((any::<usize>(), name(), meta(), what()), 0..60),
        (level, shift, tail_packing) in (0..13_u8, 12..18_u32, any::<bool>()),
    ) {
        let tree = tree(specs);
        let algorithm = if level == 0 { Algorithm::Lz4 } else { Algorithm::Lz4Hc { level } };
        let image = Image::write(&tree, &Options { algorithm, pcluster: 1 << shift, tail_packing, ..lz4hc() });
        image.fsck_accepts_and_extracts(&tree);
        image.mounts(&tree);
        reader::reads(&image.path, &tree);
    }
}
