//! A prefix with something to do for every command: what concurrent runs and swapped links attack.
//!
//! p is installed in version 1 and has a recipe of version 2; a needs c, and neither is there; b is not there. The last transaction
//! is the installation of p.

use common::cmd::Cmd;
use testkit::scratch;

use crate::rig::Rig;
use crate::state::{State, copy, state};

/// The prefix, and a copy of it.
pub(crate) struct Scene {
    pub(crate) rig: Rig,
}

/// What can be done with it; the last two only look.
pub(crate) const COMMANDS: [&[&str]; 7] = [
    &["install", "a", "--offline"],
    &["install", "b", "--offline"],
    &["upgrade", "--offline"],
    &["remove", "p"],
    &["undo"],
    &["list", "--json"],
    &["check"],
];

/// Where those begin that only look.
pub(crate) const READERS: usize = 5;

impl Scene {
    pub(crate) fn new() -> Self {
        let rig = Rig::at(scratch::dir());
        let body =
            "install_tree(\".\", \"share/p\"); install_bin(\"p\"); install_config(\"conf\", \"etc/p.conf\");";
        rig.release("p", "1", &[("bin/p", "one"), ("conf", "a"), ("old/deep/er", "1"), ("becomes-dir", "1")]);
        rig.release(
            "p",
            "2",
            &[("bin/p", "two"), ("conf", "b"), ("new/deep/er", "2"), ("becomes-dir/x", "2")],
        );
        for name in ["a", "b", "c"] {
            rig.release(name, "1", &[(&format!("bin/{name}"), name), ("doc/text", name)]);
            rig.add(name, "1", &format!("install_bin(\"{name}\"); install_tree(\".\", \"share/{name}\");"));
        }
        let needs = rig.recipe("a").replace("version: \"1\" };", "version: \"1\", deps: [\"c\"] };");
        rig.write("recipes/a.rhai", &needs);
        rig.add("p", "2", body);
        // Everything is downloaded before.
        rig.run(&["install", "a", "b", "p"]).ok();
        rig.run(&["remove", "a", "b", "c", "p"]).ok();
        for name in ["prefix", "recipes"] {
            std::fs::remove_dir_all(rig.path(name)).expect("removed");
            std::fs::create_dir(rig.path(name)).expect("made");
        }
        for name in ["a", "b", "c"] {
            rig.add(name, "1", &format!("install_bin(\"{name}\"); install_tree(\".\", \"share/{name}\");"));
        }
        rig.write("recipes/a.rhai", &needs);
        rig.add("p", "1", body);
        std::fs::write(rig.prefix("mine"), "a file of the user").expect("written");
        rig.run(&["install", "p"]).ok();
        rig.write("recipes/p.rhai", rig.recipe("p").replace("\"1\" }; // fixed", "\"2\" }; // fixed"));
        for name in ["prefix", "recipes"] {
            copy(&rig.path(name), &rig.path("saved").join(name));
        }
        Self { rig }
    }

    /// Brings the first state back.
    pub(crate) fn restore(&self) {
        for name in ["prefix", "recipes"] {
            std::fs::remove_dir_all(self.rig.path(name)).expect("removed");
            copy(&self.rig.path("saved").join(name), &self.rig.path(name));
        }
    }

    /// One of [`COMMANDS`].
    pub(crate) fn command(&self, number: usize) -> Cmd {
        self.rig.cmd(COMMANDS[number])
    }

    /// What can be seen of it.
    pub(crate) fn state(&self) -> State {
        state(&self.rig)
    }
}
