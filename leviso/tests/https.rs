//! https: the real program trusts what SSL_CERT_FILE names, and says why it does not trust a mirror.

use std::path::Path;

use cheat_test::cheat_aware;
use common::cmd::Cmd;
use labrepo::fixture::{Fixture, TestRepo};
use labrepo::key::SigningKey;
use labrepo::rpm::Package;
use leviso::exit;
use testkit::certificates::{Authority, Valid};
use testkit::server::{REFUSED, Server};

fn repo(key: &SigningKey) -> TestRepo {
    let hello = Package::new("hello", "1.0", "1", "noarch").file("/usr/bin/hello", b"hello, world\n", 0o755);
    Fixture::new(key).add(hello).write().expect("the fixture is written")
}

/// `leviso COMMAND` of a profile whose repository has these mirrors: exit code and what it said.
fn leviso(
    command: &str,
    repo: &TestRepo,
    mirrors: &[String],
    dir: &Path,
    ca: &Path,
    env: &[(&str, &str)],
) -> (Option<i32>, String) {
    let profile = format!(
        "extends = {:?}\nname = \"https\"\narch = \"x86_64\"\n[os]\nid-like = \"test\"\n\
         [[repo]]\nid = \"r\"\nbaseurl = {mirrors:?}\nkey = {:?}\nfingerprints = [{:?}]\n\
         [packages]\ninclude = [\"hello\"]\n",
        testkit::workspace().join("leviso/profiles/common.toml"),
        repo.key_path(),
        repo.fingerprint(),
    );
    let file = dir.join("https.toml");
    std::fs::write(&file, profile).expect("written");
    let cmd = Cmd::new(env!("CARGO_BIN_EXE_leviso")).args([command, "--quiet", "--profile"]).arg(&file);
    let silent = ["SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"];
    let cmd = silent.iter().fold(cmd, |cmd, name| cmd.without_env(*name).without_env(name.to_lowercase()));
    let cmd = env.iter().fold(cmd, |cmd, (name, value)| cmd.env(*name, *value));
    let out =
        cmd.arg("--work").arg(dir.join("work")).env("SSL_CERT_FILE", ca).output().expect("leviso starts");
    (out.status.code(), String::from_utf8(out.stderr).expect("UTF-8"))
}

#[cheat_aware(
    protects = "https believes only a server that can prove who it is, by an authority that the system trusts",
    severity = "CRITICAL",
    cheats = [
        "accept every certificate",
        "look who issued it, and not for whom",
        "take the compiled-in list when the store that was named is of no use"
    ],
    consequence = "whoever sits between a user and a server decides what is downloaded without a digest: which versions there are, and which mirrors",
    sabotage = ["https-believes-everybody"]
)]
#[test]
fn a_mirror_is_trusted_by_the_store_or_left_for_the_next() {
    let key = SigningKey::generate("https", 1_600_000_000).expect("a key");
    let repo = repo(&key);
    let (ours, others) = (Authority::new("ours"), Authority::new("another"));
    let serve = |authority: &Authority, name: &str| {
        Server::https(&[], Some(repo.dir().to_owned()), &authority.issue(name, Valid::Now))
    };
    let (good, strange) = (serve(&ours, "127.0.0.1"), serve(&others, "127.0.0.1"));
    let elsewhere = serve(&ours, "other.example");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (ca, none) = (dir.path().join("ca.pem"), dir.path().join("none.pem"));
    std::fs::write(&ca, ours.pem()).expect("written");
    let bad = [strange.url(""), strange.url("/again"), elsewhere.url("")];
    let run =
        |command: &str, mirrors: &[String], ca: &Path| leviso(command, &repo, mirrors, dir.path(), ca, &[]);

    let (code, said) = run("lock", &bad, &ca);
    assert_eq!(code, Some(i32::from(exit::FETCH)), "nobody vouches for these mirrors: {said}");
    let whys = [
        format!("no authority in {} (SSL_CERT_FILE) issued it", ca.display()),
        "it is for other.example".into(),
    ];
    assert!(whys.iter().all(|why| said.contains(why)), "{said}");
    assert!(bad.iter().all(|url| said.contains(url)) && said.contains("hint: check the URL"), "{said}");
    // A server is asked once, whatever there is to ask for.
    for server in [&strange, &elsewhere] {
        assert_eq!(server.log(), [REFUSED]);
    }

    let (code, said) = run("lock", &[good.url("")], &none);
    assert_eq!(code, Some(i32::from(exit::FETCH)), "{said}");
    let is_clear = said.contains(&format!("failed to read {} (SSL_CERT_FILE)", none.display()));
    assert!(is_clear && said.contains("hint: SSL_CERT_FILE must name"), "{said}");

    let all = [strange.url(""), elsewhere.url(""), good.url("")];
    for command in ["lock", "fetch"] {
        let (code, said) = run(command, &all, &ca);
        assert_eq!(code, Some(0), "{said}");
    }
    assert!(good.log().iter().any(|path| path.ends_with(".rpm")), "{:?}", good.log());
    assert_eq!(strange.log().len(), 3, "once for each command that asked: {:?}", strange.log());
}

#[test]
fn proxies_are_used_and_never_passed_by() {
    let key = SigningKey::generate("https", 1_600_000_000).expect("a key");
    let repo = repo(&key);
    let ours = Authority::new("ours");
    let identity = ours.issue("127.0.0.1", Valid::Now);
    let mirror = Server::https(&[], Some(repo.dir().to_owned()), &identity);
    let (plain, secure) = (Server::start(&[], None), Server::https(&[], None, &identity));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, ours.pem()).expect("written");
    let run = |work: &str, env: &[(&str, &str)]| {
        std::fs::create_dir(dir.path().join(work)).expect("made");
        leviso("lock", &repo, &[mirror.url("")], &dir.path().join(work), &ca, env)
    };
    let socks = format!("socks5h://{}", plain.place());
    for (work, proxy, url) in
        [("http", &plain, plain.url("")), ("https", &secure, secure.url("")), ("socks", &plain, socks)]
    {
        let (passed, asked) = (proxy.log().len(), mirror.log().len());
        let (code, said) = run(work, &[("all_proxy", &url)]);
        assert_eq!(code, Some(0), "{said}");
        let new = &proxy.log()[passed..];
        assert!(!new.is_empty() && new.iter().all(|to| to == mirror.place()), "{url}: {new:?}");
        assert!(mirror.log().len() > asked);
    }
    let (passed, asked) = (plain.log().len(), mirror.log().len());
    let (code, said) = run("direct", &[("all_proxy", &plain.url("")), ("no_proxy", "127.0.0.1")]);
    assert_eq!((code, plain.log().len()), (Some(0), passed), "{said}");
    assert!(mirror.log().len() > asked);
    let asked = mirror.log().len();
    let (code, said) = run("wrong", &[("https_proxy", "sock5://me:secret@127.0.0.1:1")]);
    assert_eq!(code, Some(i32::from(common::cli::code::USAGE)), "{said}");
    let is_clear = said.contains("https_proxy is not a proxy") && said.contains("hint: expected a URL");
    assert!(is_clear && !said.contains("secret"), "{said}");
    assert_eq!(mirror.log().len(), asked);
}
