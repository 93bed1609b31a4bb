//! Https with certificates of an authority of the test's own: what a download over http does, it does too, and whom nobody vouches for
//! delivers nothing.

use std::net::TcpListener;

use common::cmd::Cmd;
use testkit::certificates::{Authority, Identity, Valid};
use testkit::server::{Answer, REFUSED, Server};

use crate::rig::{Out, Rig};

pub(crate) const PATH: &str = "/f/p-1.tar.gz";

/// A rig whose recipe downloads from a server that shows a certificate, which is trusted.
pub(crate) struct Web {
    pub(crate) rig: Rig,
    pub(crate) server: Server,
    pub(crate) authority: Authority,
    bytes: Vec<u8>,
}

impl Web {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("ours");
        let identity = authority.issue("127.0.0.1", Valid::Now);
        Self::with(authority, &identity)
    }

    fn with(authority: Authority, identity: &Identity) -> Self {
        let rig = Rig::new();
        rig.release("p", "1", &[("bin/p", &"p".repeat(100_000))]);
        let bytes = std::fs::read(rig.path("www/p-1.tar.gz")).expect("packed");
        let server = Server::https(&[(PATH, Answer::Bytes(bytes.clone()))], None, identity);
        rig.write("ca.pem", authority.pem());
        let web = Self { rig, server, authority, bytes };
        web.downloads(&web.server.url(PATH));
        web
    }

    /// From now on the recipe downloads from there.
    pub(crate) fn downloads(&self, url: &str) {
        let text = format!(
            "let pkg = #{{ name: \"p\", version: \"1\" }};\n\
             fn install() {{ download(\"{url}\"); extract(\"tar.gz\"); install_bin(\"p\"); }}\n"
        );
        self.rig.write("recipes/p.rhai", text);
    }

    /// The command, with what the environment says of trust; that of who runs the test says nothing.
    pub(crate) fn cmd(&self, args: &[&str], env: &[(&str, &str)]) -> Cmd {
        let cmd = self.rig.cmd(args);
        let silent = ["SSL_CERT_FILE", "SSL_CERT_DIR", "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"];
        let cmd =
            silent.iter().fold(cmd, |cmd, name| cmd.without_env(*name).without_env(name.to_lowercase()));
        env.iter().fold(cmd, |cmd, (name, value)| cmd.env(*name, self.rig.path(value)))
    }

    pub(crate) fn run(&self, args: &[&str], env: &[(&str, &str)]) -> Out {
        self.rig.ran(self.cmd(args, env))
    }

    /// Installs with the authority trusted, and as if nothing had been downloaded yet.
    fn install(&self) -> Out {
        self.run(&["cache", "clean", "--all"], &[]).ok();
        self.run(&["install", "p", "--reinstall"], &[("SSL_CERT_FILE", "ca.pem")])
    }
}

#[test]
fn a_download_goes_on_and_is_led_elsewhere_over_https_too() {
    let web = Web::new();
    web.server.answer(PATH, Answer::HalfThenRest(web.bytes.clone()));
    web.install().ok();
    assert_eq!(web.server.log(), [PATH.to_owned(), format!("{PATH} {}-", web.bytes.len() / 2)]);
    assert!(web.rig.prefix("bin/p").exists());

    web.server.answer("/elsewhere", Answer::Bytes(web.bytes.clone()));
    let elsewhere = web.server.url("/elsewhere");
    for to in ["/elsewhere", &elsewhere] {
        web.server.answer(PATH, Answer::Redirect(to.to_owned()));
        web.install().ok();
        assert_eq!(web.server.log().last().map(String::as_str), Some("/elsewhere"));
    }
    // From http to https, but not back.
    web.rig.server.answer("/begin", Answer::Redirect(elsewhere));
    web.downloads(&web.rig.server.url("/begin"));
    web.install().ok();
    web.rig.server.answer("/weaker", Answer::Bytes(web.bytes.clone()));
    web.downloads(&web.server.url(PATH));
    web.server.answer(PATH, Answer::Redirect(web.rig.server.url("/weaker")));
    web.install().fails(13, "which is not allowed");
    assert_eq!(web.rig.server.log(), ["/begin"]);
}

/// It is said what is wrong and what to do, once: no other attempt would be better.
#[test]
fn who_cannot_prove_who_he_is_delivers_nothing_and_is_not_asked_again() {
    let (other, renewed) = (Authority::new("another"), Authority::new("ours"));
    let cases = [
        ("127.0.0.1", Valid::Now, Some(&other), "no authority in ", "`update-ca-trust`"),
        ("127.0.0.1", Valid::Now, Some(&renewed), "the authority of its name in ", "`update-ca-trust`"),
        ("other.example", Valid::Now, None, "it is for other.example, not for 127.0.0.1", "check the URL"),
        ("127.0.0.1", Valid::Expired, None, "it expired ", "`date`"),
        ("127.0.0.1", Valid::Later, None, "it begins to be valid in ", "`date`"),
    ];
    for (name, valid, issuer, why, hint) in cases {
        let authority = Authority::new("ours");
        let identity = issuer.unwrap_or(&authority).issue(name, valid);
        let web = Web::with(authority, &identity);
        let out = web.install().fails(13, why);
        let place = web.server.place();
        let says = |text: &str| out.stderr.contains(text);
        assert!(
            says(&web.server.url(PATH)) && says(&format!("the certificate of {place} is refused")),
            "{out:#?}"
        );
        assert!(out.stderr.lines().any(|l| l.starts_with("hint: ") && l.contains(hint)), "{out:#?}");
        assert_eq!(
            (web.server.log(), web.rig.tree().len()),
            (vec![REFUSED.to_owned()], 0),
            "{name} {valid:?}"
        );
        // Where the way leads there, it is that server that is named.
        web.rig.server.answer("/begin", Answer::Redirect(web.server.url(PATH)));
        web.downloads(&web.rig.server.url("/begin"));
        web.install().fails(13, &format!("the certificate of {place} is refused"));
    }
}

#[test]
fn an_interrupt_ends_a_download_over_https() {
    let web = Web::new();
    let before = web.rig.recipe("p");
    let interrupted = |is_time: &dyn Fn() -> bool| {
        web.rig.interrupts(&web.cmd(&["install", "p"], &[("SSL_CERT_FILE", "ca.pem")]), is_time);
        assert_eq!(web.rig.tree().len(), 0);
    };
    for answer in [Answer::Stalls(web.bytes.clone()), Answer::Silent] {
        let asked = web.server.log().len();
        web.server.answer(PATH, answer);
        interrupted(&|| web.server.log().len() > asked);
        assert_eq!(web.rig.recipe("p"), before);
    }
    // Who takes the connection and says nothing of himself.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    web.downloads(&format!("https://{}/x", silent.local_addr().expect("an address")));
    interrupted(&|| silent.accept().is_ok());
}
