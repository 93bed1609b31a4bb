//! A prefix, recipes and a server of releases on the loopback interface, all in a directory that goes when the test ends.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::cmd::Cmd;

use testkit::server::Server;
use testkit::strace::{Attacked, Injection, attack};

/// Everything a test needs.
pub(crate) struct Rig {
    dir: tempfile::TempDir,
    /// The server: files of `www`, and what a test lets it answer.
    pub(crate) server: Server,
}

/// What a run of the program said.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Out {
    /// The run must have been a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// The run must have failed with this code, and said this.
    #[track_caller]
    pub(crate) fn fails(self, code: u8, says: &str) -> Self {
        assert_eq!(self.code, Some(i32::from(code)), "{self:#?}");
        assert!(self.stderr.contains(says), "expected {says:?} in {self:#?}");
        self
    }
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::at(tempfile::Builder::new().prefix("recipe-").tempdir().expect("a temporary directory"))
    }

    pub(crate) fn at(dir: tempfile::TempDir) -> Self {
        for name in ["www", "recipes", "prefix"] {
            std::fs::create_dir_all(dir.path().join(name)).expect("made");
        }
        let server = Server::start(&[], Some(dir.path().join("www")));
        Self { dir, server }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The prefix.
    pub(crate) fn prefix(&self, name: &str) -> PathBuf {
        self.path("prefix").join(name)
    }

    /// The command with the rig's places.
    pub(crate) fn cmd(&self, args: &[&str]) -> Cmd {
        let cmd = Cmd::new(env!("CARGO_BIN_EXE_recipe")).args(args.iter().copied());
        let cmd = cmd.arg("--recipes").arg(self.path("recipes")).arg("--prefix").arg(self.path("prefix"));
        cmd.arg("--cache").arg(self.path("cache")).dir(self.dir.path())
    }

    /// The same for somebody else, whose all of the rig is from now on; only root can.
    pub(crate) fn cmd_as(&self, id: u32, args: &[&str]) -> Cmd {
        let cmd = self.cmd_of_another(id, args);
        Cmd::new("chown").args(["-R", &format!("{id}:{id}")]).arg(self.path("")).run().expect("chown");
        cmd
    }

    /// The same for somebody else, who owns nothing here, but can go everywhere; only root can.
    pub(crate) fn cmd_of_another(&self, id: u32, args: &[&str]) -> Cmd {
        // The program may lie where others cannot go.
        let program = self.path("recipe");
        testkit::copy_program(env!("CARGO_BIN_EXE_recipe"), &program);
        std::fs::set_permissions(self.path(""), PermissionsExt::from_mode(0o755)).expect("set");
        let cmd =
            Cmd::new("setpriv").args([&format!("--reuid={id}"), &format!("--regid={id}"), "--clear-groups"]);
        let cmd = cmd.arg(program).args(args.iter().copied()).arg("-r").arg(self.path("recipes"));
        cmd.arg("-p").arg(self.path("prefix")).arg("--cache").arg(self.path("cache")).dir(self.dir.path())
    }

    pub(crate) fn run(&self, args: &[&str]) -> Out {
        self.ran(self.cmd(args))
    }

    /// Runs it, and sends ^C a moment after `is_time`: it must end with exit code 130, and soon.
    #[track_caller]
    pub(crate) fn interrupted(&self, args: &[&str], is_time: impl Fn() -> bool) -> Out {
        self.interrupts(&self.cmd(args), is_time)
    }

    /// The same with a command that is [`Rig::cmd`] with something around it.
    #[track_caller]
    #[allow(clippy::unused_self, reason = "it is the rig's command")]
    pub(crate) fn interrupts(&self, cmd: &Cmd, is_time: impl Fn() -> bool) -> Out {
        let (out, err) = (Stdio::piped(), Stdio::piped());
        let child = cmd.std().stdout(out).stderr(err).spawn().expect("it starts");
        let began = Instant::now();
        while !is_time() && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(10));
        }
        // What was asked for is waited for.
        std::thread::sleep(Duration::from_millis(300));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("sent");
        let sent = Instant::now();
        let out = child.wait_with_output().expect("waited");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        let out = Out { code: out.status.code(), stdout: text(out.stdout), stderr: text(out.stderr) };
        assert!(
            out.code == Some(130) && sent.elapsed() < Duration::from_secs(3),
            "{:?}: {out:#?}",
            sent.elapsed()
        );
        out
    }

    /// What a command said that is [`Rig::cmd`] with something around it.
    #[allow(clippy::unused_self, reason = "it is the rig's command")]
    pub(crate) fn ran(&self, cmd: Cmd) -> Out {
        let out = cmd.output().expect("recipe starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        Out { code: out.status.code(), stdout: text(out.stdout), stderr: text(out.stderr) }
    }

    /// Runs a command in whose main thread the `when`th call of this name is met by an action of strace's, as `signal=KILL`. None if
    /// there is no such call any more: then it must have been a success. strace counts the calls of each name apart.
    #[track_caller]
    pub(crate) fn attacked(&self, args: &[&str], call: &str, action: &str, when: u32) -> Option<Attacked> {
        let (name, action) = (call.to_owned(), action.to_owned());
        let injection = Injection { name, action, when: when.to_string(), main: true, path: None };
        let out = attack(&self.cmd(args), &injection, &self.path("strace.log"));
        if out.injected.is_empty() && !out.killed() {
            assert!(out.status.success(), "{out:#?}");
            return None;
        }
        Some(out)
    }

    /// Writes a file below the rig's directory.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(&path, content).expect("written");
        path
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// A recipe's text.
    pub(crate) fn recipe(&self, name: &str) -> String {
        self.read(&format!("recipes/{name}.rhai"))
    }

    /// Writes a recipe that installs NAME-VERSION.tar.gz of the server; `install` is its code behind that.
    pub(crate) fn add(&self, name: &str, version: &str, install: &str) {
        let base = self.server.url("");
        let text = format!(
            "//! {name}: a package of a test.\n\nlet pkg = #{{ name: \"{name}\", version: \"{version}\" }}; // fixed\n\n\
             fn install() {{\n    download(`{base}/{name}-${{pkg.version}}.tar.gz`);\n    extract(\"tar.gz\");\n    \
             {install}\n}}\n"
        );
        self.write(&format!("recipes/{name}.rhai"), text);
    }

    /// Packs files (name, content) below NAME-VERSION/ into www/NAME-VERSION.tar.gz; programs are those in `bin/`.
    pub(crate) fn release(&self, name: &str, version: &str, files: &[(&str, &str)]) {
        let top = format!("{name}-{version}");
        let src = self.path("src").join(&top);
        for (path, content) in files {
            let path = src.join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(&path, content).expect("written");
            let mode = if path.to_string_lossy().contains("/bin/") { 0o755 } else { 0o644 };
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("set");
        }
        let archive = self.path("www").join(format!("{top}.tar.gz"));
        let tar = Cmd::new(testkit::oracle("tar")).arg("-czf").arg(archive).arg("-C").arg(self.path("src"));
        tar.arg(&top).run().expect("tar packs");
    }

    /// What is in the prefix, but for our own directory.
    pub(crate) fn tree(&self) -> BTreeMap<String, String> {
        let mut tree = tree(&self.path("prefix"));
        tree.retain(|path, _| path != ".recipe" && !path.starts_with(".recipe/"));
        tree
    }
}

/// Where Rust is, which may be in a home: for RECIPE_TOOLS.
pub(crate) fn rust() -> PathBuf {
    let sysroot = Cmd::new(testkit::oracle("rustc")).args(["--print", "sysroot"]).read().expect("rustc");
    PathBuf::from(sysroot.trim())
}

/// Everything below a directory: path -> kind, mode, content.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, dir: &Path, out: &mut BTreeMap<String, String>) {
        for entry in dir.read_dir().unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.expect("read").path();
            let meta = path.symlink_metadata().expect("it is there");
            let name = path.strip_prefix(root).expect("below").to_string_lossy().into_owned();
            let what = if meta.is_dir() {
                walk(root, &path, out);
                "dir".to_owned()
            } else if meta.is_symlink() {
                format!("-> {}", path.read_link().expect("a link").display())
            } else if !meta.is_file() {
                "special".to_owned()
            } else {
                let content = common::hash::Sha256::of(&std::fs::read(&path).expect("read"));
                format!("file {:04o} {content}", meta.mode() & 0o7777)
            };
            out.insert(name, what);
        }
    }
    let mut out = BTreeMap::new();
    walk(root, root, &mut out);
    out
}
