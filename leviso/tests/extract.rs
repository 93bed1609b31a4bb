//! extract: what the tree holds is what rpm would install, whatever a package tries.

mod packages;

use std::collections::BTreeMap;

use common::cmd::Cmd;
use labrepo::fixture::hostile_packages;
use labrepo::rpm::{Compression, File, Kind as RpmKind, Package};
use leviso::epoch::Epoch;
use leviso::exit;
use leviso::extract::{Extracted, extract};
use leviso::progress::Quiet;
use leviso::tree::{Kind, Origin, Owner, Tree};
use packages::{TIME, verified};

const LATER: Epoch = Epoch(2_000_000_000);

fn run(packages: &[Package]) -> anyhow::Result<Extracted> {
    let dir = tempfile::tempdir()?;
    extract(&verified(dir.path(), packages), &dir.path().join("cache"), LATER, &Quiet)
}

fn tree(packages: &[Package]) -> Tree {
    run(packages).unwrap().tree
}

fn refusal(packages: &[Package]) -> String {
    let err = run(packages).unwrap_err();
    assert_eq!(common::cli::exit_code(&err), exit::EXTRACT);
    common::cli::report(&err)
}

fn package(name: &str) -> Package {
    Package::new(name, "1", "1", "noarch")
}

/// Everything a package can hold, in one.
fn rich(compression: Compression) -> Package {
    let big: Vec<u8> = (0..100_000u32).flat_map(|i| (i * 7).to_le_bytes()).collect();
    let node = |path: &str, kind| File::new(path, kind, 0o640);
    package("rich")
        .compression(compression)
        .dir("/usr", 0o755)
        .dir("/usr/share/rich", 0o1777)
        .file("/usr/bin/big", &big, 0o755)
        .file("/usr/bin/set", b"id", 0o6755)
        .file("/usr/share/rich/empty", b"", 0o644)
        .file(b"/usr/share/rich/not\xffutf8 and space", b"x", 0o600)
        .with(File::regular("/usr/bin/caps", b"caps", 0o755).caps("cap_net_raw,cap_net_admin=ep"))
        .with(File::regular("/usr/share/rich/owned", b"o", 0o644).owner("jane", "tty").mtime(TIME - 5))
        .file("/usr/share/rich/link-a", b"linked", 0o444)
        .hard_link("/usr/share/rich/link-b", "/usr/share/rich/link-a")
        .hard_link("/usr/share/rich/link-c", "/usr/share/rich/link-a")
        .symlink("/usr/share/rich/to", "../rich/empty")
        .config("/etc/rich.conf", b"a=1\n", 0o644)
        .ghost("/var/lib/rich/ghost", 0o644)
        .with(node("/dev/rich-char", RpmKind::Char(5, 1)))
        .with(node("/dev/rich-block", RpmKind::Block(8, 17)))
        .with(node("/run/rich-pipe", RpmKind::Fifo))
}

fn name(owner: &Owner) -> String {
    match owner {
        Owner::Name(name) => name.to_string(),
        Owner::Id(id) => id.to_string(),
    }
}

/// path -> `mode|user|group|mtime|link|rdev|caps` of everything that is the package's, as `rpm -qp --qf` prints it.
fn as_rpm_prints(tree: &Tree) -> BTreeMap<Vec<u8>, String> {
    let mut out = BTreeMap::new();
    for (path, id) in tree.walk() {
        let inode = tree.inode(id);
        if !matches!(inode.meta.origin, Origin::Package(_)) {
            continue;
        }
        let mode = inode.kind.type_bits() | inode.meta.mode;
        let link = match &inode.kind {
            Kind::Symlink(target) => String::from_utf8_lossy(target).into_owned(),
            _ => String::new(),
        };
        let rdev = match inode.kind {
            Kind::Char { major, minor } | Kind::Block { major, minor } => major << 8 | minor,
            _ => 0,
        };
        let caps = if inode.meta.xattrs.contains_key(&b"security.capability"[..]) { "caps" } else { "" };
        let (user, group, time) = (name(&inode.meta.user), name(&inode.meta.group), inode.meta.mtime);
        out.insert(path, format!("{mode:o}|{user}|{group}|{time}|{link}|{rdev}|{caps}"));
    }
    out
}

#[test]
fn metadata_is_what_rpm_reads() {
    let dir = tempfile::tempdir().unwrap();
    let rpms = verified(dir.path(), &[rich(Compression::Zstd(3))]);
    let tree = extract(&rpms, &dir.path().join("cache"), LATER, &Quiet).unwrap().tree;
    let format = "[%{FILENAMES}\\t%{FILEFLAGS}\\t%{FILEMODES:octal}|%{FILEUSERNAME}|%{FILEGROUPNAME}|%{FILEMTIMES}|%{FILELINKTOS}|%{FILERDEVS}|%{FILECAPS}\\n]";
    let out = Cmd::new(testkit::oracle("rpm"))
        .args(["-qp", "--nosignature", "--qf", format])
        .arg(rpms[0].path())
        .output()
        .unwrap();
    assert!(out.status.success());
    let mut expected = BTreeMap::new();
    for line in out.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let mut fields = line.splitn(3, |b| *b == b'\t');
        let (path, flags) = (fields.next().unwrap().to_vec(), fields.next().unwrap());
        let rest = String::from_utf8_lossy(fields.next().unwrap()).into_owned();
        let (rest, caps) = rest.rsplit_once('|').unwrap();
        let caps = if caps.is_empty() || caps == "(none)" { "" } else { "caps" };
        if flags != b"64" {
            expected.insert(path, format!("{rest}|{caps}"));
        }
    }
    assert_eq!(expected.len(), 16);
    assert_eq!(as_rpm_prints(&tree), expected);
}

#[test]
fn content_is_what_cpio_unpacks_under_every_compression() {
    for compression in [Compression::Zstd(19), Compression::Xz(6), Compression::Gzip(9)] {
        let dir = tempfile::tempdir().unwrap();
        let mut package = rich(compression);
        // Device nodes need root; the test of the metadata has them.
        package.files.retain(|f| !matches!(f.kind, RpmKind::Char(..) | RpmKind::Block(..)));
        let rpms = verified(dir.path(), &[package]);
        let tree = extract(&rpms, &dir.path().join("cache"), LATER, &Quiet).unwrap().tree;
        let root = dir.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let script = "\"$1\" \"$3\" | \"$2\" -idm --quiet --no-absolute-filenames";
        let unpack = Cmd::new("sh").args(["-c", script, "sh"]).dir(&root);
        let unpack = unpack.arg(testkit::oracle("rpm2cpio")).arg(testkit::oracle("cpio")).arg(rpms[0].path());
        unpack.run().unwrap();
        let mut compared = 0;
        for (path, id) in tree.walk() {
            use std::os::unix::ffi::OsStrExt;
            use std::os::unix::fs::MetadataExt;
            let inode = tree.inode(id);
            if !matches!(inode.meta.origin, Origin::Package(_)) {
                continue;
            }
            let disk = root.join(std::ffi::OsStr::from_bytes(&path[1..]));
            let meta = std::fs::symlink_metadata(&disk).unwrap();
            assert_eq!(meta.mode() & 0o170_000, u32::from(inode.kind.type_bits()), "{disk:?}");
            match &inode.kind {
                Kind::File(content) => {
                    assert_eq!(content.as_slice(), std::fs::read(&disk).unwrap(), "{disk:?}");
                    assert_eq!(meta.mtime(), inode.meta.mtime, "{disk:?}");
                }
                Kind::Symlink(target) => {
                    assert_eq!(std::fs::read_link(&disk).unwrap().as_os_str().as_bytes(), &target[..]);
                }
                _ => {}
            }
            compared += 1;
        }
        assert_eq!(compared, 14, "{compression:?}");
        let inode = |name: &str| tree.lstat(format!("/usr/share/rich/{name}")).unwrap();
        assert_eq!((inode("link-a"), inode("link-a")), (inode("link-b"), inode("link-c")));
        assert!(tree.lstat("/var/lib/rich/ghost").is_err() && !root.join("var/lib/rich/ghost").exists());
    }
}

#[test]
fn capabilities_are_the_bytes_setcap_stores() {
    if !testkit::is_root() {
        return testkit::skip("capabilities_are_the_bytes_setcap_stores", "setcap needs root");
    }
    let setcap = testkit::oracle("setcap");
    for text in ["cap_net_raw=ep", "cap_setuid,cap_sys_admin+p", "cap_bpf=eip", "cap_chown=i cap_kill+p", "="]
    {
        let file = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
        let status = Cmd::new(&setcap).arg(text).arg(file.path()).output().unwrap();
        assert!(status.status.success(), "{text}: {}", String::from_utf8_lossy(&status.stderr));
        let mut value = [0; 64];
        let len = rustix::fs::getxattr(file.path(), "security.capability", &mut value[..]).unwrap();
        let tree = tree(&[package("a").with(File::regular("/usr/bin/x", b"x", 0o755).caps(text))]);
        let ours = &tree.inode(tree.lstat("/usr/bin/x").unwrap()).meta.xattrs[&b"security.capability"[..]];
        assert_eq!(&value[..len], &ours[..], "{text}");
    }
}

#[test]
fn paths_go_through_the_links_of_any_package_in_any_order() {
    let files = package("files").file("/bin/a", b"a", 0o755).file("/opt/link/below", b"b", 0o644);
    let links =
        package("links").symlink("/opt/link", "/srv/real").dir("/lib", 0o755).file("/usr/bin/c", b"c", 0o755);
    for packages in [[files.clone(), links.clone()], [links, files]] {
        let tree = tree(&packages);
        assert_eq!(tree.read("/usr/bin/a").unwrap(), b"a");
        assert_eq!(tree.read("/srv/real/below").unwrap(), b"b");
        assert_eq!(tree.list("/bin"), [b"a", b"c"]);
        assert!(matches!(tree.inode(tree.lstat("/lib").unwrap()).kind, Kind::Symlink(_)));
    }
}

#[test]
fn shared_files_must_be_the_same_file() {
    let a = || package("a").file("/usr/share/x", b"same", 0o644).dir("/usr/share/d", 0o755);
    let b = || package("b");
    let twice = tree(&[a(), b().file("/usr/share/x", b"same", 0o644).dir("/usr/share/d", 0o755)]);
    assert_eq!(twice.read("/usr/share/x").unwrap(), b"same");
    let other_owner = File::regular("/usr/share/x", b"same", 0o644).owner("root", "tty");
    let capable = File::regular("/usr/share/x", b"same", 0o644).caps("cap_kill=ep");
    let cases = [
        (b().file("/usr/share/x", b"other", 0o644), "different content"),
        (b().file("/usr/share/x", b"same", 0o600), "mode 0644 there, 0600 here"),
        (b().with(other_owner), "different owners"),
        (b().with(capable), "different capabilities"),
        (b().symlink("/usr/share/x", "y"), "different types"),
        (b().dir("/usr/share/d", 0o700), "mode 0755 there, 0700 in b-1-1.noarch"),
        (b().file("/usr/share/d", b"", 0o644), "different types"),
        (b().symlink("/lib", "usr/lib64"), "points to usr/lib there"),
    ];
    for (package, message) in cases {
        let report = refusal(&[a(), package]);
        assert!(report.contains(message) && report.contains("b-1-1.noarch"), "{report}");
        assert!(report.contains("a-1-1.noarch") || message.contains("usr/lib"), "{report}");
    }
    // One inode through two paths: /bin is usr/bin.
    let report = refusal(&[package("a").file("/bin/x", b"1", 0o755), b().file("/usr/bin/x", b"2", 0o755)]);
    assert!(report.contains("different content"), "{report}");
}

#[test]
fn hostile_names_end_in_an_error_or_inside_the_tree() {
    let mut refused = 0;
    for (what, package) in hostile_packages() {
        match run(&[package]) {
            Err(err) => {
                refused += 1;
                let report = common::cli::report(&err);
                assert_eq!(common::cli::exit_code(&err), exit::EXTRACT, "{what}");
                assert!(report.contains("hostile-1-1.noarch"), "{what}: {report}");
            }
            Ok(done) => panic!("{what}: accepted {:?}", done.tree.walk()),
        }
    }
    assert_eq!(refused, hostile_packages().len());
}

#[test]
fn a_damaged_cached_payload_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let rpms = verified(dir.path(), &[package("a").file("/usr/bin/x", b"content", 0o755)]);
    let file =
        cache.join("payload").join(&rpms[0].sha256().to_string()[..2]).join(rpms[0].sha256().to_string());
    extract(&rpms, &cache, LATER, &Quiet).unwrap();
    let good = std::fs::read(&file).unwrap();
    let content = good.windows(7).position(|w| w == b"content").unwrap();
    let flipped = |at: usize| [&good[..at], &[!good[at]], &good[at + 1..]].concat();
    for bytes in [flipped(content), flipped(0), good[..content].to_vec(), Vec::new()] {
        // Never in place: the old one may still be mapped.
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, &bytes).unwrap();
        let tree = extract(&rpms, &cache, LATER, &Quiet).unwrap().tree;
        assert_eq!(tree.read("/usr/bin/x").unwrap(), b"content");
        assert_eq!(std::fs::read(&file).unwrap(), good);
    }
}

#[test]
fn times_are_clamped_and_threads_do_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let packages: Vec<Package> = (0..20)
        .map(|i| {
            package(&format!("p{i:02}")).file(format!("/usr/share/{i}"), b"x", 0o644).dir("/usr/share", 0o755)
        })
        .collect();
    let rpms = verified(dir.path(), &packages);
    let epoch = Epoch(i64::from(TIME) - 100);
    let with = |threads: usize, cache: &str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| extract(&rpms, &dir.path().join(cache), epoch, &Quiet)).unwrap()
    };
    let (one, four) = (with(1, "one"), with(4, "four"));
    assert_eq!(one.tree.walk(), four.tree.walk());
    assert_eq!(as_rpm_prints(&one.tree), as_rpm_prints(&four.tree));
    assert_eq!(one.packages, four.packages);
    assert!(one.tree.walk().iter().all(|(_, id)| one.tree.inode(*id).meta.mtime <= epoch.0));
}

#[test]
fn accounts_come_out_of_the_provides() {
    // base64 of `u dbus 81 "System Message Bus"` and `g render -`, as rpm 4.19 writes them.
    let package = package("a")
        .provides("user(dbus) = dSBkYnVzIDgxICJTeXN0ZW0gTWVzc2FnZSBCdXMi")
        .provides("group(render) = ZyByZW5kZXIgLQAA")
        .provides("group(plain)");
    let info = run(&[package]).unwrap().packages.remove(0);
    let mut lines = info.sysusers;
    lines.sort();
    assert_eq!(lines, ["g render -", "u dbus 81 \"System Message Bus\""]);
    assert_eq!((info.license.as_str(), info.sourcerpm.as_str()), ("MIT", "a-1-1.src.rpm"));
}
