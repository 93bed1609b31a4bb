//! A disk that fails in a single look at the prefix: that is no answer, neither "it is there" nor "it is not".
//!
//! The sweeps of `--test reliability` meet every call of every operation; here it is each look of three transactions, in seconds.

use std::collections::BTreeMap;

use common::cmd::Cmd;
use testkit::strace::trace;

use crate::rig::Rig;

/// What looks, and what makes what is looked for.
const LOOKS: [&str; 4] = ["newfstatat", "openat2", "readlinkat", "mkdirat"];

struct World {
    rig: Rig,
    args: &'static [&'static str],
    before: BTreeMap<String, String>,
    after: BTreeMap<String, String>,
}

impl World {
    /// p is installed in version 1. Version 2 has other files: new ones in a new directory, one in the place of a file of nobody, one in
    /// the place of a directory.
    fn new(args: &'static [&'static str]) -> Self {
        let rig = Rig::new();
        let (old, new) =
            (["share/p/a", "share/p/old", "share/p/dir/x"], ["share/p/a", "share/y", "share/p/sub/b"]);
        let files = |version: &'static str| move |path| (path, version);
        rig.release("p", "1", &old.map(files("1")));
        rig.release("p", "2", &[new.map(files("2")).to_vec(), vec![("share/p/dir", "2")]].concat());
        rig.add("p", "1", "install_tree(\"share\", \"share\");");
        rig.run(&["install", "p"]).ok();
        rig.write("prefix/share/y", "of nobody");
        let text = rig.recipe("p").replacen("version: \"1\"", "version: \"2\"", 1);
        rig.write("recipes/p.rhai", text);
        if args == ["undo"] {
            rig.run(&["upgrade", "--overwrite", "*"]).ok();
        }
        for name in ["prefix", "recipes"] {
            Cmd::new("cp")
                .arg("-a")
                .arg(rig.path(name))
                .arg(rig.path(&format!("saved-{name}")))
                .run()
                .expect("copied");
        }
        let before = rig.tree();
        rig.run(args).ok();
        let after = rig.tree();
        assert_ne!(before, after);
        Self { rig, args, before, after }
    }

    fn restore(&self) {
        for name in ["prefix", "recipes"] {
            let to = self.rig.path(name);
            std::fs::remove_dir_all(&to).expect("removed");
            Cmd::new("cp")
                .arg("-a")
                .arg(self.rig.path(&format!("saved-{name}")))
                .arg(to)
                .run()
                .expect("copied");
        }
    }

    /// Each look at the prefix by the main thread: its name, which of that name it is, and what it looks at.
    fn looks(&self) -> Vec<(String, u32, String)> {
        self.restore();
        let calls = trace(&self.rig.cmd(self.args), &self.rig.path("trace"));
        let prefix = format!("{}/", self.rig.path("prefix").display());
        let (share, root) = (format!("{prefix}share"), format!("{}>, \"share", prefix.trim_end_matches('/')));
        let is_look = |line: &str| line.contains(&share) || line.contains(&root);
        let looks = calls
            .into_iter()
            .filter(|call| call.main && LOOKS.contains(&call.name.as_str()) && is_look(&call.line));
        looks.map(|call| (call.name, call.nth, call.line)).collect()
    }

    /// Old or new, as the exit code says.
    fn fail_at_each(&self) {
        let (mut failed, looks) = (0, self.looks());
        for (name, nth, line) in &looks {
            self.restore();
            let Some(out) = self.rig.attacked(self.args, name, "error=EIO", *nth) else { continue };
            let code = out.status.code();
            let is_new = matches!(code, Some(0 | 19));
            failed += usize::from(!is_new);
            self.rig.run(&["repair"]).ok();
            let expected = if is_new { &self.after } else { &self.before };
            assert_eq!(&self.rig.tree(), expected, "{line}: {out:#?}");
            assert!(is_new || out.stderr.contains("Input/output error"), "{line}: {out:#?}");
            self.rig.run(&["check"]).ok();
        }
        assert!(failed > 10, "{failed} of {} looks were needed", looks.len());
    }
}

#[test]
fn an_upgrade_believes_no_look_that_failed() {
    World::new(&["upgrade", "--overwrite", "*"]).fail_at_each();
}

#[test]
fn an_undoing_believes_no_look_that_failed() {
    World::new(&["undo"]).fail_at_each();
}

#[test]
fn a_removal_believes_no_look_that_failed() {
    World::new(&["remove", "p"]).fail_at_each();
}

/// Each write that the disk is asked to confirm: what it does not confirm before the commit has not happened, and what it does not
/// confirm after it is done, and is said.
#[test]
fn what_the_disk_does_not_confirm_is_undone_or_said() {
    let world = World::new(&["upgrade", "--overwrite", "*"]);
    let mut said = [0; 3];
    for when in 1.. {
        world.restore();
        let Some(out) = world.rig.attacked(world.args, "fsync", "error=EIO", when) else { break };
        let (code, tree) = (out.status.code(), world.rig.tree());
        let unconfirmed = out.stderr.contains("done, but the disk did not confirm it");
        assert_eq!(code == Some(19), out.stderr.contains("done, but "), "fsync {when}: {}", out.stderr);
        match code {
            Some(0 | 19) => assert_eq!(tree, world.after, "fsync {when}: {}", out.stderr),
            _ => assert_eq!(tree, world.before, "fsync {when}: {}", out.stderr),
        }
        said[if unconfirmed { 2 } else { usize::from(code == Some(0)) }] += 1;
    }
    assert!(said[0] > 0 && said[2] > 0, "{said:?}");
}
