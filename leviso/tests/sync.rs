//! sync: metadata is trusted by signature or metalink, whole or not at all, and never goes back.

mod packages;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use common::hash::Sha256;
use labrepo::fixture::{Defect, Fixture, TestRepo};
use labrepo::rpm::Package;
use leviso::exit;
use leviso::fetch::{Fetcher, Limits, Network};
use leviso::profile::Repo;
use leviso::progress::Quiet;
use leviso::repodata::{RepoMetadata, read_primary};
use leviso::sync::{Synced, repositories, repository};
use packages::{TIME, key, keyring};
use testkit::server::{Answer, Server};

fn limits() -> Limits {
    let soon = Duration::from_millis(300);
    Limits { connect: soon, stall: soon, give_up: Duration::from_millis(1500), ..Limits::default() }
}

fn fetcher(cache: &Path, offline: bool) -> Fetcher {
    Fetcher::new(cache, limits(), offline, &Network::default())
}

fn fixture() -> Fixture<'static> {
    let files = |i: u32| {
        Package::new(&format!("p{i}"), "1", "1", "noarch").file(format!("/usr/bin/{i}"), b"x", 0o755)
    };
    (0..30).fold(Fixture::new(key()), |fixture, i| fixture.add(files(i)))
}

fn at(url: &str) -> Repo {
    packages::repo("test", &[url], &key().fingerprint())
}

fn sync(repo: &Repo, cache: &Path) -> anyhow::Result<Synced> {
    repository(repo, &keyring(key()), &fetcher(cache, false))
}

fn serve(repo: &TestRepo) -> Server {
    Server::start(&[], Some(repo.dir().to_owned()))
}

#[test]
fn primary_and_filelists_come_by_file_and_http_in_both_compressions() {
    for fixture in [fixture(), fixture().gzip()] {
        let repo = fixture.write().unwrap();
        let server = serve(&repo);
        for url in [repo.url(), server.url("")] {
            let cache = tempfile::tempdir().unwrap();
            let synced = sync(&at(&url), cache.path()).unwrap();
            assert_eq!(synced.parsed.revision, TIME.to_string());
            let fetcher = fetcher(cache.path(), false);
            let primary = synced.data("primary", &fetcher).unwrap().unwrap();
            let mut metadata = RepoMetadata::new("test", synced.repomd, &synced.parsed);
            read_primary(&mut metadata, primary.as_slice()).unwrap();
            assert_eq!(metadata.packages.len(), 30);
            assert!(synced.data("filelists", &fetcher).unwrap().unwrap().as_slice().starts_with(b"<?xml"));
            assert!(synced.data("nonsense", &fetcher).unwrap().is_none());
        }
    }
}

#[test]
fn every_defect_of_the_metadata_stops_with_its_file_named() {
    let cases = [
        (Defect::RepomdChanged, "repomd.xml does not match its signature"),
        (Defect::RepomdUnsigned, "repomd.xml.asc, found none"),
        (Defect::RepomdForeignKey, "expected a signature by"),
    ];
    for (defect, message) in cases {
        let repo = fixture().defect(defect.clone()).write().unwrap();
        let server = serve(&repo);
        for url in [repo.url(), server.url("")] {
            let cache = tempfile::tempdir().unwrap();
            let err = sync(&at(&url), cache.path()).unwrap_err();
            let report = common::cli::report(&err);
            assert!(report.contains(message) && report.contains(&url), "{defect:?}: {report}");
            assert_eq!(common::cli::exit_code(&err), exit::VERIFY, "{defect:?}: {report}");
            assert!(!cache.path().join("repo").exists(), "{defect:?}: a refused state was remembered");
        }
    }
    for defect in [Defect::PrimaryChanged, Defect::PrimaryTruncated] {
        let repo = fixture().defect(defect.clone()).write().unwrap();
        let cache = tempfile::tempdir().unwrap();
        let synced = sync(&at(&repo.url()), cache.path()).unwrap();
        let err = synced.data("primary", &fetcher(cache.path(), false)).unwrap_err();
        let report = common::cli::report(&err);
        assert!(report.contains("primary.xml"), "{defect:?}: {report}");
        assert!(report.contains("expected"), "{defect:?}: {report}");
    }
}

#[test]
fn a_mirror_with_a_bad_state_is_left_for_the_next() {
    let good = fixture().write().unwrap();
    let bad = fixture().defect(Defect::RepomdChanged).write().unwrap();
    let html =
        Server::start(&[("/repodata/repomd.xml", Answer::Bytes(b"<html>hello</html>".to_vec()))], None);
    let mut repo = at(&html.url("/"));
    repo.baseurl.extend([bad.url(), good.url()]);
    let cache = tempfile::tempdir().unwrap();
    let synced = sync(&repo, cache.path()).unwrap();
    assert!(synced.data("primary", &fetcher(cache.path(), false)).unwrap().is_some());
    // The one that worked is asked first for the rest.
    assert!(!html.log().iter().any(|l| l.contains("primary")), "{:?}", html.log());
}

#[test]
fn a_lower_revision_is_refused_and_a_higher_one_taken() {
    let root = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let link = root.path().join("current");
    let state = |time: u32| fixture().time(time).write().unwrap();
    let (old, now, new) = (state(TIME + 1), state(TIME + 2), state(TIME + 3));
    let repo = at(&format!("file://{}", link.display()));
    let point = |to: &TestRepo| {
        drop(std::fs::remove_file(&link));
        std::os::unix::fs::symlink(to.dir(), &link).unwrap();
        sync(&repo, cache.path())
    };
    point(&now).unwrap();
    point(&now).unwrap();
    let err = point(&old).unwrap_err();
    let report = common::cli::report(&err);
    assert!(report.contains(&format!("expected revision {} or newer", TIME + 2)), "{report}");
    assert!(report.contains("hint: a newer state was seen before"), "{report}");
    assert_eq!(common::cli::exit_code(&err), exit::VERIFY);
    point(&new).unwrap();
    point(&now).unwrap_err();
}

#[test]
fn offline_uses_the_last_accepted_state_and_checks_it_again() {
    let repo = fixture().write().unwrap();
    let server = serve(&repo);
    let profile = at(&server.url("/"));
    let cache = tempfile::tempdir().unwrap();
    let offline = fetcher(cache.path(), true);
    let report = common::cli::report(&repository(&profile, &keyring(key()), &offline).unwrap_err());
    assert!(report.contains("--offline"), "{report}");
    let online = sync(&profile, cache.path()).unwrap();
    online.data("primary", &fetcher(cache.path(), false)).unwrap();
    drop(server);
    let synced = repository(&profile, &keyring(key()), &offline).unwrap();
    assert_eq!(synced.repomd, online.repomd);
    assert!(synced.data("primary", &offline).unwrap().is_some());
    assert!(synced.data("filelists", &offline).is_err());
    // A cache is no place of trust.
    let dir = std::fs::read_dir(cache.path().join("repo")).unwrap().next().unwrap().unwrap().path();
    let repomd = std::fs::read_to_string(dir.join("repomd.xml")).unwrap();
    std::fs::write(dir.join("repomd.xml"), repomd.replace("<revision>", "<revision>9")).unwrap();
    let err = repository(&profile, &keyring(key()), &offline).unwrap_err();
    assert_eq!(common::cli::exit_code(&err), exit::VERIFY);
}

#[test]
fn unsigned_metadata_needs_a_metalink_or_a_safe_way() {
    let repo = fixture().defect(Defect::RepomdUnsigned).write().unwrap();
    let server = serve(&repo);
    let cache = tempfile::tempdir().unwrap();
    let mut profile = at(&server.url(""));
    profile.signed_metadata = false;
    let report = common::cli::report(&sync(&profile, cache.path()).unwrap_err());
    assert!(report.contains("could be changed on the way"), "{report}");

    let repomd = std::fs::read(repo.dir().join("repodata/repomd.xml")).unwrap();
    let link = |digest: Sha256| {
        let xml = format!(
            "<metalink><files><file name=\"repomd.xml\"><verification><hash type=\"sha256\">{digest}</hash>\
             </verification><resources><url protocol=\"http\">{}</url></resources></file></files></metalink>",
            server.url("/repodata/repomd.xml")
        );
        common::fs::write_atomic(&cache.path().join("metalink"), xml.as_bytes()).unwrap();
    };
    profile.baseurl.clear();
    profile.metalink = Some(format!("file://{}/metalink", cache.path().display()));
    link(Sha256::of(&repomd));
    sync(&profile, cache.path()).unwrap();
    link(Sha256::of(b"another state"));
    let err = sync(&profile, cache.path()).unwrap_err();
    let report = common::cli::report(&err);
    assert!(report.contains("(metalink), found"), "{report}");
    assert_eq!(common::cli::exit_code(&err), exit::VERIFY);
}

#[test]
fn unreachable_repositories_are_waited_for_at_once() {
    let silent = Server::start(&[("/repodata/repomd.xml", Answer::Silent)], None);
    let repos: Vec<Repo> = (0..4)
        .map(|i| Repo {
            id: format!("r{i}"),
            mirrorlist: Some("http://no-such-host.invalid/list".into()),
            ..at(&silent.url(""))
        })
        .collect();
    let keyrings: BTreeMap<_, _> = repos.iter().map(|r| (r.id.clone(), keyring(key()))).collect();
    let cache = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let err = repositories(&repos, &keyrings, &fetcher(cache.path(), false), &Quiet).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let report = common::cli::report(&err);
    assert!(report.contains("\"r0\"") && report.contains("no-such-host.invalid"), "{report}");
    assert!(report.contains("hint: ") && report.lines().count() < 20, "{report}");
    assert_eq!(common::cli::exit_code(&err), exit::FETCH);
}
