//! A .deb with every kind of file becomes an RPM with the same.

use std::collections::BTreeSet;

use common::cmd::Cmd;
use labrepo::debian::deb::Deb;
use labrepo::fixture::Fixture;
use labrepo::key::SigningKey;
use labrepo::lab::convert::convert;
use labrepo::lab::plan::Plan;

const CONTROL: &str = "\
Package: iputils-ping
Source: iputils (20240905)
Version: 3:20240905-3+b1
Architecture: amd64
Pre-Depends: base (>= 2)
Depends: libcap2 (>= 1:2.10), debconf (>= 0.5) | debconf-2.0, first | second (<< 3)
Recommends: docs
Provides: ping, pinger (= 5)
Conflicts: ping
Breaks: older (<< 1.0-2)
Replaces: ping, older (<< 1.0-2)
Homepage: https://example.org/
Description: sends echo requests
 Many of them.
 .
 And waits.
";

const POSTINST: &str = "#!/bin/sh\nset -e\ndeb-systemd-helper enable 'ping.service'\n";

fn tar(entries: &[(&str, tar::EntryType, u32, &str, &[u8])]) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for &(path, kind, mode, owner, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_650_000_000);
        let (user, group) = owner.split_once(':').unwrap();
        header.set_username(user).unwrap();
        header.set_groupname(group).unwrap();
        header.set_uid(0);
        header.set_gid(0);
        if matches!(kind, tar::EntryType::Char | tar::EntryType::Block) {
            header.set_device_major(u32::from(content[0])).unwrap();
            header.set_device_minor(u32::from(content[1])).unwrap();
        }
        let target = std::str::from_utf8(content).unwrap_or_default();
        if matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link) {
            header.set_size(0);
            out.append_link(&mut header, path, target).unwrap();
        } else {
            let body: &[u8] = if kind == tar::EntryType::Regular { content } else { b"" };
            header.set_size(body.len() as u64);
            out.append_data(&mut header, path, body).unwrap();
        }
    }
    out.into_inner().unwrap()
}

fn deb() -> Vec<u8> {
    use tar::EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};
    let control = tar(&[
        ("./control", Regular, 0o644, "root:root", CONTROL.as_bytes()),
        ("./postinst", Regular, 0o755, "root:root", POSTINST.as_bytes()),
        ("./conffiles", Regular, 0o644, "root:root", b"/etc/ping.conf\n"),
    ]);
    let long = format!("./usr/share/{}", "long/".repeat(40) + "file");
    let data = tar(&[
        ("./", Directory, 0o755, "root:root", b""),
        ("./usr/", Directory, 0o755, "root:root", b""),
        ("./usr/bin/ping", Regular, 0o755, "root:root", b"binary"),
        ("./usr/bin/ping4", Link, 0o755, "root:root", b"./usr/bin/ping"),
        ("./usr/bin/ping6", Symlink, 0o777, "root:root", b"ping"),
        ("./usr/lib/ping/", Directory, 0o2775, "root:mail", b""),
        ("./usr/lib/ping/char", Char, 0o620, "root:tty", &[4, 64]),
        ("./usr/lib/ping/block", Block, 0o660, "root:disk", &[8, 3]),
        ("./usr/lib/ping/pipe", Fifo, 0o600, "root:root", b""),
        ("./usr/lib/ping/setuid", Regular, 0o4750, "root:ping", b"x"),
        ("./etc/ping.conf", Regular, 0o640, "root:root", b"count = 3\n"),
        ("./etc/init.d/ping", Regular, 0o755, "root:root", b"#!/bin/sh\n"),
        ("./usr/share/doc/iputils-ping/copyright", Regular, 0o644, "root:root", b"free\n"),
        (&long, Regular, 0o644, "root:root", b"long"),
    ]);
    let mut out = ar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = ar::Header::new(name.into(), bytes.len() as u64);
        header.set_mtime(1_660_000_000);
        out.append(&header, bytes).unwrap();
    };
    add("debian-binary", b"2.0\n");
    add("control.tar.zst", &zstd::encode_all(&control[..], 1).unwrap());
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    std::io::Write::write_all(&mut xz, &data).unwrap();
    add("data.tar.xz", &xz.finish().unwrap());
    out.into_inner().unwrap()
}

#[test]
fn dpkg_and_rpm_see_the_same_package() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ping.deb");
    std::fs::write(&file, deb()).unwrap();
    // The .deb of this test is one to dpkg as well.
    Cmd::new(testkit::oracle("dpkg-deb")).arg("--info").arg(&file).read().unwrap();

    let base = BTreeSet::from([b"/usr".to_vec()]);
    let converted = convert(Deb::open(&file).unwrap(), &Plan::load().unwrap(), &base).unwrap();
    assert!(converted.enabled.system.contains("ping.service") && converted.enabled.user.is_empty());
    assert!(!converted.unaccounted, "data/effects.toml lists iputils-ping");

    let key = SigningKey::generate("test", 1_577_836_800).unwrap();
    let repo = Fixture::new(&key).add(converted.package).write().unwrap();
    let query = |args: &[&str]| {
        let rpm = Cmd::new(testkit::oracle("rpm")).arg("--nosignature").arg("-qp").args(args);
        rpm.arg(repo.package("iputils-ping")).read().unwrap()
    };
    let listed = query(&[
        "--qf",
        "[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILERDEVS} %{FILENAMES} -> %{FILELINKTOS} \
         %{FILECAPS} %{FILEFLAGS:fflags}\n]",
    ]);
    let expected = [
        "-rw-r----- root:root 0 /etc/ping.conf ->  {} cn",
        "-rwxr-xr-x root:root 0 /usr/bin/ping ->  {caps} ",
        "-rwxr-xr-x root:root 0 /usr/bin/ping4 ->  {caps} ",
        "lrwxrwxrwx root:root 0 /usr/bin/ping6 -> ping {} ",
        "drwxrwsr-x root:mail 0 /usr/lib/ping ->  {} ",
        "brw-rw---- root:disk 2051 /usr/lib/ping/block ->  {} ",
        "crw--w---- root:tty 1088 /usr/lib/ping/char ->  {} ",
        "prw------- root:root 0 /usr/lib/ping/pipe ->  {} ",
        "-rwsr-x--- root:ping 0 /usr/lib/ping/setuid ->  {} ",
        "-rw-r--r-- root:root 0 /usr/share/doc/iputils-ping/copyright ->  {} l",
        "-rw-r--r-- root:root 0 /usr/share/LONGfile ->  {} ",
    ];
    let expected: Vec<String> = expected
        .iter()
        .map(|l| l.replace("LONG", &"long/".repeat(40)).replace("{caps}", "cap_net_raw=ep").replace("{}", ""))
        .collect();
    assert_eq!(listed.lines().collect::<Vec<_>>(), expected);

    assert_eq!(
        query(&["--qf", "%{NEVRA} %{SOURCERPM}\n"]),
        "iputils-ping-3:20240905-3+b1.x86_64 iputils-20240905-3+b1.src.rpm\n"
    );
    let lines = |text: String| -> Vec<String> {
        text.lines().filter(|l| !l.starts_with("rpmlib(")).map(str::to_owned).collect()
    };
    assert_eq!(
        lines(query(&["--requires"])),
        ["(first or second < 3-0)", "base >= 2-0", "libcap2 >= 1:2.10-0"]
    );
    assert_eq!(
        lines(query(&["--provides"])),
        ["iputils-ping = 3:20240905-3+b1", "iputils-ping(x86-64) = 3:20240905-3+b1", "ping", "pinger = 5-0"]
    );
    assert_eq!(lines(query(&["--conflicts"])), ["older < 1.0-2", "ping"]);
    assert_eq!(lines(query(&["--obsoletes"])), ["ping"]);
    assert_eq!(lines(query(&["--recommends"])), ["docs"]);
}

#[test]
fn what_is_not_a_deb_is_refused() {
    let good = deb();
    assert!(Deb::read(&good[..]).is_ok());
    for bad in [&b"hello"[..], &good[..good.len() / 2], &b"!<arch>\n"[..]] {
        assert!(Deb::read(bad).is_err());
    }
}
