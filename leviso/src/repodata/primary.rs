//! primary.xml, streamed: one package at a time, none of the text kept that the resolver does not need.

use std::io::BufRead;

use anyhow::{Context, bail};
use common::hash::Sha256;

use super::xml::{Item, Tag, Xml, append};
use super::{Dep, Op, Package, RepoMetadata, Strings, Sym};

/// Packages in one repository. Fedora has 70,000.
const MAX_PACKAGES: usize = 1_000_000;
/// Entries of one package's list. A kernel provides some 30,000 ksym() names.
const MAX_ENTRIES: usize = 1_000_000;
/// All entries of a repository: 12 bytes each.
const MAX_TOTAL: usize = 50_000_000;

/// Reads primary.xml (decompressed) and adds its packages to `repo`.
///
/// # Errors
/// It is not primary.xml, breaks a cap, or has a package with a bad name, place or checksum (only sha256 is taken);
/// names the repository and the byte, exit code [`crate::exit::VERIFY`].
pub fn read_primary(repo: &mut RepoMetadata, reader: impl BufRead) -> anyhow::Result<()> {
    let what = format!("primary.xml of repository {}", repo.id);
    let mut state = State { repo, draft: Draft::default(), list: None, text: None, total: 0, root: false };
    Xml::new(reader).read(&what, |item| state.visit(item))
}

/// A relative path that stays below its base, as every `<location href>` must be.
pub(super) fn check_location(href: &str) -> anyhow::Result<&str> {
    let ok = !href.is_empty()
        && href.bytes().all(|b| b > b' ' && b != 0x7f && b != b'\\')
        && !href.contains(['?', '#'])
        // A scheme would make it an absolute URL.
        && !href.split('/').next().is_some_and(|first| first.contains(':'))
        && href.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !ok {
        bail!("location {href:?} is not a path inside the repository");
    }
    Ok(href)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Provides,
    Requires,
    Conflicts,
    Obsoletes,
    Recommends,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Arch,
    Checksum,
    File,
}

/// A package being read.
#[derive(Default)]
struct Draft {
    /// Between `<package type="rpm">` and its end.
    open: bool,
    name: String,
    arch: String,
    evr: String,
    checksum: String,
    size: Option<u64>,
    location: String,
    lists: [Vec<Dep>; 5],
    files: Vec<Sym>,
}

struct State<'r> {
    repo: &'r mut RepoMetadata,
    draft: Draft,
    list: Option<List>,
    text: Option<(Field, String)>,
    total: usize,
    root: bool,
}

impl State<'_> {
    fn visit(&mut self, item: Item<'_>) -> anyhow::Result<()> {
        match item {
            Item::Open(tag) => self.open(&tag),
            Item::Text(piece) => self.text.as_mut().map_or(Ok(()), |(_, text)| append(text, piece)),
            Item::Close(depth) => self.close(depth),
            Item::End if !self.root => bail!("it is empty"),
            Item::End => Ok(()),
        }
    }

    fn open(&mut self, tag: &Tag<'_>) -> anyhow::Result<()> {
        match (tag.depth, tag.name()) {
            (1, "metadata") => self.root = true,
            (1, other) => bail!("expected <metadata>, found <{other}>"),
            (2, "package") => {
                self.draft = Draft { open: tag.attr("type")?.as_deref() == Some("rpm"), ..Draft::default() };
            }
            (3, "name") => self.text = Some((Field::Name, String::new())),
            (3, "arch") => self.text = Some((Field::Arch, String::new())),
            (3, "checksum") => {
                let algorithm = tag.need("type")?;
                if algorithm != "sha256" {
                    bail!("expected a sha256 checksum of {}, found {algorithm:?}", self.draft.name);
                }
                self.text = Some((Field::Checksum, String::new()));
            }
            (3, "version") => self.draft.evr = package_evr(tag)?,
            (3, "size") => self.draft.size = Some(tag.need("package")?.parse().context("bad package size")?),
            (3, "location") => {
                if tag.attr("xml:base")?.is_some() {
                    bail!("{} lies outside the repository (xml:base)", self.draft.name);
                }
                let href = tag.need("href")?;
                self.draft.location = check_location(&href)?.to_owned();
            }
            (4, "file") => self.text = Some((Field::File, String::new())),
            (4, "provides") => self.list = Some(List::Provides),
            (4, "requires") => self.list = Some(List::Requires),
            (4, "conflicts") => self.list = Some(List::Conflicts),
            (4, "obsoletes") => self.list = Some(List::Obsoletes),
            (4, "recommends") => self.list = Some(List::Recommends),
            (5, "entry") => {
                if let Some(list) = self.list {
                    self.entry(tag, list)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn entry(&mut self, tag: &Tag<'_>, list: List) -> anyhow::Result<()> {
        let name = tag.need("name")?;
        // Features of rpm itself, which is not what installs this system.
        if list == List::Requires && name.starts_with("rpmlib(") {
            return Ok(());
        }
        let strings = &mut self.repo.strings;
        let op = match tag.attr("flags")?.as_deref() {
            None | Some("") => Op::Any,
            Some("LT") => Op::Lt,
            Some("LE") => Op::Le,
            Some("EQ") => Op::Eq,
            Some("GE") => Op::Ge,
            Some("GT") => Op::Gt,
            Some(other) => bail!("unknown dependency flags {other:?} of {name}"),
        };
        let evr = if op == Op::Any { Strings::EMPTY } else { strings.intern(&dep_evr(tag)?) };
        let dep = Dep { name: strings.intern(&name), op, evr };
        let entries = &mut self.draft.lists[list as usize];
        if entries.len() >= MAX_ENTRIES {
            bail!("{} has more than {MAX_ENTRIES} entries in a list", self.draft.name);
        }
        entries.push(dep);
        self.count()
    }

    fn close(&mut self, depth: usize) -> anyhow::Result<()> {
        if let Some((field, text)) = self.text.take() {
            match field {
                Field::Name => self.draft.name = text,
                Field::Arch => self.draft.arch = text,
                Field::Checksum => self.draft.checksum = text,
                Field::File => {
                    self.draft.files.push(self.repo.strings.intern(&text));
                    self.count()?;
                }
            }
        }
        match depth {
            4 => self.list = None,
            2 if self.draft.open => {
                let draft = std::mem::take(&mut self.draft);
                let name = draft.name.clone();
                let package = draft
                    .finish(&mut self.repo.strings)
                    .with_context(|| format!("package {name:?} is not usable"))?;
                if self.repo.packages.len() >= MAX_PACKAGES {
                    bail!("more than {MAX_PACKAGES} packages");
                }
                self.repo.packages.push(package);
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self) -> anyhow::Result<()> {
        self.total += 1;
        if self.total > MAX_TOTAL {
            bail!("more than {MAX_TOTAL} dependencies and files in all");
        }
        Ok(())
    }
}

impl Draft {
    fn finish(self, strings: &mut Strings) -> anyhow::Result<Package> {
        // They become parts of file names and of the lock, so they are what rpm allows and no more.
        let plain =
            |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b));
        if !plain(&self.name) || self.name.starts_with(['.', '-']) {
            bail!("bad package name {:?}", self.name);
        }
        if !plain(&self.arch) || self.arch.contains('.') {
            bail!("bad architecture {:?}", self.arch);
        }
        if self.evr.is_empty() {
            bail!("it has no version");
        }
        if self.location.is_empty() {
            bail!("it has no location");
        }
        let sha256: Sha256 = self.checksum.trim().parse().context("bad checksum")?;
        let Some(size) = self.size else { bail!("it has no size") };
        let [provides, requires, conflicts, obsoletes, recommends] = self.lists.map(unique);
        Ok(Package {
            name: strings.intern(&self.name),
            arch: strings.intern(&self.arch),
            evr: strings.intern(&self.evr),
            sha256,
            size,
            location: strings.intern(&self.location),
            provides,
            requires,
            conflicts,
            obsoletes,
            recommends,
            files: self.files,
        })
    }
}

/// Sorted and each once: scriptlet dependencies (`pre="1"`) repeat the ordinary ones.
fn unique(mut list: Vec<Dep>) -> Box<[Dep]> {
    list.sort_unstable();
    list.dedup();
    list.into()
}

fn package_evr(tag: &Tag<'_>) -> anyhow::Result<String> {
    let (version, release) = (tag.need("ver")?, tag.need("rel")?);
    let epoch = epoch_of(tag)?;
    for part in [&version, &release] {
        let ok = |b: u8| b.is_ascii_alphanumeric() || b"._+~^%".contains(&b);
        if part.is_empty() || !part.bytes().all(ok) {
            bail!("bad version or release {part:?}");
        }
    }
    Ok(format!("{epoch}:{version}-{release}"))
}

fn dep_evr(tag: &Tag<'_>) -> anyhow::Result<String> {
    let epoch = epoch_of(tag)?;
    let version = tag.need("ver")?;
    Ok(match tag.attr("rel")?.filter(|r| !r.is_empty()) {
        Some(release) => format!("{epoch}:{version}-{release}"),
        None => format!("{epoch}:{version}"),
    })
}

fn epoch_of(tag: &Tag<'_>) -> anyhow::Result<u32> {
    match tag.attr("epoch")?.as_deref() {
        None | Some("") => Ok(0),
        Some(text) => text.parse().with_context(|| format!("bad epoch {text:?}")),
    }
}
