//! `cargo xtask doctor`: what this machine has and lacks; installs it where it may.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context;
use common::cli::Mark;
use common::cmd::{Cmd, which};

use crate::tools::{Need, TOOLS, Tool};

/// Prints the table; fails when something is missing that is not optional, and was not installed.
pub(crate) fn doctor(install: bool, json: bool) -> anyhow::Result<ExitCode> {
    if install {
        require(Need::Optional)?;
    }
    let rows: Vec<_> = TOOLS.iter().map(|t| (t, t.find())).collect();
    let accel = e2e::accel::Accel::probe();
    let missing = missing_tools(Need::Test).len();
    if json {
        let tools: Vec<_> = rows.iter().map(|(tool, found)| row_json(tool, found.as_deref())).collect();
        let accel = accel.as_ref().map_or_else(std::string::ToString::to_string, ToString::to_string);
        print(&serde_json::to_string_pretty(&serde_json::json!({ "tools": tools, "accelerator": accel }))?);
    } else {
        for (tool, found) in &rows {
            let state =
                found.as_ref().map_or_else(|| missing_word(tool).to_owned(), |p| p.display().to_string());
            print(&format!("{:<22} {:<40} {} ({})", short(tool.name()), state, tool.why, tool.package));
        }
        match accel {
            Ok(accel) => print(&format!("{:<22} {accel}", "accelerator")),
            Err(e) => print(&format!("{:<22} unknown: {e:#}", "accelerator")),
        }
        if let Some(command) = install_command(&packages(&missing_tools(Need::Optional))) {
            print(&format!("\nTo install what is missing: {command}"));
        }
    }
    Ok(if missing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes sure that everything needed for `need` is there: installs it as root with apt, else says what to type.
pub(crate) fn require(need: Need) -> anyhow::Result<()> {
    let missing = missing_tools(need);
    if missing.is_empty() {
        return Ok(());
    }
    let packages = packages(&missing);
    let what: Vec<_> =
        missing.iter().map(|t| format!("{} (required to {})", short(t.name()), t.why)).collect();
    let what = what.join(", ");
    let Some(command) = install_command(&packages) else {
        anyhow::bail!("these tools are missing and this host has no apt-get to install them: {what}");
    };
    if !rustix::process::geteuid().is_root() {
        return Err(anyhow::anyhow!("these tools are missing: {what}")).hint(format!("run `sudo {command}`"));
    }
    apt_install(&packages)?;
    // A package may have pushed out another one of ours (qemu-utils of a newer suite, say): that comes again, as it fits.
    let pushed_out = missing_tools(need);
    if !pushed_out.is_empty() {
        apt_install(&self::packages(&pushed_out))?;
    }
    let left = missing_tools(need);
    if let Some(tool) = left.first() {
        anyhow::bail!("installed {}, but {} is still not there", tool.package, tool.name());
    }
    Ok(())
}

fn apt_install(packages: &[String]) -> anyhow::Result<()> {
    eprintln_step(&format!("installing {}", packages.join(" ")));
    let env = |cmd: Cmd| cmd.env("DEBIAN_FRONTEND", "noninteractive");
    env(Cmd::new("apt-get").args(["update", "-qq"])).output().context("failed to update apt's lists")?;
    let install = env(Cmd::new("apt-get").args(["install", "-y", "-qq", "--no-install-recommends"]));
    install.args(packages).read().context("failed to install the missing tools")?;
    Ok(())
}

fn missing_tools(need: Need) -> Vec<&'static Tool> {
    TOOLS.iter().filter(|t| t.need <= need && t.find().is_none()).collect()
}

fn packages(tools: &[&Tool]) -> Vec<String> {
    tools.iter().map(|t| t.package.to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn install_command(packages: &[String]) -> Option<String> {
    let some = !packages.is_empty() && which("apt-get").is_some();
    some.then(|| {
        format!("sh -c 'apt-get update && apt-get install -y --no-install-recommends {}'", packages.join(" "))
    })
}

fn row_json(tool: &Tool, found: Option<&std::path::Path>) -> serde_json::Value {
    serde_json::json!({
        "tool": tool.name(), "package": tool.package, "why": tool.why, "path": found,
        "need": format!("{:?}", tool.need).to_lowercase(),
    })
}

fn missing_word(tool: &Tool) -> &'static str {
    if tool.need == Need::Optional { "missing (optional)" } else { "MISSING" }
}

/// The last part of a path, or the name itself.
fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// One line of data.
#[expect(clippy::print_stdout, reason = "data goes to stdout")]
pub(crate) fn print(line: &str) {
    println!("{line}");
}

/// One line for people: what is being done now.
#[expect(clippy::print_stderr, reason = "prose goes to stderr")]
pub(crate) fn eprintln_step(line: &str) {
    eprintln!("==> {line}");
}
