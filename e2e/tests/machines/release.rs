//! A release of ripgrep on a web server of the host, and its installation in a machine by the recipe that came with the image.

use std::path::Path;

use anyhow::{Context, ensure};
use common::cmd::Cmd;
use e2e::boot::{self, COMMAND};
use e2e::console::Console;
use e2e::qemu::SERVED;
use testkit::server::Server;

/// What the release's program says.
const VERSION: &str = "ripgrep 14.1.0";

/// The server; it is there as long as this lives.
pub(crate) struct Release {
    server: Server,
}

impl Release {
    /// Packs the release in `dir` as its makers do, and serves it.
    pub(crate) fn serve(dir: &Path) -> anyhow::Result<Self> {
        let name = "ripgrep-14.1.0-x86_64-unknown-linux-musl";
        let (www, tree) = (dir.join("www/14.1.0"), dir.join("release").join(name));
        for dir in [&www, &tree] {
            std::fs::create_dir_all(dir).with_context(|| format!("failed to make {}", dir.display()))?;
        }
        std::fs::write(tree.join("rg"), format!("#!/bin/sh\necho '{VERSION}'\n"))?;
        let tar = Cmd::new("tar").arg("-czf").arg(www.join(format!("{name}.tar.gz")));
        tar.args(["--mode=0755", "-C"]).arg(dir.join("release")).arg(name).read()?;
        Ok(Self { server: Server::start(&[], Some(dir.join("www"))) })
    }

    /// Its port on the host's loopback interface.
    pub(crate) fn port(&self) -> anyhow::Result<u16> {
        let url = self.server.url("");
        url.rsplit(':').next().and_then(|port| port.parse().ok()).with_context(|| format!("no port in {url}"))
    }

    /// Installs it: the recipe that is there after the first boot, with nothing changed but the place of the releases.
    pub(crate) fn install(&self, c: &mut Console) -> anyhow::Result<()> {
        boot::network(c)?;
        let recipe = "/usr/local/share/recipes/ripgrep.rhai";
        let theirs = "https://github.com/BurntSushi/ripgrep/releases/download/";
        let here = format!("grep -cF {theirs} {recipe} && sed -i 's|{theirs}|http://{SERVED}/|' {recipe}");
        c.check(&here, COMMAND).context("the recipe of the image is not there")?;
        c.check("recipe install ripgrep", COMMAND)?;
        let version = c.check("rg --version", COMMAND)?;
        ensure!(version == VERSION, "expected {VERSION}, found {version:?}");
        let listed = c.check("recipe list --installed", COMMAND)?;
        ensure!(listed.contains("ripgrep") && listed.contains("14.1.0"), "ripgrep is not listed: {listed:?}");
        c.check(&format!("grep -l 'installed = true' {recipe} && recipe check"), COMMAND)?;
        self.asked_once()
    }

    /// After a restart it is still there; then its installation is undone, and nothing of it is.
    pub(crate) fn undo(&self, c: &mut Console) -> anyhow::Result<()> {
        let version = c.check("rg --version", COMMAND).context("it did not survive a restart")?;
        ensure!(version == VERSION, "expected {VERSION}, found {version:?}");
        c.check("recipe check && recipe undo --yes", COMMAND)?;
        c.check("! test -e /usr/local/bin/rg", COMMAND)?;
        let listed = c.check("recipe list --installed", COMMAND)?;
        ensure!(listed.is_empty(), "expected nothing to be installed, found {listed:?}");
        c.check("recipe check", COMMAND)?;
        self.asked_once()
    }

    fn asked_once(&self) -> anyhow::Result<()> {
        let log = self.server.log();
        ensure!(log.len() == 1, "expected one request, found {log:?}");
        Ok(())
    }
}
