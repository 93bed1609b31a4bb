//! Packages this crate writes, as rpm sees them.

use std::path::Path;

use common::cmd::Cmd;
use labrepo::fixture::{Defect, Fixture};
use labrepo::key::{Algorithm, SigningKey};
use labrepo::rpm::{Compression, Content, File, Kind, Package};

const TIME: u32 = 1_700_000_000;

/// rpm with a private database that holds only `key`.
fn rpm(db: &Path, key: &Path) -> Cmd {
    let rpm = Cmd::new(testkit::oracle("rpm")).arg("--dbpath").arg(db);
    rpm.clone().arg("--import").arg(key).run().unwrap();
    // Signatures and digests both, whatever the host's macros say.
    rpm.args(["--define", "_pkgverify_level all"])
}

fn everything() -> Package {
    Package::new("every-kind", "1.0~rc1+b2", "3", "x86_64")
        .epoch(7)
        .dir("/usr/lib/every", 0o755)
        .file("/usr/lib/every/first", b"shared content\n", 0o4755)
        .hard_link("/usr/lib/every/second", "/usr/lib/every/first")
        .hard_link("/usr/bin/third", "/usr/lib/every/first")
        .symlink("/usr/lib/every/link", "../first")
        .file("/usr/lib/every/empty", b"", 0o600)
        .file(b"/usr/lib/every/not-utf8-\xff\xfe", b"x", 0o644)
        .config("/etc/every.conf", b"a = b\n", 0o640)
        .ghost("/var/log/every.log", 0o644)
        .with(File::new("/usr/lib/every/null", Kind::Char(1, 3), 0o666))
        .with(File::new("/usr/lib/every/disk", Kind::Block(8, 1), 0o660).owner("root", "disk"))
        .with(File::new("/usr/lib/every/pipe", Kind::Fifo, 0o600).mtime(1_600_000_000))
        .with(File::regular("/usr/bin/ping", b"ping", 0o755).caps("cap_net_raw=ep"))
        .requires("bar >= 1:2-3")
        .requires("(a or b >= 2)")
        .recommends("later")
        .provides("virtual = 5")
        .conflicts("enemy < 2")
        .obsoletes("old <= 1")
}

#[test]
fn rpm_accepts_and_describes_every_kind_of_file_with_each_compressor_and_key() {
    for (algorithm, compression) in [
        (Algorithm::Ed25519, Compression::Zstd(3)),
        (Algorithm::Rsa3072, Compression::Xz(6)),
        (Algorithm::Ed25519, Compression::Gzip(9)),
    ] {
        let key = SigningKey::generate_with("test", TIME, algorithm).unwrap();
        let repo = Fixture::new(&key).add(everything().compression(compression)).write().unwrap();
        let file = repo.package("every-kind");
        let db = tempfile::tempdir().unwrap();
        let rpm = rpm(db.path(), &repo.key_path());
        let verdict = rpm.clone().arg("-Kv").arg(file).read().unwrap();
        assert!(verdict.contains("Header V4") && verdict.contains("Signature, key ID"), "{verdict}");
        assert!(verdict.contains("Payload SHA256 digest: OK"), "{verdict}");
        assert!(!verdict.contains("NOTFOUND") && !verdict.contains("NOKEY"), "{verdict}");

        let listed = rpm
            .clone()
            .args([
                "-qp",
                "--qf",
                "[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES} %{FILECAPS}\\n]",
            ])
            .arg(file)
            .output()
            .unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        for line in [
            "-rwsr-xr-x root:root /usr/lib/every/first ",
            "-rwsr-xr-x root:root /usr/lib/every/second ",
            "-rwxr-xr-x root:root /usr/bin/ping cap_net_raw=ep",
            "crw-rw-rw- root:root /usr/lib/every/null ",
            "brw-rw---- root:disk /usr/lib/every/disk ",
            "prw------- root:root /usr/lib/every/pipe ",
            "lrwxrwxrwx root:root /usr/lib/every/link ",
        ] {
            assert!(listed.contains(line), "no line {line:?} in\n{listed}");
        }
        let identity = rpm.clone().args(["-qp", "--qf", "%{NEVRA} %{PAYLOADCOMPRESSOR}\n"]).arg(file).read();
        let identity = identity.unwrap();
        assert!(identity.starts_with("every-kind-7:1.0~rc1+b2-3.x86_64 "), "{identity}");
        let config = rpm.clone().args(["-qpc"]).arg(file).read().unwrap();
        assert_eq!(config, "/etc/every.conf\n");
        let requires = rpm.args(["-qp", "--requires"]).arg(file).read().unwrap();
        assert!(requires.contains("bar >= 1:2-3\n") && requires.contains("(a or b >= 2)\n"), "{requires}");
    }
}

#[test]
fn rpm_unpacks_the_archive_as_it_was_described() {
    use std::os::unix::fs::MetadataExt;
    let key = SigningKey::generate("test", TIME).unwrap();
    let package = Package::new("tree", "1", "1", "noarch")
        .file("/a/one", b"content", 0o640)
        .hard_link("/a/two", "/a/one")
        .symlink("/a/link", "one")
        .dir("/a", 0o755)
        .dir("/a/empty", 0o711);
    let repo = Fixture::new(&key).add(package).write().unwrap();
    let out = tempfile::tempdir().unwrap();
    let archive = out.path().join("archive");
    let sh = "\"$1\" \"$0\" >archive && \"$2\" -idm --quiet <archive";
    let sh = Cmd::new("sh").args(["-c", sh]).arg(repo.package("tree"));
    let sh = sh.arg(testkit::oracle("rpm2cpio")).arg(testkit::oracle("cpio"));
    sh.dir(out.path()).run().unwrap();
    assert!(archive.metadata().unwrap().len() > 0);
    let one = out.path().join("a/one").metadata().unwrap();
    let two = out.path().join("a/two").metadata().unwrap();
    assert_eq!(std::fs::read(out.path().join("a/two")).unwrap(), b"content");
    assert_eq!((one.ino(), one.nlink(), one.mode() & 0o7777), (two.ino(), 2, 0o640));
    assert_eq!(one.mtime(), i64::from(TIME));
    assert_eq!(std::fs::read_link(out.path().join("a/link")).unwrap(), Path::new("one"));
    assert_eq!(out.path().join("a/empty").metadata().unwrap().mode() & 0o7777, 0o711);
}

#[test]
fn rpm_accepts_a_file_of_more_than_4_gib() {
    let key = SigningKey::generate("test", TIME).unwrap();
    let size = (1 << 32) + 5;
    let big = File::new("/big", Kind::File(Content::Fill { byte: 0, len: size }), 0o644);
    let package = Package::new("big", "1", "1", "noarch").with(big).file("/small", b"small", 0o644);
    let repo = Fixture::new(&key).add(package.compression(Compression::Zstd(1))).write().unwrap();
    let db = tempfile::tempdir().unwrap();
    let rpm = rpm(db.path(), &repo.key_path());
    rpm.clone().arg("-K").arg(repo.package("big")).read().unwrap();
    let sizes =
        rpm.args(["-qp", "--qf", "[%{FILENAMES} %{LONGFILESIZES}\\n]"]).arg(repo.package("big")).read();
    assert_eq!(sizes.unwrap(), format!("/big {size}\n/small 5\n"));
}

#[test]
fn rpm_refuses_each_defective_package() {
    let key = SigningKey::generate("test", TIME).unwrap();
    type Make = fn(String) -> Defect;
    let defects: [(Make, bool); 9] = [
        (Defect::FlippedPayload, false),
        (Defect::FlippedPayloadListed, false),
        (Defect::FlippedHeaderListed, false),
        (Defect::Truncated, false),
        (Defect::TruncatedListed, false),
        (Defect::Unsigned, false),
        (Defect::ForeignKey, false),
        // Good packages under a wrong name: only who asked for them can tell.
        (Defect::OtherName, true),
        (Defect::OtherVersion, true),
    ];
    for (make, accepted) in defects {
        let defect = make("foo".into());
        let foo = Package::new("foo", "1", "1", "noarch").file("/usr/bin/foo", &[7; 5000], 0o755);
        let repo = Fixture::new(&key).add(foo).defect(defect.clone()).write().unwrap();
        let db = tempfile::tempdir().unwrap();
        let out = rpm(db.path(), &repo.key_path()).arg("-K").arg(repo.package("foo")).output().unwrap();
        assert_eq!(out.status.success(), accepted, "{defect:?}: {}", String::from_utf8_lossy(&out.stdout));
    }
}
