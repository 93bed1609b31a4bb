//! Debian's packages through the host's own apt, with a private configuration that touches nothing of the host.
//!
//! ```text
//! CACHE/apt.conf, sources.list, status (empty), etc/, lists/, archives/*.deb
//! ```
//!
//! The archive's URI and the proxy come from the host's apt at run time. apt checks the suites' signatures against
//! Debian's keyring and every archive against the signed lists; digests are checked once more before conversion.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use common::cli::Mark;
use common::cmd::{Cmd, which};
use common::hash::Sha256;

use super::Report;
use super::plan::Plan;

/// Lists younger than this are used as they are.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// A package of the closure.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Package name.
    pub name: String,
    /// Where the .deb is once it is downloaded.
    pub path: PathBuf,
    /// Size in bytes, as the signed lists say.
    pub size: u64,
    /// Digest, as the signed lists say.
    pub sha256: Sha256,
}

/// A private apt.
#[derive(Debug)]
pub struct Apt {
    dir: PathBuf,
}

impl Apt {
    /// Writes the configuration into `dir`.
    ///
    /// # Errors
    /// The host has no apt, no Debian archive among its sources, or no keyring; each with a hint.
    pub fn configure(dir: &Path, plan: &Plan) -> anyhow::Result<Self> {
        if which("apt-get").is_none() || which("apt-config").is_none() {
            return Err(anyhow::anyhow!("this host has no apt-get"))
                .hint("the lab needs a Debian or Ubuntu host (or container); use a Rocky mirror elsewhere");
        }
        if !Path::new(&plan.keyring).is_file() {
            return Err(anyhow::anyhow!("this host has no {}", plan.keyring))
                .hint("install Debian's archive keys: apt-get install debian-archive-keyring");
        }
        let dir = std::path::absolute(dir).context("failed to find the working directory")?;
        for sub in
            ["etc/apt.conf.d", "etc/preferences.d", "lists/partial", "archives/partial", "none/partial"]
        {
            let path = dir.join(sub);
            std::fs::create_dir_all(&path).with_context(|| format!("failed to create {}", path.display()))?;
        }
        let apt = Self { dir };
        apt.write("status", "")?;
        let sources = apt.sources(plan)?;
        let changed = apt.write("sources.list", &sources)? | apt.write("apt.conf", &apt.config()?)?;
        if changed {
            let _ = std::fs::remove_file(apt.stamp());
        }
        Ok(apt)
    }

    /// Fetches the package lists unless they are fresh.
    ///
    /// # Errors
    /// The mirror does not answer or its signature is wrong.
    pub fn update(&self, force: bool, report: &Report) -> anyhow::Result<()> {
        let stamp = self.stamp();
        let age = stamp.metadata().and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
        if !force && age.is_some_and(|age| age < FRESH) {
            return Ok(());
        }
        report.message("updating Debian's package lists");
        let updated = self.apt().args(["-q", "-o", "APT::Update::Error-Mode=any", "update"]).read();
        match updated {
            Ok(_) => common::fs::write_atomic(&stamp, b""),
            // Old lists are as good as their signature: offline, the lab stays what it was.
            Err(e) if age.is_some() && !force => {
                report.message(&format!("keeping the old package lists: {e:#}"));
                Ok(())
            }
            Err(e) => Err(e)
                .context("failed to fetch Debian's package lists")
                .hint("check that `apt-get update` works on this host; the lab uses the same archive"),
        }
    }

    /// The closure of the plan's packages, sorted by name. Names that the archive lacks are an error.
    ///
    /// # Errors
    /// apt finds no solution.
    pub fn closure(&self, plan: &Plan) -> anyhow::Result<Vec<Archive>> {
        // apt lists only what it would download, hence the empty archive directory.
        let text = self
            .install()
            .args(["--print-uris", "-o", "Acquire::ForceHash=SHA256", "-o", "Dir::Cache::archives=none"])
            .args(&plan.packages)
            .read()
            .context("apt finds no way to install the lab's packages")?;
        let mut archives = BTreeMap::new();
        for line in text.lines().filter(|l| l.starts_with('\'')) {
            let archive =
                self.archive(line).with_context(|| format!("apt-get --print-uris printed {line:?}"))?;
            archives.insert(archive.name.clone(), archive);
        }
        if archives.is_empty() {
            bail!("apt-get --print-uris printed no package");
        }
        Ok(archives.into_values().collect())
    }

    /// Downloads what is missing and removes what is no longer wanted.
    ///
    /// # Errors
    /// A download failed.
    pub fn download(&self, plan: &Plan, archives: &[Archive], report: &Report) -> anyhow::Result<()> {
        let missing = |a: &&Archive| !a.path.metadata().is_ok_and(|m| m.len() == a.size);
        let before: u64 = archives.iter().filter(|a| !missing(a)).map(|a| a.size).sum();
        let total: u64 = archives.iter().map(|a| a.size).sum();
        if before < total {
            report.begin_bytes("download", total - before);
            let cmd = self.install().args(["-q", "--download-only"]).args(&plan.packages);
            // Not a pipe: nobody would read it while apt-get runs.
            let mut said = tempfile::tempfile().context("failed to create a temporary file")?;
            let mut child = cmd.std();
            let child = child
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(said.try_clone().context("failed to share a file with apt-get")?);
            let mut child = child.spawn().with_context(|| format!("failed to start `{}`", cmd.display()))?;
            let status = loop {
                if let Some(status) = child.try_wait().context("failed to wait for apt-get")? {
                    break status;
                }
                report.position(self.downloaded().saturating_sub(before));
                std::thread::sleep(Duration::from_millis(200));
            };
            report.end();
            let mut errors = String::new();
            std::io::Seek::rewind(&mut said)
                .and_then(|()| std::io::Read::read_to_string(&mut said, &mut errors))
                .context("failed to read what apt-get said")?;
            if !status.success() {
                return Err(anyhow::anyhow!(
                    "`apt-get --download-only` failed ({status})\n{}",
                    errors.trim()
                ))
                .hint("run it again: what is downloaded already is kept");
            }
        }
        self.remove_others(archives)
    }

    fn remove_others(&self, archives: &[Archive]) -> anyhow::Result<()> {
        let dir = self.dir.join("archives");
        let context = || format!("failed to tidy {}", dir.display());
        for entry in std::fs::read_dir(&dir).with_context(context)? {
            let path = entry.with_context(context)?.path();
            let is_deb = path.extension().is_some_and(|e| e == "deb");
            if is_deb && !archives.iter().any(|a| a.path == path) {
                std::fs::remove_file(&path).with_context(context)?;
            }
        }
        Ok(())
    }

    fn downloaded(&self) -> u64 {
        let sum = |dir: PathBuf| -> u64 {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            entries
                .filter_map(|e| e.metadata().ok())
                .filter(std::fs::Metadata::is_file)
                .map(|m| m.len())
                .sum()
        };
        sum(self.dir.join("archives")) + sum(self.dir.join("archives/partial"))
    }

    /// `'URI' FILE SIZE SHA256:HEX`
    fn archive(&self, line: &str) -> anyhow::Result<Archive> {
        let mut words = line.split_whitespace().skip(1);
        let mut next = || words.next().context("expected four words");
        let (file, size, hash) = (next()?, next()?, next()?);
        let sha256 = hash.strip_prefix("SHA256:").context("expected a SHA-256")?.parse()?;
        let name = file.split('_').next().unwrap_or(file).to_owned();
        let path = self.dir.join("archives").join(file);
        Ok(Archive { name, path, size: size.parse().context("expected a size")?, sha256 })
    }

    /// sources.list: the required suite and those of the others that the mirror has, judged by the host's own sources.
    fn sources(&self, plan: &Plan) -> anyhow::Result<String> {
        let targets = Cmd::new("apt-get")
            .args(["indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"])
            .read()
            .context("failed to ask the host's apt for its archive")?;
        let find = |label: &str| {
            let mut lines = targets.lines().map(|l| l.splitn(3, '|').collect::<Vec<_>>());
            lines.find(|w| w.len() == 3 && w[0] == "Debian" && w[1] == label).map(|w| w[2].to_owned())
        };
        let Some(main) = find("Debian") else {
            return Err(anyhow::anyhow!("the host's apt knows no Debian archive"))
                .hint("the lab needs a Debian host whose `apt-get update` has run once");
        };
        let components = plan.components.join(" ");
        let line =
            |uri: &str, suite: &str| format!("deb [signed-by={}] {uri} {suite} {components}\n", plan.keyring);
        let mut text = line(&main, &plan.suite);
        for suite in &plan.optional_suites {
            let uri = if suite.ends_with("-security") { find("Debian-Security") } else { Some(main.clone()) };
            if let Some(uri) = uri {
                text.push_str(&line(&uri, suite));
            }
        }
        Ok(text)
    }

    /// apt.conf: our own directories; of the host's configuration only how to reach the network.
    fn config(&self) -> anyhow::Result<String> {
        let dir = self.dir.display();
        let mut text = format!(
            "Dir \"{dir}\";\nDir::State \"{dir}\";\nDir::State::lists \"lists\";\nDir::State::status \"{dir}/status\";\n\
             Dir::Cache \"{dir}\";\nDir::Cache::archives \"archives\";\nDir::Etc \"etc\";\n\
             Dir::Etc::sourcelist \"{dir}/sources.list\";\nDir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::trusted \"/dev/null\";\nDir::Etc::trustedparts \"/dev/null\";\n\
             Dir::Log \"{dir}\";\nAPT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\n\
             APT::Sandbox::User \"\";\nAPT::Install-Recommends \"false\";\n\
             APT::Keep-Downloaded-Packages \"true\";\nAPT::Get::AllowUnauthenticated \"false\";\n\
             Acquire::Languages \"none\";\nAcquire::Retries \"3\";\nDebug::NoLocking \"true\";\n"
        );
        let host = Cmd::new("apt-config")
            .arg("dump")
            .read()
            .context("failed to read the host's apt configuration")?;
        let network = ["Acquire::http::", "Acquire::https::", "Acquire::ForceIPv"];
        for line in
            host.lines().filter(|l| network.iter().any(|p| l.starts_with(p)) && !l.ends_with(" \"\";"))
        {
            text.push_str(line);
            text.push('\n');
        }
        Ok(text)
    }

    fn apt(&self) -> Cmd {
        Cmd::new("apt-get").env("APT_CONFIG", self.dir.join("apt.conf"))
    }

    fn install(&self) -> Cmd {
        self.apt().args(["install", "--no-install-recommends", "--yes"])
    }

    fn stamp(&self) -> PathBuf {
        self.dir.join("updated")
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<bool> {
        crate::repo::write_changed(&self.dir.join(name), text.as_bytes())
    }
}
