//! finalise::accounts gives what systemd-sysusers gives, and refuses what would open a hole.

mod common;

use std::sync::Arc;

use ::common::cmd::Cmd;
use common::{TEST, text, tree_of, write_tree};
use leviso::finalise::accounts;
use leviso::profile::User;
use leviso::tree::{Origin, Owner, Tree};

const ROOT_ONLY: &[(&str, &str)] = &[
    ("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
    ("/etc/group", "root:x:0:\n"),
    ("/etc/shadow", "root:!*:19675::::::\n"),
    ("/etc/gshadow", "root:!*::\n"),
];

/// Runs both on the same tree; returns the tree finalised here after comparing the four files.
fn same_as_systemd(tree: &Tree) -> Tree {
    let dir = tempfile::tempdir().unwrap();
    write_tree(tree, dir.path());
    let tool = testkit::oracle("systemd-sysusers");
    Cmd::new(&tool)
        .arg(format!("--root={}", dir.path().display()))
        .env("SOURCE_DATE_EPOCH", tree.epoch().to_string())
        .run()
        .unwrap();
    let mut ours = tree.clone();
    accounts::apply(&mut ours, &[], &[]).unwrap();
    for file in ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"] {
        let theirs = std::fs::read_to_string(dir.path().join(&file[1..])).unwrap();
        assert_eq!(text(&ours, file), theirs, "{file}");
    }
    ours
}

fn with(base: &[(&str, &str)], more: &[(&str, &str)]) -> Tree {
    tree_of(&[base, more].concat())
}

fn error(tree: &Tree) -> String {
    format!("{:#}", accounts::apply(&mut tree.clone(), &[], &[]).unwrap_err())
}

#[test]
fn an_empty_etc_is_filled_as_systemd_fills_it() {
    let basic = "g adm 4 -\ng tty 5\ng users 100 -\ng wheel 10\ng nogroup 65534\n\
        u root 0 - /root /bin/bash\nu daemon 1 - /usr/sbin /usr/sbin/nologin\nu sync 4:65534 - /bin /bin/sync\n\
        u man 6:100 \"Manual pages\" /var/cache/man -\nu nobody 65534:65534 - /nonexistent\n";
    let more = "u systemd-network - \"systemd Network Management\"\nu dbus 81 'System Bus'\nu chrony -:users\n\
        g systemd-journal - -\nu poll -:adm\nm dbus systemd-journal\nm root wheel\nm ghost phantoms\n";
    same_as_systemd(&tree_of(&[
        ("/usr/lib/sysusers.d/basic.conf", basic),
        ("/usr/lib/sysusers.d/zmore.conf", more),
        ("/usr/bin/bash", ""),
        ("/etc/hostname", ""),
        ("/bin", "-> usr/bin"),
    ]));
}

#[test]
fn what_packages_ship_is_kept_and_collisions_are_avoided_as_systemd_does() {
    let mut tree = with(
        ROOT_ONLY,
        &[
            (
                "/etc/passwd",
                "root:x:0:0:root:/root:/bin/bash\nbin:x:1:1:bin:/bin:/usr/sbin/nologin\nlong:x:998:998::/:/bin/false\n",
            ),
            ("/etc/group", "root:x:0:\nbin:x:1:\nlong:x:998:bin\nusers:x:100:\nother:x:996:\n"),
            ("/etc/shadow", "root:!*:19675::::::\nbin:!*:19675:0:99999:7:::\nlong:!*:19675::::::\n"),
            ("/etc/gshadow", "root:!*::\nbin:!*::\nlong:!*::bin\nusers:!*::\nother:!*::\n"),
            // Ids that are taken, a path's owner, the /etc file hiding the vendor's, members of old and new groups.
            ("/usr/lib/sysusers.d/a.conf", "u hidden 500\n"),
            (
                "/etc/sysusers.d/a.conf",
                "u one 1\ng two 998\nu three 996\nu four 77:100\nu five 77\nu bin 9\n",
            ),
            (
                "/usr/lib/sysusers.d/b.conf",
                "u six /srv/six\ng seven /srv/six\nu eight - - - /bin/sh\nm one long\nm six zoo\nm eight users\n",
            ),
        ],
    );
    let id = tree.write("/srv/six", "", 0o644, TEST).unwrap();
    let meta = &mut tree.inode_mut(id).meta;
    (meta.user, meta.group) = (Owner::Id(345), Owner::Id(346));
    if !testkit::is_root() {
        return testkit::skip("ids taken from the owner of a path", "the oracle needs files of other users");
    }
    let ours = same_as_systemd(&tree);
    assert!(text(&ours, "/etc/passwd").contains("\nsix:x:345:"));
}

#[test]
fn ranges_and_login_defs_bound_the_search_as_in_systemd() {
    let many: String = (0..40).map(|i| format!("u u{i}\n")).collect();
    let ranges = many.clone() + "r - 200-210\nr - 900-915\nr - 905-930\n";
    same_as_systemd(&with(ROOT_ONLY, &[("/usr/lib/sysusers.d/a.conf", &ranges)]));
    let full = with(ROOT_ONLY, &[("/usr/lib/sysusers.d/a.conf", &(many.clone() + "r - 200-210\n"))]);
    assert!(error(&full).contains("no id is free"), "{}", error(&full));
    let defs = with(
        ROOT_ONLY,
        &[
            ("/etc/login.defs", "# comment\nSYS_UID_MAX\t\t 870\nSYS_UID_MIN 201\n"),
            ("/usr/lib/sysusers.d/a.conf", &many),
        ],
    );
    // Fedora's systemd is built to read login.defs, Debian's is not; so the oracle here cannot say.
    let mut ours = defs;
    accounts::apply(&mut ours, &[], &[]).unwrap();
    assert!(text(&ours, "/etc/passwd").contains("u0:x:870:870:"));
}

#[test]
fn every_id_taken_is_an_error_and_not_an_endless_search() {
    let groups: String = (1..=999).map(|i| format!("g{i}:x:{i}:\n")).collect();
    let tree = with(
        ROOT_ONLY,
        &[
            ("/etc/group", &("root:x:0:\n".to_owned() + &groups)),
            ("/usr/lib/sysusers.d/a.conf", "u x\nr - 1-4294967294\n"),
        ],
    );
    let mut ours = tree;
    let accounts = accounts::apply(&mut ours, &[], &[]).unwrap();
    assert_eq!(accounts.uid("x"), Some(4_294_967_294));
    let full = with(
        ROOT_ONLY,
        &[("/etc/group", &("root:x:0:\n".to_owned() + &groups)), ("/usr/lib/sysusers.d/a.conf", "u x\n")],
    );
    assert!(error(&full).contains("no id is free"));
}

#[test]
fn a_second_root_in_whatever_form_stops_the_build() {
    for (path, line) in [
        ("/usr/lib/sysusers.d/a.conf", "u toor 0\n"),
        ("/usr/lib/sysusers.d/a.conf", "u toor 0:0\n"),
        ("/etc/passwd", "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n"),
        ("/etc/passwd", "root:x:0:0::/root:/bin/sh\nroot:x:5:0::/:/bin/sh\n"),
        ("/etc/passwd", "toor:x:0:0::/root:/bin/sh\n"),
        ("/etc/group", "root:x:0:\nstaff:x:0:\n"),
    ] {
        let message = error(&with(ROOT_ONLY, &[(path, line)]));
        assert!(message.contains("root") || message.contains("twice"), "{line}: {message}");
    }
    for (path, line) in [
        ("/etc/passwd", "root:x:0:0::/root\n"),
        ("/etc/passwd", "root:x:0:0::/root:/bin/sh\n+::::::\n"),
        ("/etc/passwd", "root:x:-1:0::/root:/bin/sh\n"),
        ("/etc/group", "root:x:0:\na:x:5:\nb:x:5:\n"),
    ] {
        let message = error(&with(ROOT_ONLY, &[(path, line)]));
        assert!(message.contains(path), "{line}: {message}");
    }
    assert!(error(&tree_of(&[])).contains("root"));
}

#[test]
fn nobody_has_a_password_and_nobody_else_reads_shadow() {
    let mut tree = tree_of(&[
        ("/etc/passwd", "root::0:0:root:/root:/bin/bash\nkept:*:7:7::/:/bin/sh\nadmin:x:8:8::/:/bin/sh\n"),
        ("/etc/group", "root:x:0:\nkept:x:7:\nadmin:x:8:\n"),
        ("/etc/shadow", "admin:$y$j9T$abc:19000:0:99999:7:::\n"),
        ("/etc/gshadow", "root:::\nadmin:$6$abc::\n"),
    ]);
    let shadow = tree.stat("/etc/shadow").unwrap();
    tree.inode_mut(shadow).meta.mode = 0o666;
    accounts::apply(&mut tree, &[], &[]).unwrap();
    assert!(text(&tree, "/etc/passwd").starts_with("root:x:0:0:"));
    assert_eq!(
        text(&tree, "/etc/shadow"),
        "admin:!*:19000:0:99999:7:::\nroot:!*:19675::::::\nkept:!*:19675::::::\n"
    );
    assert_eq!(text(&tree, "/etc/gshadow"), "root:::\nadmin:!*::\nkept:!*::\n");
    assert_eq!(tree.inode(tree.stat("/etc/shadow").unwrap()).meta.mode, 0);

    let mut debian = with(ROOT_ONLY, &[("/usr/lib/sysusers.d/a.conf", "g shadow 42\n")]);
    accounts::apply(&mut debian, &[], &[]).unwrap();
    let meta = &debian.inode(debian.stat("/etc/gshadow").unwrap()).meta;
    assert_eq!((meta.mode, &meta.group), (0o640, &Owner::Id(42)));
}

#[test]
fn owner_names_become_numbers_or_stop_the_build() {
    let mut tree = with(ROOT_ONLY, &[("/usr/lib/sysusers.d/a.conf", "u tss 59\n"), ("/var/lib/tss/x", "")]);
    let id = tree.stat("/var/lib/tss/x").unwrap();
    let meta = &mut tree.inode_mut(id).meta;
    (meta.user, meta.group) = (Owner::Name("tss".into()), Owner::Name("root".into()));
    meta.origin = Origin::Package(Arc::from("tpm2-tss-4.1-1.x86_64"));

    let mut good = tree.clone();
    let accounts = accounts::apply(&mut good, &[], &[]).unwrap();
    let meta = &good.inode(id).meta;
    assert_eq!((&meta.user, &meta.group), (&Owner::Id(59), &Owner::Id(0)));
    assert_eq!((accounts.uid("tss"), accounts.gid("tss")), (Some(59), Some(59)));

    tree.inode_mut(id).meta.user = Owner::Name("nobody-knows".into());
    let err = accounts::apply(&mut tree, &[], &[]).unwrap_err();
    let report = ::common::cli::report(&err);
    for part in ["nobody-knows", "/var/lib/tss/x", "tpm2-tss-4.1-1.x86_64", "hint: add a [[user]]"] {
        assert!(report.contains(part), "{report}");
    }
    assert_eq!(::common::cli::exit_code(&err), leviso::exit::SYSTEM);
}

#[test]
fn provides_and_profile_users_are_accounts_too() {
    let user = User {
        name: "levi".into(),
        uid: Some(1000),
        comment: "The user".into(),
        home: Some("/home/levi".into()),
        shell: Some("/bin/bash".into()),
        groups: vec!["wheel".into()],
    };
    // `u dbus 81` as rpm writes it.
    let provides = ["u dbus 81".to_owned()];
    let mut tree = with(ROOT_ONLY, &[]);
    let accounts = accounts::apply(&mut tree, std::slice::from_ref(&user), &provides).unwrap();
    assert_eq!((accounts.uid("dbus"), accounts.uid("levi")), (Some(81), Some(1000)));
    assert!(text(&tree, "/etc/passwd").contains("levi:x:1000:1000:The user:/home/levi:/bin/bash\n"));
    assert!(text(&tree, "/etc/group").contains(":levi\n"));
    for (name, comment) in [("le:vi", ""), ("levi", "a\nevil:x:0:0"), ("levi", "a:b")] {
        let bad = User { name: name.into(), comment: comment.into(), ..user.clone() };
        assert!(accounts::apply(&mut with(ROOT_ONLY, &[]), &[bad], &[]).is_err());
    }
}
