//! finalise::finalise as a whole: overlays, identity, directories, links.

mod common;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use ::common::cmd::Cmd;
use common::{TEST, text, tree_of, write_tree};
use leviso::finalise::finalise;
use leviso::profile::Profile;
use leviso::progress::Quiet;
use leviso::tree::{Kind, Origin, Owner, Tree};

const PROFILE: &str = r#"
name = "test"
arch = "x86_64"
repo = []
[os]
name = "Levitate \"OS\" $x"
id = "levitateos"
id-like = "rhel fedora"
version-id = "0.1"
variant-id = "lab"
home-url = "https://example.org/"
hostname = "levitate"
[packages]
include = []
[kernel]
cmdline = ""
entry = []
[initramfs]
files = []
busybox = ""
module-lists = []
[image]
label = "X"
compression = "none"
"#;

fn profile() -> Profile {
    toml::from_str(PROFILE).unwrap()
}

fn base() -> Tree {
    tree_of(&[
        ("/usr/lib/sysusers.d/basic.conf", "u root 0 - /root /bin/bash\ng systemd-journal\ng utmp 22\n"),
        ("/usr/bin/bash", ""),
        ("/bin", "-> usr/bin"),
        ("/usr/share/zoneinfo/UTC", "TZif"),
        ("/usr/lib/os-release", "NAME=Other\n"),
        ("/etc/os-release", "NAME=Another\n"),
        ("/etc/shells", "/bin/sh\n/usr/bin/tmux\n"),
    ])
}

#[test]
fn systemd_is_told_that_all_is_up_to_date() {
    let mut tree = base();
    run(&mut tree, &profile()).unwrap();
    for path in ["/etc/.updated", "/var/.updated"] {
        assert!(text(&tree, path).contains("systemd-update-done"), "{path}");
    }
}

fn run(tree: &mut Tree, profile: &Profile) -> anyhow::Result<()> {
    finalise(tree, profile, &[], &Quiet).map(drop)
}

fn mode(tree: &Tree, path: &str) -> u16 {
    tree.inode(tree.stat(path).unwrap_or_else(|e| panic!("{e}"))).meta.mode
}

fn link(tree: &Tree, path: &str) -> String {
    match &tree.inode(tree.lstat(path).unwrap()).kind {
        Kind::Symlink(target) => String::from_utf8(target.to_vec()).unwrap(),
        other => panic!("{path} is {other:?}"),
    }
}

#[test]
fn the_system_has_its_identity_and_its_directories() {
    let mut tree = base();
    tree.mkdir_p("/tmp", &TEST).unwrap();
    run(&mut tree, &profile()).unwrap();
    for (path, expected) in [
        ("/tmp", 0o1777),
        ("/var/tmp", 0o1777),
        ("/root", 0o700),
        ("/proc", 0o555),
        ("/var/log/journal", 0o2755),
    ] {
        assert_eq!(mode(&tree, path), expected, "{path}");
    }
    assert_eq!(text(&tree, "/etc/machine-id"), "");
    assert_eq!(text(&tree, "/etc/hostname"), "levitate\n");
    assert_eq!(text(&tree, "/etc/locale.conf"), "LANG=C.UTF-8\n");
    assert_eq!(text(&tree, "/etc/shells"), "/bin/sh\n/usr/bin/tmux\n/bin/bash\n/usr/bin/bash\n");
    assert_eq!(link(&tree, "/etc/localtime"), "../usr/share/zoneinfo/UTC");
    assert_eq!(link(&tree, "/etc/os-release"), "../usr/lib/os-release");
    assert!(tree.lstat("/etc/resolv.conf").is_err(), "nobody here resolves names");
    for (path, id) in tree.walk() {
        let meta = &tree.inode(id).meta;
        assert!(matches!((&meta.user, &meta.group), (Owner::Id(_), Owner::Id(_))), "{path:?}");
    }

    // os-release(5) is defined as what a shell would read.
    let dir = tempfile::tempdir().unwrap();
    write_tree(&tree, dir.path());
    let file = dir.path().join("usr/lib/os-release");
    let script = format!(
        ". {}; printf '%s|' \"$NAME\" \"$ID\" \"$VARIANT_ID\" \"$IMAGE_ID\" \"$IMAGE_VERSION\"",
        file.display()
    );
    let shell = Cmd::new("sh").args(["-c", &script]).read().unwrap();
    assert_eq!(shell.trim(), "Levitate \"OS\" $x|levitateos|lab|levitateos-test|20231114|");
}

#[test]
fn identity_that_would_break_files_is_refused() {
    type Change = fn(&mut Profile);
    let changes: [(&str, Change); 5] = [
        ("newline", |p| p.os.name = "a\nID=evil".into()),
        ("ID", |p| p.os.id = "Levitate OS".into()),
        ("VERSION_ID", |p| p.os.version_id = "1;reboot".into()),
        ("hostname", |p| p.os.hostname = "a\nb".into()),
        ("empty hostname", |p| p.os.hostname = String::new()),
    ];
    for (what, change) in changes {
        let mut profile = profile();
        change(&mut profile);
        let err = run(&mut base(), &profile).unwrap_err();
        assert_eq!(::common::cli::exit_code(&err), leviso::exit::PROFILE, "{what}: {err:#}");
    }
}

#[test]
fn name_resolution_follows_what_is_enabled() {
    let resolved = [
        ("/usr/lib/systemd/systemd-resolved", ""),
        (
            "/usr/lib/systemd/system/systemd-resolved.service",
            "[Install]\nWantedBy=sysinit.target\nAlias=dbus-org.freedesktop.resolve1.service\n",
        ),
        ("/usr/sbin/NetworkManager", ""),
    ];
    let with = |profile: &Profile| {
        let mut tree = base();
        for (path, content) in resolved {
            tree.write(path, content, 0o644, TEST).unwrap();
        }
        run(&mut tree, profile).unwrap();
        link(&tree, "/etc/resolv.conf")
    };
    assert_eq!(with(&profile()), "../run/systemd/resolve/stub-resolv.conf");
    let mut off = profile();
    off.services.disable = vec!["systemd-resolved.service".into()];
    assert_eq!(with(&off), "../run/NetworkManager/resolv.conf");
}

#[test]
fn overlays_bring_content_but_nothing_of_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("overlay/a"), dir.path().join("overlay/b"));
    let put = |root: &Path, path: &str, content: &str, mode: u32| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    put(&a, "etc/x", "a", 0o666);
    put(&a, "etc/secret", "s", 0o644);
    put(&a, "bin/tool", "t", 0o711);
    put(&a, "usr/lib/sysusers.d/a.conf", "u fromoverlay 77\n", 0o600);
    put(
        &a,
        "overlay.toml",
        "[modes]\n\"etc/secret\" = \"0400\"\n[directories]\n\"var/lib/p\" = \"0700\"\n",
        0o644,
    );
    put(&b, "etc/x", "b", 0o600);
    symlink("../usr/bin/bash", b.join("etc/link")).unwrap();
    let mut profile = profile();
    profile.overlays = vec![a.clone(), b.clone()];
    let mut tree = base();
    let accounts = finalise(&mut tree, &profile, &[], &Quiet).unwrap().accounts;
    assert_eq!(accounts.uid("fromoverlay"), Some(77));
    assert_eq!((text(&tree, "/etc/x").as_str(), mode(&tree, "/etc/x")), ("b", 0o644));
    assert_eq!((mode(&tree, "/etc/secret"), mode(&tree, "/var/lib/p")), (0o400, 0o700));
    // Through the /bin link, as a package's file would go.
    assert_eq!(mode(&tree, "/usr/bin/tool"), 0o755);
    assert_eq!(link(&tree, "/etc/link"), "../usr/bin/bash");
    assert!(!tree.exists("/overlay.toml"));
    let meta = &tree.inode(tree.stat("/etc/x").unwrap()).meta;
    assert_eq!((meta.mtime, &meta.user), (tree.epoch(), &Owner::Id(0)));
    assert_eq!(meta.origin, Origin::Overlay("overlay/b".into()));

    put(&b, "overlay.toml", "[modes]\n\"etc/typo\" = \"0400\"\n", 0o644);
    let err = run(&mut base(), &profile).unwrap_err();
    assert!(format!("{err:#}").contains("etc/typo"), "{err:#}");
    std::fs::remove_file(b.join("overlay.toml")).unwrap();
    put(&b, "usr/bin", "not a directory", 0o644);
    assert!(format!("{:#}", run(&mut base(), &profile).unwrap_err()).contains("directory"));
    profile.overlays = vec![dir.path().join("missing")];
    assert!(format!("{:#}", run(&mut base(), &profile).unwrap_err()).contains("missing"));
}

#[test]
fn alternatives_lead_somewhere_and_replace_no_file() {
    let run_with = |path: &str, target: &str| {
        let mut profile = profile();
        profile.alternatives.insert(path.into(), target.into());
        let mut tree = base();
        run(&mut tree, &profile).map(|()| link(&tree, path)).map_err(|e| format!("{e:#}"))
    };
    assert_eq!(run_with("/usr/bin/rbash", "/usr/bin/bash").unwrap(), "/usr/bin/bash");
    assert!(run_with("/usr/bin/vi", "/usr/bin/vim").unwrap_err().contains("/usr/bin/vim does not exist"));
    assert!(run_with("/usr/bin/bash", "/etc/shells").unwrap_err().contains("not a link"));
    assert!(run_with("usr/bin/x", "/etc/shells").unwrap_err().contains("absolute"));
}

#[test]
fn crypto_policies_are_set_to_default_where_they_exist() {
    let mut tree = base();
    run(&mut tree, &profile()).unwrap();
    assert!(!tree.exists("/etc/crypto-policies"));
    let mut tree = base();
    for name in ["openssl", "gnutls"] {
        tree.write(format!("/usr/share/crypto-policies/DEFAULT/{name}.txt"), name, 0o644, TEST).unwrap();
    }
    run(&mut tree, &profile()).unwrap();
    assert_eq!(text(&tree, "/etc/crypto-policies/back-ends/openssl.config"), "openssl");
    assert_eq!(text(&tree, "/etc/crypto-policies/config"), "DEFAULT\n");
    assert_eq!(tree.list("/etc/crypto-policies/back-ends").len(), 2);
}

#[test]
fn the_same_input_gives_the_same_tree() {
    let dump = || {
        let mut tree = base();
        run(&mut tree, &profile()).unwrap();
        tree.walk().into_iter().map(|(p, id)| format!("{p:?} {:?}", tree.inode(id))).collect::<Vec<_>>()
    };
    assert_eq!(dump(), dump());
}

#[test]
fn the_projects_own_overlays_fit_both_bases() {
    let overlays = testkit::workspace().join("leviso/profiles/overlay");
    for base_overlay in ["lab", "rocky10"] {
        let mut profile = profile();
        profile.overlays = vec![overlays.join("common"), overlays.join(base_overlay)];
        let mut tree = base();
        let accounts = finalise(&mut tree, &profile, &[], &Quiet).unwrap().accounts;
        assert!(accounts.gid("wheel").is_some());
        assert_eq!(mode(&tree, "/etc/sudoers.d/wheel"), 0o440);
        assert_eq!(mode(&tree, "/etc/ssh/sshd_config.d/40-levitate.conf"), 0o600);
        for (path, id) in tree.walk() {
            let inode = tree.inode(id);
            if let (Origin::Overlay(_), Kind::File(content)) = (&inode.meta.origin, &inode.kind) {
                let path = String::from_utf8(path).unwrap();
                assert!(inode.meta.mode & 0o022 == 0, "{path} is writable by others");
                assert!(std::str::from_utf8(content.as_slice()).unwrap().ends_with('\n'), "{path}");
                // Live-only bits are written to /run by the initramfs: here they would be installed.
                assert!(
                    !path.contains("getty") && !path.ends_with("/motd"),
                    "{path} is for the live system only"
                );
            }
        }
        let dir = tempfile::tempdir().unwrap();
        write_tree(&tree, dir.path());
        for script in std::fs::read_dir(dir.path().join("etc/profile.d")).unwrap() {
            Cmd::new("sh").arg("-n").arg(script.unwrap().path()).run().unwrap();
        }
    }
}

#[test]
fn rocky10s_pam_stacks_let_nobody_in_without_a_password() {
    let overlays = testkit::workspace().join("leviso/profiles/overlay/rocky10");
    let mut profile = profile();
    profile.overlays = vec![overlays];
    let mut tree = base();
    let accounts = finalise(&mut tree, &profile, &[], &Quiet).unwrap().accounts;
    assert_eq!(["dbus", "sshd", "tss"].map(|n| accounts.uid(n)), [Some(81), Some(74), Some(59)]);
    for stack in ["system-auth", "password-auth", "fingerprint-auth", "smartcard-auth"] {
        let file = text(&tree, &format!("/etc/pam.d/{stack}"));
        let lines: Vec<Vec<&str>> = file
            .lines()
            .filter(|l| !l.is_empty() && !l.starts_with('#'))
            .map(|l| l.split_whitespace().collect())
            .collect();
        for kind in ["auth", "password"] {
            let of_kind: Vec<_> = lines.iter().filter(|l| l[0] == kind).collect();
            assert_eq!(of_kind.last().unwrap()[1..3], ["required", "pam_deny.so"], "{stack}, {kind}");
        }
        assert!(!file.contains("pam_permit"), "{stack}");
        assert!(
            lines.iter().any(|l| l[0] == "account") && lines.iter().any(|l| l[0] == "session"),
            "{stack}"
        );
    }
}
