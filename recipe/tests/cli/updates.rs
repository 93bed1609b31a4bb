//! `recipe update`: what `check_update()` finds becomes the version in the recipe's text, and nothing else changes.

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::Duration;

use common::hash::Sha256;

use crate::rig::{Out, Rig};
use testkit::server::Answer;

/// `p` 1.0, whose recipe asks the server's `/latest`; `download` is how it gets its file.
fn rig(download: &str) -> Rig {
    let rig = Rig::new();
    for version in ["1.0", "1.1"] {
        rig.release("p", version, &[("bin/p", version)]);
    }
    let url = rig.server.url("");
    let download = download.replace("URL", &format!("{url}/p-${{pkg.version}}.tar.gz"));
    rig.write(
        "recipes/p.rhai",
        format!(
            "//! p: version 1.0 of a test.\n\nlet pkg = #{{\n    name: \"p\", // \"1.0\"\n    version: /* now */ `1.0`,\n    \
             description: \"version: 1.0\",\n}};\n\nfn check_update() {{ http_get(\"{url}/latest\") }}\n\n\
             fn install() {{\n    {download}\n    extract();\n    install_bin(\"p\");\n}}\n"
        ),
    );
    rig.write("www/latest", "1.1\n");
    rig
}

fn digest(rig: &Rig, file: &str) -> String {
    Sha256::of(&std::fs::read(rig.path("www").join(file)).expect("packed")).to_string()
}

#[test]
fn only_the_version_changes_and_nothing_is_installed() {
    let rig = rig("download(`URL`);");
    rig.run(&["install", "p"]).ok();
    let (before, tree) = (rig.recipe("p"), rig.tree());
    assert_eq!(rig.run(&["update", "-n"]).ok().stdout, "p 1.0 -> 1.1\n");
    assert_eq!(rig.recipe("p"), before);
    let out = rig.run(&["update"]).ok();
    assert_eq!(out.stdout, "p 1.0 -> 1.1\n");
    assert!(out.stderr.ends_with("1 new, 0 current, 0 without check_update(), 0 failed\n"), "{}", out.stderr);
    assert_eq!(rig.recipe("p"), before.replace("`1.0`,", "\"1.1\","));
    assert_eq!(rig.tree(), tree);
    assert_eq!(rig.run(&["outdated"]).ok().stdout, "p  1.1  installed: 1.0\n");
    assert_eq!(rig.run(&["upgrade"]).ok().stdout, "~ p 1.0 -> 1.1\n");
    // The same, and older ones, are no update; what the server says is asked for each time.
    for latest in ["1.1", "v1.1", "1.0.9", "1.1-rc1"] {
        rig.write("www/latest", latest);
        let text = rig.recipe("p");
        assert_eq!(rig.run(&["update", "p"]).ok().stdout, "", "{latest}");
        assert_eq!(rig.recipe("p"), text);
    }
    // Written as the recipe writes versions.
    rig.write("www/latest", "v1.2");
    assert_eq!(rig.run(&["update", "p", "p"]).ok().stdout, "p 1.1 -> 1.2\n");
}

#[test]
fn the_cache_answers_nothing_and_offline_nothing_is_asked() {
    let rig = rig("download(`URL`);");
    let before = rig.recipe("p");
    rig.run(&["update", "--offline"]).fails(13, "can only be asked for with a network");
    assert!(rig.server.log().is_empty());
    rig.run(&["update", "-n"]).ok();
    rig.run(&["update", "-n"]).ok();
    assert_eq!(rig.server.log(), ["/latest", "/latest"]);
    assert!(!rig.path("cache/downloads").exists());
    // Where everything may be asked for, this may not: a package must not depend on the day.
    rig.write("recipes/p.rhai", before.replace("extract();", "http_get(\"http://127.0.0.1/\"); extract();"));
    rig.run(&["install", "p"]).fails(10, "`http_get` can only be called in check_update(), not in install()");
}

#[test]
fn one_that_fails_keeps_no_other_from_it() {
    let rig = rig("download(`URL`);");
    let text = rig.recipe("p");
    let with = |name: &str, check: &str| {
        let url = rig.server.url("");
        let new = text.replace("name: \"p\"", &format!("name: \"{name}\""));
        rig.write(
            &format!("recipes/{name}.rhai"),
            new.replace(&format!("http_get(\"{url}/latest\")"), check),
        );
    };
    let missing = format!("http_get(\"{}/missing\")", rig.server.url(""));
    with("a-missing", &missing);
    with("b-none", "()");
    with("c-number", "1.1");
    with("d-words", "\"no version\"");
    with("e-throws", "throw \"broken page\"");
    with("z-good", "\"2\"");
    rig.add("plain", "1", "install_bin(\"p\");");
    rig.write("recipes/broken.rhai", "let pkg = ;");
    let others = ["a-missing", "b-none", "c-number", "d-words", "e-throws", "plain"].map(|n| rig.recipe(n));
    let out = rig.run(&["update", "--json"]);
    assert_eq!(out.code, Some(10), "the first that failed: {out:?}");
    let json: serde_json::Value = serde_json::from_str(&out.stdout).expect("JSON");
    let names = |key: &str| -> Vec<String> {
        let all = json[key].as_array().expect("an array").iter();
        all.map(|v| v.as_str().or(v["name"].as_str()).unwrap_or("?").to_owned()).collect()
    };
    assert_eq!(names("updates"), ["p", "z-good"]);
    assert_eq!((names("current"), names("skipped")), (vec!["b-none".to_owned()], vec!["plain".to_owned()]));
    assert_eq!(names("failed"), ["?", "a-missing", "c-number", "d-words", "e-throws"]);
    let codes: Vec<_> =
        json["failed"].as_array().expect("an array").iter().map(|f| f["exit"].clone()).collect();
    assert_eq!(codes, [10, 13, 10, 10, 17]);
    for says in ["HTTP 404", "found f64", "found \"no version\"", "broken page"] {
        assert!(out.stderr.contains(says), "{says}: {}", out.stderr);
    }
    assert_eq!(
        others,
        ["a-missing", "b-none", "c-number", "d-words", "e-throws", "plain"].map(|n| rig.recipe(n))
    );
    assert!(rig.recipe("z-good").contains("version: /* now */ \"2\","));
    rig.run(&["update", "plain"]).ok();
    rig.run(&["update", "p", "nowhere"]).fails(11, "there is no recipe \"nowhere\"");
}

#[test]
fn a_digest_of_the_old_file_is_named_or_replaced() {
    for download in [
        "download(`URL`, \"DIGEST\");",
        "download(`URL`); verify_sha256(\"DIGEST\");",
        "let d = \"DIGEST\"; let url = `URL`; if arch() == \"\" { d = \"\"; } download(url, d);",
    ] {
        let rig = rig(download);
        let (old, new) = (digest(&rig, "p-1.0.tar.gz"), digest(&rig, "p-1.1.tar.gz"));
        let text = rig.recipe("p").replace("DIGEST", &old.to_uppercase());
        rig.write("recipes/p.rhai", &text);
        rig.run(&["install", "p"]).ok();
        let clean = rig.recipe("p");
        let out = rig.run(&["update"]).ok();
        let line = clean.lines().position(|l| l.contains(&old.to_uppercase())).expect("there") + 1;
        assert!(
            out.stderr.contains(&format!("p.rhai:{line}:"))
                && out.stderr.contains("this digest is still that of 1.0"),
            "{}",
            out.stderr
        );
        rig.run(&["upgrade"]).fails(14, "is not the file that was wanted");
        // From there again, trusting the server.
        rig.write("recipes/p.rhai", &clean);
        rig.run(&["update", "-n", "--hash"]).ok();
        assert_eq!(rig.recipe("p"), clean);
        let out = rig.run(&["update", "--hash"]).ok();
        assert!(out.stderr.contains("nobody else vouches for them"), "{}", out.stderr);
        let expected = clean.replace("`1.0`,", "\"1.1\",").replace(&old.to_uppercase(), &new);
        assert_eq!(rig.recipe("p"), expected);
        assert_eq!(rig.run(&["upgrade"]).ok().stdout, "~ p 1.0 -> 1.1\n");
        assert_eq!(rig.read("prefix/bin/p"), "1.1");
    }
}

#[test]
fn a_new_file_is_asked_for_though_the_cache_has_one_of_its_address() {
    let rig = rig("download(\"FIXED\", \"DIGEST\");");
    let fixed = rig.server.url("/p.tar.gz");
    std::fs::copy(rig.path("www/p-1.0.tar.gz"), rig.path("www/p.tar.gz")).expect("copied");
    let old = digest(&rig, "p.tar.gz");
    rig.write("recipes/p.rhai", rig.recipe("p").replace("FIXED", &fixed).replace("DIGEST", &old));
    rig.run(&["install", "p"]).ok();
    std::fs::copy(rig.path("www/p-1.1.tar.gz"), rig.path("www/p.tar.gz")).expect("copied");
    rig.run(&["update", "--hash"]).ok();
    assert!(rig.recipe("p").contains(&digest(&rig, "p.tar.gz")), "{}", rig.recipe("p"));
    rig.run(&["upgrade"]).ok();
    assert_eq!(rig.read("prefix/bin/p"), "1.1");
}

#[test]
fn a_digest_of_a_file_that_is_the_same_stays_as_it_is_written() {
    let rig = rig("download(`URL`, \"DIGEST\"); download(\"FIXED\", #\"OTHER\"#); download(`URL`);");
    rig.write("www/fix.patch", "the same for every version");
    let fixed = digest(&rig, "fix.patch").to_uppercase();
    let (old, new) = (digest(&rig, "p-1.0.tar.gz"), digest(&rig, "p-1.1.tar.gz"));
    let text = rig.recipe("p").replace("FIXED", &rig.server.url("/fix.patch")).replace("OTHER", &fixed);
    let text = text.replace("DIGEST", &old);
    rig.write("recipes/p.rhai", &text);
    let out = rig.run(&["update", "--hash"]).ok();
    assert!(!out.stderr.contains("still that of"), "{}", out.stderr);
    assert_eq!(rig.recipe("p"), text.replace("`1.0`,", "\"1.1\",").replace(&old, &new));
    rig.run(&["install", "p"]).ok();
    assert_eq!(rig.read("prefix/bin/p"), "1.1");
}

#[test]
fn without_the_new_file_nothing_is_written() {
    let rig = rig("download(`URL`, \"DIGEST\");");
    let old = digest(&rig, "p-1.0.tar.gz");
    // One of another machine: it cannot be asked for here.
    let other = "if arch() == \"none\" { verify_sha256(\"OTHER\"); } git(\"COMMIT\");"
        .replace("OTHER", &"a".repeat(64));
    let text = rig.recipe("p").replace("DIGEST", &old).replace("extract();", &format!("{other} extract();"));
    let text = format!("{}fn git(commit) {{ }}\n", text.replace("COMMIT", &"b".repeat(40)));
    rig.write("recipes/p.rhai", &text);
    let archive = std::fs::read(rig.path("www/p-1.1.tar.gz")).expect("packed");
    std::fs::remove_file(rig.path("www/p-1.1.tar.gz")).expect("removed");
    let out = rig.run(&["update", "--hash"]).fails(13, "HTTP 404");
    assert!(out.stderr.contains("0 new, 0 current, 0 without check_update(), 1 failed"), "{}", out.stderr);
    assert_eq!(rig.recipe("p"), text);
    rig.write("www/p-1.1.tar.gz", archive);
    let out = rig.run(&["update", "--hash"]).ok();
    assert!(out.stderr.contains("was not asked for here, and is still that of 1.0"), "{}", out.stderr);
    assert!(out.stderr.contains("this commit is still that of 1.0"), "{}", out.stderr);
    let new = digest(&rig, "p-1.1.tar.gz");
    assert_eq!(rig.recipe("p"), text.replace("`1.0`,", "\"1.1\",").replace(&old, &new));
    assert!(rig.tree().is_empty(), "{:?}", rig.tree());
}

/// Starts `update`, whose question the server answers once [`answered`] asks it, too.
fn asking(rig: &Rig, args: &[&str]) -> Child {
    rig.server.answer("/latest", Answer::Together(2, b"1.1".to_vec()));
    let before = rig.server.log().len();
    let (out, err) = (Stdio::piped(), Stdio::piped());
    let child = rig.cmd(args).std().stdout(out).stderr(err).spawn().expect("it starts");
    while rig.server.log().len() == before {
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// Lets the server answer, and says how it ended.
fn answered(rig: &Rig, child: Child) -> Out {
    let address = rig.server.place();
    let mut asked = std::net::TcpStream::connect(address).expect("connected");
    asked.write_all(b"GET /latest HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let out = child.wait_with_output().expect("waited");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    Out { code: out.status.code(), stdout: text(out.stdout), stderr: text(out.stderr) }
}

/// Who asked knows nothing of what was written since: it stays, whatever it is.
#[test]
fn what_is_edited_meanwhile_is_left_alone() {
    for (from, to) in
        [("// \"1.0\"", "// mine"), ("`1.0`,", "\"1.0.5\","), ("extract();", "extract(\"tar.gz\");")]
    {
        let rig = rig("download(`URL`);");
        rig.write("recipes/q.rhai", rig.recipe("p").replace("name: \"p\"", "name: \"q\""));
        let edited = rig.recipe("p").replace(from, to);
        let update = asking(&rig, &["update", "-j", "1"]);
        rig.write("recipes/p.rhai", &edited);
        let out = answered(&rig, update)
            .fails(15, "p.rhai was changed while servers were asked, and is left as it is");
        assert!(out.stderr.contains("hint: `recipe update p` asks again\n"), "{out:?}");
        assert_eq!(rig.recipe("p"), edited);
        assert_eq!(out.stdout, "q 1.0 -> 1.1\n", "the other one is as it was");
        rig.run(&["update"]).ok();
    }
    // One that is gone is not made again.
    let rig = rig("download(`URL`);");
    let update = asking(&rig, &["update"]);
    std::fs::remove_file(rig.path("recipes/p.rhai")).expect("removed");
    answered(&rig, update).fails(1, "failed to find ");
    assert!(!rig.path("recipes/p.rhai").exists());
}

/// Nobody waits for servers that another one asks.
#[test]
fn others_work_while_servers_are_asked() {
    for hash in [false, true] {
        let rig = rig(if hash { "download(`URL`, \"DIGEST\");" } else { "download(`URL`);" });
        let (old, new) = (digest(&rig, "p-1.0.tar.gz"), digest(&rig, "p-1.1.tar.gz"));
        rig.write("recipes/p.rhai", rig.recipe("p").replace("DIGEST", &old));
        rig.release("q", "1", &[("bin/q", "q")]);
        rig.add("q", "1", "install_bin(\"q\");");
        let update = asking(&rig, if hash { &["update", "--hash"] } else { &["update"] });
        rig.run(&["install", "q"]).ok();
        // What it changes in the file that is asked about is only the state.
        rig.run(&["install", "p"]).ok();
        let before = rig.recipe("p");
        assert_eq!(answered(&rig, update).ok().stdout, "p 1.0 -> 1.1\n");
        let mut expected = before.replace("`1.0`,", "\"1.1\",");
        if hash {
            expected = expected.replace(&old, &new);
        }
        assert_eq!(rig.recipe("p"), expected);
        rig.run(&["check"]).ok();
        assert_eq!(rig.run(&["upgrade"]).ok().stdout, "~ p 1.0 -> 1.1\n");
        let own = rig.prefix(".recipe").read_dir().expect("read");
        let mut own: Vec<_> = own.map(|entry| entry.expect("read").file_name()).collect();
        own.sort();
        assert_eq!(own, ["db", "history", "lock"], "nothing is left");
    }
}

/// Also a download whose digest is asked for holds nobody up.
#[test]
fn others_work_while_new_files_are_downloaded() {
    let rig = rig("download(`URL`, \"DIGEST\");");
    let old = digest(&rig, "p-1.0.tar.gz");
    rig.write("recipes/p.rhai", rig.recipe("p").replace("DIGEST", &old));
    rig.release("q", "1", &[("bin/q", "q")]);
    rig.add("q", "1", "install_bin(\"q\");");
    let bytes = std::fs::read(rig.path("www/p-1.1.tar.gz")).expect("packed");
    rig.server.answer("/p-1.1.tar.gz", Answer::Stalls(bytes));
    let before = rig.recipe("p");
    let is_time = || {
        let asked = rig.server.log().iter().any(|line| line.starts_with("/p-1.1.tar.gz"));
        if asked {
            rig.run(&["install", "q"]).ok();
        }
        asked
    };
    rig.interrupted(&["update", "--hash"], is_time);
    assert_eq!(rig.recipe("p"), before);
    assert!(rig.prefix("bin/q").exists());
}

/// Who works when the answers are there is waited for; what another one left undone is ended before and after.
#[test]
fn the_lock_is_taken_to_write_and_what_was_interrupted_is_ended() {
    let rig = rig("download(`URL`);");
    rig.run(&["install", "p"]).ok();
    let taken = || {
        let lock = std::fs::File::open(rig.prefix(".recipe/lock")).expect("it is there");
        lock.lock().expect("locked");
        lock
    };
    // At once, before anybody is asked.
    let (lock, asked) = (taken(), rig.server.log().len());
    rig.run(&["update"]).fails(16, "is in use");
    assert_eq!(rig.server.log().len(), asked);
    rig.run(&["update", "-n"]).ok();
    drop(lock);
    rig.attacked(&["remove", "p"], "renameat2", "signal=KILL", 2);
    assert!(rig.prefix(".recipe/journal.json").exists());
    let update = asking(&rig, &["update"]);
    assert!(!rig.prefix(".recipe/journal.json").exists(), "it was ended before");
    rig.attacked(&["remove", "p"], "renameat2", "signal=KILL", 2);
    let lock = taken();
    let waits = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(600));
        drop(lock);
    });
    let out = answered(&rig, update).ok();
    waits.join().expect("it ended");
    assert!(
        out.stderr.contains("waiting: ") && out.stderr.contains("undid the interrupted transaction"),
        "{out:?}"
    );
    assert!(rig.recipe("p").contains("\"1.1\"") && !rig.prefix(".recipe/journal.json").exists());
    rig.run(&["check"]).ok();
    // Where it cannot be taken any more, it is said what that cost.
    let before = rig.recipe("p").replace("\"1.1\"", "\"1.0\"");
    rig.write("recipes/p.rhai", &before);
    let update = asking(&rig, &["update"]);
    std::fs::remove_file(rig.prefix(".recipe/lock")).expect("removed");
    std::fs::create_dir(rig.prefix(".recipe/lock")).expect("made");
    answered(&rig, update).fails(1, "found 1 new version, but wrote none");
    assert_eq!(rig.recipe("p"), before);
}

#[test]
fn what_a_server_sends_has_limits() {
    let rig = rig("download(`URL`);");
    let before = rig.recipe("p");
    rig.server.answer("/latest", Answer::Endless);
    rig.run(&["update"]).fails(13, "it is longer than 4194304 bytes");
    rig.server.answer("/latest", Answer::Bytes(vec![b'1', 0xff]));
    rig.run(&["update"]).fails(13, "valid UTF-8");
    // Half a text is none, and the other half is not put behind it.
    rig.server.answer("/latest", Answer::HalfThenOther(b"9.9.9.9.9.".to_vec(), b"1.0.0.0.0.".to_vec()));
    rig.run(&["update"]).fails(13, "it broke off after 5 bytes");
    rig.server.answer("/latest", Answer::Redirect("file:///etc/hostname".into()));
    rig.run(&["update"]).fails(13, "which is not allowed");
    assert_eq!(rig.recipe("p"), before);
}

#[test]
fn releases_and_listings_are_read() {
    let rig = rig("download(`URL`);");
    let text = rig.recipe("p");
    let check = |code: &str| {
        let old = format!("http_get(\"{}/latest\")", rig.server.url(""));
        rig.write("recipes/p.rhai", text.replace(&old, code));
        let api = rig.server.url("/api/v3/");
        rig.ran(rig.cmd(&["update", "-n"]).env("RECIPE_GITHUB_API", api))
    };
    rig.write("www/api/v3/repos/o/p/releases/latest", "{ \"tag_name\": \"p-v1.4\", \"assets\": [] }");
    assert_eq!(check("github_latest(\"o/p\")").ok().stdout, "p 1.0 -> 1.4\n");
    check("github_latest(\"o/none\")").fails(13, "failed to find the latest release of o/none");
    check("github_latest(\"o/../p\")").fails(17, "expected a repository like owner/name");
    rig.write("www/api/v3/repos/o/p/releases/latest", "<html>");
    check("github_latest(\"o/p\")").fails(13, "is not what GitHub's API answers");
    rig.write("www/dir", "p-1.9.tar.gz p-1.10.tar.gz p-2.0-rc1.tar.gz p-x.tar.gz");
    let listing = format!("newest(versions(http_get(\"{}\"), \"p-*.tar.gz\"))", rig.server.url("/dir"));
    assert_eq!(check(&listing).ok().stdout, "p 1.0 -> 1.10\n");
    assert_eq!(check("newest([])").ok().stdout, "");
    for pattern in ["p-**", "*", "p"] {
        check(&format!("newest(versions(\"p\", \"{pattern}\"))")).fails(17, "expected a pattern with one *");
    }
    // Pinned packages are updated like others: their pins are about what is installed.
    rig.write("recipes/p.rhai", &text);
    rig.run(&["pin", "p@< 1.1"]).ok();
    let out = rig.run(&["update", "p"]).ok();
    assert!(out.stderr.contains("p is pinned to < 1.1: `recipe upgrade` leaves 1.1 out"), "{}", out.stderr);
    assert_eq!(out.stdout, "p 1.0 -> 1.1\n");
}

/// `a` to `d` 1.0, which ask the server for `/a` to `/d`; `more` is what they do before.
fn four(more: &str) -> (Rig, [&'static str; 4]) {
    let rig = Rig::new();
    let names = ["a", "b", "c", "d"];
    for name in names {
        let url = rig.server.url(&format!("/{name}"));
        rig.write(
            &format!("recipes/{name}.rhai"),
            format!(
                "let pkg = #{{ name: \"{name}\", version: \"1.0\" }};\n\
                 fn check_update() {{ print(\"asks\"); let found = http_get(\"{url}\"); {more} print(\"asked\"); found }}\n\
                 fn install() {{ write_file(\"x\", \"x\"); install_file(\"x\", \"share/{name}\"); }}\n"
            ),
        );
    }
    (rig, names)
}

#[test]
fn all_are_asked_at_the_same_time_and_told_in_order() {
    let (rig, names) = four("if pkg.name == \"b\" { throw \"broken page\"; }");
    for name in names {
        rig.server.answer(&format!("/{name}"), Answer::Together(4, b"1.1".to_vec()));
    }
    let out = rig.run(&["update"]).fails(17, "broken page");
    assert_eq!(out.stdout, "a 1.0 -> 1.1\nc 1.0 -> 1.1\nd 1.0 -> 1.1\n");
    assert!(out.stderr.ends_with("3 new, 0 current, 0 without check_update(), 1 failed\n"), "{}", out.stderr);
    // What one says stays together, whoever answered first.
    let told: Vec<_> =
        out.stderr.lines().filter(|line| line.contains("ask") && line.contains(": ")).collect();
    let expected = ["a: asks", "a: asked", "b: asks", "c: asks", "c: asked", "d: asks", "d: asked"];
    assert_eq!(told, expected, "{}", out.stderr);
    let failed = out.stderr.find("broken page").zip(out.stderr.find("c: asks"));
    assert!(failed.is_some_and(|(error, next)| error < next), "{}", out.stderr);
    assert_eq!(out.stderr.lines().filter(|line| line.contains("/4] ")).count(), 4, "{}", out.stderr);
    assert!(rig.recipe("a").contains("\"1.1\"") && rig.recipe("b").contains("\"1.0\""));
    // One after the other, if that is wanted.
    let asked = rig.server.log().len();
    rig.run(&["update", "-n", "-q", "-j", "1"]).fails(17, "broken page");
    assert_eq!(rig.server.log()[asked..], ["/a", "/b", "/c", "/d"]);
}

#[test]
fn an_interrupt_ends_all_that_are_asked() {
    let (rig, names) = four("");
    for name in names {
        rig.server.answer(&format!("/{name}"), Answer::Silent);
    }
    rig.server.answer("/a", Answer::Bytes(b"1.1".to_vec()));
    let before = names.map(|name| rig.recipe(name));
    let out = rig.interrupted(&["update"], || rig.server.log().len() >= 4);
    assert_eq!(rig.server.log().len(), 4, "all of them were asked");
    assert_eq!(out.stderr.matches("error: ").count(), 1, "{out:?}");
    assert_eq!(names.map(|name| rig.recipe(name)), before);
    assert!(!rig.prefix(".recipe/build").exists(), "nothing is left");
}

/// The limits of a recipe's code are those of other commands.
#[test]
fn endless_recursion_in_all_of_them_is_an_error() {
    let (rig, names) = four("deep(0);");
    for name in names {
        rig.server.answer(&format!("/{name}"), Answer::Bytes(b"1.1".to_vec()));
        let text =
            rig.recipe(name) + "fn deep(n) { let m = [[#{ a: (n + 1) * (2 + (3 - deep(n + 1))) }]]; m }\n";
        rig.write(&format!("recipes/{name}.rhai"), text);
    }
    rig.run(&["update"]).fails(17, "0 new, 0 current, 0 without check_update(), 4 failed");
}

#[test]
fn digests_are_asked_for_although_the_version_was_written_before() {
    let rig = rig("download(`URL`, \"DIGEST\");");
    let (old, new) = (digest(&rig, "p-1.0.tar.gz"), digest(&rig, "p-1.1.tar.gz"));
    rig.write("recipes/p.rhai", rig.recipe("p").replace("DIGEST", &old));
    rig.run(&["install", "p"]).ok();
    rig.run(&["update", "p"]).ok();
    rig.run(&["upgrade"]).fails(14, "is not the file that was wanted");
    rig.write("recipes/p.rhai", rig.recipe("p").replace("\"1.1\"", "`1.1`"));
    let before = rig.recipe("p");
    // Who names nothing has not asked for what is current; -n writes nothing.
    assert_eq!(rig.run(&["update", "--hash"]).ok().stdout, "");
    rig.run(&["update", "--hash", "-n", "p"]).ok();
    assert_eq!(rig.recipe("p"), before);
    let out = rig.run(&["update", "--hash", "--json", "p"]).ok();
    let json: serde_json::Value = serde_json::from_str(&out.stdout).expect("JSON");
    assert_eq!((&json["done"], &json["updates"][0]["digests"][&old]), (&true.into(), &new.clone().into()));
    assert!(out.stderr.contains("nobody else vouches for them"), "{}", out.stderr);
    assert_eq!(rig.recipe("p"), before.replace(&old, &new));
    assert_eq!(rig.run(&["upgrade"]).ok().stdout, "~ p 1.0 -> 1.1\n");
    // Now it is the file's.
    let out = rig.run(&["update", "--hash", "p"]).ok();
    assert!(out.stdout.is_empty() && out.stderr.contains("0 new, 1 current"), "{out:?}");
}
