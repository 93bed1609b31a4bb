//! The same packages for recipe and for pacman, and the commands that are compared.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cmd::Cmd;
use testkit::server::Server;

use super::{Case, rivals};
use crate::bench::disk::write_file;

/// Packages that need each other: each but the last needs the next one and one further down.
const GRAPH: usize = 500;
/// Bytes of the package that is installed, which do not compress.
const SIZE: u64 = 5 << 20;
/// Files that they are in.
const FILES: u64 = 50;

/// Everything that is measured lies here.
pub(super) struct Scenes {
    dir: PathBuf,
    program: PathBuf,
    packages: usize,
    server: Server,
}

/// What takes part, with versions.
pub(super) fn programs(recipe: &Path) -> anyhow::Result<Vec<String>> {
    let first = |cmd: Cmd| -> anyhow::Result<String> {
        let text = cmd.arg("--version").read()?;
        let line = text.lines().find(|l| l.bytes().any(|b| b.is_ascii_digit())).unwrap_or_default();
        Ok(line.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned())
    };
    let mut all = vec![first(Cmd::new(recipe))?, first(Cmd::new("pacman"))?];
    for other in ["uv", "mise"] {
        if common::cmd::which(other).is_some() {
            all.push(format!("{other} {}", first(Cmd::new(other))?.trim_start_matches("uv ")));
        }
    }
    Ok(all)
}

impl Scenes {
    /// Makes them.
    pub(super) fn make(dir: &Path, program: &Path, packages: usize) -> anyhow::Result<Self> {
        for name in ["many", "graph", "one", "prefix", "root", "www", "db/local", "db/sync", "pool"] {
            std::fs::create_dir_all(dir.join(name))?;
        }
        let server = Server::start(&[], Some(dir.join("www")));
        let scenes = Self { dir: dir.to_owned(), program: program.to_owned(), packages, server };
        scenes.package()?;
        scenes.recipes()?;
        scenes.repository()?;
        // The archive gets into recipe's cache.
        scenes.recipe(&["install", "big"], "one").read()?;
        Ok(scenes)
    }

    /// One archive of 5 MB, as it is for recipe, and with what makes it a package for pacman.
    fn package(&self) -> anyhow::Result<()> {
        let big = self.dir.join("src/usr/share/big");
        std::fs::create_dir_all(&big)?;
        for i in 0..FILES {
            write_file(&big.join(format!("file-{i}")), SIZE / FILES)?;
        }
        let info = "pkgname = big\npkgbase = big\npkgver = 1-1\npkgdesc = A package to install\nurl = about:blank\n\
                    builddate = 1700000000\npackager = bench\nsize = 5242880\narch = x86_64\nlicense = MIT\n";
        std::fs::write(self.dir.join("src/.PKGINFO"), info)?;
        let tar = |to: &str, what: &[&str]| {
            let cmd = Cmd::new("tar").args(["--zstd", "-cf"]).arg(self.dir.join(to)).arg("-C");
            cmd.arg(self.dir.join("src")).args(what.iter().copied()).run()
        };
        tar("www/big-1.tar.zst", &["usr"])?;
        tar("pool/big-1-1-x86_64.pkg.tar.zst", &[".PKGINFO", "usr"])?;
        let url = self.server.url("/big-1.tar.zst");
        let recipe = format!(
            "let pkg = #{{ name: \"big\", version: \"1\", description: \"A package to install\" }};\n\n\
             fn install() {{\n    download(\"{url}\");\n    extract();\n    install_tree(\"share/big\", \"share/big\");\n}}\n"
        );
        std::fs::write(self.dir.join("big.rhai"), &recipe)?;
        Ok(std::fs::write(self.dir.join("one/big.rhai"), recipe)?)
    }

    /// Recipes to list and search, and those of the graph.
    fn recipes(&self) -> anyhow::Result<()> {
        for i in 0..self.packages {
            let text = format!(
                "//! tool-{i}: what number {i} does, in a sentence that somebody may search for.\n\n\
                 let pkg = #{{\n    name: \"tool-{i}\",\n    version: \"1.{i}.0\",\n    description: \"{}\",\n    \
                 url: \"https://example.org/tool-{i}\",\n    license: \"MIT\",\n    deps: [],\n}};\n\n\
                 fn install() {{\n    download(`https://example.org/tool-${{pkg.version}}.tar.gz`,\n        \
                 \"{i:064x}\");\n    extract();\n    install_bin(\"tool-{i}\");\n    install_man(\"tool-{i}.1\");\n}}\n",
                description(i)
            );
            std::fs::write(self.dir.join(format!("many/tool-{i}.rhai")), text)?;
        }
        for i in 0..GRAPH {
            let needs: Vec<_> = needs(i).map(|n| format!("\"node-{n}\"")).collect();
            let text = format!(
                "let pkg = #{{ name: \"node-{i}\", version: \"1\", deps: [{}] }};\n\n\
                 fn install() {{\n    write_file(\"f\", \"{i}\");\n    install_file(\"f\", \"share/node-{i}\");\n}}\n",
                needs.join(", ")
            );
            std::fs::write(self.dir.join(format!("graph/node-{i}.rhai")), text)?;
        }
        Ok(())
    }

    /// pacman's repository: repo-add takes the package that is installed; the entries of the others, which are only listed,
    /// searched and resolved, are in the form that it writes.
    fn repository(&self) -> anyhow::Result<()> {
        let pool = self.dir.join("pool");
        Cmd::new("repo-add")
            .args(["-q"])
            .arg(pool.join("bench.db.tar.gz"))
            .arg(pool.join("big-1-1-x86_64.pkg.tar.zst"))
            .read()?;
        let db = self.dir.join("entries");
        std::fs::create_dir(&db)?;
        Cmd::new("tar").arg("-xzf").arg(pool.join("bench.db.tar.gz")).arg("-C").arg(&db).run()?;
        let entry = |name: &str, version: &str, desc: &str, needs: &str| -> anyhow::Result<()> {
            let at = db.join(format!("{name}-{version}"));
            std::fs::create_dir(&at)?;
            let text = format!(
                "%FILENAME%\n{name}-{version}-x86_64.pkg.tar.zst\n\n%NAME%\n{name}\n\n%BASE%\n{name}\n\n%VERSION%\n{version}\n\n\
                 %DESC%\n{desc}\n\n%CSIZE%\n1000\n\n%ISIZE%\n3000\n\n%MD5SUM%\n{0:032x}\n\n%SHA256SUM%\n{0:064x}\n\n\
                 %URL%\nhttps://example.org/{name}\n\n%LICENSE%\nMIT\n\n%ARCH%\nx86_64\n\n%BUILDDATE%\n1700000000\n\n\
                 %PACKAGER%\nbench\n\n{needs}",
                name.len()
            );
            Ok(std::fs::write(at.join("desc"), text)?)
        };
        for i in 0..self.packages {
            entry(&format!("tool-{i}"), &format!("1.{i}.0-1"), &description(i), "")?;
        }
        for i in 0..GRAPH {
            let mut text = String::new();
            needs(i).try_for_each(|n| {
                writeln!(text, "{}node-{n}", if text.is_empty() { "%DEPENDS%\n" } else { "" })
            })?;
            entry(&format!("node-{i}"), "1-1", "a node", &text)?;
        }
        let to = self.dir.join("db/sync/bench.db");
        Cmd::new("sh")
            .args(["-ec", "tar -czf \"$0\" *"])
            .arg(to)
            .dir(&db)
            .run()
            .context("failed to pack the repository")?;
        let config = format!(
            "[options]\nArchitecture = x86_64\nSigLevel = Never\nCacheDir = {0}/pool/\nLogFile = {0}/pacman.log\n\
             HookDir = {0}/hooks/\n[bench]\nServer = file://{0}/pool\n",
            self.dir.display()
        );
        Ok(std::fs::write(self.dir.join("pacman.conf"), config)?)
    }

    fn recipe(&self, args: &[&str], recipes: &str) -> Cmd {
        self.recipe_with(args, recipes, &self.dir.join("cache"))
    }

    fn recipe_with(&self, args: &[&str], recipes: &str, cache: &Path) -> Cmd {
        let cmd = Cmd::new(&self.program).args(args.iter().copied()).arg("-r").arg(self.dir.join(recipes));
        cmd.arg("-p").arg(self.dir.join("prefix")).arg("--cache").arg(cache)
    }

    fn pacman(&self, args: &[&str]) -> Cmd {
        let cmd =
            Cmd::new("pacman").args(args.iter().copied()).arg("--config").arg(self.dir.join("pacman.conf"));
        cmd.arg("--root").arg(self.dir.join("root")).arg("--dbpath").arg(self.dir.join("db")).args([
            "--noconfirm",
            "--color",
            "never",
        ])
    }

    /// Everything that is compared.
    pub(super) fn cases(&self) -> anyhow::Result<Vec<Case>> {
        let mut all = Vec::new();
        let look = |task, program, cmd: Cmd, bar: Option<f64>, cold, lines| {
            // Somebody before may have dropped the caches.
            let warm_up = cmd.clone();
            let reset = move || if cold { Ok(()) } else { warm_up.output().map(drop) };
            let reset = Box::new(reset);
            Case { task, program, cmd, bar, cold, sync: false, reset, makes: None, lines }
        };
        all.push(look("--version", "recipe", Cmd::new(&self.program).arg("--version"), Some(5.0), false, 1));
        all.push(look("--version", "pacman", Cmd::new("pacman").arg("--version"), None, false, 1));
        let (n, found) = (self.packages, self.packages.div_ceil(100));
        for (task, cold, bar, ours, theirs, lines) in [
            ("list, warm", false, 50.0, &["list"][..], &["-Sl", "bench"][..], n),
            ("list, cold", true, 150.0, &["list"], &["-Sl", "bench"], n),
            ("search, warm", false, 50.0, &["search", "needle"], &["-Ss", "needle"], found),
            ("search, cold", true, 150.0, &["search", "needle"], &["-Ss", "needle"], found),
        ] {
            all.push(look(task, "recipe", self.recipe(ours, "many"), Some(bar), cold, lines));
            all.push(look(task, "pacman", self.pacman(theirs), None, cold, lines));
        }
        let plan = "plan of 500 packages";
        all.push(look(
            plan,
            "recipe",
            self.recipe(&["install", "--dry-run=plan", "--offline", "node-0"], "graph"),
            Some(100.0),
            false,
            GRAPH,
        ));
        all.push(look(plan, "pacman", self.pacman(&["-S", "--print", "node-0"]), None, false, GRAPH));
        // pacman has nothing like it: every package is made, and compared with what is there.
        let full = self.recipe(&["install", "--dry-run=full", "--offline", "node-0"], "graph");
        all.push(look("the same, all made", "recipe", full, None, false, GRAPH));
        let package = self.dir.join("pool/big-1-1-x86_64.pkg.tar.zst");
        for (task, sync, bar) in
            [("install 5 MB", false, Some(60.0)), ("install 5 MB, on the disk", true, None)]
        {
            let mut install = |program, cmd, bar, reset, makes: &str| {
                let makes = Some(self.dir.join(makes));
                all.push(Case { task, program, cmd, bar, cold: false, sync, reset, makes, lines: 0 });
            };
            let cmd = self.recipe(&["install", "--offline", "big"], "one");
            install("recipe", cmd, bar, self.without_recipe()?, "prefix/share/big/file-49");
            let cmd = self.pacman(&["-U"]).arg(&package);
            install("pacman -U", cmd, None, self.without_pacman(), "root/usr/share/big/file-49");
            install(
                "pacman -S",
                self.pacman(&["-S", "big"]),
                None,
                self.without_pacman(),
                "root/usr/share/big/file-49",
            );
            if let Some(uv) = rivals::uv(&self.dir)? {
                install("uv tool install", uv, None, rivals::without(self.dir.join("uv")), "uv/bin/big");
            }
        }
        // pacman downloads from mirrors that are listed, and keeps what it has.
        let fetch = |program, cmd, reset, makes: &str| {
            let (task, makes) = ("download and install 5 MB", Some(self.dir.join(makes)));
            Case { task, program, cmd, bar: None, cold: false, sync: false, reset, makes, lines: 0 }
        };
        let cache = self.dir.join("cache-fresh");
        let cmd = self.recipe_with(&["install", "big"], "one", &cache);
        let (without_recipe, without_cache) = (self.without_recipe()?, rivals::without(cache));
        let reset = Box::new(move || without_recipe().and_then(|()| without_cache()));
        all.push(fetch("recipe", cmd, reset, "prefix/share/big/file-49"));
        if let Some(mise) = rivals::mise(&self.dir, &self.server.url("/big-1.tar.zst"))? {
            let reset = rivals::without(self.dir.join("mise"));
            all.push(fetch("mise install", mise, reset, "mise/data/installs/http-big/1/share/big/file-49"));
        }
        Ok(all)
    }

    fn without_recipe(&self) -> anyhow::Result<rivals::Reset> {
        let (file, prefix) = (self.dir.join("one/big.rhai"), self.dir.join("prefix"));
        // As it was before the state came into it.
        let text = std::fs::read_to_string(self.dir.join("big.rhai"))?;
        Ok(Box::new(move || {
            std::fs::remove_dir_all(&prefix)?;
            std::fs::create_dir(&prefix)?;
            Ok(std::fs::write(&file, &text)?)
        }))
    }

    fn without_pacman(&self) -> rivals::Reset {
        let dirs = [self.dir.join("root"), self.dir.join("db/local")];
        Box::new(move || {
            dirs.iter().try_for_each(|dir| {
                std::fs::remove_dir_all(dir)?;
                Ok(std::fs::create_dir(dir)?)
            })
        })
    }
}

/// One in a hundred has the word that is searched for.
fn description(i: usize) -> String {
    format!(
        "The {i}th tool{}",
        if i.is_multiple_of(100) { ", with a needle in it" } else { " of many that do something" }
    )
}

/// What a package of the graph needs.
fn needs(i: usize) -> impl Iterator<Item = usize> {
    [i + 1, i * 2 + 1]
        .into_iter()
        .filter(|n| *n < GRAPH)
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
}
