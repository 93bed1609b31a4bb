//! One function a command: arguments -> library calls -> what is printed.

mod docs;
mod inspect;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use common::cli::Mark;
use common::proxy::Proxies;
use common::tls::{Refusal, Store};
use leviso::fetch::Network;
use leviso::lock::Lock;
use leviso::pipeline::{self, Request, Stage};
use leviso::profile::Profile;
use leviso::workdir::Workdir;
use leviso::{exit, fetch, sync, verify};

use crate::bars::Bars;
use crate::cli::{BuildArgs, Cli, Command, LockArgs, ProfileArgs};

/// Runs the command that was typed.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let bars = Bars::new(cli.quiet);
    match cli.command {
        Command::Build(args) => build(&args, cli.quiet, &bars)?,
        Command::Lock(args) => lock(&args, cli.quiet, &bars)?,
        Command::Fetch(args) => fetch(&args, &bars)?,
        Command::Verify(args) => verify(&args, &bars)?,
        Command::Mirrors(args) => return mirrors(&args, &bars),
        Command::Inspect { file, json } => inspect::inspect(&file, json)?,
        Command::Diff { old, new, json } => show::diff(&Lock::load(&old)?, &Lock::load(&new)?, json)?,
        Command::Docs { dir } => docs::docs(&dir)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn build(args: &BuildArgs, quiet: bool, bars: &Bars) -> anyhow::Result<()> {
    let mut request = request(&args.profile)?;
    request.out = args.out.clone();
    request.until = args.until.map_or(Stage::Manifest, Stage::from);
    request.locked = args.locked;
    request.update = args.update;
    if args.dry_run {
        let lock = pipeline::plan(&request, &pipeline::keyrings(&request.profile)?, bars)?;
        return show::lock(&lock, args.profile.json);
    }
    let outcome = pipeline::build(&request, bars)?;
    if args.profile.json {
        return show::json(&show::outcome_json(&outcome));
    }
    if !quiet {
        show::outcome(&outcome);
    }
    Ok(())
}

fn lock(args: &LockArgs, quiet: bool, bars: &Bars) -> anyhow::Result<()> {
    let request = request(&args.profile)?;
    let lock = pipeline::resolve(&request, &pipeline::keyrings(&request.profile)?, bars)?;
    if args.dry_run || args.profile.json {
        show::lock(&lock, args.profile.json)?;
    }
    if args.dry_run {
        return Ok(());
    }
    // A lock that cannot be read is what this command is there to replace.
    let old = Lock::load(&request.lock).ok();
    common::fs::write_atomic(&request.lock, lock.to_toml().as_bytes())?;
    if !quiet {
        show::note(&format!("wrote {} ({} packages)", request.lock.display(), lock.packages.len()));
        if let Some(old) = old {
            show::diff_note(&old, &lock);
        }
    }
    Ok(())
}

fn fetch(args: &ProfileArgs, bars: &Bars) -> anyhow::Result<()> {
    let request = request(args)?;
    let lock = existing_lock(&request)?;
    let fetched = fetch::packages(&lock, &request.profile.repos, &pipeline::fetcher(&request), bars)?;
    let paths: Vec<_> = fetched.iter().map(|f| (f.locked.nevra(), f.path.clone())).collect();
    show::paths(&paths, args.json)
}

fn verify(args: &ProfileArgs, bars: &Bars) -> anyhow::Result<()> {
    let request = request(args)?;
    let lock = existing_lock(&request)?;
    let keyrings = pipeline::keyrings(&request.profile)?;
    let fetched = fetch::cached(&lock, &pipeline::fetcher(&request)).hint("run `leviso fetch` first")?;
    let rpms = verify::packages(&fetched, &keyrings, bars)?;
    let signed: Vec<_> = rpms.iter().map(|r| (r.nevra().to_string(), PathBuf::from(r.signer()))).collect();
    show::paths(&signed, args.json)
}

/// Exit code 0 when every repository of the profile answers, else that of the first failure.
fn mirrors(args: &ProfileArgs, bars: &Bars) -> anyhow::Result<ExitCode> {
    let request = request(args)?;
    let keyrings = pipeline::keyrings(&request.profile)?;
    let synced = sync::repositories(&request.profile.repos, &keyrings, &pipeline::fetcher(&request), bars)?;
    let rows: Vec<_> = synced.iter().map(|s| (s.id.clone(), PathBuf::from(&s.parsed.revision))).collect();
    show::paths(&rows, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// What the arguments that all commands share ask for.
fn request(args: &ProfileArgs) -> anyhow::Result<Request> {
    let mut vars = std::collections::BTreeMap::new();
    for (name, value) in &args.vars {
        if vars.insert(name.clone(), value.clone()).is_some() {
            return Err(anyhow::anyhow!("--set {name}=... is given twice")).exit(common::cli::code::USAGE);
        }
    }
    let profile = Profile::load(&profile_file(&args.profile)?, &vars)?;
    let workdir =
        Workdir::new(&std::path::absolute(&args.work).context("failed to find the work directory")?);
    let lock = args.lock.clone().unwrap_or_else(|| workdir.lock(&profile));
    let proxies = Proxies::from_env().or_else(Refusal::fail).exit(common::cli::code::USAGE)?;
    Ok(Request {
        profile,
        workdir,
        lock,
        out: PathBuf::new(),
        until: Stage::Manifest,
        locked: false,
        update: false,
        offline: args.offline,
        network: Network { proxies, trust: Store::from_env() },
    })
}

fn existing_lock(request: &Request) -> anyhow::Result<Lock> {
    if !request.lock.exists() {
        return Err(anyhow::anyhow!("there is no lock {}", request.lock.display()))
            .exit(exit::PROFILE)
            .hint("run `leviso lock` first");
    }
    Lock::load(&request.lock)
}

/// A path is taken as it is; a bare name is a shipped profile, looked for where packages and checkouts have them.
fn profile_file(given: &Path) -> anyhow::Result<PathBuf> {
    let bare = given.components().count() == 1 && given.extension().is_none();
    if !bare || given.exists() {
        return Ok(given.to_owned());
    }
    let file = given.with_extension("toml");
    let beside_us = std::env::current_exe().ok().and_then(|exe| {
        let prefix = exe.parent()?.parent()?;
        Some(prefix.join("share/leviso/profiles"))
    });
    let checkout = Some(PathBuf::from("leviso/profiles"));
    let dirs: Vec<_> = [beside_us, checkout].into_iter().flatten().collect();
    let found = dirs.iter().map(|d| d.join(&file)).find(|p| p.exists());
    found
        .with_context(|| {
            let looked: Vec<_> = dirs.iter().map(|d| d.display().to_string()).collect();
            format!("there is no profile {}; looked in {}", file.display(), looked.join(", "))
        })
        .exit(exit::PROFILE)
        .hint("give the path of a profile file: --profile ./mine.toml")
}
