//! Writes an image and compares what fsck.erofs and the kernel make of it with the tree.

use std::fs::{File, OpenOptions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use common::cmd::Cmd;
use leviso::erofs::{self, Algorithm, Options, Report};
use leviso::progress::Quiet;
use leviso::tree::{InodeId, Kind, Owner, Tree, Xattrs};
use tempfile::TempDir;

use super::host;

/// lz4hc with a level and a cluster size.
pub(crate) fn options(level: u8, pcluster: u32) -> Options {
    Options {
        algorithm: Algorithm::Lz4Hc { level },
        pcluster,
        tail_packing: true,
        uuid: None,
        label: "test".into(),
        build_time: 1_700_000_000,
    }
}

/// lz4hc with small clusters, so that small tests have several.
pub(crate) fn lz4hc() -> Options {
    options(9, 16384)
}

/// The quick variant.
pub(crate) fn lz4() -> Options {
    Options { algorithm: Algorithm::Lz4, ..lz4hc() }
}

/// No compression.
pub(crate) fn plain() -> Options {
    Options { algorithm: Algorithm::None, ..lz4hc() }
}

/// Bytes that do not compress: xorshift64.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A written image in a directory of its own.
pub(crate) struct Image {
    dir: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) report: Report,
}

impl Image {
    pub(crate) fn write(tree: &Tree, options: &Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        let report = erofs::write(tree, &mut file, options, &Quiet).unwrap();
        assert_eq!(file.metadata().unwrap().len(), report.bytes);
        Self { dir, path, report }
    }

    /// What fsck.erofs says, and whether it accepts the image.
    pub(crate) fn fsck(&self, args: &[&str]) -> (bool, String) {
        let out = Cmd::new(testkit::oracle("fsck.erofs")).args(args).arg(&self.path).output().unwrap();
        let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        // It exits 0 after some errors, such as a wrong superblock checksum.
        (out.status.success() && !text.contains("<E>"), text)
    }

    /// fsck.erofs finds no fault and its extraction is the tree (attributes too, as root).
    pub(crate) fn fsck_accepts_and_extracts(&self, tree: &Tree) {
        let (ok, text) = self.fsck(&[]);
        assert!(ok, "{text}");
        let target = self.dir.path().join("extracted");
        let extract = format!("--extract={}", target.display());
        let (ok, text) = self.fsck(&[&extract, "--preserve"]);
        assert!(ok, "{text}");
        // fsck.erofs restores neither extended attributes nor hard links.
        compare(tree, &target, &Compare { owners: testkit::is_root(), xattrs: false, exact: false });
        std::fs::remove_dir_all(&target).unwrap();
    }

    /// The kernel mounts it and shows the tree, every attribute of it.
    pub(crate) fn mounts(&self, tree: &Tree) {
        if !testkit::is_root() {
            testkit::skip("EROFS image mounted by the kernel", "not root");
            return;
        }
        let mount = Mount::new(&self.path, &self.dir.path().join("mnt"));
        compare(tree, &mount.0, &Compare { owners: true, xattrs: true, exact: true });
    }
}

/// A mounted file system; unmounted when dropped.
pub(crate) struct Mount(pub(crate) PathBuf);

impl Mount {
    pub(crate) fn new(image: &Path, at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        Cmd::new("mount").args(["-t", "erofs", "-o", "loop,ro"]).arg(image).arg(at).read().unwrap();
        Self(at.to_owned())
    }

    /// An empty file system of 1 MiB.
    pub(crate) fn small(at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        Cmd::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at).read().unwrap();
        Self(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmount = || Cmd::new("umount").arg(&self.0).read();
        // Busy for a moment when another test forks while a file of ours is open: its child has the file until exec.
        let unmounted = (0..100).map(|_| unmount()).find(|unmounted| {
            if unmounted.is_err() {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            unmounted.is_ok()
        });
        assert!(unmounted.is_some() || std::thread::panicking(), "{} stays mounted", self.0.display());
    }
}

/// What is compared beyond kind, content and permissions.
struct Compare {
    owners: bool,
    xattrs: bool,
    /// Set-id bits, link counts, permissions of symlinks: what only a mount shows.
    exact: bool,
}

/// Panics at the first difference between the tree and a directory of the host.
fn compare(tree: &Tree, dir: &Path, what: &Compare) {
    let mut names = vec![0_u64; tree.id_count()];
    let walk = tree.walk();
    for (_, id) in &walk {
        names[id.index()] += 1;
    }
    compare_inode(tree, Tree::ROOT, dir, 1, what);
    for (path, id) in &walk {
        let host = dir.join(Path::new(std::ffi::OsStr::from_bytes(&path[1..])));
        compare_inode(tree, *id, &host, names[id.index()], what);
    }
    let listed = walkdir(dir);
    assert_eq!(listed, walk.into_iter().map(|(path, _)| path).collect::<Vec<_>>());
}

fn compare_inode(tree: &Tree, id: InodeId, host: &Path, names: u64, what: &Compare) {
    let shown = host.display();
    let inode = tree.inode(id);
    let meta = host.symlink_metadata().unwrap_or_else(|e| panic!("{shown}: {e}"));
    let expected = u32::from(inode.kind.type_bits() | inode.meta.mode);
    let mask = match inode.kind {
        _ if what.exact => 0o177_777,
        // Extraction cannot set permissions of symlinks, and loses set-id bits (it changes the owner last).
        Kind::Symlink(_) => 0o170_000,
        _ => 0o171_777,
    };
    assert_eq!(meta.mode() & mask, expected & mask, "mode of {shown}: {:o}, {expected:o}", meta.mode());
    assert_eq!(
        (meta.mtime(), meta.mtime_nsec()),
        (inode.meta.mtime, inode.meta.mtime_nsec.into()),
        "{shown}"
    );
    if what.owners {
        let owners = (Owner::Id(meta.uid()), Owner::Id(meta.gid()));
        assert_eq!(owners, (inode.meta.user.clone(), inode.meta.group.clone()), "owners of {shown}");
    }
    if what.xattrs {
        assert_eq!(host::xattrs(host).unwrap(), inode.meta.xattrs, "attributes of {shown}");
    }
    if what.exact {
        let dirs = |e: &leviso::tree::Entries| e.values().filter(|id| tree.entries(**id).is_some()).count();
        let expected = tree.entries(id).map_or(names, |e| 2 + dirs(e) as u64);
        assert_eq!(meta.nlink(), expected, "links of {shown}");
    }
    match &inode.kind {
        Kind::File(content) => {
            assert_eq!(meta.len(), content.len(), "size of {shown}");
            same_content(content.as_slice(), host);
        }
        Kind::Symlink(target) => {
            assert_eq!(host.read_link().unwrap().as_os_str().as_bytes(), &**target, "target of {shown}");
        }
        Kind::Char { major, minor } | Kind::Block { major, minor } => {
            let device = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
            assert_eq!(device, (*major, *minor), "device {shown}");
        }
        Kind::Dir(_) | Kind::Fifo | Kind::Socket => {}
    }
}

fn same_content(expected: &[u8], host: &Path) {
    let file = File::open(host).unwrap();
    let mut buffer = vec![0; 1 << 20];
    for (i, chunk) in expected.chunks(buffer.len()).enumerate() {
        let at = (i * buffer.len()) as u64;
        let found = &mut buffer[..chunk.len()];
        file.read_exact_at(found, at).unwrap_or_else(|e| panic!("{} at {at}: {e}", host.display()));
        // Not assert_eq: the report would be megabytes.
        assert!(found == chunk, "content of {} differs in the MiB at {at}", host.display());
    }
}

/// All paths below `dir` as [`Tree::walk`] gives them.
fn walkdir(dir: &Path) -> Vec<Vec<u8>> {
    fn below(dir: &Path, prefix: &[u8], out: &mut Vec<Vec<u8>>) {
        let mut names: Vec<Vec<u8>> =
            dir.read_dir().unwrap().map(|e| e.unwrap().file_name().into_vec()).collect();
        names.sort();
        for name in names {
            let path = [prefix, b"/", &name].concat();
            let host = dir.join(std::ffi::OsStr::from_bytes(&name));
            out.push(path.clone());
            if host.symlink_metadata().unwrap().is_dir() {
                below(&host, &path, out);
            }
        }
    }
    let mut out = Vec::new();
    below(dir, b"", &mut out);
    out
}

/// Extended attributes from pairs.
pub(crate) fn attributes(pairs: &[(&str, &[u8])]) -> Xattrs {
    pairs.iter().map(|(name, value)| (name.as_bytes().into(), (*value).into())).collect()
}
