//! Proxies of all kinds, named by the environment: what is asked for goes through them, and nothing passes them by.

use std::net::TcpListener;

use testkit::certificates::{Authority, Valid};
use testkit::server::{Answer, REFUSED, Server};

use crate::https::{PATH, Web};
use crate::rig::Out;

/// Installs as if nothing had been downloaded yet, with these variables.
fn install(web: &Web, ca: &str, env: &[(&str, &str)]) -> Out {
    web.run(&["cache", "clean", "--all"], &[]).ok();
    let cmd = web.cmd(&["install", "p", "--reinstall"], &[("SSL_CERT_FILE", ca)]);
    web.rig.ran(env.iter().fold(cmd, |cmd, (name, value)| cmd.env(*name, *value)))
}

#[test]
fn each_kind_passes_on_what_it_cannot_read() {
    let web = Web::new();
    web.rig.write("other.pem", Authority::new("another").pem());
    let http = Server::start(&[], None);
    let https = Server::https(&[], None, &web.authority.issue("127.0.0.1", Valid::Now));
    let (target, socks) = (web.server.place(), http.place());
    let kinds = [
        (&http, "https_proxy", http.url("")),
        (&http, "HTTPS_PROXY", socks.to_owned()),
        (&https, "https_proxy", https.url("")),
        (&http, "https_proxy", format!("socks5://{socks}")),
        (&http, "ALL_PROXY", format!("socks5h://{socks}")),
    ];
    for (server, variable, url) in kinds {
        let (passed, asked) = (server.log().len(), web.server.log().len());
        install(&web, "ca.pem", &[(variable, &url)]).ok();
        assert_eq!(server.log()[passed..], [target], "{variable}={url}");
        assert_eq!(web.server.log()[asked..], [PATH], "{variable}={url}");
        // The server's certificate is looked at as ever.
        if server.url("").starts_with("http:") {
            let refused = format!("the certificate of {target} is refused");
            install(&web, "other.pem", &[(variable, &url)]).fails(13, &refused);
        }
        // What is not for it, it does not see.
        let (passed, asked) = (server.log().len(), web.server.log().len());
        install(&web, "ca.pem", &[(variable, &url), ("no_proxy", "x.example, 127.0.0.1")]).ok();
        install(&web, "ca.pem", &[("http_proxy", &url)]).ok();
        assert_eq!(server.log().len(), passed);
        assert_eq!(web.server.log()[asked..], [PATH, PATH]);
    }
}

#[test]
fn one_that_cannot_prove_who_it_is_passes_on_nothing() {
    let web = Web::new();
    let proxy = Server::https(&[], None, &Authority::new("another").issue("127.0.0.1", Valid::Now));
    let refused = format!("the certificate of {} is refused", proxy.place());
    install(&web, "ca.pem", &[("https_proxy", &proxy.url(""))]).fails(13, &refused);
    assert_eq!((proxy.log(), web.server.log()), (vec![REFUSED.to_owned()], Vec::new()));
}

/// A name that only the proxy knows: nobody else is asked for it.
#[test]
fn names_are_the_proxys_to_look_up() {
    let web = Web::new();
    let proxy = Server::start(&[], None);
    web.rig
        .server
        .answer("/p", Answer::Bytes(std::fs::read(web.rig.path("www/p-1.tar.gz")).expect("packed")));
    let port = web.rig.server.place().split(':').next_back().expect("a port").to_owned();
    web.downloads(&format!("http://only-there.invalid:{port}/p"));
    for url in [proxy.url(""), format!("socks5h://{}", proxy.place())] {
        install(&web, "ca.pem", &[("http_proxy", &url)]).ok();
    }
    assert_eq!(proxy.log(), [(); 2].map(|()| format!("only-there.invalid:{port}")));
    assert_eq!(web.rig.server.log(), ["/p", "/p"]);
}

#[test]
fn one_that_cannot_be_used_is_an_error_where_something_is_downloaded() {
    let web = Web::new();
    for value in ["sock5://me:secret@127.0.0.1:1", "http://", "not a url"] {
        let out = install(&web, "ca.pem", &[("all_proxy", value)]);
        let out = out.fails(13, "all_proxy is not a proxy that can be used");
        assert!(out.stderr.contains("hint: expected a URL like http://proxy.example:3128"), "{out:#?}");
        assert!(!out.stderr.contains("secret") && web.server.log().is_empty(), "{out:#?}");
    }
    web.rig.ran(web.cmd(&["list"], &[]).env("all_proxy", "sock5://x")).ok();
}

#[test]
fn an_interrupt_ends_waiting_for_a_proxy() {
    let web = Web::new();
    let before = web.rig.recipe("p");
    let interrupted = |url: &str, is_time: &dyn Fn() -> bool| {
        let cmd = web.cmd(&["install", "p"], &[("SSL_CERT_FILE", "ca.pem")]).env("https_proxy", url);
        web.rig.interrupts(&cmd, is_time);
        assert_eq!((web.rig.tree().len(), web.rig.recipe("p")), (0, before.clone()));
    };
    for scheme in ["http", "socks5h"] {
        // Takes the connection, and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = silent.local_addr().expect("an address");
        interrupted(&format!("{scheme}://{address}"), &|| silent.accept().is_ok());
        // Connects with one that says nothing.
        web.server.answer(PATH, Answer::Silent);
        let (proxy, asked) = (Server::start(&[], None), web.server.log().len());
        interrupted(&format!("{scheme}://{}", proxy.place()), &|| web.server.log().len() > asked);
        assert_eq!(proxy.log(), [web.server.place()]);
    }
}
