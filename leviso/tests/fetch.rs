//! fetch: whole files from servers that break off, crawl, lie and loop; nothing but whole files in the cache.

mod packages;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use common::hash::Sha256;
use labrepo::rpm::Package;
use leviso::exit;
use leviso::fetch::{Fetcher, Limits, Mirrors, Network, Want, packages as fetch_packages};
use leviso::lock::{Lock, LockedPackage};
use leviso::profile::Repo;
use leviso::progress::{Progress, Quiet, Unit};
use testkit::server::{Answer, Server};

/// Everything a hundred times faster than in life.
fn limits() -> Limits {
    Limits {
        connect: Duration::from_millis(300),
        stall: Duration::from_millis(300),
        min_rate: 10_000,
        rate_window: Duration::from_millis(200),
        deadline: Duration::from_secs(5),
        give_up: Duration::from_millis(1500),
        small: 64 << 10,
        redirects: 3,
        parallel: 4,
    }
}

fn fetcher(cache: &Path) -> Fetcher {
    Fetcher::new(cache, limits(), false, &Network::default())
}

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * i / 7) as u8).collect()
}

fn want(bytes: &[u8]) -> Want {
    Want { sha256: Sha256::of(bytes), size: bytes.len() as u64 }
}

fn repo(bases: &[&str]) -> Repo {
    packages::repo("test", bases, &"0".repeat(40))
}

fn file(cache: &Path, bases: &[&str], want: Want) -> anyhow::Result<PathBuf> {
    fetcher(cache).file(&Mirrors::of(&repo(bases)), "x.rpm", want)
}

/// What is in the cache besides directories.
fn files_in(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(files_in(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

#[test]
fn a_bad_mirror_is_left_for_the_next_and_named_when_all_are_bad() {
    let good = data(100_000);
    let html = b"<html>It works</html>".to_vec();
    let same_size: Vec<u8> = good.iter().map(|b| !b).collect();
    let bad: Vec<(Answer, &str)> = vec![
        (Answer::Bytes(html), "the server offers 21"),
        (Answer::Bytes(same_size), "expected the SHA-256"),
        (Answer::Length(100_000, good[..5000].to_vec()), ""),
        (Answer::Length(5000, good.clone()), "the server offers 5000"),
        (Answer::Drip(Duration::from_millis(2)), "too slow"),
        (Answer::Drip(Duration::from_secs(1)), "it stalled after 1 bytes"),
        (Answer::Endless, "longer than the 100000 bytes"),
        (Answer::Silent, "no answer in time"),
        (Answer::Status(404), "HTTP 404"),
        (Answer::Status(503), "HTTP 503"),
        (Answer::Redirect("/x.rpm".into()), "more than 3 redirects"),
        (Answer::Redirect("file:///etc/passwd".into()), "not allowed"),
        (Answer::Redirect(String::new()), "redirect to nowhere"),
    ];
    for (answer, why) in bad {
        let what = format!("{answer:?}").chars().take(60).collect::<String>();
        let bad = Server::start(&[("/x.rpm", answer)], None);
        let mirror = Server::start(&[("/x.rpm", Answer::Bytes(good.clone()))], None);
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path(), &[&bad.url("/"), &mirror.url("")], want(&good)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), good, "{what}");
        assert_eq!(bad.log()[0], "/x.rpm", "{what}");

        let dir = tempfile::tempdir().unwrap();
        let err = file(dir.path(), &[&bad.url("/")], want(&good)).unwrap_err();
        let report = common::cli::report(&err);
        assert!(report.contains(&bad.url("/x.rpm")) && report.contains(why), "{what}: {report}");
        assert_eq!(common::cli::exit_code(&err), exit::FETCH, "{what}");
        assert!(report.contains("hint: "), "{what}: {report}");
        assert!(files_in(&dir.path().join("sha256")).is_empty(), "{what}");
    }
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let good = data(200_000);
    let server = Server::start(&[("/x.rpm", Answer::HalfThenRest(good.clone()))], None);
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), &[&server.url("")], want(&good)).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), good);
    assert_eq!(server.log(), ["/x.rpm", "/x.rpm 100000-"]);
    assert!(files_in(&dir.path().join("partial")).is_empty());

    // Left behind by an earlier run; one half is right, one wrong; one server knows no ranges, one lies about them.
    for (partial, answer, requests) in [
        (good[..50_000].to_vec(), Answer::Bytes(good.clone()), vec!["/x.rpm 50000-"]),
        (vec![7; 50_000], Answer::Bytes(good.clone()), vec!["/x.rpm 50000-", "/x.rpm"]),
        (good[..50_000].to_vec(), Answer::NoRanges(good.clone()), vec!["/x.rpm 50000-"]),
        (good[..50_000].to_vec(), Answer::WrongBytes(good.clone()), vec!["/x.rpm 50000-", "/x.rpm"]),
        (good.repeat(2), Answer::Bytes(good.clone()), vec!["/x.rpm"]),
    ] {
        let server = Server::start(&[("/x.rpm", answer)], None);
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join("partial").join(want(&good).sha256.to_string());
        common::fs::write_atomic(&left, &partial).unwrap();
        let path = file(dir.path(), &[&server.url("")], want(&good)).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), good);
        assert_eq!(server.log(), requests);
    }
}

#[test]
fn a_cached_file_is_used_only_if_it_is_right() {
    let good = data(1000);
    let server = Server::start(&[("/x.rpm", Answer::Bytes(good.clone()))], None);
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), &[&server.url("")], want(&good)).unwrap();
    file(dir.path(), &[&server.url("")], want(&good)).unwrap();
    assert_eq!(server.log().len(), 1);
    for damaged in [data(999), vec![0; 1000], Vec::new()] {
        std::fs::write(&path, damaged).unwrap();
        file(dir.path(), &[&server.url("")], want(&good)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), good);
    }
    assert_eq!(server.log().len(), 4);
    // The cache is enough without a network.
    let offline = Fetcher::new(dir.path(), limits(), true, &Network::default());
    let mirrors = Mirrors::of(&repo(&[&server.url("")]));
    assert_eq!(offline.file(&mirrors, "x.rpm", want(&good)).unwrap(), path);
    let report = common::cli::report(&offline.file(&mirrors, "y.rpm", want(b"other")).unwrap_err());
    assert!(report.contains("--offline") && report.contains("hint: run once without"), "{report}");
    assert_eq!(server.log().len(), 4);
}

#[test]
fn small_documents_have_a_cap_before_their_size_is_known() {
    let server = Server::start(
        &[
            ("/endless", Answer::Endless),
            ("/big", Answer::Bytes(data(65 << 10))),
            ("/claims", Answer::Length(1 << 40, vec![b'x'; 10])),
            ("/fits", Answer::Bytes(data(64 << 10))),
        ],
        None,
    );
    let dir = tempfile::tempdir().unwrap();
    let get = |path: &str| fetcher(dir.path()).small([server.url(path)], |_, bytes| Ok(bytes));
    for path in ["/endless", "/big", "/claims"] {
        let report = common::cli::report(&get(path).unwrap_err());
        assert!(report.contains("longer than the 65536 bytes"), "{report}");
    }
    assert_eq!(get("/fits").unwrap(), data(64 << 10));
}

#[test]
fn mirror_lists_and_metalinks_are_asked_only_when_needed() {
    let good = data(5000);
    let mirror = Server::start(&[("/m/x.rpm", Answer::Bytes(good.clone()))], None);
    let list = format!("# mirrors\n{}\n{}\n", mirror.url("/gone/"), mirror.url("/m/"));
    let lists = Server::start(&[("/list", Answer::Bytes(list.into_bytes()))], None);
    let mut repo = repo(&[&mirror.url("/m")]);
    repo.mirrorlist = Some(lists.url("/list"));
    let dir = tempfile::tempdir().unwrap();
    fetcher(dir.path()).file(&Mirrors::of(&repo), "x.rpm", want(&good)).unwrap();
    assert!(lists.log().is_empty());

    repo.baseurl = vec![mirror.url("/404")];
    let dir = tempfile::tempdir().unwrap();
    let mirrors = Mirrors::of(&repo);
    fetcher(dir.path()).file(&mirrors, "x.rpm", want(&good)).unwrap();
    assert_eq!(lists.log(), ["/list"]);
    // The one that worked is asked first from now on.
    let before = mirror.log().len();
    std::fs::remove_dir_all(dir.path().join("sha256")).unwrap();
    fetcher(dir.path()).file(&mirrors, "x.rpm", want(&good)).unwrap();
    assert_eq!(mirror.log()[before..], ["/m/x.rpm"]);
}

fn locked(name: &str, bytes: &[u8]) -> LockedPackage {
    let package = Package::new(name, "1", "1", "noarch");
    LockedPackage { location: format!("{name}.rpm"), ..packages::lock(&package, bytes, &"0".repeat(40)) }
}

fn lock_of(packages: Vec<LockedPackage>) -> Lock {
    let request = Sha256::of(b"");
    Lock { version: 1, profile: "test".into(), request, date: 0, repos: Vec::new(), packages }
}

#[derive(Default)]
struct Recorder(Mutex<(u64, u64)>);

impl Progress for Recorder {
    fn begin(&self, _: &str, total: u64, unit: Unit) {
        assert_eq!(unit, Unit::Bytes);
        self.0.lock().unwrap().1 = total;
    }
    fn advance(&self, by: u64) {
        self.0.lock().unwrap().0 += by;
    }
}

#[test]
fn all_packages_come_in_the_locks_order_and_progress_adds_up() {
    let files: Vec<(String, Vec<u8>)> = (0..40).map(|i| (format!("p{i:02}"), data(1000 + 997 * i))).collect();
    let paths: Vec<String> = files.iter().map(|(n, _)| format!("/{n}.rpm")).collect();
    let answers: Vec<(&str, Answer)> = files
        .iter()
        .zip(&paths)
        .enumerate()
        .map(|(i, ((_, bytes), path))| {
            let answer =
                if i % 5 == 0 { Answer::HalfThenRest(bytes.clone()) } else { Answer::Bytes(bytes.clone()) };
            (path.as_str(), answer)
        })
        .collect();
    let server = Server::start(&answers, None);
    let lock = lock_of(files.iter().map(|(n, b)| locked(n, b)).collect());
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::default();
    let repos = [repo(&[&server.url("/")])];
    let fetched = fetch_packages(&lock, &repos, &fetcher(dir.path()), &recorder).unwrap();
    let (done, total) = *recorder.0.lock().unwrap();
    assert_eq!(done, total);
    assert_eq!(fetched.iter().map(|f| f.locked.clone()).collect::<Vec<_>>(), lock.packages);
    for (f, (_, bytes)) in fetched.iter().zip(&files) {
        assert_eq!(std::fs::read(&f.path).unwrap(), *bytes);
    }
    // The second time from the cache, also with damage in it.
    std::fs::write(&fetched[3].path, b"damage").unwrap();
    let before = server.log().len();
    fetch_packages(&lock, &repos, &fetcher(dir.path()), &Quiet).unwrap();
    assert_eq!(server.log()[before..], ["/p03.rpm"]);
}

#[test]
fn unreachable_mirrors_fail_soon_on_one_screen_with_a_hint() {
    // One refuses, one never answers, one has no name.
    let silent = Server::start(&[("/silent/a.rpm", Answer::Silent)], None);
    let bases = ["http://127.0.0.1:1/", &silent.url("/silent"), "http://no-such-host.invalid/"];
    let lock = lock_of((0..50).map(|i| locked(&format!("p{i}"), b"x")).collect());
    let dir = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let err = fetch_packages(&lock, &[repo(&bases)], &fetcher(dir.path()), &Quiet).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let report = common::cli::report(&err);
    assert!(report.lines().count() < 20 && report.contains("hint: "), "{report}");
    // Several are fetched at a time: whichever fails first stops the others and is the one that is named.
    let named = (0..50).find(|i| report.contains(&format!("p{i}-1-1.noarch"))).expect("a package is named");
    assert!(report.contains(&format!("127.0.0.1:1/p{named}.rpm")), "{report}");
    assert_eq!(common::cli::exit_code(&err), exit::FETCH);
}

#[test]
fn locations_cannot_leave_the_repository() {
    let dir = tempfile::tempdir().unwrap();
    common::fs::write_atomic(&dir.path().join("secret"), b"secret").unwrap();
    std::fs::create_dir(dir.path().join("repo")).unwrap();
    let base = format!("file://{}/repo", dir.path().display());
    let mirrors = Mirrors::of(&repo(&[&base]));
    let err = fetcher(&dir.path().join("cache")).file(&mirrors, "../secret", want(b"secret")).unwrap_err();
    assert!(common::cli::report(&err).contains("does not lie inside its repository"));
}
