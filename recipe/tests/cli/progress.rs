//! What is drawn on a terminal while something goes on, that nothing of it is left, and what is said where there is none.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};

use common::hash::Sha256;

use crate::rig::Rig;
use testkit::terminal::Terminal;

const SIZE: usize = 3 << 20;

/// A server that sends the first half of every file and the second when it is told to.
struct Gate {
    address: String,
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let open = Arc::new((Mutex::new(false), Condvar::new()));
        let gate = open.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let gate = gate.clone();
                std::thread::spawn(move || {
                    let lines = BufReader::new(stream.try_clone().expect("cloned")).lines();
                    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
                    let head =
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nConnection: close\r\n\r\n");
                    let half = vec![b'x'; SIZE / 2];
                    stream.write_all(&[head.as_bytes(), &half].concat()).expect("sent");
                    let is_open = gate.0.lock().expect("locked");
                    drop(gate.1.wait_while(is_open, |open| !*open).expect("waited"));
                    // Who was interrupted has gone.
                    let _ = stream.write_all(&half);
                });
            }
        });
        Self { address, open }
    }

    fn open(&self) {
        *self.open.0.lock().expect("locked") = true;
        self.open.1.notify_all();
    }
}

/// Packages `a` and `b`, each one file of the gate, and a lock file that has both.
fn rig(gate: &Gate) -> Rig {
    let rig = Rig::new();
    let digest = Sha256::of(&vec![b'x'; SIZE / 2 * 2]);
    let mut lock = "version = 1\n".to_owned();
    for name in ["a", "b"] {
        let url = format!("http://{}/{name}.bin", gate.address);
        let text = format!(
            "let pkg = #{{ name: \"{name}\", version: \"1\" }};\nfn acquire() {{ download(\"{url}\"); }}\n\
             fn install() {{ install_file(\"{name}.bin\", \"share/{name}\"); }}\n"
        );
        rig.write(&format!("recipes/{name}.rhai"), text);
        lock += &format!(
            "\n[[package]]\nname = \"{name}\"\nversion = \"1\"\nrecipe = \"sha256:{digest}\"\n\n\
             [[package.source]]\nplatform = \"linux-x86_64\"\nurl = \"{url}\"\nsha256 = \"{digest}\"\nsize = {SIZE}\n"
        );
    }
    rig.write("recipes/recipe.lock", lock);
    rig
}

#[test]
fn downloads_are_drawn_each_on_a_line_and_nothing_stays() {
    let gate = Gate::start();
    let rig = rig(&gate);
    let mut terminal = Terminal::start(&rig.cmd(&["fetch", "--jobs", "2"]));
    // Half of each, and nothing of the rest comes before the gate is open.
    terminal.wait_until(|screen| {
        let is_half = |name| screen.lines().any(|l| l.contains(name) && l.contains("1.50 MiB/3.00 MiB"));
        screen.contains("0/2 files") && is_half("a.bin") && is_half("b.bin")
    });
    gate.open();
    let ended = terminal.end().with(0);
    assert!(!ended.last.contains("MiB") && !ended.last.contains("files"), "{}", ended.last);
    assert!(ended.last.contains("[2/2] http://"), "{}", ended.last);
}

#[test]
fn phases_are_counted_and_the_table_knows_what_is_downloaded() {
    let gate = Gate::start();
    let rig = rig(&gate);
    let mut terminal = Terminal::start(&rig.cmd(&["install", "a", "b"]));
    let first = terminal.wait_for(&["[1/2] a: acquire", "1.50 MiB/3.00 MiB"]);
    assert!(first.contains("+ a        1        3.00 MiB\n"), "{first}");
    assert!(first.contains("\n2 packages; download 6.00 MiB\n"), "{first}");
    gate.open();
    let ended = terminal.end().with(0);
    assert!(ended.screens.iter().any(|screen| screen.contains("[2/2] b: install")), "{}", ended.last);
    assert!(!ended.last.contains("[2/2]") && !ended.last.contains("MiB/"), "{}", ended.last);
    assert!(ended.last.contains("\n+ a 1\n+ b 1\nInstalled 2 packages (+6.00 MiB) in "), "{}", ended.last);
}

#[test]
fn an_interruption_leaves_the_terminal_clean() {
    let gate = Gate::start();
    let rig = rig(&gate);
    let mut terminal = Terminal::start(&rig.cmd(&["install", "a"]));
    terminal.wait_for(&["[1/1] a: acquire", "1.50 MiB/3.00 MiB"]);
    let pid = rustix::process::Pid::from_child(&terminal.child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("sent");
    gate.open();
    let ended = terminal.end().with(130);
    assert!(!ended.last.contains("acquire  ") && !ended.last.contains("MiB/"), "{}", ended.last);
    assert!(ended.last.ends_with("interrupted; nothing was changed"), "{}", ended.last);
    let hidden = ended.bytes.windows(6).any(|bytes| bytes == b"\x1b[?25l");
    assert!(!hidden, "the cursor was hidden, and who shows it again?");
}

#[test]
fn without_a_terminal_steps_are_lines_and_nothing_is_drawn() {
    let gate = Gate::start();
    gate.open();
    let rig = rig(&gate);
    std::fs::remove_file(rig.path("recipes/recipe.lock")).expect("removed");
    let out = rig.run(&["install", "a", "b"]).ok();
    let said: Vec<_> = out.stderr.lines().map(|line| line.split(" in ").next().unwrap_or_default()).collect();
    assert_eq!(
        said,
        [
            "[1/2] a: acquire",
            "downloaded a.bin, 3.00 MiB",
            "[1/2] a: install",
            "[2/2] b: acquire",
            "downloaded b.bin, 3.00 MiB",
            "[2/2] b: install",
            "Installed 2 packages (+6.00 MiB)"
        ]
    );
    assert!(!out.stderr.contains('\u{1b}') && !out.stderr.contains('\r'), "{out:?}");
    let out = rig.run(&["install", "--reinstall", "--no-progress", "a"]).ok();
    assert!(out.stderr.starts_with("Reinstalled 1 package (+0 B) in "), "{out:?}");
    let out = rig.run(&["install", "--reinstall", "-q", "a"]).ok();
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("~ a 1 -> 1\n", ""));
    let dumb = rig.cmd(&["install", "--reinstall", "a"]);
    let dumb = Terminal::start(&dumb.under("env", &["TERM=dumb"])).end().with(0);
    assert!(!dumb.bytes.contains(&0x1b), "{}", dumb.last);
}

#[test]
fn what_programs_print_is_shown_live_and_whole() {
    let rig = Rig::new();
    let says = r#"printf 'one\nbad \033[2J\033]0;x\007\nhalf\rthree\n' >&2; echo last"#;
    let text = format!(
        "let pkg = #{{ name: \"p\", version: \"1\" }};\nfn build() {{ shell(`{says}`); }}\n\
         fn install() {{ shell(\"echo p > p\"); install_file(\"p\", \"share/p\"); }}\n"
    );
    rig.write("recipes/p.rhai", text);
    let lines = ["one", "bad \\u{1b}[2J\\u{1b}]0;x\\u{7}", "half", "three", "last"];
    let out = rig.run(&["install", "-v", "p"]).ok();
    let at = out.stderr.find("[1/1] p: build\np: runs `").unwrap_or_else(|| panic!("{out:?}"));
    assert!(out.stderr[at..].contains(&format!("\n{}\n", lines.join("\n"))), "{out:?}");
    // Without it nothing is shown, and with nothing neither.
    assert!(!rig.run(&["install", "--reinstall", "p"]).ok().stderr.contains("three"));
    rig.run(&["install", "-q", "-v", "p"]).fails(2, "cannot be used with");
    // On a terminal each line is above what is drawn, and stays.
    let ended = Terminal::start(&rig.cmd(&["install", "--reinstall", "-v", "p"])).end().with(0);
    assert!(ended.last.contains(&format!("\n{}\n", lines.join("\n"))), "{}", ended.last);
    assert!(ended.screens.iter().any(|screen| screen.contains("[1/1] p: build")), "{}", ended.last);
    assert!(!ended.last.contains("[1/1]"), "{}", ended.last);
}
