//! `recipe new`: a name, or what a package is made from -> a recipe that can be installed at once.
//!
//! - [`origin`]: an address, a file, a repository -> a file; [`asset`]: which one of a release
//! - [`name`]: what file names say
//! - [`tree`], [`contents`], [`extras`], [`build`]: what is in it -> the statements that install or build it
//! - [`script`]: the recipe's text; [`files`]: where it is written

mod name;
mod asset;
mod origin;
mod tree;
mod contents;
mod extras;
mod build;
mod script;
mod files;

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Seek};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use common::cli::{Mark, code, tell};
use serde_json::json;

use super::{Settings, output};
use crate::archive::{self, Format, Shape};
use crate::code::Code;
use crate::dir::Dir;
use crate::engine::Program;
use crate::exit;
use crate::recipe::{Recipe, check_name};
use crate::shelf;
use crate::state::quote;
use crate::tx::{Desk, make};
use contents::Package;
use files::{beside, put, taken};
use name::with_version;
use origin::{Origin, Place};
use script::Script;
use tree::Kind;

/// Options.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the package; default: what --from says.
    #[arg(required_unless_present = "from")]
    name: Option<String>,
    /// What it is made from: the address or path of an archive or a program, github:OWNER/NAME[@TAG], or a page of releases there.
    #[arg(long, value_name = "FROM")]
    from: Option<OsString>,
    /// Its version; default: what --from says.
    #[arg(long, value_name = "VERSION")]
    pkg_version: Option<String>,
    /// Print the recipe; write nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Runs it.
///
/// # Errors
/// There is a recipe of that name, name or version are not known, or what it is made from cannot be had or understood.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    if let Some(name) = &options.name {
        check_name(name).map_err(|e| anyhow::anyhow!("{e}")).exit(code::USAGE)?;
        is_free(settings, name)?;
    }
    let desk = settings.desk_or_look(true)?;
    let (name, text, origin) = match (&options.from, &options.name) {
        (Some(word), _) => {
            let mut origin = origin::find(word, std::env::consts::ARCH, &desk.fetcher, settings.offline)?;
            let word = word.to_string_lossy();
            let (name, version) = called(options, &word, &origin)?;
            is_free(settings, &name)?;
            let text = compose(&desk, &name, &version, &mut origin)
                .with_context(|| format!("cannot make a recipe of {word}"))?;
            (name, text, Some(origin))
        }
        (None, name) => {
            let name = name.clone().unwrap_or_default();
            let text = script::empty(&name, options.pkg_version.as_deref().unwrap_or("0.1.0"));
            (name, text, None)
        }
    };
    let path = settings.places.recipe(&name);
    let recipe = Recipe::parse(&text, &path)?;
    Code::new(recipe.clone(), text.clone())
        .and_then(Program::lint)
        .context("the recipe would have mistakes")?;
    if options.dry_run && !settings.json {
        output::line(text.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    if !options.dry_run {
        let dir = shelf::open(&settings.places)?;
        let copied = origin.as_ref().map(|origin| beside(&dir, origin)).transpose()?.flatten();
        let written = put(&dir, &format!("{name}.rhai"), &mut text.as_bytes());
        if let (Err(_), Some(copy)) = (&written, copied) {
            // It is nobody's without the recipe.
            drop(dir.remove_file(&copy));
        }
        written?;
    }
    say(&recipe, &text, origin.as_ref(), options.dry_run, settings.json)
}

/// Nothing is ever overwritten.
fn is_free(settings: &Settings, name: &str) -> anyhow::Result<()> {
    match settings.places.recipe(name).symlink_metadata() {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e).with_context(|| format!("failed to look for the recipe {name}")),
        Ok(_) => Err(taken(&settings.places.recipe(name).display().to_string())),
    }
}

/// Name and version.
fn called(options: &Options, word: &str, origin: &Origin) -> anyhow::Result<(String, String)> {
    let name = options.name.clone().or_else(|| origin.named.name.clone());
    let name = name.filter(|name| check_name(name).is_ok());
    let name = name.with_context(|| format!("{word} does not say what the package is called"));
    let name = name.exit(code::USAGE).hint("`recipe new NAME --from ...` says so")?;
    let version = options.pkg_version.clone().or_else(|| origin.named.version.clone());
    let version = version.with_context(|| format!("{word} does not say which version it is"));
    Ok((name, version.exit(code::USAGE).hint("--pkg-version VERSION says so")?))
}

/// The text of a recipe that is made from a file.
fn compose(desk: &Desk, name: &str, version: &str, origin: &mut Origin) -> anyhow::Result<String> {
    let package = Package { name, version, arch: std::env::consts::ARCH };
    let sha256 = quote(origin.sha256.to_string());
    let (get, from) = match &origin.place {
        Place::Url(url) => {
            (format!("download(\n    {},\n    {sha256}\n);", with_version(url, version).0), url.clone())
        }
        Place::Path(_) => {
            let file = with_version(&origin.file_name, version).0;
            (format!("copy_source(\n    {file},\n    {sha256}\n);"), origin.file_name.clone())
        }
    };
    let license = origin.about.license.as_ref().and_then(|l| l.spdx_id.clone());
    let mut script = Script {
        name: name.to_owned(),
        version: version.to_owned(),
        description: origin.about.description.clone(),
        homepage: origin.about.homepage.clone(),
        license: license.filter(|id| id != "NOASSERTION"),
        from: Some(from),
        functions: Vec::new(),
    };
    let (unpack, files, top) = look_into(desk, &package, origin)?;
    let ready =
        package.programs(&files).iter().any(|p| matches!(p.kind, Kind::Elf(_)) && p.dirs().count() < 2);
    let build = if ready { None } else { build::of(&package, &top, &files)? };
    let get = [vec![get], unpack].concat();
    script.functions = match build {
        Some(build) => {
            let [description, homepage, license] = build.about;
            script.description = script.description.or(description);
            script.homepage = script.homepage.or(homepage);
            script.license = script.license.or(license);
            vec![
                ("acquire", [get, build.acquire].concat()),
                ("build", build.build),
                ("install", build.install),
            ]
        }
        None => vec![("install", [get, package.install(&files)?].concat())],
    };
    if let Some(repo) = &origin.repo {
        script.functions.push(("check_update", vec![format!("github_latest({})", quote(repo))]));
    }
    Ok(script.text())
}

/// What unpacks a file, what is in it, and the directory where the helpers begin after that.
fn look_into(
    desk: &Desk,
    package: &Package<'_>,
    origin: &mut Origin,
) -> anyhow::Result<(Vec<String>, Vec<tree::File>, Dir)> {
    let mut head = Vec::new();
    (&mut origin.file).take(tree::HEAD).read_to_end(&mut head).context("failed to read it")?;
    origin.file.rewind().context("failed to read it")?;
    let root = make::scratch(desk, &Desk::new_tx())?;
    let file = with_version(&origin.file_name, package.version).0;
    let mut format = Format::of_file(&origin.file_name);
    let mut said = None;
    if format.is_bare() {
        said = archive::packed(&head);
        match said {
            Some(name) => format = Format::named(name)?,
            None => {
                let kind = tree::of(&head);
                ensure!(
                    matches!(kind, Kind::Elf(_) | Kind::Script),
                    "{} is neither an archive nor a program{}",
                    origin.file_name,
                    if head.trim_ascii_start().starts_with(b"<") { ", but a web page" } else { "" }
                );
                let file = tree::File { path: origin.file_name.clone(), exec: true, kind };
                return Ok((Vec::new(), vec![file], root));
            }
        }
    }
    let remote = matches!(origin.place, Place::Url(_));
    let unpack = match (remote, said) {
        (true, None) => "extract();".to_owned(),
        (true, Some(format)) => format!("extract({});", quote(format)),
        (false, None) => format!("extract_file({file});"),
        (false, Some(format)) => format!("extract_file({file}, {});", quote(format)),
    };
    archive::extract(&origin.file, format, &origin.file_name, &root, &desk.interrupt)
        .exit(exit::INTEGRITY)?;
    let top = match archive::only_dir(&root, &[])? {
        Some(only) => root.sub(&only)?,
        None => root,
    };
    let mut files = tree::list(&top)?;
    if format.shape == Shape::Single {
        // Its rights were lost when it was packed.
        files.iter_mut().for_each(|file| file.exec = true);
    }
    Ok((vec![unpack], files, top))
}

/// What was written, and what its user should know.
fn say(
    recipe: &Recipe,
    text: &str,
    origin: Option<&Origin>,
    dry_run: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let mut notes = Vec::new();
    if let Some(Origin { place: Place::Url(url), sha256, .. }) = origin {
        notes.push(format!(
            "{sha256} is the digest of what the server sent just now; compare it with what its makers publish"
        ));
        if !with_version(url, &recipe.version).1 {
            notes.push(format!("{url} does not have the version in it: one day it will be another file, which is refused then"));
        }
    }
    notes.iter().for_each(|note| tell(&format!("note: {note}")));
    if json {
        let from = origin.map(|o| match &o.place {
            Place::Url(url) => url.clone(),
            Place::Path(path) => path.display().to_string(),
        });
        let sha256 = origin.map(|o| o.sha256.to_string());
        output::json_of_all([
            ("done", (!dry_run).into()),
            ("name", json!(recipe.name)),
            ("version", json!(recipe.version)),
            ("path", json!(recipe.path)),
            ("from", json!(from)),
            ("sha256", json!(sha256)),
            ("recipe", json!(text)),
            ("notes", json!(notes)),
        ])?;
    } else {
        output::line(recipe.path.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}
