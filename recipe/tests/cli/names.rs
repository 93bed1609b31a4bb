//! Names of hosts are looked up by recipe itself: in /etc/hosts, then by the servers of /etc/resolv.conf.

use std::net::{Ipv4Addr, UdpSocket};

use crate::rig::Rig;

/// Answers each question for an address: 127.0.0.1 for `files.test`, none for others. Returns where it listens: on port 53, as
/// resolv.conf cannot say another, so at an address of this process's own.
fn name_server() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 53, high, low);
    let socket = UdpSocket::bind((address, 53)).expect("port 53 of a loopback address is free");
    std::thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut bytes) {
            // RFC 1035, 4.1: a header of 12 bytes, the name, type and class.
            let question = &bytes[12..len];
            let end = question.iter().position(|&b| b == 0).expect("a name") + 5;
            let is_known = question.starts_with(b"\x05files\x04test\0");
            let is_a = question[end - 4..end - 2] == [0, 1];
            let mut answer = bytes[..2].to_vec();
            answer.extend([
                0x81,
                if is_known { 0x80 } else { 0x83 },
                0,
                1,
                0,
                u8::from(is_known && is_a),
                0,
                0,
                0,
                0,
            ]);
            answer.extend(&question[..end]);
            if is_known && is_a {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
            }
            socket.send_to(&answer, from).expect("sent");
        }
    });
    address
}

#[test]
fn hosts_and_name_servers_are_asked() {
    if !testkit::is_root() {
        testkit::skip("names of hosts", "another /etc/hosts needs a mount namespace");
        return;
    }
    let server = name_server();
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    rig.write("hosts", "127.0.0.1 localhost\n127.0.0.1 listed.test\n");
    rig.write("resolv.conf", format!("nameserver {server}\noptions timeout:1 attempts:1\n"));
    let here = "mount --bind hosts /etc/hosts && mount --bind resolv.conf \"$(readlink -f /etc/resolv.conf)\" && exec \"$@\"";
    let run = |host: &str, args: &[&str]| {
        let url = rig.server.url("/p-1.tar.gz").replace("127.0.0.1", host);
        rig.write(
            "recipes/p.rhai",
            format!(
                "let pkg = #{{ name: \"p\", version: \"1\" }};\nfn install() {{ download(\"{url}\"); extract(\"tar.gz\"); install_bin(\"p\"); }}\n"
            ),
        );
        rig.ran(rig.cmd(args).under("unshare", &["--mount", "sh", "-euc", here, "sh"]))
    };
    for host in ["127.0.0.1", "localhost", "listed.test", "files.test"] {
        run(host, &["install", "p"]).ok();
        assert!(rig.prefix("bin/p").exists(), "{host}");
        rig.run(&["remove", "p"]).ok();
    }
    run("nobody.test", &["install", "p"]).fails(13, "nobody.test");
}
