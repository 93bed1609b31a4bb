//! What stands on a person's terminal: recstrap on a pseudo-terminal, what it writes read by a terminal emulator (vt100).

use common::cmd::Cmd;
use testkit::terminal::{Ended, Terminal};

use crate::lab::{self, Image, Target, can_mount, text};

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
    let Ended { code, screens, last, .. } = Terminal::start(&command).end();
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
    let Ended { code, screens, last, .. } = Terminal::start(&command).end();
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
    let Ended { code, screens, last, .. } = Terminal::start(&slowed).end();
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
    let Ended { code, screens, last, .. } = Terminal::start(&failing).end();
    assert_ne!(code, Some(0), "{last}");
    let at = screens.iter().position(|s| s.contains("error: ")).unwrap_or_else(|| panic!("{last}"));
    let spinner = |s: &&String| s.lines().any(|l| l.contains(" extract ") || l.contains(" verify "));
    assert_eq!(screens[at..].iter().find(spinner), None, "drawn again after the error");
    assert!(last.starts_with("error: "), "{last}");
}
