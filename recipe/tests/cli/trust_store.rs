//! Whom https trusts: what the environment names, else what the system has. Read when it is needed, and of use or an error.

use testkit::certificates::Authority;
use testkit::server::Answer;

use crate::https::Web;
use crate::rig::Out;

const FILE: &str = "SSL_CERT_FILE";
const DIR: &str = "SSL_CERT_DIR";
const INSTALL: &[&str] = &["install", "p", "--reinstall"];
const BROKEN: &str = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
/// A certificate to look at, but not inside.
const NONSENSE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

#[test]
fn what_the_environment_names_is_of_use_or_an_error() {
    let web = Web::new();
    let pem = web.authority.pem();
    web.rig.write("empty.pem", "");
    web.rig.write("useless.pem", format!("{BROKEN}{NONSENSE}"));
    web.rig.write("odd.pem", format!("# old\n{BROKEN}{NONSENSE}# ours\n{pem}{BROKEN}"));
    web.rig.write("hashed/0a1b2c3d.0", pem);
    web.rig.write("hashed/ffffffff.0", BROKEN);
    web.rig.write("plain/ca.pem", pem);
    // No other store takes their place, be it the system's or the other variable's.
    for (env, says) in [
        (vec![(FILE, "none.pem")], "No such file"),
        (vec![(FILE, "plain")], "Is a directory"),
        (vec![(FILE, "empty.pem")], "holds no certificate that can be used"),
        (vec![(FILE, "useless.pem")], "holds no certificate that can be used"),
        (vec![(FILE, "none.pem"), (DIR, "hashed")], "No such file"),
        (vec![(DIR, "none")], "holds no certificate that can be used"),
        (vec![(DIR, "plain")], "`openssl rehash DIR`"),
    ] {
        let out = web.run(INSTALL, &env).fails(13, says);
        let (variable, name) = env[0];
        let place = format!("{} ({variable})", web.rig.path(name).display());
        let is_clear = out.stderr.contains(&place) && out.stderr.contains("hint: ");
        assert!(is_clear && out.stderr.contains("it is not known whom to trust"), "{out:#?}");
    }
    assert_eq!(web.rig.tree().len(), 0);
    let dirs = format!("{}:{}", web.rig.path("none").display(), web.rig.path("hashed").display());
    for env in [
        vec![(FILE, "odd.pem")],
        vec![(DIR, "hashed")],
        vec![(DIR, &*dirs)],
        vec![(FILE, "ca.pem"), (DIR, "none")],
    ] {
        web.run(INSTALL, &env).ok();
        web.run(&["cache", "clean", "--all"], &[]).ok();
    }
}

#[test]
fn the_store_is_read_once_and_only_for_https() {
    let web = Web::new();
    let reads = |args: &[&str]| {
        let log = web.rig.path("strace.log");
        let strace = ["-f", "-qq", "-e", "trace=open,openat,openat2", "-o", log.to_str().expect("UTF-8")];
        let strace_program = testkit::oracle("strace");
        let cmd = web.cmd(args, &[(FILE, "ca.pem")]);
        let cmd = cmd.under(strace_program.to_str().expect("UTF-8"), &strace);
        web.rig.ran(cmd).ok();
        web.rig.read("strace.log").lines().filter(|line| line.contains("/ca.pem\"")).count()
    };
    web.rig.release("h", "1", &[("bin/h", "h")]);
    web.rig.add("h", "1", "install_bin(\"h\");");
    for args in [&["--version"][..], &["list"], &["install", "h"]] {
        assert_eq!(reads(args), 0, "{args:?}");
    }
    // Several files, some of them at the same time.
    let bytes = std::fs::read(web.rig.path("www/h-1.tar.gz")).expect("packed");
    for name in ["a", "b", "c"] {
        let path = format!("/{name}.tar.gz");
        web.server.answer(&path, Answer::Bytes(bytes.clone()));
        let (url, text) = (web.server.url(&path), web.rig.recipe("h"));
        let text = text.replace("name: \"h\"", &format!("name: \"{name}\""));
        let call = text.find("download(").expect("a download");
        let end = call + text[call..].find(';').expect("its end");
        let text = format!("{}download(\"{url}\"){}", &text[..call], &text[end..]);
        let text = text.replace("install_bin(\"h\")", &format!("install_bin(\"h\", \"{name}\")"));
        web.rig.write(&format!("recipes/{name}.rhai"), text);
    }
    assert_eq!(reads(&["install", "a", "b", "c"]), 1);
    assert_eq!(web.server.log().len(), 3);
}

/// A system of its own is made of the real one, whose stores are hidden.
#[test]
fn without_a_word_of_the_environment_the_system_is_heard() {
    if !testkit::is_root() {
        testkit::skip("the system's certificates are trusted", "needs root, to show it others");
        return;
    }
    let web = Web::new();
    web.rig.write("other.pem", Authority::new("another").pem());
    let with = |makes: &str| -> Out {
        let script = format!(
            "for dir in /etc/ssl /etc/pki; do [ ! -d $dir ] || mount -t tmpfs none $dir; done\n\
             cd {}\n{makes}\nexec \"$@\"",
            web.rig.path("").display()
        );
        web.run(&["cache", "clean", "--all"], &[]).ok();
        let cmd = web.cmd(INSTALL, &[]).env(FILE, "");
        web.rig.ran(cmd.under("unshare", &["--mount", "sh", "-euc", &script, "sh"]))
    };
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    with(&format!("mkdir /etc/ssl/certs; cp ca.pem {bundle}")).ok();
    with("mkdir /etc/ssl/certs; cp ca.pem /etc/ssl/certs/0a1b2c3d.0").ok();
    // It trusts others, has nothing of use in it, or there is none.
    let made = |name: &str| format!("mkdir /etc/ssl/certs; cp {name} {bundle}");
    with(&made("other.pem")).fails(13, &format!("no authority in {bundle} issued it"));
    let out = with(&made("/dev/null")).fails(13, &format!("{bundle} holds no certificate that can be used"));
    assert!(out.stderr.contains("hint: `update-ca-trust`"), "{out:#?}");
    for nothing in
        [":", "mkdir /etc/ssl/certs", "mkdir /etc/ssl/certs; cp ca.pem /etc/ssl/certs/localhost.crt"]
    {
        with(nothing).fails(13, "no authority in the list compiled into this program issued it");
    }
}
