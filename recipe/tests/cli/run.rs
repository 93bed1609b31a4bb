//! `recipe run`: programs of packages that are not installed.

use std::io::{BufRead, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use testkit::server::Answer;

use crate::rig::{Rig, tree};

/// A package whose program is a script; another needs it.
fn rig(script: &str) -> Rig {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", &format!("#!/bin/sh\n{script}\n"))]);
    rig.add("p", "1", "install_bin(\"p\");");
    rig
}

/// Nothing was installed, and nothing is left but downloads and rooms.
#[track_caller]
fn untouched(rig: &Rig, before: &str) {
    assert!(tree(&rig.path("prefix")).is_empty(), "{:?}", tree(&rig.path("prefix")));
    assert_eq!(rig.recipe("p"), before);
}

fn rooms(rig: &Rig) -> Vec<String> {
    let Ok(all) = rig.path("cache/run").read_dir() else { return Vec::new() };
    all.map(|e| e.expect("read").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_program_runs_with_its_arguments_and_status_and_nothing_is_installed() {
    let rig = rig("printf '<%s>' \"$@\"; echo; cat; exit 7");
    let before = rig.recipe("p");
    let out = rig.ran(rig.cmd(&["run", "p"]).args(["--", "a b", "--json", "-p", "--"]));
    assert_eq!((out.code, out.stdout.as_str()), (Some(7), "<a b><--json><-p><-->\n"), "{out:#?}");
    assert!(out.stderr.contains("p 1 is made, to be run"), "{out:#?}");
    untouched(&rig, &before);
    // Again, with what was made; nothing is asked for.
    let (asked, made) = (rig.server.log().len(), rooms(&rig));
    let mut cmd = rig.cmd(&["run", "p", "--offline"]).std();
    let cmd = cmd.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = cmd.spawn().expect("it starts");
    child.stdin.take().expect("piped").write_all(b"from stdin").expect("written");
    let out = child.wait_with_output().expect("it ends");
    assert_eq!((out.status.code(), &*out.stdout, &*out.stderr), (Some(7), &b"<>\nfrom stdin"[..], &b""[..]));
    assert_eq!((rig.server.log().len(), rooms(&rig)), (asked, made));
    untouched(&rig, &before);
    rig.run(&["run", "-R", "/tmp", "p"]).fails(2, "programs of another system");
    rig.run(&["run", "nothing"]).fails(11, "there is no recipe \"nothing\"");
}

#[test]
fn what_it_needs_is_there_too() {
    let rig = rig("echo p; q; echo ${LD_LIBRARY_PATH%%:*}; umask; echo $LC_ALL");
    rig.release("q", "1", &[("bin/q", "#!/bin/sh\necho q\n"), ("libq.so", "x")]);
    rig.add("q", "1", "install_bin(\"q\"); install_lib(\"libq.so\");");
    rig.write("recipes/p.rhai", rig.recipe("p").replace("\"1\" };", "\"1\", deps: [\"q\"] };"));
    let before = rig.recipe("p");
    let cmd = rig
        .cmd(&["run", "p"])
        .keep_locale()
        .env("LC_ALL", "C")
        .under("sh", &["-c", "umask 027; exec \"$@\"", "sh"]);
    let out = rig.ran(cmd).ok();
    let room = rig.path("cache/run").join(&rooms(&rig)[0]);
    assert_eq!(out.stdout, format!("p\nq\n{}/prefix/lib\n0027\nC\n", room.display()), "{out:#?}");
    untouched(&rig, &before);
    assert!(!rig.recipe("q").contains("installed"));
}

#[test]
fn the_program_is_chosen() {
    let rig = rig("echo p");
    rig.release("q", "1", &[("bin/one", "#!/bin/sh\necho one\n"), ("bin/two", "#!/bin/sh\necho two\n")]);
    rig.add("q", "1", "install_bin(\"one\"); install_bin(\"two\");");
    let out = rig.run(&["run", "q"]).fails(11, "q has several programs");
    assert!(out.stderr.contains("--bin says which: one, two"), "{out:#?}");
    assert_eq!(rig.run(&["run", "q", "--bin", "two"]).ok().stdout, "two\n");
    rig.run(&["run", "q", "--bin", "p"]).fails(11, "q has no program \"p\"");
    rig.release("r", "1", &[("bin/r", "r"), ("x", "x")]);
    rig.add("r", "1", "install_file(\"x\", \"share/x\");");
    rig.run(&["run", "r"]).fails(11, "r has no programs");
    rig.release("s", "1", &[("bin/only", "#!/bin/sh\necho only\n")]);
    rig.add("s", "1", "install_bin(\"only\");");
    assert_eq!(rig.run(&["run", "s"]).ok().stdout, "only\n");
    // A recipe that lies elsewhere, with a file beside it; what it needs lies with the others.
    let text = rig.recipe("s").replace("\"s\"", "\"t\"").replace("\"1\" };", "\"1\", deps: [\"p\"] };");
    let text = text.replace("extract(", "copy_source(\"note\"); extract(");
    let text = text.replace("install_bin", "install_file(\"../note\", \"share/note\"); install_bin");
    rig.write("elsewhere/t.rhai", text);
    rig.write("elsewhere/note", "one");
    assert_eq!(rig.run(&["run", "elsewhere/t.rhai"]).ok().stdout, "only\n");
}

#[test]
fn what_is_installed_in_this_version_is_run_from_where_it_is() {
    let rig = rig("echo $0");
    rig.run(&["install", "p"]).ok();
    assert_eq!(rig.run(&["run", "p"]).ok().stdout, format!("{}\n", rig.prefix("bin/p").display()));
    assert!(rooms(&rig).is_empty());
    // Another version is not.
    rig.release("p", "2", &[("bin/p", "#!/bin/sh\necho two\n")]);
    rig.write("recipes/p.rhai", rig.recipe("p").replacen("\"1\" };", "\"2\" };", 1));
    assert_eq!(rig.run(&["run", "p"]).ok().stdout, "two\n");
    assert_eq!(rig.run(&["list", "-i"]).ok().stdout, "p  2  installed: 1\n");
    rig.run(&["check"]).ok();
}

#[test]
fn other_recipes_libraries_and_files_beside_them_are_made_again() {
    let rig = rig("cat \"$(dirname \"$0\")/../share/note\"");
    let text = rig.recipe("p").replace("//! p", "import \"l\" as l;\n//! p");
    let text = text.replace("extract(", "l::note(); copy_source(\"note\"); extract(");
    let text = text.replace("install_bin", "install_file(\"../note\", \"share/note\"); install_bin");
    rig.write("recipes/p.rhai", &text);
    rig.write("recipes/lib/l.rhai", "fn note() { print(\"one\") }");
    rig.write("recipes/note", "one");
    assert_eq!(rig.run(&["run", "p"]).ok().stdout, "one");
    rig.write("recipes/p.rhai", format!("{text}// only a comment\n"));
    assert!(!rig.run(&["run", "p"]).ok().stderr.contains("is made"));
    rig.write("recipes/note", "two");
    assert_eq!(rig.run(&["run", "p"]).ok().stdout, "two");
    rig.write("recipes/lib/l.rhai", "fn note() { print(\"another\") }");
    let out = rig.run(&["run", "p"]).ok();
    assert!(out.stderr.contains("another") && rooms(&rig).len() == 2, "{out:#?}");
    // The lock file holds here, too; what was made without it is not used.
    rig.run(&["run", "--locked", "p"]).fails(20, "recipe.lock");
    rig.run(&["lock", "p"]).ok();
    assert!(rig.run(&["run", "--locked", "p"]).ok().stderr.contains("is made"));
    rig.write("recipes/note", "three");
    rig.run(&["run", "--locked", "p"]).fails(14, "is not the file that was wanted");
}

#[test]
fn signals_reach_the_program_and_the_cache_is_not_cleaned_below_it() {
    let rig = rig("echo started; read line; echo $line");
    rig.run(&["run", "p"]);
    let made = rooms(&rig);
    let mut child =
        rig.cmd(&["run", "p"]).std().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("it says something");
    let info = rig.run(&["cache", "info"]).ok();
    assert!(info.stdout.contains("in use"), "{info:#?}");
    for args in [&["cache", "clean"][..], &["cache", "clean", "--all"]] {
        let out = rig.run(args).ok();
        assert!(!out.stdout.contains("run/"), "{out:#?}");
        assert_eq!(rooms(&rig), made);
    }
    kill_process(Pid::from_child(&child), Signal::TERM).expect("sent");
    assert_eq!(child.wait().expect("it ends").signal(), Some(15));
    let json: serde_json::Value =
        serde_json::from_str(&rig.run(&["cache", "clean", "--json"]).ok().stdout).expect("JSON");
    assert_eq!((&json["runs"][0]["name"], rooms(&rig).len()), (&made[0].as_str().into(), 0));
}

#[test]
fn a_shell_sees_the_number_of_a_signal() {
    let rig = rig("kill -USR1 $$");
    let cmd = rig.cmd(&["run", "p"]).under("sh", &["-c", "\"$@\"; echo $?", "sh"]);
    assert_eq!(rig.ran(cmd).ok().stdout.lines().last(), Some("138"));
}

#[test]
fn whoever_is_interrupted_or_fails_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM] {
        let rig = rig("echo p");
        let before = rig.recipe("p");
        rig.server.answer("/p-1.tar.gz", Answer::Drip(Duration::from_millis(10)));
        let mut child = rig.cmd(&["run", "p"]).std().spawn().expect("it starts");
        while rig.server.log().is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
        kill_process(Pid::from_child(&child), signal).expect("sent");
        assert_eq!(child.wait().expect("it ends").code(), Some(130));
        assert!(rooms(&rig).is_empty());
        untouched(&rig, &before);
    }
    let rig = rig("echo p");
    rig.add("p", "1", "throw \"no\";");
    let before = rig.recipe("p");
    rig.run(&["run", "p"]).fails(17, "install of p failed");
    assert!(rooms(&rig).is_empty());
    untouched(&rig, &before);
}

#[test]
fn half_of_a_room_is_made_again() {
    let rig = rig("echo p");
    rig.run(&["run", "p"]).ok();
    // As a kill -9 leaves it.
    let room = format!("cache/run/{}", rooms(&rig)[0]);
    std::fs::remove_file(rig.path(&room).join("ready")).expect("removed");
    rig.write(&format!("{room}/prefix/bin/p"), "#!/bin/sh\necho half\n");
    let out = rig.run(&["run", "p"]).ok();
    assert_eq!(out.stdout, "p\n");
    assert!(out.stderr.contains("is made"), "{out:#?}");
}

#[test]
fn many_can_run_it_at_once_and_one_makes_it() {
    let rig = rig("echo p");
    let children: Vec<_> = (0..6)
        .map(|_| {
            rig.cmd(&["run", "p"])
                .std()
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("starts")
        })
        .collect();
    let outs: Vec<_> = children.into_iter().map(|child| child.wait_with_output().expect("it ends")).collect();
    assert!(outs.iter().all(|out| out.status.success() && out.stdout == b"p\n"), "{outs:#?}");
    let made = outs.iter().filter(|out| String::from_utf8_lossy(&out.stderr).contains("is made, to be run"));
    assert_eq!((made.count(), rig.server.log().len()), (1, 1));
}

#[test]
fn what_is_there_by_other_means_is_said() {
    let rig = rig("echo p");
    rig.write("recipes/p.rhai", format!("{}fn is_installed() {{ true }}\n", rig.recipe("p")));
    rig.run(&["run", "p"]).fails(11, "p is there by other means");
}

#[test]
fn a_program_keeps_running_when_its_recipe_changes() {
    let rig = rig("echo started; read line; exit 3");
    let mut child = {
        let mut cmd = rig.cmd(&["run", "p"]).std();
        cmd.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts")
    };
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("it says something");
    rig.release("p", "2", &[("bin/p", "#!/bin/sh\necho two\n")]);
    rig.write("recipes/p.rhai", rig.recipe("p").replacen("\"1\" };", "\"2\" };", 1));
    assert_eq!(rig.run(&["run", "p"]).ok().stdout, "two\n");
    assert_eq!(rooms(&rig).len(), 2);
    drop(child.stdin.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
}

#[test]
fn a_dry_run_says_what_would_be_made_or_run_and_does_neither() {
    let rig = rig("echo p");
    rig.release("q", "2", &[("bin/q", "q")]);
    rig.add("q", "2", "install_bin(\"q\");");
    rig.write("recipes/p.rhai", rig.recipe("p").replace("\"1\" };", "\"1\", deps: [\"q\"] };"));
    let dry = |args: &[&str]| rig.run(&[&["run", "-n", "p"], args].concat());
    assert_eq!(dry(&[]).ok().stdout, "+ p 1\n+ q 2\n");
    assert!(!rig.path("cache").exists() && !rig.path("prefix/.recipe").exists(), "nothing was made");
    assert_eq!(rig.server.log().len(), 0, "nor downloaded");
    dry(&["--require-trust"]).fails(21, "trust");
    // Now it is made, and what would run is known.
    rig.run(&["run", "p"]).ok();
    let made = tree(&rig.path("cache"));
    let program = format!("{}/prefix/bin/p\n", rig.path("cache/run").join(&rooms(&rig)[0]).display());
    assert_eq!(dry(&[]).ok().stdout, program);
    dry(&["--bin", "x"]).fails(11, "p has no program \"x\"");
    assert_eq!(tree(&rig.path("cache")), made);
    // Half of a room is none, and stays for whoever makes it.
    std::fs::remove_file(rig.path("cache/run").join(&rooms(&rig)[0]).join("ready")).expect("removed");
    assert_eq!(dry(&[]).ok().stdout, "+ p 1\n+ q 2\n");
    rig.run(&["install", "p"]).ok();
    assert_eq!(dry(&[]).ok().stdout, format!("{}\n", rig.prefix("bin/p").display()));
}

/// What is run is a copy; messages are of the file that somebody wrote.
#[test]
fn errors_are_those_of_the_recipe_file() {
    let rig = Rig::new();
    let file = rig.path("recipes/p.rhai").display().to_string();
    let write = |head: &str, body: &str| {
        rig.write("recipes/p.rhai", format!("let pkg = #{{ name: \"p\", version: \"1\" }};{head}\n{body}\n"))
    };
    write("", "fn install() { fail(\"no\"); }");
    let out = rig.run(&["run", "p"]).fails(17, &format!("{file}:2:16: no\n"));
    assert!(out.stderr.contains("2 | fn install() { fail(\"no\"); }"), "{out:#?}");
    let state =
        "\nlet installed = false;\nlet installed_files = [\n    // none\n]; // ours\nlet pinned = \"== 1\";";
    write(
        state,
        "fn install() { write_file(\"x\", \"\"); install_file(\"x\", \"bin/p\", 0o755); }\nfn post_install() { fail(\"no\"); }",
    );
    rig.run(&["run", "p"]).fails(17, &format!("{file}:8:21: no\n"));
    rig.write("recipes/lib/l.rhai", "fn f() { fail(\"of the library\"); }");
    write("", "import \"l\" as l;\nfn install() { l::f(); }");
    let library = rig.path("recipes/lib/l.rhai").display().to_string();
    rig.run(&["run", "p"]).fails(17, &format!("{library}:1:10: of the library\n"));
    write("", "fn install() { let d = \"x\"; d.undone; instal_bin(d); }");
    rig.run(&["run", "p"]).fails(10, &format!("{file}:2:39: there is no function `instal_bin`"));
}
