//! Downloads: digests, ranges, redirects, servers that lie, the cache.

use std::time::Duration;

use common::hash::Sha256;

use crate::rig::{Rig, tree};
use testkit::server::{Answer, Tags};

/// A rig with a release, its bytes and digest; the recipe downloads with `call`.
fn rig(call: &str) -> (Rig, Vec<u8>, String) {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", &"p".repeat(100_000))]);
    let bytes = std::fs::read(rig.path("www/p-1.tar.gz")).expect("packed");
    let digest = Sha256::of(&bytes).to_string();
    let url = rig.server.url("/f/p-1.tar.gz");
    let call = call.replace("URL", &url).replace("SHA", &digest);
    rig.write(
        "recipes/p.rhai",
        format!("let pkg = #{{ name: \"p\", version: \"1\" }};\nfn install() {{ {call} extract(\"tar.gz\"); install_bin(\"p\"); }}\n"),
    );
    (rig, bytes, digest)
}

#[test]
fn a_wrong_digest_is_refused_and_not_kept() {
    for call in ["download(\"URL\", \"SHA\");", "download(\"URL\"); verify_sha256(\"SHA\");"] {
        let (rig, bytes, digest) = rig(call);
        rig.write("www/f/p-1.tar.gz", [&bytes[..], b"x"].concat());
        let out = rig.run(&["install", "p"]).fails(14, "is not the file that was wanted");
        assert!(out.stderr.contains(&format!("expected {digest}")), "{}", out.stderr);
        rig.run(&["install", "p", "--offline"]).fails(13, "is not in the cache");
        rig.write("www/f/p-1.tar.gz", bytes);
        rig.run(&["install", "p"]).ok();
    }
}

#[test]
fn a_broken_download_goes_on_where_it_ended() {
    let (rig, bytes, _) = rig("download(\"URL\");");
    rig.server.answer("/f/p-1.tar.gz", Answer::HalfThenRest(bytes.clone()));
    rig.run(&["install", "p"]).ok();
    assert_eq!(rig.server.log(), ["/f/p-1.tar.gz".to_owned(), format!("/f/p-1.tar.gz {}-", bytes.len() / 2)]);
}

#[test]
fn a_server_that_is_busy_is_asked_again_and_a_missing_file_is_not() {
    let (rig, bytes, _) = rig("download(\"URL\");");
    rig.server.answer("/f/p-1.tar.gz", Answer::Status(404));
    rig.run(&["install", "p"]).fails(13, "HTTP 404");
    assert_eq!(rig.server.log().len(), 1);
    rig.server.answer("/f/p-1.tar.gz", Answer::After(2, bytes));
    rig.run(&["install", "p"]).ok();
}

#[test]
fn ranges_that_are_not_what_was_asked_for_do_not_become_a_file() {
    let (rig, bytes, _) = rig("download(\"URL\", \"SHA\");");
    rig.server.answer("/f/p-1.tar.gz", Answer::WrongRange(bytes.clone()));
    let out = rig.run(&["install", "p"]);
    assert_eq!(out.code, Some(13), "{out:?}");
    // The first half is of another file: found by the digest.
    let mut other = bytes.clone();
    other[0] ^= 1;
    rig.server.tags(Tags::No);
    rig.server.answer("/f/p-1.tar.gz", Answer::HalfThenOther(other, bytes));
    let out = rig.run(&["install", "p"]);
    assert_eq!(out.code, Some(14), "{out:?}");
    assert!(rig.tree().is_empty());
}

/// Without a digest nobody would notice that the rest is another file's.
#[test]
fn a_download_goes_on_only_in_the_same_file() {
    let (rig, bytes, _) = rig("download(\"URL\");");
    let path = "/f/p-1.tar.gz";
    let mut other = bytes.clone();
    other[5] ^= 1;
    let is_cached = || {
        let all = tree(&rig.path("cache"));
        all.iter().any(|(name, what)| what.starts_with("file") && !name.contains("/part"))
    };
    // The server does not look at If-Range, and has another file of this length by now.
    rig.server.answer(path, Answer::HalfThenOther(other.clone(), bytes.clone()));
    rig.run(&["install", "p"]).fails(13, "the file on the server has changed");
    assert!(!is_cached());
    // It has one that it calls nothing, or by a name that similar files can have.
    for tags in [Tags::No, Tags::Weak] {
        rig.server.tags(tags);
        rig.server
            .answer(path, Answer::Then(vec![Answer::Half(other.clone()), Answer::Bytes(bytes.clone())]));
        let asked = rig.server.log().len();
        rig.run(&["install", "p"]).ok();
        assert_eq!(rig.server.log()[asked..], [path, path]);
        rig.run(&["remove", "p"]).ok();
        rig.run(&["cache", "clean", "--all"]).ok();
    }
    // It looks at If-Range.
    rig.server.tags(Tags::Strong);
    rig.server.answer(path, Answer::Then(vec![Answer::Half(other), Answer::Bytes(bytes.clone())]));
    rig.run(&["install", "p"]).ok();
    assert_eq!(rig.server.log().last(), Some(&format!("{path} {}-", bytes.len() / 2)));
}

#[test]
fn the_next_run_goes_on_where_a_download_broke_off() {
    for call in ["download(\"URL\");", "download(\"URL\", \"SHA\");"] {
        let (rig, bytes, _) = rig(call);
        let path = "/f/p-1.tar.gz";
        let half = bytes.len() / 2;
        let breaks = || {
            rig.server.answer(path, Answer::Then(vec![Answer::Half(bytes.clone()), Answer::Status(404)]));
            rig.run(&["install", "p"]).fails(13, "HTTP 404");
        };
        breaks();
        rig.server.answer(path, Answer::Bytes(bytes.clone()));
        rig.run(&["install", "p"]).ok();
        assert_eq!(rig.server.log().last(), Some(&format!("{path} {half}-")));
        // What a part is a part of goes with it.
        rig.run(&["remove", "p"]).ok();
        rig.run(&["cache", "clean", "--all"]).ok();
        breaks();
        rig.run(&["cache", "clean", "--all"]).ok();
        assert!(rig.path("cache/downloads").read_dir().expect("read").next().is_none());
        // The server has another file by then, of another length, and calls neither by a name.
        rig.server.tags(Tags::No);
        breaks();
        let asked = rig.server.log().len();
        rig.server.answer(path, Answer::HalfThenOther(bytes.clone(), [&bytes[..], b"x"].concat()));
        rig.run(&["install", "p"]).fails(13, "");
        assert!(rig.server.log()[asked..].iter().any(|line| line == path), "{:?}", rig.server.log());
    }
}

/// What somebody else downloaded meanwhile is his, not a beginning of ours.
#[test]
fn who_waited_for_another_download_leaves_its_file_alone() {
    let (rig, bytes, digest) = rig("download(\"URL\");");
    let wrong = Sha256::of(b"another").to_string();
    let text = rig.recipe("p").replace("\"p\", version", "\"q\", version");
    let url = rig.server.url("/f/p-1.tar.gz");
    let q = text.replace(&format!("\"{url}\""), &format!("\"{url}\", \"{wrong}\""));
    rig.write("others/q.rhai", q);
    let together = || Answer::Together(2, bytes.clone());
    let later = Answer::Bytes(b"something else".to_vec());
    rig.server.answer("/f/p-1.tar.gz", Answer::Then(vec![together(), together(), later]));
    let mut first = rig.cmd(&["install", "p"]).std().spawn().expect("it starts");
    while rig.server.log().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let there = rig.path("there");
    let other = common::cmd::Cmd::new(env!("CARGO_BIN_EXE_recipe")).args(["install", "q", "-r"]);
    let other = other.arg(rig.path("others")).arg("-p").arg(&there).arg("--cache").arg(rig.path("cache"));
    let second = other.std().stderr(std::process::Stdio::piped()).spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(500));
    // The second request that the answer waits for.
    let stream = std::net::TcpStream::connect(url.split('/').nth(2).expect("a host"));
    let asks = b"GET /f/p-1.tar.gz HTTP/1.1\r\n\r\n";
    std::io::Write::write_all(&mut stream.expect("connected"), asks).expect("sent");
    assert!(first.wait().expect("waited").success());
    let out = second.wait_with_output().expect("waited");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(14), "{said}");
    let is_whole = |entry: std::fs::DirEntry| {
        std::fs::read(entry.path().join(&digest)).is_ok_and(|found| found == bytes)
    };
    let slots = rig.path("cache/downloads").read_dir().expect("read");
    assert!(slots.map(|slot| slot.expect("read")).any(is_whole), "{said}");
}

#[test]
fn redirects_are_followed_but_never_to_files() {
    let (rig, bytes, _) = rig("download(\"URL\");");
    rig.write("www/elsewhere", &bytes);
    rig.server.answer("/f/p-1.tar.gz", Answer::Redirect("../elsewhere".into()));
    rig.run(&["install", "p"]).fails(13, "HTTP 404");
    rig.server.answer("/f/p-1.tar.gz", Answer::Redirect("/elsewhere".into()));
    rig.run(&["install", "p"]).ok();
    rig.run(&["remove", "p"]).ok();
    std::fs::remove_dir_all(rig.path("cache")).expect("removed");
    rig.server.answer("/f/p-1.tar.gz", Answer::Redirect("file:///etc/passwd".into()));
    rig.run(&["install", "p"]).fails(13, "which is not allowed");
    rig.server.answer("/f/p-1.tar.gz", Answer::Redirect("/f/p-1.tar.gz".into()));
    rig.run(&["install", "p"]).fails(13, "redirects");
}

#[test]
fn the_cache_is_used_offline_and_never_believed() {
    let (rig, bytes, digest) = rig("download(\"URL\", \"SHA\");");
    rig.run(&["install", "p", "--offline"]).fails(13, "is not in the cache");
    rig.write("www/f/p-1.tar.gz", &bytes);
    rig.run(&["install", "p"]).ok();
    rig.run(&["install", "p", "--offline", "--reinstall"]).ok();
    assert_eq!(rig.server.log().len(), 1);
    // A disk that lies.
    let dir =
        rig.path("cache/downloads").read_dir().expect("read").next().expect("one").expect("read").path();
    let mut rotten = bytes.clone();
    rotten[50] ^= 1;
    std::fs::write(dir.join(&digest), rotten).expect("written");
    rig.run(&["install", "p", "--offline", "--reinstall"]).fails(13, "is not in the cache");
    rig.run(&["install", "p", "--reinstall"]).ok();
    assert_eq!(rig.server.log().len(), 2);
}

#[test]
fn an_interrupt_ends_a_download_and_changes_nothing() {
    let (rig, bytes, _) = rig("download(\"URL\");");
    let before = rig.recipe("p");
    let pause = Duration::from_millis(10);
    let answers = [
        Answer::Drip(pause),
        Answer::Stalls(bytes.clone()),
        Answer::Silent,
        Answer::Redirect("/f/silent".into()),
        // It is asked again after half a second, one, and two.
        Answer::Status(503),
    ];
    rig.server.answer("/f/silent", Answer::Silent);
    for answer in answers {
        let asked = rig.server.log().len() + if matches!(answer, Answer::Status(_)) { 3 } else { 1 };
        rig.server.answer("/f/p-1.tar.gz", answer);
        rig.interrupted(&["install", "p"], || rig.server.log().len() >= asked);
        assert_eq!((&rig.recipe("p"), rig.tree().len()), (&before, 0));
        assert!(!rig.prefix(".recipe/stage").exists() && !rig.prefix(".recipe/build").exists());
    }
}

#[test]
fn an_interrupt_ends_waiting_for_another_download() {
    let (rig, _, _) = rig("download(\"URL\");");
    rig.server.answer("/f/p-1.tar.gz", Answer::Silent);
    let (recipes, there) = (rig.path("others"), rig.path("there"));
    rig.write("others/p.rhai", rig.recipe("p"));
    let other = common::cmd::Cmd::new(env!("CARGO_BIN_EXE_recipe")).args(["install", "p", "-r"]);
    let other = other.arg(recipes).arg("-p").arg(there).arg("--cache").arg(rig.path("cache"));
    let mut other = other.std().spawn().expect("it starts");
    while rig.server.log().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let is_here = || rig.prefix(".recipe/stage").exists();
    let said = rig.interrupted(&["install", "p"], is_here).stderr;
    let is_alone = rig.server.log().len() == 1;
    other.kill().expect("killed");
    other.wait().expect("waited");
    assert!(is_alone && said.contains("waiting: another recipe downloads"), "{said}");
}

/// A disk that fails to give a file once is no reason to lose it.
#[test]
fn a_cached_file_that_cannot_be_read_stays() {
    let (rig, bytes, _) = rig("download(\"URL\");");
    rig.write("www/f/p-1.tar.gz", bytes);
    rig.run(&["install", "p"]).ok();
    rig.run(&["remove", "p"]).ok();
    let strace = testkit::oracle("strace");
    let find =
        common::cmd::Cmd::new("find").arg(rig.path("cache/downloads")).args(["-type", "f", "-size", "+0"]);
    let file = find.read().expect("there is one");
    let args = ["-f", "-qq", "-o", "/dev/null", "-P", file.trim(), "-e", "inject=read:error=EIO:when=1"];
    let broken = |args: &[&str], strace_args: &[&str]| {
        rig.ran(rig.cmd(args).under(strace.to_str().expect("UTF-8"), strace_args))
    };
    broken(&["install", "p", "--offline"], &args).fails(13, "Input/output error");
    rig.run(&["install", "p", "--offline"]).ok();
}
