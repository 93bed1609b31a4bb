//! A directory with one of everything, to make images of.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, chownat, lsetxattr, makedev, mknodat,
    utimensat,
};
use rustix::process::{Gid, Uid};

/// Bytes that do not compress: xorshift64.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| (random.next() >> 32) as u8).collect()
}

/// Numbers that are the same in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 11) % end as u64) as usize
    }
}

/// Text that compresses about 3:1, in stretches that do not: clusters of all kinds and sizes.
pub(crate) fn mixture(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let words = ["alpha ", "beta ", "gamma ", "delta\n", "epsilon ", "zeta ", "eta(", "theta);\n"];
    let mut out = Vec::with_capacity(len + 20_000);
    while out.len() < len {
        match random.below(40) {
            0 => out.extend(noise(random.next(), random.0 as usize % 20_000)),
            1 => out.resize(out.len() + random.below(60_000), b'x'),
            _ => {
                for _ in 0..random.below(200) {
                    out.extend_from_slice(words[random.below(words.len())].as_bytes());
                    out.extend_from_slice(random.below(10_000).to_string().as_bytes());
                }
            }
        }
    }
    out.truncate(len);
    out
}

/// Fills `dir` with every kind of inode, every attribute, and files of sizes around what matters. Needs root.
pub(crate) fn fill(dir: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).unwrap();
    for sub in ["etc", "usr/share", "empty", "many", "sizes", "links", "dev", "deep/a/b/c/d/e/f/g"] {
        fs::create_dir_all(dir.join(sub)).unwrap();
    }
    for len in [0, 1, 31, 100, 3000, 4031, 4032, 4063, 4064, 4065, 4095, 4096, 4097, 8191, 8192, 8193, 12_288]
    {
        write(&format!("sizes/text-{len}"), &mixture(len as u64 + 1, len));
        write(&format!("sizes/noise-{len}"), &noise(len as u64 + 1, len));
        write(&format!("sizes/same-{len}"), &vec![b'a'; len]);
    }
    for (i, len) in [20_000, 65_536, 131_073, 300_000, 1_000_001, 5_000_000].into_iter().enumerate() {
        write(&format!("usr/share/mixture-{len}"), &mixture(i as u64 + 77, len));
    }
    write("usr/share/noise", &noise(5, 300_000));
    write("usr/share/zeros", &vec![0; 3_000_000]);
    write("usr/share/half", &[mixture(9, 200_000), noise(9, 200_000), mixture(10, 3000)].concat());
    for i in 0..700 {
        write(&format!("many/a-rather-long-name-to-fill-blocks-{i:04}"), format!("{i}").as_bytes());
    }
    let names: [&[u8]; 5] = [b"\xff\xfe", b"!before-dot", b"-dash", b"new\nline \\ #=", &[b'n'; 255]];
    for name in names {
        fs::write(dir.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name)), b"x")
            .unwrap();
    }
    for len in [1, 50, 3900, 4031, 4032, 4033, 4095] {
        symlink("t".repeat(len), dir.join(format!("links/{len}"))).unwrap();
    }
    symlink("/absolute", dir.join("links/absolute")).unwrap();
    for i in 0..3 {
        fs::hard_link(dir.join("usr/share/half"), dir.join(format!("links/hard-{i}"))).unwrap();
    }
    nodes(dir);
    attributes(dir);
}

fn nodes(dir: &Path) {
    let node = |name: &str, kind, mode, device| {
        mknodat(CWD, dir.join("dev").join(name), kind, Mode::from_raw_mode(mode), device).unwrap();
    };
    node("null", FileType::CharacterDevice, 0o666, makedev(1, 3));
    node("large", FileType::CharacterDevice, 0o600, makedev(4095, 0xf_ffff));
    node("vda", FileType::BlockDevice, 0o660, makedev(254, 0x1_2345));
    node("fifo", FileType::Fifo, 0o622, 0);
    node("socket", FileType::Socket, 0o777, 0);
}

fn attributes(dir: &Path) {
    let set = |path: &str, name: &str, value: &[u8]| {
        lsetxattr(dir.join(path), name, value, XattrFlags::empty()).unwrap();
    };
    // The same on many files: mkfs.erofs shares it.
    for i in 0..40 {
        set(&format!("many/a-rather-long-name-to-fill-blocks-{i:04}"), "user.shared", &[b's'; 200]);
    }
    set("sizes/text-100", "user.one", b"1");
    set("sizes/text-100", "user.empty", b"");
    set("sizes/text-100", "trusted.overlay.opaque", b"y");
    set("sizes/text-3000", "user.long", &noise(3, 1500));
    set("etc", "user.of-a-directory", b"d");
    set("links/50", "trusted.of-a-symlink", b"l");
    // vfs_cap_data, version 2: cap_net_raw permitted and effective.
    set(
        "usr/share/half",
        "security.capability",
        &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    // An access list: owner rw, user 7 r, group r, mask r, others none.
    let entries: [(u16, u16, u32); 5] =
        [(1, 6, u32::MAX), (2, 4, 7), (4, 4, u32::MAX), (0x10, 4, u32::MAX), (0x20, 0, u32::MAX)];
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, perm, id) in entries {
        acl.extend(tag.to_le_bytes());
        acl.extend(perm.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    set("sizes/text-1", "system.posix_acl_access", &acl);
    set("etc", "system.posix_acl_default", &acl);

    let mode =
        |path: &str, mode| fs::set_permissions(dir.join(path), fs::Permissions::from_mode(mode)).unwrap();
    let owner = |path: &str, uid, gid| {
        chownat(
            CWD,
            dir.join(path),
            Some(Uid::from_raw(uid)),
            Some(Gid::from_raw(gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
    };
    owner("sizes/same-100", 1000, 1001);
    owner("sizes/same-3000", 70_000, 4_000_000_000);
    owner("links/1", 5, 6);
    owner("many", 65_535, 65_536);
    mode("sizes/noise-31", 0o4755);
    mode("sizes/noise-100", 0);
    mode("empty", 0o1777);
    mode("deep/a", 0o2775);
    let time = |path: &str, sec, nsec| {
        let at = Timespec { tv_sec: sec, tv_nsec: nsec };
        let times = Timestamps { last_access: at, last_modification: at };
        utimensat(CWD, dir.join(path), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    };
    time("sizes/same-1", 1, 1);
    time("sizes/same-4096", 1_700_000_000, 123_456_789);
    time("sizes/same-8192", 5_000_000_000, 999_999_999);
    time("links/absolute", 42, 7);
    time("deep", 0, 0);
    time(".", 1_600_000_000, 5);
}
