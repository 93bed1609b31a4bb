//! Profiles: the shipped ones parse; merging, variables and paths follow the documented rules; every error shows the
//! file, the line and the column. Snapshots are whole reports, compared exactly.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::cli::{exit_code, report};
use leviso::exit;
use leviso::profile::Profile;

const PARENT: &str = r#"
overlays = ["parent-overlay"]

[os]
name = "Test"
id = "test"
id-like = "nothing"
version-id = "1"
home-url = "https://example.org"
hostname = "test"

[packages]
include = ["bash", "nano"]

[kernel]
cmdline = "a"
[[kernel.entry]]
id = "live"
title = "Live"

[initramfs]
files = ["init"]
busybox = "/usr/bin/busybox"
module-lists = ["modules"]

[image]
label = "TEST"
compression = "lz4"
"#;

const CHILD: &str = r#"
extends = "sub/parent.toml"
name = "child"
arch = "x86_64"
overlays = ["child-overlay"]

[[repo]]
id = "main"
baseurl = ["file://{lab}/repo"]
key = "{lab}/key.asc"
fingerprints = ["FC22 6859 C086 0BF0 DDB9 5B08 5B10 6C73 6FED FC85"]

[packages]
include = ["vim"]
exclude = ["nano"]

[kernel]
cmdline = "b{{c}}"
[[kernel.entry]]
id = "live"
title = "Child live"
[[kernel.entry]]
id = "debug"
title = "Debug"
"#;

fn vars() -> BTreeMap<String, String> {
    BTreeMap::from([("lab".to_owned(), "/lab".to_owned())])
}

/// Writes parent and child and loads the child; the directory is kept alive by the caller.
fn load_in(
    dir: &Path,
    parent: &str,
    child: &str,
    vars: &BTreeMap<String, String>,
) -> Result<Profile, String> {
    std::fs::create_dir_all(dir.join("sub")).unwrap();
    std::fs::write(dir.join("sub/parent.toml"), parent).unwrap();
    std::fs::write(dir.join("child.toml"), child).unwrap();
    Profile::load(&dir.join("child.toml"), vars).map_err(|e| {
        assert_eq!(exit_code(&e), exit::PROFILE);
        report(&e).replace(dir.to_str().unwrap(), "DIR")
    })
}

fn load(parent: &str, child: &str) -> Result<Profile, String> {
    let dir = tempfile::tempdir().unwrap();
    load_in(dir.path(), parent, child, &vars())
}

#[test]
fn the_shipped_profile_parses() {
    let path = testkit::workspace().join("leviso/profiles/rocky10.toml");
    let profile = Profile::load(&path, &BTreeMap::new()).unwrap();
    assert_eq!(profile.image.label, common::layout::ISO_LABEL);
    let ids: Vec<_> = profile.kernel.entries.iter().map(|e| e.id.as_str()).collect();
    assert_eq!(ids, ["live", "toram", "emergency", "debug"]);
    assert!(profile.kernel.cmdline.split(' ').any(|p| p == common::layout::PARAM_LIVE));
    assert_eq!(profile.kernel.entries[1].cmdline, common::layout::PARAM_TORAM);
    for repo in &profile.repos {
        assert!(repo.key.is_file(), "{} is missing", repo.key.display());
    }
    let unsigned: Vec<_> = profile.repos.iter().filter(|r| !r.signed_metadata).map(|r| &r.id).collect();
    assert_eq!(unsigned, ["epel"]);
}

#[test]
fn the_lab_profile_parses_with_its_variables_and_says_which_are_missing() {
    let path = testkit::workspace().join("leviso/profiles/lab.toml");
    let print = "A".repeat(40);
    let vars = [("lab", "/lab"), ("lab-fingerprint", &*print)].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let profile = Profile::load(&path, &BTreeMap::from(vars)).unwrap();
    assert_eq!(profile.repos[0].fingerprints, [print]);
    assert_eq!(profile.os.name, "LevitateOS", "from common.toml");
    let error = report(&Profile::load(&path, &BTreeMap::new()).unwrap_err());
    assert!(error.contains("hint: give it with --set lab"), "{error}");
}

#[test]
fn tables_merge_arrays_append_and_elements_with_one_id_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let profile = load_in(dir.path(), PARENT, CHILD, &vars()).unwrap();
    assert_eq!(profile.packages.include, ["bash", "vim"], "what the child excludes leaves the parent's list");
    assert_eq!(profile.packages.exclude, ["nano"]);
    assert_eq!(profile.kernel.cmdline, "b{c}");
    let titles: Vec<_> = profile.kernel.entries.iter().map(|e| e.title.as_str()).collect();
    assert_eq!(titles, ["Child live", "Debug"]);
    assert_eq!(profile.overlays, [dir.path().join("sub/parent-overlay"), dir.path().join("child-overlay")]);
    assert_eq!(profile.initramfs.module_lists, [dir.path().join("sub/modules")]);
    assert_eq!(profile.repos[0].key, PathBuf::from("/lab/key.asc"));
    assert_eq!(profile.repos[0].fingerprints, ["FC226859C0860BF0DDB95B085B106C736FEDFC85"]);
}

#[test]
fn the_request_digest_follows_packages_and_not_places() {
    let base = load(PARENT, CHILD).unwrap();
    let moved = load(PARENT, &CHILD.replace("/repo\"", "/elsewhere\"")).unwrap();
    assert_eq!(base.request(), moved.request());
    for (from, to) in
        [("vim", "emacs"), ("[\"nano\"]", "[\"ed\"]"), ("\"main\"", "\"other\""), ("FC22", "FC23")]
    {
        let other = load(PARENT, &CHILD.replace(from, to)).unwrap();
        assert_ne!(base.request(), other.request(), "{from} -> {to}");
    }
}

#[test]
fn errors_show_the_file_and_the_line() {
    let cases = [
        (
            PARENT.to_owned(),
            CHILD.replace("title = \"Debug\"", "titel = \"Debug\""),
            "error: profile DIR/child.toml cannot be used\n  \
             caused by: DIR/child.toml:24:1: unknown field `titel`, expected one of `id`, `title`, `cmdline`\n   \
             |\n24 | titel = \"Debug\"\n   | ^^^^^",
        ),
        (
            PARENT.replace("compression = \"lz4\"", "compression = \"zstd\""),
            CHILD.to_owned(),
            "error: profile DIR/child.toml cannot be used\n  \
             caused by: DIR/sub/parent.toml:28:15: expected lz4, lz4hc or none, found \"zstd\"\n   \
             |\n28 | compression = \"zstd\"\n   |               ^^^^^^",
        ),
        (
            PARENT.replace("label = \"TEST\"", "label = 5"),
            CHILD.to_owned(),
            "error: profile DIR/child.toml cannot be used\n  \
             caused by: DIR/sub/parent.toml:27:9: invalid type: integer `5`, expected a string\n   \
             |\n27 | label = 5\n   |         ^",
        ),
        (
            PARENT.to_owned(),
            CHILD.replace("[packages]", "[packages"),
            "error: profile DIR/child.toml cannot be used\n  \
             caused by: DIR/child.toml:13:10: unclosed table, expected `]`\n   \
             |\n13 | [packages\n   |          ^",
        ),
        (
            PARENT.to_owned(),
            CHILD.replace("{lab}/key.asc", "{lab}/{key}"),
            "error: profile DIR/child.toml cannot be used\n  \
             caused by: DIR/child.toml:10:7: the variable {key} has no value\n   \
             |\n10 | key = \"{lab}/{key}\"\n   |       ^^^^^^^^^^^^^\n\
             hint: give it with --set key=VALUE",
        ),
        (
            PARENT.to_owned(),
            CHILD.replace("FC22 ", ""),
            "error: profile DIR/child.toml cannot be used\n  \
             caused by: DIR/child.toml:11:17: expected a fingerprint of 40 or 64 hex digits, found 36 characters\n   \
             |\n11 | fingerprints = [\"6859 C086 0BF0 DDB9 5B08 5B10 6C73 6FED FC85\"]\n   \
             |                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        ),
    ];
    for (parent, child, expected) in cases {
        let found = load(&parent, &child).unwrap_err();
        assert_eq!(found, expected, "\n--- found\n{found}\n--- expected\n{expected}");
    }
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let long = "A".repeat(33);
    let cases = [
        ("label = \"TEST\"", "label = \"Test disc\"", "A-Z, 0-9 and _"),
        ("label = \"TEST\"", &*format!("label = \"{long}\""), "at most 32"),
        ("label = \"TEST\"", "label = \"TEST\"\npcluster = 5000", "power of two"),
        ("label = \"TEST\"", "label = \"TEST\"\npcluster = 2097152", "power of two"),
        ("compression = \"lz4\"", "compression = \"lz4hc\"\nlevel = 13", "1 to 12"),
        ("busybox = \"/usr", "busybox = \"usr", "absolute path"),
        ("cmdline = \"a\"", "cmdline = \"ä\"", ""),
        ("include = [\"bash\", \"nano\"]", "include = [\"bash\", \"nano\", \"\"]", "is not a package"),
    ];
    for (from, to, why) in cases {
        // The child overrides the parent's command line, so that one case must pass.
        let result = load(&PARENT.replace(from, to), CHILD);
        match why {
            "" => drop(result.unwrap()),
            why => assert!(result.as_ref().unwrap_err().contains(why), "{to}: {result:?}"),
        }
    }
    let second =
        "[[repo]]\nid = \"main\"\nbaseurl = [\"https://x/\"]\nkey = \"k\"\nfingerprints = []\n[packages]";
    let cases = [
        ("baseurl = [\"file://{lab}/repo\"]", "baseurl = []\nmetalink = \"{lab}\"", "expected a URL"),
        (
            "baseurl = [\"file://{lab}/repo\"]",
            "includepkgs = [\"{lab}\"]",
            "no baseurl, mirrorlist or metalink",
        ),
        (
            "file://{lab}/repo\"]",
            "http://{lab}/repo\"]\nsigned-metadata = false",
            "metadata without a signature",
        ),
        ("id = \"debug\"", "id = \"Debug\"", "a-z, 0-9 and -"),
        ("exclude = [\"nano\"]", "exclude = [\"vim\"]", "included and excluded"),
        ("[kernel]", "[services]\nenable = [\"sshd\"]\n[kernel]", "unit name"),
        ("[kernel]", "[alternatives]\n\"/usr/bin/a\" = \"b\"\n[kernel]", "absolute paths on both sides"),
        ("[kernel]", "[[user]]\nname = \"a\"\n[[user]]\nname = \"B\"\n[kernel]", "a-z, 0-9, _ and -"),
        ("[packages]", second, "two repositories"),
    ];
    for (from, to, why) in cases {
        let found = load(PARENT, &CHILD.replace(from, to)).unwrap_err();
        assert!(found.contains(why), "{to}: {found}");
    }
}

#[test]
fn a_variable_nobody_uses_and_a_circle_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let mut more = vars();
    more.insert("lba".into(), "x".into());
    let found = load_in(dir.path(), PARENT, CHILD, &more).unwrap_err();
    assert!(found.contains("no variable {lba}") && found.ends_with("hint: its variables are lab"), "{found}");
    let circle = format!("extends = \"../child.toml\"\n{PARENT}");
    let found = load_in(dir.path(), &circle, CHILD, &vars()).unwrap_err();
    assert!(found.contains("extends itself"), "{found}");
    let found = load_in(dir.path(), PARENT, &CHILD.replace("sub/parent", "sub/nobody"), &vars()).unwrap_err();
    assert!(found.contains("failed to read what DIR/child.toml extends"), "{found}");
}
