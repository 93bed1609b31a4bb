//! Attacks on `recipe` itself and on its helpers while they work: signals, ptrace, privileges, links that change under its hands.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use common::hash::Sha256;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::confinement::attack;
use crate::rig::{Rig, tree};

/// Says which processes it can see, and tries to get hold of them.
const REACH: &str = r#"cat > reach.c <<'END'
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char byte, name[64];
    struct iovec own = { &byte, 1 }, theirs = { (void *) main, 1 };
    for (long pid = 1, last = atol(argv[1]); pid <= last; pid++) {
        if (pid == getpid() || pid == getppid()) continue;
        if (kill(pid, 0) != 0 && errno == ESRCH) continue;
        printf("sees %ld\n", pid);
        if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) printf("traces %ld\n", pid);
        if (process_vm_readv(pid, &own, 1, &theirs, 1, 0) == 1) printf("reads %ld\n", pid);
        snprintf(name, sizeof name, "/proc/%ld/mem", pid);
        if (access(name, R_OK) == 0) printf("opens %ld\n", pid);
        snprintf(name, sizeof name, "/proc/%ld/environ", pid);
        if (access(name, R_OK) == 0) printf("opens %ld\n", pid);
    }
    return 0;
}
END
cc -o reach reach.c
./reach $(cat /proc/sys/kernel/pid_max)
echo ended
"#;

#[test]
fn no_process_outside_is_seen_and_none_of_ours_is_got_hold_of() {
    for user in [None, Some(12345)] {
        let rig = Rig::new();
        let said = match user {
            None => attack(&rig, "build", "", REACH),
            Some(_) if !testkit::is_root() => continue,
            Some(id) => as_user(&rig, id, REACH),
        };
        // The first process of the namespace is ours.
        assert!(said.contains("p: sees 1\nended"), "{user:?}: {said}");
    }
}

#[test]
fn programs_have_no_privileges_and_get_none() {
    let script = "grep -E '^(NoNewPrivs|Cap(Inh|Prm|Eff|Amb)):' /proc/self/status | tr -d '\\t'\n";
    let none = "0".repeat(16);
    let expected = format!("p: CapInh:{none}\nCapPrm:{none}\nCapEff:{none}\nCapAmb:{none}\nNoNewPrivs:1\n");
    for phase in ["acquire", "build", "install"] {
        let said = attack(&Rig::new(), phase, "", script);
        assert!(said.contains(&expected), "{phase}: {said}");
    }
    if testkit::is_root() {
        let said = as_user(&Rig::new(), 12345, script);
        assert!(said.contains(&expected), "{said}");
    }
}

/// Runs a script in a phase of a recipe that somebody else than root installs; what was said.
pub(crate) fn as_user(rig: &Rig, id: u32, script: &str) -> String {
    rig.write("recipes/attack.sh", script);
    let text = "let pkg = #{ name: \"p\", version: \"1\" };\nfn install() {\n    copy_source(\"attack.sh\");\n    \
                print(output([\"sh\", \"attack.sh\"]));\n    install_file(\"attack.sh\", \"share/done\");\n}\n";
    rig.write("recipes/p.rhai", text);
    let out = rig.ran(rig.cmd_as(id, &["install", "p"])).ok();
    assert!(rig.prefix("share/done").exists());
    out.stderr
}

/// Exchanges names with links to a place outside, over and over, as nothing that a program left could: it is ended.
struct Swapper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Swapper {
    /// Begins once the recipe has written `begin` into its build directory, and answers by `go`. `pairs`: names in the build
    /// directory, or in the stage, and where the links lead.
    fn start(own: PathBuf, pairs: Vec<(&'static str, &'static str, PathBuf)>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stops = stop.clone();
        let thread = std::thread::spawn(move || {
            let end = || stops.load(Ordering::Relaxed);
            let build = loop {
                match only(&own.join("build")).filter(|at| at.join("begin").exists()) {
                    Some(build) => break build,
                    None if end() => return 0,
                    None => std::thread::sleep(Duration::from_millis(5)),
                }
            };
            let linked = pairs.iter().map(|(place, name, outside)| {
                let at = only(&own.join(place)).expect("it is there");
                let link = at.join(format!("{name}-link"));
                symlink(outside, &link).expect("linked");
                (at.join(name), link)
            });
            let linked: Vec<_> = linked.collect();
            std::fs::write(build.join("go"), "").expect("written");
            let mut count = 0;
            while !end() {
                for (name, link) in &linked {
                    count += u64::from(renameat_with(CWD, name, CWD, link, RenameFlags::EXCHANGE).is_ok());
                }
            }
            count
        });
        Self { stop, thread: Some(thread) }
    }

    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("once").join().expect("it ended")
    }
}

/// PLACE/TX/.../p of the one transaction there is.
fn only(place: &Path) -> Option<PathBuf> {
    let tx = place.read_dir().ok()?.flatten().next()?.path();
    [tx.join("p"), tx.join("new/p")].into_iter().find(|p| p.exists())
}

#[test]
fn links_that_change_while_helpers_work_lead_nowhere() {
    let rig = Rig::new();
    for name in ["f", "deep/f"] {
        let path = rig.write(&format!("outside/{name}"), "the secret");
        let mode: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, mode).expect("set");
    }
    let outside = rig.path("outside");
    let before = tree(&outside);
    rig.write(
        "recipes/p.rhai",
        r#"let pkg = #{ name: "p", version: "1" };
fn install() {
    shell("mkdir -p d/deep; echo mine > d/deep/f; echo mine > d/f; echo mine > f; mkdir $STAGE/w; echo mine > $STAGE/w/x");
    write_file("begin", "");
    while !exists("go") { }
    let done = 0; let refused = 0; let i = 0;
    while i < 200 || done == 0 || refused == 0 {
        i += 1;
        let calls = [
            || install_tree("d", `t${i}`), || install_tree("d/deep", `u${i}`), || install_file("d/deep/f", `v${i}`),
            || install_bin("f", `f${i}`), || write_file(`d/deep/n${i}`, "x"), || install_file("f", `w/y${i}`),
            || symlink("bin/f", `w/z${i}`), || if read_file("d/f").contains("secret") { print("READ") },
            || install_tree("d", `w/t${i}`),
        ];
        for work in calls {
            try { work.call(); done += 1; } catch { refused += 1; }
        }
    }
    print(`done ${done}, refused ${refused}`);
    write_file("end", "");
    while exists("go") { }
}
"#,
    );
    let pairs = vec![
        ("stage", "w", outside.clone()),
        ("build", "f", outside.join("f")),
        ("build", "d", outside.clone()),
    ];
    let swapper = Swapper::start(rig.prefix(".recipe"), pairs);
    let run = rig.cmd(&["install", "p"]);
    let child = std::thread::spawn(move || run.output().expect("it starts"));
    let built = || only(&rig.prefix(".recipe/build")).filter(|at| at.join("end").exists());
    while built().is_none() && !child.is_finished() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let swapped = swapper.end();
    if let Some(at) = built() {
        std::fs::remove_file(at.join("go")).expect("removed");
    }
    let out = child.join().expect("it ended");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(swapped > 100 && said.contains("p: done ") && !said.contains("READ"), "{said}");
    assert_eq!(tree(&outside), before, "{said}");
    let secret = Sha256::of(b"the secret").to_string();
    let stolen: Vec<_> =
        tree(&rig.path("prefix")).into_iter().filter(|(_, what)| what.contains(&secret)).collect();
    assert!(stolen.is_empty(), "{stolen:?}");
}
