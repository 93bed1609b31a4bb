//! The small system that is entered, and what may be left of a session.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use common::cmd::Cmd;

/// How long anything may take that should happen soon: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Applets that tests use.
const APPLETS: &[&str] = &[
    "sh", "ls", "cat", "id", "ps", "sleep", "mount", "env", "readlink", "tty", "kill", "touch", "setsid",
    "stat",
];

/// A root directory on a tmpfs of its own; unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    dir: Option<tempfile::TempDir>,
}

impl Target {
    /// A new one; `None` (recorded) when we may not mount.
    pub(crate) fn new(check: &str) -> Option<Self> {
        if !testkit::is_root() {
            testkit::skip(check, "mounting needs root");
            return None;
        }
        let target = Self::directory();
        Cmd::new("mount")
            .args(["-t", "tmpfs", "-o", "mode=755", "tmpfs"])
            .arg(&target.path)
            .run()
            .expect("mounted");
        fill(&target.path);
        Some(target)
    }

    /// The same without a mount.
    pub(crate) fn plain() -> Self {
        let target = Self::directory();
        fill(&target.path);
        target
    }

    fn directory() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("readable");
        let path = dir.path().join("target");
        fs::create_dir(&path).expect("made");
        Self { path: path.canonicalize().expect("it exists"), dir: Some(dir) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    /// Mounts a tmpfs on a new directory inside.
    pub(crate) fn submount(&self, name: &str) {
        fs::create_dir_all(self.join(name)).expect("made");
        Cmd::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(self.join(name)).run().expect("mounted");
    }

    /// `recchroot OPTIONS TARGET COMMAND`, not started yet.
    pub(crate) fn cmd(&self, options: &[&str], command: &[&str]) -> Cmd {
        Cmd::new(env!("CARGO_BIN_EXE_recchroot"))
            .args(options.iter().copied())
            .arg(&self.path)
            .args(command.iter().copied())
    }

    /// Runs it to its end, and checks that nothing is left.
    pub(crate) fn run(&self, options: &[&str], command: &[&str]) -> Output {
        let out = self.cmd(options, command).output().expect("recchroot starts");
        assert_eq!(self.left_behind(), [""; 0], "{out:?}");
        out
    }

    /// Runs a shell script inside; it must exit 0; returns what it printed.
    pub(crate) fn sh(&self, script: &str) -> String {
        let out = self.run(&[], &["sh", "-c", script]);
        assert!(out.status.success(), "{out:?}");
        text(&out.stdout)
    }

    /// Starts it with pipes, in a process group of its own, and waits until it prints its first line.
    pub(crate) fn start(&self, options: &[&str], script: &str) -> Session {
        Self::start_cmd(&self.cmd(options, &["sh", "-c", script]))
    }

    /// The same as a step of a script: in its process group there is someone whose parent is a shell. Such a group the kernel
    /// takes for cared for: it ends and continues no stopped member when another one ends.
    pub(crate) fn start_in_script(&self, script: &str) -> Session {
        let wait = format!("\"$@\"; while [ -e '{}' ]; do sleep 0.1; done", self.path.display());
        Self::start_cmd(&self.cmd(&[], &["sh", "-c", script]).under("sh", &["-c", &wait, "sh"]))
    }

    fn start_cmd(command: &Cmd) -> Session {
        use std::io::BufRead;
        use std::os::unix::process::CommandExt;
        let mut command = command.std();
        // A file, not a pipe: reading it does not wait for whoever may be left with it.
        let said = tempfile::tempfile().expect("a temporary file");
        let stderr = said.try_clone().expect("shared");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).process_group(0);
        let mut child = command.spawn().expect("recchroot starts");
        let mut stdout = std::io::BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it prints");
        Session { child, line: line.trim().to_owned(), said, _stdout: stdout }
    }

    /// Processes that are still in there, or still see our mounts in there: checked for all mount namespaces of the machine.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let proc = format!(" {}/proc ", self.path.display());
        let mut found = Vec::new();
        for pid in pids() {
            let dir = PathBuf::from(format!("/proc/{pid}"));
            let sees = fs::read_to_string(dir.join("mountinfo")).is_ok_and(|m| m.contains(&proc));
            let inside = fs::read_link(dir.join("root")).is_ok_and(|r| r == self.path);
            if sees || inside {
                let line = fs::read(dir.join("cmdline")).unwrap_or_default();
                found.push(format!("{pid}: {}", String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        found
    }

    /// Waits until nothing is left.
    pub(crate) fn wait_until_clean(&self) {
        let start = Instant::now();
        while !self.left_behind().is_empty() {
            assert!(start.elapsed() < PATIENCE, "still there: {:?}", self.left_behind());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Nothing is mounted in a plain one.
        let _ = Cmd::new("umount").args(["--recursive", "--quiet"]).arg(&self.path).output();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        if mounts.contains(&self.path.display().to_string()) {
            // Removing the directory would empty what is mounted there: /dev, in the worst case.
            self.dir.take().map(tempfile::TempDir::keep);
        }
    }
}

/// A running recchroot.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) child: Child,
    /// The first line the command printed.
    pub(crate) line: String,
    said: fs::File,
    _stdout: std::io::BufReader<std::process::ChildStdout>,
}

impl Session {
    /// The process the test started.
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    /// The process below it, which mounts.
    pub(crate) fn guard(&self) -> i32 {
        child_of(self.pid())
    }

    /// The process below the guard.
    pub(crate) fn command(&self) -> i32 {
        child_of(self.guard())
    }

    /// Sends a signal by number to a process, or to the group of `-pid`.
    pub(crate) fn kill(&self, signal: &str, pid: i32) {
        Cmd::new("kill").args(["-s", signal, "--", &pid.to_string()]).run().expect("sent");
    }

    /// The exit code, and what it said.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        use std::io::{Read, Seek};
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("waited") {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "recchroot does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut said = Vec::new();
        self.said.rewind().expect("rewound");
        self.said.read_to_end(&mut said).expect("read");
        (status.code(), text(&said))
    }
}

pub(crate) fn child_of(parent: i32) -> i32 {
    let file = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(file).expect("it runs");
    children.split_whitespace().next().expect("it has a child").parse().expect("a number")
}

pub(crate) fn pids() -> Vec<i32> {
    let dir = fs::read_dir("/proc").expect("/proc is there");
    dir.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn fill(root: &Path) {
    for dir in ["usr/bin", "usr/sbin", "etc", "proc", "sys", "dev", "run", "root", "boot", "home", "var"] {
        fs::create_dir_all(root.join(dir)).expect("made");
    }
    fs::create_dir(root.join("tmp")).expect("made");
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("set");
    fs::copy(testkit::oracle("busybox"), root.join("usr/bin/busybox")).expect("copied");
    APPLETS.iter().for_each(|a| symlink("busybox", root.join("usr/bin").join(a)).expect("linked"));
    symlink("usr/bin", root.join("bin")).expect("linked");
    let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nhttp:x:33:33::/srv:/usr/sbin/nologin\n";
    fs::write(root.join("etc/passwd"), passwd).expect("written");
    fs::write(root.join("etc/group"), "root:x:0:\nann:x:1000:\nwheel:x:10:ann\nvideo:x:39:ann\n")
        .expect("written");
}
