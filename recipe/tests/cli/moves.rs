//! Files that go from one package to another, files of nobody that make room, and paths that two packages see differently.

use std::os::unix::fs::MetadataExt;

use common::cmd::Cmd;

use crate::rig::{Out, Rig, tree};

/// A file of a package: path, text, and whether users edit it.
type File<'a> = (&'a str, &'a str, bool);

/// Writes a recipe, or changes it to this version and these files; its state stays as it is.
fn package(rig: &Rig, name: &str, version: &str, deps: &str, files: &[File<'_>]) {
    let mut install = String::new();
    for (path, text, config) in files {
        let helper = if *config { "install_config" } else { "install_file" };
        install.push_str(&format!("    write_file(\"x\", \"{text}\");\n    {helper}(\"x\", \"{path}\");\n"));
    }
    let (begin, end) = ("fn install() {\n", "}\n");
    let head = format!("let pkg = #{{ name: \"{name}\", version: \"{version}\", deps: [{deps}] }};\n");
    let path = rig.path("recipes").join(format!("{name}.rhai"));
    // What stands between the head and the function is state.
    let state = std::fs::read_to_string(path).map_or(String::new(), |text| {
        let (from, to) = (text.find('\n').expect("a head") + 1, text.find(begin).expect("a function"));
        text[from..to].to_owned()
    });
    rig.write(&format!("recipes/{name}.rhai"), format!("{head}{state}{begin}{install}{end}"));
}

/// Everything is as its packages have it, and nothing is left of the work.
fn sound(rig: &Rig) {
    rig.run(&["check"]).ok();
    assert!(!rig.path("prefix/.recipe/stage").exists());
}

fn plain<'a>(path: &'a str, text: &'a str) -> File<'a> {
    (path, text, false)
}

#[test]
fn a_package_is_split_and_put_together_again() {
    let rig = Rig::new();
    package(&rig, "foo", "1", "", &[plain("share/foo", "foo 1"), plain("share/lib/libfoo", "lib 1")]);
    rig.run(&["install", "foo"]).ok();
    let before = rig.tree();
    package(&rig, "foo", "2", "\"foo-libs\"", &[plain("share/foo", "foo 2")]);
    package(
        &rig,
        "foo-libs",
        "2",
        "",
        &[plain("share/lib/libfoo", "lib 2"), plain("share/lib/more", "more")],
    );
    rig.run(&["upgrade", "-n"]).ok();
    assert_eq!(rig.tree(), before);
    rig.run(&["upgrade"]).ok();
    assert_eq!(rig.read("prefix/share/lib/libfoo"), "lib 2");
    assert_eq!(
        rig.run(&["owns", &rig.prefix("share/lib/libfoo").to_string_lossy()]).ok().stdout.split(": ").last(),
        Some("foo-libs 2\n")
    );
    sound(&rig);
    let after = rig.tree();
    rig.run(&["undo"]).ok();
    assert_eq!(rig.tree(), before);
    sound(&rig);
    rig.run(&["undo"]).ok();
    assert_eq!(rig.tree(), after);
    sound(&rig);
    // The other way round: the one that takes the file comes first by its name, and is not needed by the one that gives it.
    package(&rig, "foo-libs", "3", "", &[plain("share/lib/more", "more")]);
    package(&rig, "foo", "3", "", &[plain("share/foo", "foo 3"), plain("share/lib/libfoo", "lib 3")]);
    rig.run(&["upgrade"]).ok();
    assert_eq!(rig.read("prefix/share/lib/libfoo"), "lib 3");
    sound(&rig);
}

#[test]
fn two_packages_exchange_their_files() {
    let rig = Rig::new();
    for (name, file) in [("a", "share/one"), ("b", "share/two")] {
        package(&rig, name, "1", "", &[plain(file, name)]);
    }
    rig.run(&["install", "a", "b"]).ok();
    for (name, file) in [("a", "share/two"), ("b", "share/one")] {
        package(&rig, name, "2", "", &[plain(file, name)]);
    }
    // One of them alone would take what is the other's.
    rig.run(&["upgrade", "a"]).fails(15, "share/two: belongs to b");
    rig.run(&["upgrade"]).ok();
    assert_eq!(
        (rig.read("prefix/share/one"), rig.read("prefix/share/two")),
        ("b".to_owned(), "a".to_owned())
    );
    sound(&rig);
    rig.run(&["undo"]).ok();
    assert_eq!(
        (rig.read("prefix/share/one"), rig.read("prefix/share/two")),
        ("a".to_owned(), "b".to_owned())
    );
    sound(&rig);
}

#[test]
fn a_directory_goes_with_one_package_and_stays_for_another() {
    let rig = Rig::new();
    package(&rig, "a", "1", "", &[plain("share/x/deep/file", "a")]);
    rig.run(&["install", "a"]).ok();
    // A file where the other had directories, and an empty directory where it had a file.
    package(&rig, "a", "2", "", &[plain("share/a", "a")]);
    package(&rig, "b", "1", "", &[plain("share/x", "b")]);
    rig.run(&["install", "b"]).fails(15, "a directory stands there");
    rig.run(&["install", "b", "a"]).ok();
    assert_eq!(rig.read("prefix/share/x"), "b");
    rig.run(&["undo"]).ok();
    assert_eq!(rig.read("prefix/share/x/deep/file"), "a");
    sound(&rig);
    rig.release("c", "1", &[("share/c", "c")]);
    let top = rig.path("src/c-1");
    std::fs::create_dir_all(top.join("share/x/deep")).expect("made");
    let tar = Cmd::new(testkit::oracle("tar")).arg("-czf").arg(rig.path("www/c-1.tar.gz"));
    tar.arg("-C").arg(rig.path("src")).arg("c-1").run().expect("tar packs");
    rig.add("c", "1", "install_tree(\"share\", \"share\");");
    rig.run(&["install", "c", "a"]).ok();
    assert!(rig.prefix("share/x/deep").is_dir(), "it is c's: {:?}", rig.tree());
    sound(&rig);
}

/// What each of two wants of a path, seen without and with the other's being there first.
#[test]
fn a_path_cannot_be_a_file_of_one_and_a_directory_of_another() {
    for (one, says) in [
        (
            "write_file(\"x\", \"1\"); install_file(\"x\", \"share/common\");",
            "a file of b, and a directory of c",
        ),
        ("symlink(\"real\", \"share/common\");", "a file of b, and a directory of c"),
    ] {
        let rig = Rig::new();
        let recipe = |name: &str, body: &str| {
            let text =
                format!("let pkg = #{{ name: \"{name}\", version: \"1\" }};\nfn install() {{ {body} }}\n");
            rig.write(&format!("recipes/{name}.rhai"), text);
        };
        recipe("b", one);
        recipe("c", "write_file(\"x\", \"1\"); install_file(\"x\", \"share/common/x\");");
        for args in [&["install", "-n", "b", "c"][..], &["install", "b", "c"], &["install", "c", "b"]] {
            let out = rig.run(args).fails(15, says);
            assert!(!out.stderr.contains("--overwrite"), "it would not help: {out:?}");
        }
        assert!(rig.tree().is_empty());
    }
}

#[test]
fn a_configuration_file_has_one_package() {
    let rig = Rig::new();
    package(&rig, "a", "1", "", &[("etc/c", "a", true)]);
    rig.run(&["install", "a"]).ok();
    let tree = rig.tree();
    for text in ["a", "b"] {
        package(&rig, "b", "1", "", &[("etc/c", text, true)]);
        rig.run(&["install", "b"]).fails(15, "etc/c: belongs to a");
        rig.run(&["install", "b", "--overwrite", "*"]).fails(15, "etc/c: belongs to a");
    }
    assert_eq!(rig.tree(), tree);
}

/// `foo` 1 had the file and its user changed it; from version 2 on it is `foo-conf`'s.
#[test]
fn a_configuration_file_moves_with_what_its_user_made_of_it() {
    let moved = |text: &str| -> (Rig, Out) {
        let rig = Rig::new();
        package(&rig, "foo", "1", "", &[plain("share/foo", "1"), ("etc/c", "one\\n", true)]);
        rig.run(&["install", "foo"]).ok();
        rig.write("prefix/etc/c", "mine\n");
        package(&rig, "foo", "2", "\"foo-conf\"", &[plain("share/foo", "2")]);
        package(&rig, "foo-conf", "2", "", &[("etc/c", text, true)]);
        let out = rig.run(&["upgrade"]).ok();
        assert_eq!(rig.read("prefix/etc/c"), "mine\n");
        (rig, out)
    };
    // The package's is what it was: nothing to do.
    let (rig, _) = moved("one\\n");
    assert!(!rig.prefix("etc/c.new").exists());
    assert_eq!(rig.run(&["etc"]).ok().stdout, "");
    rig.run(&["remove", "foo"]).ok();
    assert_eq!(rig.read("prefix/etc/c"), "mine\n");
    // Both have changed it.
    let (rig, out) = moved("two\\n");
    assert!(out.stderr.contains("was changed here and by the package"), "{}", out.stderr);
    assert_eq!(rig.read("prefix/etc/c.new"), "two\n");
    assert!(rig.run(&["etc"]).ok().stdout.contains("foo-conf"));
    rig.run(&["undo"]).ok();
    assert_eq!(rig.read("prefix/etc/c"), "mine\n");
    assert!(!rig.prefix("etc/c.new").exists());
    assert!(rig.recipe("foo").contains("installed_version = \"1\""));
    rig.run(&["undo"]).ok();
    rig.run(&["etc", "accept", &rig.prefix("etc/c").to_string_lossy()]).ok();
    assert_eq!(rig.read("prefix/etc/c"), "two\n");
    sound(&rig);
}

#[test]
fn a_configuration_file_that_was_none_before_and_one_that_is_none_any_more() {
    for (first, second) in [(false, true), (true, false)] {
        let rig = Rig::new();
        package(&rig, "p", "1", "", &[("etc/c", "one\\n", first)]);
        rig.run(&["install", "p"]).ok();
        rig.write("prefix/etc/c", "mine\n");
        package(&rig, "p", "2", "", &[("etc/c", "two\\n", second)]);
        rig.run(&["upgrade"]).ok();
        assert_eq!(rig.read("prefix/etc/c"), if first || second { "mine\n" } else { "two\n" });
        assert_eq!(rig.read("prefix/etc/c.new"), "two\n");
        // What the message says can be done is there to be done.
        let path = rig.prefix("etc/c").to_string_lossy().into_owned();
        assert!(rig.run(&["etc"]).ok().stdout.contains(&path));
        assert!(rig.run(&["etc", "diff", &path]).ok().stdout.contains("+two"));
        // Back, with what its user made of it, and forward again.
        rig.run(&["undo"]).ok();
        assert_eq!(rig.read("prefix/etc/c"), "mine\n");
        assert!(!rig.prefix("etc/c.new").exists(), "{first} {second}");
        assert!(rig.recipe("p").contains("installed_version = \"1\""));
        rig.run(&["undo"]).ok();
        assert!(rig.recipe("p").contains("installed_version = \"2\""));
        rig.run(&["rollback", "p", "1"]).ok();
        assert_eq!(rig.read("prefix/etc/c"), "mine\n");
        // It is its user's text when the package goes, too, if it was a file to edit.
        rig.run(&["undo"]).ok();
        rig.run(&["remove", "p"]).ok();
        assert_eq!(rig.read("prefix/etc/c"), "mine\n", "{first} {second}");
        assert!(!rig.prefix("etc/c.new").exists(), "{first} {second}");
    }
}

#[test]
fn what_was_nobodys_comes_back_as_it_was() {
    let rig = Rig::new();
    package(&rig, "p", "1", "", &[plain("share/p/x", "p"), plain("share/p/y", "p"), plain("share/l", "p")]);
    let mine = rig.write("prefix/share/p/x", "precious");
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    std::fs::File::options().write(true).open(&mine).expect("opened").set_modified(time).expect("set");
    std::os::unix::fs::symlink("nowhere", rig.prefix("share/l")).expect("made");
    let (before, inode) = (rig.tree(), mine.metadata().expect("there").ino());
    let out = rig.run(&["install", "p", "--overwrite", "*"]).ok();
    assert!(out.stderr.contains("share/p/x belonged to no package; `recipe undo` brings it back"), "{out:?}");
    assert_eq!(rig.read("prefix/share/p/x"), "p");
    let installed = rig.tree();
    let out = rig.run(&["undo", "-n"]).ok();
    assert!(out.stderr.contains("share/p/x: what was there before comes back"), "{out:?}");
    assert_eq!(rig.tree(), installed);
    rig.run(&["undo"]).ok();
    assert_eq!(rig.tree(), before);
    let found = mine.metadata().expect("there");
    assert_eq!((found.ino(), found.modified().expect("a time")), (inode, time), "the same file");
    sound(&rig);
    // Done again it makes room again, and comes back again.
    for _ in 0..2 {
        rig.run(&["undo"]).ok();
        assert_eq!(rig.tree(), installed);
        sound(&rig);
        rig.run(&["undo"]).ok();
        assert_eq!(rig.tree(), before);
    }
    // Not over what it has become meanwhile.
    rig.write("prefix/share/p/x", "more precious");
    rig.run(&["undo"]).fails(15, "share/p/x: a file that belongs to no package");
    assert_eq!(rig.read("prefix/share/p/x"), "more precious");
}

#[test]
fn what_was_nobodys_comes_back_when_an_upgrade_is_undone() {
    let rig = Rig::new();
    package(&rig, "p", "1", "", &[plain("share/p/x", "1")]);
    rig.run(&["install", "p"]).ok();
    rig.write("prefix/share/y", "precious");
    let before = rig.tree();
    package(&rig, "p", "2", "", &[plain("share/y", "2")]);
    rig.run(&["upgrade", "--overwrite", "*"]).ok();
    assert_eq!(rig.read("prefix/share/y"), "2");
    // Its place was taken by another file, and by a directory: that is left, and said.
    std::fs::remove_file(rig.prefix("share/y")).expect("removed");
    rig.write("prefix/share/y/z", "newer");
    let out = rig.run(&["undo"]).ok();
    assert!(out.stderr.contains("does not come back: something else is there now"), "{out:?}");
    assert_eq!(rig.read("prefix/share/y/z"), "newer");
    std::fs::remove_dir_all(rig.prefix("share/y")).expect("removed");
    rig.write("prefix/share/y", "precious");
    rig.run(&["upgrade"]).fails(15, "share/y: a file that belongs to no package");
    rig.run(&["upgrade", "--overwrite", "*/y"]).ok();
    rig.run(&["undo"]).ok();
    assert_eq!(rig.tree(), before);
    sound(&rig);
}

/// Killed anywhere, the file of nobody is where it was or where it comes to.
#[test]
fn an_undoing_that_is_killed_loses_nothing_of_nobodys() {
    for call in ["renameat2", "linkat", "unlinkat"] {
        let mut when = 1;
        loop {
            let rig = Rig::new();
            package(&rig, "p", "1", "", &[plain("share/p/x", "p")]);
            rig.write("prefix/share/p/x", "precious");
            let before = tree(&rig.path("prefix/share"));
            rig.run(&["install", "p", "--overwrite", "*"]).ok();
            let installed = tree(&rig.path("prefix/share"));
            let attacked = rig.attacked(&["undo"], call, "signal=KILL", when);
            rig.run(&["repair"]).ok();
            let is_back = !rig.recipe("p").contains("installed = true");
            let now = tree(&rig.path("prefix/share"));
            assert_eq!(now, if is_back { before.clone() } else { installed }, "{call} {when}");
            if !is_back {
                rig.run(&["undo"]).ok();
                assert_eq!(tree(&rig.path("prefix/share")), before, "{call} {when}");
            }
            if attacked.is_none() {
                assert!(when > 1, "{call} was never met");
                break;
            }
            when += 1;
        }
    }
}

/// Two packages are committed by the file of the first. Then the second's file is gone, and nobody has finished it yet.
#[test]
fn a_recipe_file_that_goes_behind_the_commit_is_written_again() {
    let (mut met, mut when) = (false, 1);
    loop {
        let rig = Rig::new();
        package(&rig, "a", "1", "", &[plain("share/a", "a")]);
        package(&rig, "b", "1", "", &[plain("share/b", "b")]);
        let attacked = rig.attacked(&["install", "a", "b"], "renameat2", "signal=KILL", when);
        if rig.recipe("a").contains("installed = true") && !rig.recipe("b").contains("installed = true") {
            met = true;
            std::fs::remove_file(rig.path("recipes/b.rhai")).expect("removed");
            let out = rig.run(&["repair"]).ok();
            assert!(
                out.stderr.contains("recipes/b.rhai was removed meanwhile; it is there again"),
                "{out:?}"
            );
            assert!(rig.recipe("b").contains("installed = true"));
            sound(&rig);
            rig.run(&["remove", "a", "b"]).ok();
            assert!(!rig.prefix("share/a").exists() && !rig.prefix("share/b").exists());
        }
        if attacked.is_none() {
            break;
        }
        when += 1;
    }
    assert!(met, "nobody was killed between both files");
}
