//! What stands on a person's terminal: recstrap on a pseudo-terminal, what it writes read by a terminal emulator (vt100).

use std::io::Read;
use std::num::NonZero;

use common::cmd::Cmd;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::lab::{self, Image, Target, can_mount, text};

const ROWS: NonZero<u16> = NonZero::new(24).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(100).unwrap();

/// Runs a command on a terminal of its own: exit code, every screen that was seen (in order, each once), the last one.
fn watch(command: &Cmd) -> (Option<i32>, Vec<String>, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let size = Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, size).expect("sized");
    let name = ptsname(&master, Vec::new()).expect("a name").into_string().expect("UTF-8");
    let slave = || std::fs::OpenOptions::new().read(true).write(true).open(&name).expect("opened");
    let mut command = command.clone().env("TERM", "xterm").std();
    let mut child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().expect("recstrap starts");
    drop(command);
    let mut master = std::fs::File::from(master);
    let mut emulator = vt100::Parser::new(ROWS, COLUMNS, 0);
    let mut screens: Vec<String> = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        // EIO: the other side is closed.
        let n = master.read(&mut buffer).unwrap_or(0);
        if n == 0 {
            break;
        }
        // Byte by byte: what stood there for a moment was seen, too.
        for byte in &buffer[..n] {
            emulator.process(std::slice::from_ref(byte));
            let now = emulator.screen().contents();
            if screens.last() != Some(&now) {
                screens.push(now);
            }
        }
    }
    let last = emulator.screen().contents();
    (child.wait().expect("it ends").code(), screens, last)
}

/// An image whose check takes a moment (some thousand names), and one file.
fn image() -> Image {
    let tree = tempfile::tempdir().expect("a temporary directory");
    for n in 0..3000 {
        lab::write(&tree.path().join(format!("usr/share/{}/{n}", n % 50)), b"text");
    }
    lab::write(&tree.path().join("usr/lib/large"), &lab::noise(20 << 20));
    std::fs::create_dir_all(tree.path().join("var/lib")).expect("made");
    Image::new(tree.path(), &[])
}

/// Slows one system call down, so that there is time to draw.
fn slow(inject: &str, command: Cmd) -> Cmd {
    let strace = testkit::oracle("strace");
    let call = inject.split(':').next().unwrap_or(inject);
    let args =
        ["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &format!("inject={inject}")];
    command.under(text(&strace), &args)
}

#[test]
fn an_installation_shows_what_it_does_and_leaves_one_line() {
    if !can_mount("recstrap on a terminal") {
        return;
    }
    let image = image();
    let target = Target::new("ext4", 100, &[]);
    let command = slow("flock:delay_enter=500000", lab::command(&image, &target.mount, &[]));
    let (code, screens, last) = watch(&command);
    assert_eq!(code, Some(0), "{last}");
    let seen = |text: &str| screens.iter().find(|s| s.contains(text));
    assert!(seen(" check").is_some() && seen(" extract ").is_some() && seen("MiB/").is_some(), "{last}");
    assert_eq!(seen("0/0"), None, "a phase without a measure shows one");
    let last = last.trim_end();
    assert!(last.starts_with("recstrap: installed: ") && last.lines().count() == 1, "{last}");
}

#[test]
fn what_is_said_while_something_is_drawn_has_lines_of_its_own() {
    if !can_mount("recstrap's messages on a terminal") {
        return;
    }
    let image = image();
    let target = Target::new("ext4", 100, &[]);
    lab::write(&target.path("old"), b"");
    let command = slow("flock:delay_enter=500000", lab::command(&image, &target.mount, &["--force"]));
    let (code, screens, last) = watch(&command);
    assert_eq!(code, Some(0), "{last}");
    assert!(screens.iter().any(|s| s.contains(" check")), "it was drawn");
    let expected = format!("recstrap: --force: what is in {} is deleted", target.mount.display());
    let lines: Vec<&str> = last.trim_end().lines().map(str::trim_end).collect();
    assert!(lines.len() == 2 && lines[0] == expected, "{lines:#?}");
    assert!(lines[1].starts_with("recstrap: installed: "), "{lines:#?}");
}

#[test]
fn an_error_is_the_last_thing_on_the_screen() {
    if !can_mount("recstrap's errors on a terminal") {
        return;
    }
    let image = image();
    let target = Target::new("ext4", 100, &[]);
    lab::write(&target.path("old"), b"");
    // A refusal, printed while the check is drawn. The delay is between its text and the end of the process.
    let slowed = slow("flock,exit_group:delay_enter=300000", lab::command(&image, &target.mount, &[]));
    let (code, screens, last) = watch(&slowed);
    assert_eq!(code, Some(10), "{last}");
    assert!(screens.iter().any(|s| s.contains(" check")), "it was drawn");
    let at = screens.iter().position(|s| s.contains("E06: ")).expect("it is said");
    let drawn = screens[at..].iter().find(|s| s.contains(" check"));
    assert_eq!(drawn, None, "drawn again after the error");
    assert!(last.starts_with("E06: ") && last.contains("\nhint: "), "{last}");

    // A failure in the middle of the extraction.
    std::fs::remove_file(target.path("old")).expect("removed");
    let failing =
        slow("fallocate,ftruncate,fsync:error=EIO:when=3+", lab::command(&image, &target.mount, &[]));
    let (code, screens, last) = watch(&failing);
    assert_ne!(code, Some(0), "{last}");
    let at = screens.iter().position(|s| s.contains("error: ")).unwrap_or_else(|| panic!("{last}"));
    let spinner = |s: &&String| s.lines().any(|l| l.contains(" extract ") || l.contains(" verify "));
    assert_eq!(screens[at..].iter().find(spinner), None, "drawn again after the error");
    assert!(last.starts_with("error: "), "{last}");
}
