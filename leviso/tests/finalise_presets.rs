//! finalise::presets makes the links that `systemctl --root preset-all` makes.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use ::common::cmd::Cmd;
use common::{TEST, tree_of, write_tree};
use leviso::finalise::presets;
use leviso::profile::Services;
use leviso::tree::{Kind, Tree};

/// Path below /etc/systemd -> target, all links.
type Links = BTreeMap<String, String>;

fn our_links(tree: &Tree) -> Links {
    let links = tree.walk().into_iter().filter_map(|(path, id)| match &tree.inode(id).kind {
        Kind::Symlink(target) => Some((lossy(&path), lossy(target))),
        _ => None,
    });
    links.filter(|(path, _)| path.starts_with("/etc/systemd/")).collect()
}

fn their_links(root: &Path, dir: &Path, out: &mut Links) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            let name = format!("/{}", path.strip_prefix(root).unwrap().display());
            out.insert(name, std::fs::read_link(&path).unwrap().display().to_string());
        } else if path.is_dir() {
            their_links(root, &path, out);
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs both on the same tree and compares all links below /etc/systemd.
fn same_as_systemctl(tree: &Tree) -> Links {
    let dir = tempfile::tempdir().unwrap();
    write_tree(tree, dir.path());
    let tool = testkit::oracle("systemctl");
    let root = format!("--root={}", dir.path().display());
    // Its exit status also tells of fixtures that are wrong on purpose; the links are what counts.
    Cmd::new(&tool).args([&root, "preset-all"]).status().unwrap();
    Cmd::new(&tool).args([&root, "--global", "preset-all"]).status().unwrap();
    let mut theirs = Links::new();
    their_links(dir.path(), &dir.path().join("etc/systemd"), &mut theirs);
    let mut ours = tree.clone();
    presets::apply(&mut ours, &Services::default()).unwrap();
    let ours = our_links(&ours);
    let only = |a: &Links, b: &Links| -> Vec<String> {
        a.iter().filter(|(k, v)| b.get(*k) != Some(v)).map(|(k, v)| format!("{k} -> {v}")).collect()
    };
    assert_eq!((only(&ours, &theirs), only(&theirs, &ours)), (vec![], vec![]), "only ours, only systemctl's");
    ours
}

fn units(list: &[(&str, &str)]) -> Tree {
    let mut tree = tree_of(&[("/etc/systemd/system.conf", ""), ("/etc/systemd/user.conf", "")]);
    for (name, install) in list {
        let path = if name.starts_with('/') {
            (*name).to_owned()
        } else {
            format!("/usr/lib/systemd/system/{name}")
        };
        match install.strip_prefix("-> ") {
            Some(target) => tree.symlink(&path, target, TEST).unwrap(),
            None => tree.write(&path, format!("[Unit]\nDescription=x\n{install}"), 0o644, TEST).unwrap(),
        };
    }
    tree
}

const WANTED: &str = "[Install]\nWantedBy=multi-user.target\n";

#[test]
fn links_are_systemctls() {
    let links = same_as_systemctl(&units(&[
        ("plain.service", WANTED),
        ("static.service", "[Service]\nExecStart=/bin/true\n"),
        ("off.service", WANTED),
        ("glob-off.service", WANTED),
        ("first-wins.service", WANTED),
        ("required.service", "[Install]\nRequiredBy=a.target b.target\nWantedBy=c.target\\\n  d.target\n"),
        ("emptied.service", "[Install]\nWantedBy=a.target\nWantedBy=\nWantedBy=b.target\n"),
        ("quoted.service", "[Install]\nWantedBy=\"a.target\" 'b.target'\n"),
        ("aliased.service", "[Install]\nAlias=other.service second.service\nWantedBy=multi-user.target\n"),
        ("alias-only.service", "[Install]\nAlias=display-manager.service\n"),
        (
            "also.service",
            "[Install]\nWantedBy=multi-user.target\nAlso=also.socket off-but-also.service missing.service\n",
        ),
        ("also.socket", "[Install]\nWantedBy=sockets.target\n"),
        ("off-but-also.service", WANTED),
        ("getty@.service", "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n"),
        ("serial@.service", "[Install]\nWantedBy=getty.target\n"),
        (
            "fromtemplate@.service",
            "[Install]\nWantedBy=other@.service %p@a.service\nAlias=renamed@.service\n",
        ),
        ("instances@.service", "[Install]\nWantedBy=multi-user.target\n"),
        ("fixed@one.service", WANTED),
        (
            "specifier@.service",
            "[Install]\nWantedBy=for-%i.target %N.target 100%%.target x-%j.target\nDefaultInstance=z\n",
        ),
        ("a-b-c.service", "[Install]\nWantedBy=x-%j.target x-%p.target %n.target\n"),
        ("vendor-alias.service", "-> plain.service"),
        ("vendor-masked.service", "-> /dev/null"),
        ("admin-masked.service", WANTED),
        ("/etc/systemd/system/admin-masked.service", "-> /dev/null"),
        ("/etc/systemd/system/local.service", WANTED),
        ("dropin.service", "[Service]\nExecStart=/bin/true\n"),
        ("/usr/lib/systemd/system/dropin.service.d/10.conf", WANTED),
        ("timer.timer", "[Install]\nWantedBy=timers.target\n"),
        ("mnt-x.mount", "[Install]\nWantedBy=local-fs.target\nAlias=mnt-y.mount\n"),
        ("wrong-type.service", "[Install]\nAlias=wrong-type.socket\nWantedBy=multi-user.target\n"),
        ("/usr/lib/systemd/system-preset/10-x.preset", ""),
        (
            "/usr/lib/systemd/user/agent.service",
            "[Install]\nWantedBy=default.target\nAlias=dbus-agent.service\n",
        ),
        ("/usr/lib/systemd/user/quiet.service", "[Install]\nWantedBy=default.target\n"),
        ("/usr/lib/systemd/user-preset/90.preset", "\ndisable quiet.*\n"),
        (
            "/usr/lib/systemd/system-preset/90-y.preset",
            "\n# comment\n; comment\nenable first-wins.service\ndisable off*.service\ndisable first-wins.service\n\
             disable *-off.service\nenable instances@.service one two\ndisable\nnonsense x\n",
        ),
    ]));
    // Both could be wrong together only if the fixture did nothing at all.
    assert!(links.len() > 30, "{links:#?}");
    assert_eq!(
        links["/etc/systemd/system/getty.target.wants/getty@tty1.service"],
        "/usr/lib/systemd/system/getty@.service"
    );
}

#[test]
fn a_distribution_that_disables_by_default_stays_off() {
    let links = same_as_systemctl(&units(&[
        ("a.service", WANTED),
        ("b.service", "[Install]\nWantedBy=multi-user.target\nAlso=b.socket\n"),
        ("b.socket", "[Install]\nWantedBy=sockets.target\n"),
        ("c.service", WANTED),
        // Left there by a package; the preset takes it away.
        ("/etc/systemd/system/multi-user.target.wants/c.service", "-> /usr/lib/systemd/system/c.service"),
        ("/etc/systemd/system-preset/50-mine.preset", "\nenable a.service\n"),
        ("/usr/lib/systemd/system-preset/50-mine.preset", "\nenable c.service\n"),
        ("/usr/lib/systemd/system-preset/99-default.preset", "\ndisable *\n"),
    ]));
    assert_eq!(links.len(), 1, "{links:?}");
}

#[test]
fn names_that_are_paths_make_no_links() {
    let links = same_as_systemctl(&units(&[
        (
            "evil.service",
            "[Install]\nAlias=../../../evil.service ../x.service a/../../y.service /etc/z.service\nWantedBy=../../passwd.target ../multi-user.target a/b.target . .. %m/../x.target\n",
        ),
        ("ok.service", WANTED),
    ]));
    assert_eq!(links.len(), 1, "{links:?}");

    // systemctl gives up altogether when it meets this one; here the unit alone is left out.
    let mut tree = units(&[
        (
            "inst@.service",
            "[Install]\nWantedBy=multi-user.target\nAlias=%i.service\nDefaultInstance=../../x\n",
        ),
        ("ok.service", WANTED),
    ]);
    presets::apply(&mut tree, &Services::default()).unwrap();
    assert_eq!(our_links(&tree), links);
}

#[test]
fn the_profile_has_the_last_word() {
    let tree = units(&[
        ("on.service", WANTED),
        ("wanted.service", WANTED),
        ("tty@.service", "[Install]\nWantedBy=getty.target\n"),
        (
            "unwanted.service",
            "[Install]\nWantedBy=multi-user.target\nAlias=u.service\nAlso=unwanted.socket\n",
        ),
        ("unwanted.socket", "[Install]\nWantedBy=sockets.target\n"),
        ("bad.service", WANTED),
        ("multi-user.target", ""),
        ("static.service", "[Service]\n"),
        ("/usr/lib/systemd/system-preset/90.preset", "\ndisable wanted.service\n"),
    ]);
    let strings = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
    let services = Services {
        enable: strings(&["wanted.service", "tty@ttyS0.service"]),
        disable: strings(&["unwanted.service", "not-installed.service"]),
        mask: strings(&["bad.service", "absent.service"]),
        default_target: Some("multi-user.target".into()),
    };
    let mut ours = tree.clone();
    presets::apply(&mut ours, &services).unwrap();
    let dir = tempfile::tempdir().unwrap();
    write_tree(&tree, dir.path());
    let tool = testkit::oracle("systemctl");
    let root = format!("--root={}", dir.path().display());
    for verb in [
        &["preset-all"][..],
        &["disable", "unwanted.service"],
        &["enable", "wanted.service", "tty@ttyS0.service"],
        &["mask", "bad.service", "absent.service"],
        &["set-default", "multi-user.target"],
    ] {
        Cmd::new(&tool).arg(&root).args(verb).run().unwrap();
    }
    let mut theirs = Links::new();
    their_links(dir.path(), &dir.path().join("etc/systemd"), &mut theirs);
    assert_eq!(our_links(&ours), theirs);

    let error =
        |services: Services| format!("{:#}", presets::apply(&mut tree.clone(), &services).unwrap_err());
    for name in ["missing.service", "static.service"] {
        assert!(error(Services { enable: strings(&[name]), ..Services::default() }).contains(name));
    }
    let path = Services { mask: strings(&["../../passwd"]), ..Services::default() };
    assert!(error(path).contains("expected a unit name"));
    let gone = Services { default_target: Some("gone.target".into()), ..Services::default() };
    assert!(error(gone).contains("gone.target does not exist"));
}
