//! One .deb -> one RPM description: identity, relations, files, and what the maintainer script would have done.

use std::collections::BTreeSet;

use anyhow::Context;

use super::effects;
use super::plan::Plan;
use crate::debian::deb::Deb;
use crate::debian::relations::{self, Evr};
use crate::debian::scripts::{self, Enabled};
use crate::rpm::{Dep, File, Kind, PREREQ, Package};

/// A converted package and what is left to do elsewhere.
#[derive(Debug)]
pub struct Converted {
    /// The package.
    pub package: Package,
    /// Units its script enables.
    pub enabled: Enabled,
    /// The script does something that data/effects.toml does not account for.
    pub unaccounted: bool,
}

/// Converts. `base_dirs` are the directories base-files owns: other packages need not.
///
/// # Errors
/// A field cannot be parsed, or an effect does not fit.
pub fn convert(deb: Deb, plan: &Plan, base_dirs: &BTreeSet<Vec<u8>>) -> anyhow::Result<Converted> {
    let name = deb.field("Package").to_owned();
    let context = || format!("failed to convert the package {name}");
    let evr = Evr::parse(deb.field("Version")).with_context(context)?;
    let arch = if deb.field("Architecture") == "all" { "noarch" } else { "x86_64" };
    let mut package = Package::new(&name, &evr.version, &evr.release, arch);
    package.epoch = (evr.epoch != 0).then_some(evr.epoch);
    let (summary, description) =
        deb.field("Description").split_once('\n').unwrap_or((deb.field("Description"), ""));
    package.summary = summary.trim().to_owned();
    package.description = paragraph(description);
    package.url = deb.field("Homepage").to_owned();
    package.license = "see /usr/share/doc".into();
    package.vendor = "Debian, repackaged".into();
    package.source_rpm = source(&deb, &package);
    package.build_time = deb.built;
    package.compression = plan.compression_of(&name)?;
    relate(&mut package, &deb, plan).with_context(context)?;

    let enabled = scripts::enabled_units(&deb.postinst);
    let effect = plan.effect(&name);
    let unaccounted = effect.is_none() && scripts::does_something(&deb.postinst);
    let is_base = name == "base-files";
    package.files = deb.files;
    let shared = |f: &File| !is_base && is_dir(f) && base_dirs.contains(&f.path);
    package.files.retain(|f| f.path != b"/" && !shared(f) && !plan.removes(&f.path));
    for file in &mut package.files {
        file.flags |= flags(file, &deb.conffiles);
    }
    kernel_layout(&mut package);
    if let Some(effect) = effect {
        effects::apply(&mut package, effect)?;
    }
    Ok(Converted { package, enabled, unaccounted })
}

/// The directories of base-files.
#[must_use]
pub fn directories(deb: &Deb) -> BTreeSet<Vec<u8>> {
    deb.files.iter().filter(|f| is_dir(f)).map(|f| f.path.clone()).collect()
}

fn is_dir(file: &File) -> bool {
    matches!(file.kind, Kind::Dir)
}

/// Depends, Provides and the rest. Recommends stay weak; Suggests and Enhances are left out, nothing here reads them.
fn relate(package: &mut Package, deb: &Deb, plan: &Plan) -> anyhow::Result<()> {
    let parse = |field: &str| {
        relations::parse(deb.field(field), |name| plan.drops(name))
            .with_context(|| format!("in the field {field}"))
    };
    let mut pre = parse("Pre-Depends")?;
    pre.iter_mut().filter(|d| !d.is_rich()).for_each(|d| d.flags |= PREREQ);
    package.requires = pre;
    package.requires.extend(parse("Depends")?);
    package.recommends = parse("Recommends")?;
    package.provides = parse("Provides")?;
    package.conflicts = parse("Conflicts")?;
    package.conflicts.extend(parse("Breaks")?);
    // Debian lets a package conflict with what it provides itself: "I am the only one". RPM's solvers too.
    let replaces = parse("Replaces")?;
    let plain = |list: &[Dep], name: &str| list.iter().any(|d| d.name == name && d.version.is_empty());
    // Provides + Conflicts + Replaces of one name without versions is how a package takes another one's place.
    let took_over = replaces.iter().filter(|d| {
        d.version.is_empty()
            && plain(&package.conflicts, &d.name)
            && package.provides.iter().any(|p| p.name == d.name)
    });
    package.obsoletes = took_over.cloned().collect();
    for list in
        [&mut package.requires, &mut package.recommends, &mut package.conflicts, &mut package.obsoletes]
    {
        list.sort();
        list.dedup();
    }
    Ok(())
}

/// `Source: name (version)`, else the package's own.
fn source(deb: &Deb, package: &Package) -> String {
    let name = deb.field("Source").split_whitespace().next().unwrap_or(&package.name);
    format!("{name}-{}-{}.src.rpm", package.version, package.release)
}

/// deb-control(5) writes empty lines of a description as ` .`.
fn paragraph(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(|l| if l.trim() == "." { "" } else { l.trim_end() }).collect();
    lines.join("\n")
}

fn flags(file: &File, conffiles: &BTreeSet<Vec<u8>>) -> u32 {
    let docs: [&[u8]; 3] = [b"/usr/share/doc/", b"/usr/share/man/", b"/usr/share/info/"];
    match &file.kind {
        Kind::Dir => 0,
        _ if conffiles.contains(&file.path) => File::CONFIG | File::NO_REPLACE,
        _ if file.path.starts_with(docs[0]) && file.path.ends_with(b"/copyright") => File::LICENSE,
        _ if docs.iter().any(|dir| file.path.starts_with(dir)) => File::DOC,
        _ => 0,
    }
}

/// Lays the kernel out as Enterprise Linux does: everything below /usr/lib/modules/VERSION, nothing in /boot.
fn kernel_layout(package: &mut Package) {
    let Some(version) = package.name.strip_prefix("linux-image-").map(str::to_owned) else { return };
    let mut is_kernel = false;
    for file in &mut package.files {
        for kind in ["vmlinuz", "config", "System.map"] {
            if file.path == format!("/boot/{kind}-{version}").into_bytes() {
                file.path = format!("/usr/lib/modules/{version}/{kind}").into_bytes();
                is_kernel = true;
            }
        }
    }
    if is_kernel {
        for name in ["kernel", "kernel-core", "kernel-modules-core", "kernel-modules"] {
            package.provides.push(Dep::parse(&format!("{name} = {}", package.evr())));
        }
        package.provides.push(Dep::parse(&format!("kernel-uname-r = {version}")));
    }
}
