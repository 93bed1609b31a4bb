//! A prefix in a known state, an operation on it, and the judge: old or new, nothing else.

use std::path::{Path, PathBuf};

use common::cmd::Cmd;
use testkit::disk::{self, FileSystem};
use testkit::scratch::{self, Mount};

use crate::rig::{Out, Rig};
use crate::state::{State, copy, difference, no_leftovers, recipes, state};

/// What the sweeps attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Install,
    Upgrade,
    Remove,
    /// Two packages come in one transaction.
    Pair,
    /// An upgrade is undone.
    Undo,
    /// Two packages are upgraded: a file goes from one to the other, and one of nobody makes room.
    Move,
    /// That is undone.
    MoveBack,
    /// One recipe file changes, and nothing else.
    Pin,
}

/// A state that can be brought back, and the states that are allowed.
pub(crate) struct World {
    rig: Rig,
    operation: Operation,
    /// The transaction to undo.
    undone: Option<String>,
    old: State,
    new: State,
}

/// What is done to a good state, and how.
type Lie = (&'static str, fn(&Rig));

impl World {
    /// Makes the state before the operation, runs the operation once, and keeps what both look like.
    pub(crate) fn new(operation: Operation) -> Self {
        Self::sized(operation, 0)
    }

    /// As [`World::new`]; the package has so many files more, which each version has otherwise.
    pub(crate) fn sized(operation: Operation, more: usize) -> Self {
        let rig = Rig::at(scratch::dir());
        let body = "install_tree(\".\", \"share/p\"); install_bin(\"p\"); install_config(\"conf\", \"etc/p.conf\"); \
                    symlink(\"bin/p\", \"bin/p-link\");";
        let many: Vec<_> = (0..more).map(|i| (format!("many/{}/{i}", i % 4), format!("{i}"))).collect();
        let release = |version: &str, own: &[(&str, &str)]| {
            let many: Vec<_> = many.iter().map(|(p, c)| (p.clone(), format!("{c} of {version}"))).collect();
            let many = many.iter().map(|(path, content)| (path.as_str(), content.as_str()));
            rig.release("p", version, &own.iter().copied().chain(many).collect::<Vec<_>>());
        };
        release(
            "1",
            &[
                ("bin/p", "one"),
                ("conf", "a"),
                ("same", "1"),
                ("gone/deep/er", "1"),
                ("becomes-dir", "1"),
                ("becomes-file/x", "1"),
            ],
        );
        let second = [
            ("bin/p", "two"),
            ("conf", "b"),
            ("new/deep/er", "2"),
            ("becomes-dir/x", "2"),
            ("becomes-file", "2"),
        ];
        release("2", &[&second[..], &[("same", "1")]].concat());
        // It has given a file to q, and has one where somebody else has his.
        release("3", &[&second[..], &[("nobodys", "3")]].concat());
        rig.release("q", "1", &[("bin/q", "q")]);
        rig.release("q", "2", &[("bin/q", "q"), ("same", "of q")]);
        rig.add("p", "1", body);
        rig.add("q", "1", "install_bin(\"q\");");
        let two = rig.recipe("p").replace("\"1\" }; // fixed", "\"2\" }; // fixed");
        // Everything is downloaded before: attacked is what changes the system.
        rig.run(&["install", "q", "p"]).ok();
        rig.write("recipes/p.rhai", rig.recipe("p").replace("\"1\" }; // fixed", "\"2\" }; // fixed"));
        match operation {
            Operation::Install | Operation::Pair => {
                rig.run(&["remove", "p", "q"]).ok();
                std::fs::remove_dir_all(rig.path("prefix")).expect("removed");
                std::fs::create_dir(rig.path("prefix")).expect("made");
                std::fs::write(rig.prefix("mine"), "a file of the user").expect("written");
                rig.add("p", "1", body);
                rig.add("q", "1", "install_bin(\"q\");");
            }
            Operation::Upgrade | Operation::Undo => {
                // The cache has the new version; the old one is installed.
                rig.run(&["install", "p"]).ok();
                rig.write("recipes/p.rhai", two.replace("\"2\" }; // fixed", "\"1\" }; // fixed"));
                std::fs::remove_dir_all(rig.path("prefix")).expect("removed");
                std::fs::create_dir(rig.path("prefix")).expect("made");
                rig.add("p", "1", body);
                rig.run(&["install", "--reinstall", "p", "q"]).ok();
                rig.write(
                    "recipes/p.rhai",
                    rig.recipe("p").replace("\"1\" }; // fixed", "\"2\" }; // fixed"),
                );
            }
            Operation::Move | Operation::MoveBack => {
                // The cache has what comes; then it is as before, with a file of nobody.
                let moved = |rig: &Rig| {
                    let p = rig.recipe("p").replace("\"1\" }; // fixed", "\"3\" }; // fixed");
                    rig.write("recipes/p.rhai", p);
                    let q = rig.recipe("q").replace("\"1\" }; // fixed", "\"2\" }; // fixed");
                    let more = "install_bin(\"q\"); install_file(\"same\", \"share/p/same\");";
                    rig.write("recipes/q.rhai", q.replace("install_bin(\"q\");", more));
                };
                let fresh = |rig: &Rig| {
                    std::fs::remove_dir_all(rig.path("prefix")).expect("removed");
                    std::fs::create_dir(rig.path("prefix")).expect("made");
                    rig.add("p", "1", body);
                    rig.add("q", "1", "install_bin(\"q\");");
                };
                fresh(&rig);
                moved(&rig);
                rig.run(&["install", "p", "q"]).ok();
                fresh(&rig);
                rig.run(&["install", "p", "q"]).ok();
                moved(&rig);
                rig.write("prefix/share/p/nobodys", "a file of the user");
            }
            Operation::Remove | Operation::Pin => {}
        }
        match operation {
            Operation::Undo => drop(rig.run(&["upgrade"]).ok()),
            Operation::MoveBack => drop(rig.run(&["upgrade", "--overwrite", "*"]).ok()),
            _ => {}
        }
        copy(&rig.path("prefix"), &rig.path("saved/prefix"));
        copy(&rig.path("recipes"), &rig.path("saved/recipes"));
        let old = state(&rig);
        let text = rig.recipe("p");
        let undone = text.lines().find_map(|l| l.strip_prefix("let installed_tx = \"")?.strip_suffix("\";"));
        let undone = undone.map(str::to_owned);
        let mut world = Self { rig, operation, undone, new: old.clone(), old };
        let out = world.command().output().expect("recipe starts");
        assert!(out.status.success(), "a run without an attack: {}", String::from_utf8_lossy(&out.stderr));
        world.new = state(&world.rig);
        assert_ne!(world.old, world.new, "the operation does something");
        assert_eq!(world.judge(), Ok("new"), "after a run without an attack");
        world.restore();
        world
    }

    /// The operation.
    pub(crate) fn command(&self) -> Cmd {
        self.rig.cmd(match self.operation {
            Operation::Install | Operation::Upgrade => &["install", "p", "--offline"],
            Operation::Remove => &["remove", "p"],
            Operation::Pin => &["pin", "p@< 5"],
            Operation::Pair => &["install", "p", "q", "--offline"],
            Operation::Move => &["install", "p", "q", "--offline", "--overwrite", "*"],
            // By its number: done twice it would be done again.
            Operation::Undo | Operation::MoveBack => {
                return self.rig.cmd(&["undo", self.undone.as_deref().unwrap_or_default()]);
            }
        })
    }

    /// What ends an interrupted operation.
    pub(crate) fn repair(&self) -> Cmd {
        self.rig.cmd(&["repair"])
    }

    /// Where the driver may keep its log.
    pub(crate) fn log(&self) -> std::path::PathBuf {
        self.rig.path("strace.log")
    }

    /// Brings the old state back.
    pub(crate) fn restore(&self) {
        for name in ["prefix", "recipes"] {
            std::fs::remove_dir_all(self.rig.path(name)).expect("removed");
            copy(&self.rig.path("saved").join(name), &self.rig.path(name));
        }
    }

    /// Where a disk is mounted for it.
    pub(crate) fn disk(&self) -> PathBuf {
        self.rig.path("disk")
    }

    /// Puts the state before the operation on a new disk. From then on prefix and recipes are those of what is mounted at the path
    /// that is returned, and [`World::restore`] must not be called any more.
    pub(crate) fn on_disk(&self, fs: &FileSystem, base: &Path) -> PathBuf {
        disk::format(fs, base, fs.bytes);
        let at = self.disk();
        let mount = Mount::of_file(fs.name, "rw", base, &at).expect("a new file system mounts");
        for name in ["prefix", "recipes"] {
            copy(&self.rig.path("saved").join(name), &at.join(name));
            let here = self.rig.path(name);
            if !here.is_symlink() {
                std::fs::remove_dir_all(&here).expect("removed");
                std::os::unix::fs::symlink(Path::new("disk").join(name), here).expect("linked");
            }
        }
        drop(mount);
        at
    }

    /// Before recovery: each recipe file is whole, and says the old or the new.
    pub(crate) fn look(&self) -> Result<(), String> {
        // What is being written beside a recipe is no recipe: its name begins with a dot.
        for (name, text) in recipes(&self.rig).iter().filter(|(name, _)| !name.starts_with('.')) {
            if self.old.recipes.get(name) != Some(text) && self.new.recipes.get(name) != Some(text) {
                return Err(format!("before recovery {name} is neither old nor new:\n{text}"));
            }
        }
        Ok(())
    }

    /// Lets the next command recover and says what there is then. The operation must then work as if nothing had been.
    pub(crate) fn settle(&self) -> Result<&'static str, String> {
        let found = self.recover()?;
        let again = self.command().output().expect("recipe starts");
        let done = again.status.success()
            || (self.operation == Operation::Remove && again.status.code() == Some(11))
            || (matches!(self.operation, Operation::Undo | Operation::MoveBack)
                && again.status.code() == Some(15)
                && found == "new");
        if !done || self.judge()? != "new" {
            return Err(format!("once more: {}", String::from_utf8_lossy(&again.stderr)));
        }
        Ok(found)
    }

    /// Lets `repair` recover and says what there is then.
    pub(crate) fn recover(&self) -> Result<&'static str, String> {
        self.look()?;
        let out = self.rig.run(&["repair"]);
        if out.code != Some(0) {
            return Err(format!("repair ends with {out:?}"));
        }
        self.judge()
    }

    /// Which state this is, with nothing left over.
    pub(crate) fn judge(&self) -> Result<&'static str, String> {
        let found = state(&self.rig);
        let name = match () {
            () if found == self.old => "old",
            () if found == self.new => "new",
            () => {
                return Err(format!("neither old nor new: {:#?}", difference(&found, &self.old, &self.new)));
            }
        };
        no_leftovers(&self.rig)?;
        let Out { code, stdout, stderr } = self.rig.run(&["check"]);
        if code != Some(0) {
            return Err(format!("{name}, but check finds {stdout}{stderr}"));
        }
        Ok(name)
    }

    /// Spoils the state after a good operation in every way there is; the judge must see each.
    pub(crate) fn lies(&self) -> Vec<(&'static str, bool)> {
        let lies: [Lie; 6] = [
            ("a lost file", |rig| std::fs::remove_file(rig.prefix("bin/p")).expect("removed")),
            ("a file too many", |rig| drop(rig.write("prefix/share/extra", ""))),
            ("other content", |rig| drop(rig.write("prefix/bin/p", "x"))),
            ("state that is not true", |rig| {
                let text = rig.recipe("p");
                let (a, b) = ("let installed = true;", "let installed = false;");
                let text = if text.contains(a) { text.replace(a, b) } else { text.replace(b, a) };
                rig.write("recipes/p.rhai", text);
            }),
            ("a journal left over", |rig| drop(rig.write("prefix/.recipe/journal.json", "{}"))),
            ("litter beside the recipes", |rig| drop(rig.write("recipes/.p.rhai.123", ""))),
        ];
        let mut seen = Vec::new();
        for (name, lie) in lies {
            self.restore();
            assert!(self.command().output().expect("recipe starts").status.success());
            if self.operation == Operation::Remove && matches!(name, "a lost file" | "other content") {
                drop(self.rig.write("prefix/bin/p", "x"));
            } else {
                lie(&self.rig);
            }
            seen.push((name, self.judge().is_err()));
        }
        self.restore();
        seen
    }
}
