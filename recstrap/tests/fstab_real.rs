//! `recfstab` on real mounts: what it prints mounts the same system again, and is what genfstab prints but for the
//! differences that docs/reference/recfstab.md lists.

use std::collections::BTreeMap;
use std::path::Path;

use common::cmd::Cmd;

#[path = "fstab/rig.rs"]
mod rig;
#[path = "fstab/write.rs"]
mod write;
use rig::Rig;

const RECFSTAB: &str = env!("CARGO_BIN_EXE_recfstab");

/// A line of fstab: five fields after the key, and the comment above.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    comment: String,
    source: String,
    fstype: String,
    options: String,
    pass: String,
}

/// Lines by mount point; those of swap, if it is the rig's, by source.
fn lines(rig: &Rig, text: &str) -> BTreeMap<String, Line> {
    let (mut lines, mut comment) = (BTreeMap::new(), String::new());
    for line in text.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment = text.trim().to_owned();
            continue;
        }
        let fields: Vec<_> = line.split_ascii_whitespace().map(str::to_owned).collect();
        let comment = std::mem::take(&mut comment);
        let Ok([source, target, fstype, options, dump, pass]) = <[String; 6]>::try_from(fields) else {
            assert!(line.is_empty(), "`{line}` has not six fields");
            continue;
        };
        assert_eq!(dump, "0");
        // Swap is the machine's: another test may have some.
        if fstype == "swap" && !rig.is_our_swap(&source, &comment) {
            continue;
        }
        let key = if fstype == "swap" { source.clone() } else { target };
        lines.insert(key, Line { comment, source, fstype, options, pass });
    }
    lines
}

/// Root on ext4, xfs twice, subvolumes, bind mounts, a file of the host, something in memory, two kinds of swap.
fn system() -> Rig {
    let mut rig = Rig::new();
    rig.filesystem(64, &["mkfs.ext4", "-qL", "root fs"], "/", "defaults");
    let xfs = rig.filesystem(300, &["mkfs.xfs", "-q", "-L", "home"], "/home", "noatime,nodev");
    rig.mount(&[&xfs], "/home again");
    let btrfs = rig.filesystem(128, &["mkfs.btrfs", "-q"], "/pool", "compress=zstd:1");
    for subvolume in ["@data", "@data/inner"] {
        let create = Cmd::new("btrfs").args(["-q", "subvolume", "create"]);
        create.arg(rig.path("/pool").join(subvolume)).run().expect("made");
    }
    rig.mount(&["-o", "compress=zstd:1,subvol=@data", &btrfs], "/data");
    rig.mount(&["-o", "compress=zstd:1,subvol=@data/inner", &btrfs], "/inner");
    for dir in ["/home/www", "/data/dir"] {
        std::fs::create_dir(rig.path(dir)).expect("made");
    }
    rig.mount(&["--bind", rig.path("/home/www").to_str().expect("UTF-8")], "/srv/web");
    rig.mount(&["-o", "remount,bind,ro,noatime,nodev"], "/srv/web");
    rig.mount(&["--bind", rig.path("/data/dir").to_str().expect("UTF-8")], "/srv/data");
    rig.filesystem(8, &["mkfs.ntfs", "-qF"], "/win", "defaults");
    rig.mount(&["-t", "tmpfs", "tmpfs"], "/tmp");
    let file = rig.host().join("resolv.conf");
    for copy in [&file, &rig.path("/resolv.conf")] {
        std::fs::write(copy, "").expect("written");
    }
    rig.mount(&["--bind", file.to_str().expect("UTF-8")], "/resolv.conf");
    rig.swap_file("/swapfile");
    let device = rig.device(8);
    rig.swap(Path::new(&device), &["--priority", "5"]);
    rig
}

fn recfstab(rig: &Rig, args: &[&str]) -> String {
    Cmd::new(RECFSTAB).args(args.iter().copied()).arg(rig.root()).read().expect("recfstab succeeds")
}

/// The text without swap that another test uses.
fn without_foreign_swap(rig: &Rig, text: &str) -> String {
    text.split_inclusive("\n\n").filter(|part| !lines(rig, part).is_empty()).collect()
}

#[test]
fn the_result_mounts_the_same_again() {
    if !testkit::is_root() {
        return testkit::skip("recfstab: its output is mounted", "mounting needs root");
    }
    for args in [&["-U"][..], &["-t", "PARTUUID"]] {
        let rig = system();
        let fstab = without_foreign_swap(&rig, &recfstab(&rig, args));
        let before = lines(&rig, &fstab);
        assert_eq!(before.len(), 11, "{fstab}");
        std::fs::create_dir_all(rig.path("/etc")).expect("made");
        std::fs::write(rig.path("/etc/fstab"), &fstab).expect("written");
        let (verdict, after) = rig.again(&Cmd::new(RECFSTAB).args(args.iter().copied()).arg(rig.root()));
        assert_eq!(lines(&rig, &after), before);
        // What findmnt 2.38 is mistaken about: `none` is no target, a swap file is no mount of a file, and ntfs has a
        // helper.
        let mistaken = [
            "target specified more than once",
            "non-bind mount source /swapfile is a directory or regular file",
            "ntfs seems unsupported by the current kernel",
        ];
        let serious =
            |l: &&str| (l.contains("[W]") || l.contains("[E]")) && !mistaken.iter().any(|m| l.ends_with(m));
        assert_eq!(verdict.lines().filter(serious).collect::<Vec<_>>(), [""; 0], "{verdict}");
        assert_eq!(verdict.lines().filter(|l| l.contains("target exists")).count(), 9, "{verdict}");
    }
}

/// What the machine swaps to.
fn swaps() -> Vec<String> {
    let text = std::fs::read_to_string("/proc/swaps").expect("/proc/swaps");
    text.lines().map(|line| line.split_ascii_whitespace().next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn differs_from_genfstab_only_where_it_is_wanted() {
    if !testkit::is_root() {
        return testkit::skip("recfstab compared with genfstab", "mounting needs root");
    }
    let mut rig = system();
    let has_zram = rig.zram();
    // genfstab reads the list of swap in pieces, and loses a line of it if another test takes its own away meanwhile.
    let run = |program: &Path| {
        let cmd = Cmd::new(program).arg("-U").arg(rig.root());
        for _ in 0..20 {
            let before = swaps();
            let text = rig.with_udev(&cmd).read().expect("it succeeds");
            if swaps() == before {
                return lines(&rig, &text);
            }
        }
        panic!("the machine's swap changes all the time");
    };
    let (ours, theirs) = (run(Path::new(RECFSTAB)), run(&testkit::oracle("genfstab")));
    let mut theirs = Theirs(theirs);

    // Names with blanks: genfstab 28 escapes the escapes of findmnt and lsblk.
    let line = theirs.0.remove("/home\\134x20again").expect("genfstab does not mend blanks");
    theirs.0.insert("/home\\040again".into(), line);
    theirs.change("/", |root| root.comment = root.comment.replace("\\134x20", "\\040"));
    // btrfs: the identifier of the subvolume goes, its path stays.
    for (target, id) in [("/pool", ",subvolid=5"), ("/data", ",subvolid=256"), ("/inner", ",subvolid=257")] {
        theirs.change(target, |btrfs| btrfs.options = btrfs.options.replace(id, ""));
    }
    // A directory of a subvolume is a bind mount, not the subvolume.
    let bind = |options: &str| Line {
        comment: String::new(),
        source: "/data/dir".into(),
        fstype: "none".into(),
        options: options.into(),
        pass: "0".into(),
    };
    theirs.change("/srv/data", |line| *line = bind("rw,bind"));
    // Bind mounts: no options of the file system, and no comment that repeats the source.
    theirs.change("/srv/web", |line| {
        line.options = line.options.replace("inode64,logbufs=8,logbsize=32k,noquota,", "");
    });
    theirs.change("/srv/web", |line| line.comment.clear());
    // A file of the host is left out.
    let host = theirs.0.remove("/resolv.conf").expect("genfstab lists files of the host");
    assert!(host.source.ends_with("/resolv.conf") && host.options.ends_with(",bind"), "{host:?}");
    // A second mount of one file system is not checked again.
    theirs.change("/home\\040again", |line| line.pass = "0".into());
    // FUSE: no options that the helper sets by itself; `relatime` stays (genfstab only keeps it for types that this
    // kernel mounts itself, and `ntfs` is none).
    let of_helper = ",user_id=0,group_id=0,allow_other,blksize=4096";
    theirs.change("/win", |line| line.options = line.options.replace(of_helper, ",relatime"));
    // zram is left out.
    let zram = theirs
        .0
        .iter()
        .find(|(_, line)| line.comment.starts_with("/dev/zram") || line.source.starts_with("/dev/zram"));
    let zram = zram.map(|(key, _)| key.clone());
    assert_eq!(zram.is_some(), has_zram, "{theirs:?}");
    zram.map(|key| theirs.0.remove(&key));

    assert_eq!(ours, theirs.0);
}

#[test]
fn an_esp_is_not_readable_by_all() {
    if !testkit::is_root() {
        return testkit::skip("recfstab on a mounted ESP", "mounting needs root");
    }
    let mut rig = Rig::new();
    let device = rig.device(64);
    let mkfs = Cmd::new(testkit::oracle("mkfs.vfat")).arg(&device).output().expect("it starts");
    assert!(mkfs.status.success(), "{mkfs:?}");
    rig.mount(&["-t", "tmpfs", "tmpfs"], "/");
    std::fs::create_dir(rig.path("/boot")).expect("made");
    let mount = Cmd::new("mount").args(["-t", "vfat", &device]).arg(rig.path("/boot"));
    if !mount.status().expect("it starts").success() {
        return testkit::cannot(
            "recfstab on a mounted ESP",
            "the kernel has no vfat (the case `esp` has its texts)",
        );
    }
    let line = lines(&rig, &recfstab(&rig, &["-U"])).remove("/boot").expect("a line");
    assert!(line.options.contains(",fmask=0177,dmask=0077"), "{line:?}");
    let remount = Cmd::new("mount").args(["-o", &format!("remount,{}", line.options)]).arg(rig.path("/boot"));
    remount.run().expect("the kernel takes the options");
}

/// genfstab's lines, changed to what is wanted.
#[derive(Debug)]
struct Theirs(BTreeMap<String, Line>);

impl Theirs {
    /// Changes a line; a change that changes nothing is no difference any more.
    fn change(&mut self, key: &str, change: impl FnOnce(&mut Line)) {
        let line = self.0.get_mut(key).unwrap_or_else(|| panic!("genfstab has no line for {key}"));
        let before = line.clone();
        change(line);
        assert_ne!(*line, before, "genfstab does not differ any more");
    }
}
