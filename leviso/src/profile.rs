//! What goes into an image: repositories, packages, services, accounts, kernel command line, image options.
//!
//! TOML in, [`Profile`] out; pure. `{name}` in a string is replaced by `--set name=value` (TEAM/0004): that is how the
//! lab's directory and key, which differ from machine to machine, get in; `{{` and `}}` stand for one brace. Paths are
//! relative to the file they are written in and absolute after loading.
//!
//! `extends = "common.toml"` names one parent, relative too. Merging: tables merge key by key; arrays append to the
//! parent's, where tables with the same `id` (or `name`) are one element and merge; all else replaces the parent's
//! value. A name in `packages.exclude` is also taken out of what the parents include.

mod source;
mod check;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cli::Mark;
use common::hash::Sha256;
use serde::{Deserialize, Serialize};

use crate::exit;

/// A whole profile, after `extends` and `{variables}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// Short name: names the lock and the ISO (`levitateos-NAME-VERSION-ARCH.iso`).
    pub name: String,
    /// RPM architecture of the image; packages of it and `noarch` are taken.
    pub arch: String,
    /// os-release(5).
    pub os: Os,
    /// Where packages come from, in order of preference.
    #[serde(rename = "repo")]
    pub repos: Vec<Repo>,
    /// What is asked for.
    pub packages: Packages,
    /// systemd units.
    #[serde(default)]
    pub services: Services,
    /// Accounts on top of the packages' own.
    #[serde(default, rename = "user")]
    pub users: Vec<User>,
    /// alternatives(8) links: path -> target, both absolute.
    #[serde(default)]
    pub alternatives: BTreeMap<String, String>,
    /// Directories laid over the tree, in order, last wins. Relative to the profile's file.
    #[serde(default)]
    pub overlays: Vec<PathBuf>,
    /// Kernel and its command line.
    pub kernel: Kernel,
    /// What is in the live initramfs.
    pub initramfs: Initramfs,
    /// What is in the initramfs of an installed system; none: the image has no UKI to install.
    #[serde(default)]
    pub disk_initramfs: Option<DiskInitramfs>,
    /// The EROFS image and the disc.
    pub image: Image,
    /// What the audit lets pass.
    #[serde(default)]
    pub audit: Audit,
}

/// os-release(5) fields; NAME, ID and VERSION_ID must be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Os {
    /// NAME=
    pub name: String,
    /// ID=
    pub id: String,
    /// ID_LIKE=
    pub id_like: String,
    /// VERSION_ID=
    pub version_id: String,
    /// VARIANT_ID=, for images that are not the release (`lab`).
    pub variant_id: Option<String>,
    /// HOME_URL=
    pub home_url: String,
    /// Default static hostname, /etc/hostname.
    pub hostname: String,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Repo {
    /// Unique id.
    pub id: String,
    /// Base URLs to try in order: `https://`, `http://` or `file://`.
    #[serde(default)]
    pub baseurl: Vec<String>,
    /// URL of a plain list of base URLs, one a line; tried after `baseurl`.
    pub mirrorlist: Option<String>,
    /// URL of a metalink XML file with mirrors and the digest of repomd.xml; tried after `baseurl`.
    pub metalink: Option<String>,
    /// File with the OpenPGP certificates, armored or binary. Relative to the profile's file.
    pub key: PathBuf,
    /// The fingerprints trusted for this repository, hex, spaces allowed. Other certificates in `key` are ignored.
    pub fingerprints: Vec<String>,
    /// Whether repomd.xml must have a valid repomd.xml.asc. False only where the publisher signs none (EPEL).
    #[serde(default = "yes")]
    pub signed_metadata: bool,
    /// Lower wins when two repositories offer the same name, as in dnf. Default 99.
    #[serde(default = "default_priority")]
    pub priority: u32,
    /// Only these packages are taken from it (globs); empty: all.
    #[serde(default)]
    pub includepkgs: Vec<String>,
    /// These packages are never taken from it (globs).
    #[serde(default)]
    pub excludepkgs: Vec<String>,
}

/// The package set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Packages {
    /// Names, capabilities or absolute paths that must be there.
    pub include: Vec<String>,
    /// Package names that must not be there.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Whether Recommends are followed where they can be.
    #[serde(default)]
    pub weak: bool,
}

/// Units on top of what the packages' presets say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Services {
    /// Enabled although no preset says so.
    #[serde(default)]
    pub enable: Vec<String>,
    /// Disabled although a preset enables them.
    #[serde(default)]
    pub disable: Vec<String>,
    /// Masked: linked to /dev/null.
    #[serde(default)]
    pub mask: Vec<String>,
    /// default.target.
    pub default_target: Option<String>,
}

/// An account, as a sysusers.d(5) `u` line would give it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct User {
    /// Login name.
    pub name: String,
    /// Numeric id; allocated when absent.
    pub uid: Option<u32>,
    /// GECOS.
    #[serde(default)]
    pub comment: String,
    /// Home directory.
    pub home: Option<String>,
    /// Login shell.
    pub shell: Option<String>,
    /// Supplementary groups.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// The kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kernel {
    /// Command line of every boot entry of the disc.
    pub cmdline: String,
    /// Command line of the installed system, until its /etc/kernel/cmdline says otherwise.
    #[serde(default)]
    pub disk_cmdline: String,
    /// Boot entries: the first is the default; each becomes a profile of the one UKI.
    #[serde(rename = "entry")]
    pub entries: Vec<BootEntry>,
}

/// One line of the boot menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BootEntry {
    /// Stable id (`live`, `toram`, `emergency`, `debug`).
    pub id: String,
    /// What the menu shows.
    pub title: String,
    /// Added to the common command line.
    #[serde(default)]
    pub cmdline: String,
}

/// The live initramfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Initramfs {
    /// Directories with `init` and the other files that are copied in, in order, last wins. Relative to the profile's
    /// file.
    pub files: Vec<PathBuf>,
    /// Path of the static busybox in the tree.
    pub busybox: String,
    /// Module lists to read (files with one module name a line, `#` comments). Relative to the profile's file.
    pub module_lists: Vec<PathBuf>,
    /// What the packages ask of the processor (`x86-64-v2`, `x86-64-v3`); the initramfs warns where it is not met.
    #[serde(default)]
    pub cpu: Option<String>,
}

/// The initramfs of an installed system; busybox and processor are those of [`Initramfs`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DiskInitramfs {
    /// As [`Initramfs::files`].
    pub files: Vec<PathBuf>,
    /// As [`Initramfs::module_lists`].
    pub module_lists: Vec<PathBuf>,
    /// Programs and libraries of the tree that go in with everything they need: absolute paths, `?` before one that
    /// not every system has.
    #[serde(default)]
    pub programs: Vec<String>,
}

/// The images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Image {
    /// Volume label of the disc; A-Z, 0-9 and `_`, at most 32.
    pub label: String,
    /// `lz4`, `lz4hc` or `none`.
    pub compression: String,
    /// Compression level, for `lz4hc` 1 to 12.
    #[serde(default = "default_level")]
    pub level: u32,
    /// Physical cluster size in bytes: a power of two, 4096 to 1048576.
    #[serde(default = "default_pcluster")]
    pub pcluster: u32,
    /// Paths (globs) left out of the image although packages own them, such as documentation in other languages.
    #[serde(default)]
    pub exclude: Vec<String>,
}

impl Profile {
    /// Reads a profile and those it extends. `vars` are the values of `{name}` in strings.
    ///
    /// # Errors
    /// A file cannot be read or is not TOML, a key is unknown or missing, a variable has no value or is not used, a
    /// value makes no sense. Names file, line and column and shows the line; exit code [`exit::PROFILE`].
    pub fn load(path: &Path, vars: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let load = || {
            let sources = source::Sources::read(path)?;
            Self::from_sources(&sources, vars)
        };
        load().with_context(|| format!("profile {} cannot be used", path.display())).exit(exit::PROFILE)
    }

    /// Digest of what the resolver is asked: architecture, packages, repositories with their filters and priorities.
    /// Not of URLs, so that another mirror keeps the lock.
    #[must_use]
    pub fn request(&self) -> Sha256 {
        fn sorted(list: &[String]) -> BTreeSet<&str> {
            list.iter().map(String::as_str).collect()
        }
        // The order of repositories counts: it decides between equal packages.
        let repos: Vec<_> = (self.repos.iter())
            .map(|r| (&r.id, r.priority, sorted(&r.includepkgs), sorted(&r.excludepkgs), &r.fingerprints))
            .collect();
        let (include, exclude) = (sorted(&self.packages.include), sorted(&self.packages.exclude));
        let request = (&self.arch, include, exclude, self.packages.weak, repos);
        let json = serde_json::to_vec(&request).unwrap_or_else(|e| unreachable!("only plain values: {e}"));
        Sha256::of(&json)
    }

    fn from_sources(sources: &source::Sources, vars: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let document = sources.merged(vars)?;
        let mut profile = Self::deserialize(toml::Deserializer::from(document.clone())).map_err(|e| {
            let span = e.span().unwrap_or(document.span());
            sources.explain(&span, e.message())
        })?;
        for print in profile.repos.iter_mut().flat_map(|r| &mut r.fingerprints) {
            print.retain(|c| c != ' ');
            print.make_ascii_uppercase();
        }
        check::check(&profile)
            .map_err(|(at, message)| sources.explain(&source::locate(&document, &at), &message))?;
        Ok(profile)
    }
}

/// Known defects of packages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Audit {
    /// Findings that do not stop the build: globs over `PATH: PROBLEM` as the audit prints them, without the package.
    #[serde(default)]
    pub allow: Vec<String>,
}

fn yes() -> bool {
    true
}

fn default_priority() -> u32 {
    99
}

fn default_level() -> u32 {
    9
}

fn default_pcluster() -> u32 {
    65536
}
