//! Programs that try to get out. docs/reference/confinement.md is what these hold.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::rig::Rig;

/// Runs a script in a phase of a recipe; what it printed.
pub(crate) fn attack(rig: &Rig, phase: &str, head: &str, script: &str) -> String {
    rig.write("recipes/attack.sh", script);
    let install = "write_file(\"done\", \"\"); install_file(\"done\", \"share/done\");";
    let run = "copy_source(\"attack.sh\"); print(output([\"sh\", \"attack.sh\"]));";
    let body = match phase {
        "install" => format!("fn install() {{ {run} {install} }}"),
        _ => format!("fn {phase}() {{ {run} }}\nfn install() {{ {install} }}"),
    };
    rig.write("recipes/p.rhai", format!("let pkg = #{{ name: \"p\", version: \"1\"{head} }};\n{body}\n"));
    let out = rig.cmd(&["install", "--reinstall", "--overwrite", "*", "p"]);
    let out =
        out.env("LD_PRELOAD", "/nonexistent/leak.so").env("SECRET_TOKEN", "leak").output().expect("starts");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    said
}

#[test]
fn secrets_recipes_and_the_bookkeeping_cannot_be_seen() {
    let rig = Rig::new();
    rig.write("secret", "the secret");
    let secret = rig.path("secret").display().to_string();
    let (own, recipes) =
        (rig.prefix(".recipe").display().to_string(), rig.path("recipes").display().to_string());
    for phase in ["acquire", "build", "install"] {
        let said = attack(
            &rig,
            phase,
            "",
            &format!(
                "for f in '{secret}' '{recipes}/p.rhai' '{own}/lock' '{own}/db' /root/.ssh /root/.profile /home/* /var /sys /run/dbus \
                 /proc/1/root/root /proc/1/environ /dev/sda /dev/kmsg; do\n  if [ -e \"$f\" ] && cat \"$f\" >/dev/null 2>&1 || ls \"$f\"/* >/dev/null 2>&1; then echo \"seen $f\"; fi\ndone\n\
                 cat /etc/shadow >/dev/null 2>&1 && echo seen shadow\nenv | grep -E 'LD_PRELOAD|SECRET|SSH|CARGO_BIN' && echo seen environment\n\
                 ls /proc/self/fd | grep -vxE '[0-3]' && echo seen descriptor\necho id=$(id -u) ended\n"
            ),
        );
        assert!(said.contains("ended") && !said.contains("seen"), "{phase}: {said}");
        if is_root() {
            assert!(!said.contains("id=0 "), "{said}");
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn nothing_outside_can_be_written() {
    let rig = Rig::new();
    let outside = rig.path("").display().to_string();
    let prefix = rig.path("prefix").display().to_string();
    std::fs::write(rig.prefix("there"), "as it was").expect("written");
    for phase in ["acquire", "build", "install"] {
        let said = attack(
            &rig,
            phase,
            "",
            &format!(
                "try() {{ (eval \"$1\") 2>/dev/null && echo \"wrote $1\"; }}\n\
                 try 'echo x > {prefix}/new'\ntry 'echo x > {prefix}/there'\ntry 'rm {prefix}/there'\ntry 'chmod 777 {prefix}'\n\
                 try 'echo x > /usr/bin/recipe-attack'\ntry 'echo x > /etc/recipe-attack'\ntry 'echo x > /attack'\ntry 'mkdir {prefix}/.recipe/x'\n\
                 try 'mount -o remount,rw /usr'\ntry 'umount /usr'\ntry 'umount {prefix}/.recipe'\ntry 'mknod x b 8 0'\n\
                 try 'unshare -Ur mount -o remount,rw,bind /usr'\ntry 'unshare -Urm umount {prefix}/.recipe'\n\
                 try 'ln /etc/passwd hard'\nln -sf {prefix}/there link; try 'echo x > link'\n\
                 mkdir -p {outside}/made-by-attack 2>/dev/null\necho ended\n"
            ),
        );
        assert!(said.contains("ended") && !said.contains("wrote"), "{phase}: {said}");
        assert_eq!(std::fs::read_to_string(rig.prefix("there")).expect("read"), "as it was");
        assert!(!rig.path("made-by-attack").exists());
    }
}

#[test]
fn there_is_a_network_in_acquire_alone_unless_it_is_allowed() {
    let rig = Rig::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("bound").port();
    // bash has sockets of its own.
    let script = format!(
        "bash -c 'exec 5<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo connected || echo refused\n"
    );
    for (phase, head, expected) in [
        ("acquire", "", "connected"),
        ("build", "", "refused"),
        ("install", "", "refused"),
        ("post_install", "", "refused"),
        ("build", ", allow: [\"network-in-build\"]", "connected"),
        ("install", ", allow: [\"network-in-build\"]", "connected"),
    ] {
        let said = if phase == "post_install" {
            let run = script.trim().replace('"', "\\\"");
            rig.write("recipes/p.rhai", format!("let pkg = #{{ name: \"p\", version: \"1\" }};\nfn install() {{ write_file(\"d\", \"\"); install_file(\"d\", \"share/d\"); }}\nfn post_install() {{ print(output([\"sh\", \"-c\", \"{run}\"])); }}\n"));
            rig.run(&["install", "--reinstall", "--overwrite", "*", "p"]).ok().stderr
        } else {
            attack(&rig, phase, head, &script)
        };
        assert!(said.contains(expected), "{phase} {head}: {said}");
    }
}

#[test]
fn nothing_survives_the_program_nor_a_killed_recipe() {
    let rig = Rig::new();
    // A name that no other process has.
    let mark = format!("9{}", std::process::id());
    let alive = || {
        let procs = std::fs::read_dir("/proc").expect("read").flatten();
        procs
            .filter(|p| {
                std::fs::read(p.path().join("cmdline"))
                    .is_ok_and(|c| c == format!("sleep\0{mark}\0").as_bytes())
            })
            .count()
    };
    let wait = |wanted: bool| {
        let end = Instant::now() + Duration::from_secs(60);
        while (alive() > 0) != wanted && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(alive() > 0, wanted);
    };
    attack(
        &rig,
        "build",
        "",
        &format!("setsid sleep {mark} >/dev/null 2>&1 & (sleep {mark} >/dev/null 2>&1 &)\nsleep 0.2\n"),
    );
    assert_eq!(alive(), 0, "a background process survived");
    let body = format!(
        "fn build() {{ exec([\"sh\", \"-c\", \"trap '' TERM HUP INT; setsid sleep {mark}\"]); }}\nfn install() {{ }}"
    );
    rig.write("recipes/p.rhai", format!("let pkg = #{{ name: \"p\", version: \"1\" }};\n{body}\n"));
    for signal in [rustix::process::Signal::KILL, rustix::process::Signal::INT] {
        let mut child =
            rig.cmd(&["install", "--reinstall", "--overwrite", "*", "p"]).std().spawn().expect("starts");
        wait(true);
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).expect("killed");
        let status = child.wait().expect("waited");
        assert!(!status.success());
        wait(false);
    }
}

#[test]
fn recipe_itself_cannot_be_reached() {
    let rig = Rig::new();
    let said = attack(
        &rig,
        "install",
        "",
        "ls /proc | grep -cE '^[0-9]+$' > count\n[ $(cat count) -lt 12 ] || echo reached processes\n\
         kill -9 1 2>/dev/null; kill -9 -1 2>/dev/null || true\necho ended\n",
    );
    assert!(said.contains("ended") && !said.contains("reached"), "{said}");
}

#[test]
fn packages_cannot_have_setuid_files_or_files_elsewhere() {
    for (script, says) in [
        (
            "mkdir -p $STAGE/bin; cp /bin/true $STAGE/bin/t; chmod 4755 $STAGE/bin/t",
            "bin/t is set to run as its owner or group (mode 4755)",
        ),
        ("mkdir -p $STAGE/bin; cp /bin/true $STAGE/bin/t; chmod 2755 $STAGE/bin/t", "(mode 2755)"),
        (
            "mkdir -p $DESTDIR/etc; echo x > $DESTDIR/etc/p.conf",
            "installed /etc/p.conf, which is not below the prefix",
        ),
        ("mkfifo $STAGE/pipe", "pipe is neither a file nor a link"),
    ] {
        let rig = Rig::new();
        rig.write(
            "recipes/p.rhai",
            format!(
                "let pkg = #{{ name: \"p\", version: \"1\" }};\nfn install() {{ shell(\"{script}\"); }}\n"
            ),
        );
        let out = rig.run(&["install", "p"]);
        assert!(out.code != Some(0) && out.stderr.contains(says), "{script}: {out:?}");
        assert!(rig.tree().is_empty());
    }
}

#[test]
fn a_build_directory_full_of_links_leads_helpers_nowhere() {
    let rig = Rig::new();
    let secret = rig.write("secret", "the secret").display().to_string();
    for call in [
        "install_file(\"l\", \"share/l\")",
        "install_file(\"d/secret\", \"share/l\")",
        "read_file(\"l\")",
        "install_tree(\"d\", \"share/d\")",
        "write_file(\"d/new\", \"x\")",
    ] {
        rig.write(
            "recipes/p.rhai",
            format!(
                "let pkg = #{{ name: \"p\", version: \"1\" }};\nfn install() {{ shell(\"ln -s '{secret}' l; ln -s \\\"$1\\\" d\", [\"{}\"]); {call}; }}\n",
                rig.path("").display()
            ),
        );
        let out = rig.run(&["install", "p"]);
        assert!(out.code != Some(0), "{call}: {out:?}");
        assert!(rig.tree().is_empty() && !rig.path("new").exists(), "{call}");
    }
}

#[test]
fn an_ordinary_user_is_confined_too() {
    if !is_root() {
        testkit::skip("an ordinary user is confined", "needs root to become somebody else");
        return;
    }
    let rig = Rig::new();
    // What he owns himself is closed to his programs as well.
    std::fs::write(rig.prefix("there"), "as it was").expect("written");
    rig.write(
        "recipes/p.rhai",
        "let pkg = #{ name: \"p\", version: \"1\" };\nfn install() {\n    print(output([\"sh\", \"-c\", \"echo x > $PREFIX/there || echo sealed\"]));\n    shell(\"mkdir -p $STAGE/bin; echo hi > $STAGE/bin/p\");\n    print(output([\"sh\", \"-c\", \"id -u; ls -a \\\"$HOME\\\" /root 2>&1 | wc -l; echo x > /usr/x || echo ro\"]));\n}\n",
    );
    let out = rig.cmd_as(12345, &["install", "p"]).output().expect("starts");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && said.contains("12345") && said.contains("ro"), "{said}");
    assert!(said.contains("sealed"), "{said}");
    assert_eq!(std::fs::read_to_string(rig.prefix("there")).expect("read"), "as it was");
    assert!(rig.prefix("bin/p").exists());
}
