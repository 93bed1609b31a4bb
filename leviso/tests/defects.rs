//! Every defect of a repository stops `leviso build` with one clear error that names the file, the documented exit
//! code, and no ISO. The control, the same repository without a defect, gets past all checks.

use std::path::{Path, PathBuf};

use cheat_test::cheat_aware;
use common::cmd::Cmd;
use labrepo::fixture::{Defect, Fixture, TestRepo};
use labrepo::key::SigningKey;
use labrepo::rpm::Package;
use leviso::exit;

struct Build {
    code: Option<i32>,
    stderr: String,
    litter: Vec<String>,
}

/// A profile on this repository, in `dir`.
fn write_profile(repo: &TestRepo, dir: &Path) -> PathBuf {
    let root = testkit::workspace();
    let profile = format!(
        "extends = {:?}\nname = \"defects\"\narch = \"x86_64\"\n[os]\nid-like = \"test\"\n\
         [[repo]]\nid = \"r\"\nbaseurl = [{:?}]\nkey = {:?}\nfingerprints = [{:?}]\n\
         [packages]\ninclude = [\"hello\"]\n",
        root.join("leviso/profiles/common.toml"),
        repo.url(),
        repo.key_path(),
        repo.fingerprint(),
    );
    let file = dir.join("defects.toml");
    std::fs::write(&file, profile).expect("written");
    file
}

/// `leviso build` of a profile on this repository, in a directory of its own.
fn build(repo: &TestRepo, extra: &[&str]) -> Build {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = write_profile(repo, dir.path());
    let out_dir = dir.path().join("out");
    std::fs::create_dir(&out_dir).expect("made");
    let out = Cmd::new(env!("CARGO_BIN_EXE_leviso"))
        .args(["build", "--quiet", "--profile"])
        .arg(&file)
        .arg("--work")
        .arg(dir.path().join("work"))
        .arg("--out")
        .arg(&out_dir)
        .args(extra.iter().copied())
        .output()
        .expect("leviso starts");
    let litter = names(&out_dir);
    Build { code: out.status.code(), stderr: String::from_utf8_lossy(&out.stderr).into_owned(), litter }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("the directory is there");
    entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn repo(key: &SigningKey, defect: Option<Defect>) -> TestRepo {
    let hello = Package::new("hello", "1.0", "1", "noarch")
        .file("/usr/bin/hello", b"hello, world\n", 0o755)
        .requires("lib");
    let lib = Package::new("lib", "2.0", "1", "x86_64").file("/usr/lib/lib", &[7; 5000], 0o644);
    let fixture = Fixture::new(key).add(hello).add(lib);
    defect.into_iter().fold(fixture, Fixture::defect).write().expect("the fixture is written")
}

#[test]
fn a_sound_repository_passes_every_check() {
    let key = SigningKey::generate("defects", 1_600_000_000).expect("a key");
    let repo = repo(&key, None);
    let verified = build(&repo, &["--until", "extract"]);
    assert_eq!((verified.code, verified.litter.len()), (Some(0), 0), "{}", verified.stderr);
    // And a whole build of it stops only because there is nothing to boot.
    let whole = build(&repo, &[]);
    assert_eq!(whole.code, Some(i32::from(exit::SYSTEM)), "{}", whole.stderr);
    assert!(
        whole.stderr.contains("kernel") && whole.litter.is_empty(),
        "{} {:?}",
        whole.stderr,
        whole.litter
    );
}

#[cheat_aware(
    protects = "no image is built from a package or from metadata that the pinned keys did not sign as it is",
    severity = "CRITICAL",
    cheats = [
        "check the digest of the header and not of the payload",
        "take the repository's own key for the pinned one",
        "stop at the first repository that is in order"
    ],
    consequence = "whoever controls a mirror controls every system that is built from it",
    sabotage = ["metadata-of-anybody", "package-payload-unchecked"]
)]
#[test]
fn every_defect_stops_the_build() {
    let key = SigningKey::generate("defects", 1_600_000_000).expect("a key");
    let lib = || "lib".to_owned();
    let cases = [
        (Defect::FlippedPayload(lib()), exit::FETCH, "lib-2.0-1.x86_64"),
        (Defect::FlippedPayloadListed(lib()), exit::VERIFY, "lib-2.0-1.x86_64"),
        (Defect::FlippedHeaderListed(lib()), exit::VERIFY, "lib-2.0-1.x86_64"),
        (Defect::Truncated(lib()), exit::FETCH, "lib-2.0-1.x86_64"),
        (Defect::TruncatedListed(lib()), exit::VERIFY, "lib-2.0-1.x86_64"),
        (Defect::Missing(lib()), exit::FETCH, "lib-2.0-1.x86_64"),
        (Defect::Unsigned(lib()), exit::VERIFY, "lib-2.0-1.x86_64"),
        (Defect::ForeignKey(lib()), exit::VERIFY, "lib-2.0-1.x86_64"),
        (Defect::OtherName(lib()), exit::VERIFY, "lib-2.0-1.x86_64"),
        (Defect::OtherVersion(lib()), exit::VERIFY, "lib-2.0-1.x86_64"),
        (Defect::RepomdChanged, exit::VERIFY, "repomd.xml"),
        (Defect::RepomdUnsigned, exit::VERIFY, "repomd.xml.asc"),
        (Defect::RepomdForeignKey, exit::VERIFY, "repomd.xml"),
        (Defect::PrimaryChanged, exit::FETCH, "primary.xml"),
        (Defect::PrimaryTruncated, exit::FETCH, "primary.xml"),
    ];
    for (defect, code, file) in cases {
        let result = build(&repo(&key, Some(defect.clone())), &[]);
        let said = &result.stderr;
        assert_eq!(result.code, Some(i32::from(code)), "{defect:?}: {said}");
        assert!(said.contains(file), "{defect:?} does not name {file}: {said}");
        assert_eq!(said.matches("error:").count(), 1, "{defect:?}: one error, not {said}");
        assert!(said.lines().count() <= 24, "{defect:?}: more than a screen: {said}");
        assert!(result.litter.is_empty(), "{defect:?} left {:?}", result.litter);
    }
}

#[test]
fn a_damaged_download_is_found_and_not_replaced() {
    let key = SigningKey::generate("defects", 1_600_000_000).expect("a key");
    let repo = repo(&key, None);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = write_profile(&repo, dir.path());
    let leviso = |command: &str| {
        let cmd = Cmd::new(env!("CARGO_BIN_EXE_leviso")).args([command, "--quiet", "--profile"]).arg(&file);
        cmd.arg("--work").arg(dir.path().join("work")).output().expect("leviso starts")
    };
    assert_eq!(leviso("verify").status.code(), Some(i32::from(exit::PROFILE)), "there is no lock yet");
    assert!(leviso("lock").status.success());
    assert_eq!(leviso("verify").status.code(), Some(i32::from(exit::FETCH)), "nothing is fetched yet");
    assert!(leviso("fetch").status.success());
    assert!(leviso("verify").status.success());

    let package = std::fs::read(repo.package("lib")).expect("the package");
    let digest = common::hash::Sha256::of(&package).to_string();
    let cached = dir.path().join("work/cache/sha256").join(&digest[..2]).join(&digest);
    let mut bytes = std::fs::read(&cached).expect("it is in the cache");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&cached, &bytes).expect("damaged");
    let out = leviso("verify");
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(i32::from(exit::VERIFY)), "{stderr}");
    assert!(stderr.contains("lib-2.0-1.x86_64"), "{stderr}");
    assert_eq!(std::fs::read(&cached).expect("still there"), bytes);
}

#[test]
fn an_unreachable_mirror_is_said_with_a_hint_within_30_seconds() {
    // A proxy that takes connections and never says a word: the profile's mirrors themselves are never contacted by a
    // test, and silence is worse than a refusal.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let began = std::time::Instant::now();
    let out = Cmd::new(env!("CARGO_BIN_EXE_leviso"))
        .args(["build", "--quiet", "--profile"])
        .arg(testkit::workspace().join("leviso/profiles/rocky10.toml"))
        .arg("--work")
        .arg(dir.path().join("work"))
        .arg("--out")
        .arg(dir.path().join("out"))
        .env("https_proxy", format!("http://127.0.0.1:{port}"))
        .output()
        .expect("leviso starts");
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(began.elapsed().as_secs() < 30, "it took {} s", began.elapsed().as_secs());
    assert_eq!(out.status.code(), Some(i32::from(exit::FETCH)), "{stderr}");
    assert!(stderr.contains("hint: ") && stderr.lines().count() <= 24, "{stderr}");
    assert!(!dir.path().join("out").exists() || names(&dir.path().join("out")).is_empty());
}
