//! Enabling and disabling: the links systemctl makes below /etc/systemd, made in the tree.

use std::collections::{BTreeSet, VecDeque};

use anyhow::Context;

use crate::tree::{Kind, Origin, Tree};

use super::name::UnitName;
use super::unit::{Found, Manager, Unit};

/// What makes the links.
const ORIGIN: Origin = Origin::Generated("presets");

/// Enables units and what their Also= names. Returns those of `names` that had nothing to enable: no file, masked, or
/// no [Install] section.
///
/// # Errors
/// A unit file cannot be read, or a link cannot be made.
pub(super) fn enable(tree: &mut Tree, manager: &Manager, names: &[String]) -> anyhow::Result<Vec<String>> {
    let mut without_effect = Vec::new();
    let mut seen = BTreeSet::new();
    let mut todo: VecDeque<(String, bool)> = names.iter().map(|n| (n.clone(), true)).collect();
    while let Some((name, asked)) = todo.pop_front() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let links = match manager.resolve(tree, &name)? {
            Found::Unit(unit) => {
                // What Also= names is enabled whatever the presets say of it, as systemctl does.
                todo.extend(expand_all(&unit, &unit.install.also).into_iter().map(|n| (n, false)));
                let links = links_of(&unit, tree, manager)?;
                links.iter().try_for_each(|link| make(tree, manager, link))?;
                links.len() + unit.install.also.len()
            }
            Found::Missing | Found::Masked | Found::Alias(_) => 0,
        };
        if asked && links == 0 {
            without_effect.push(name);
        }
    }
    Ok(without_effect)
}

/// Takes away every link to the units, and to what their Also= names. Masks (links to /dev/null) stay.
///
/// # Errors
/// A unit file cannot be read.
pub(super) fn disable(tree: &mut Tree, manager: &Manager, names: &[String]) -> anyhow::Result<()> {
    let mut all: BTreeSet<String> = BTreeSet::new();
    let mut todo = names.to_vec();
    while let Some(name) = todo.pop() {
        if let Found::Unit(unit) = manager.resolve(tree, &name)? {
            todo.extend(expand_all(&unit, &unit.install.also).into_iter().filter(|n| !all.contains(n)));
            all.insert(unit.name);
        }
        all.insert(name);
    }
    let is_ours = |name: &str| {
        all.contains(name)
            || UnitName::parse(name)
                .and_then(|n| n.template())
                .is_some_and(|template| all.contains(&template))
    };
    let config = manager.config_dir();
    let mut dirs = vec![config.to_owned()];
    dirs.extend(tree.list(config).into_iter().map(|n| format!("{config}/{}", String::from_utf8_lossy(n))));
    for dir in dirs {
        // A link to a directory is not searched: it may lead anywhere.
        let is_dir = tree.lstat(&dir).is_ok_and(|id| tree.entries(id).is_some());
        if !is_dir {
            continue;
        }
        let names: Vec<String> =
            tree.list(&dir).into_iter().filter_map(|n| String::from_utf8(n.to_vec()).ok()).collect();
        for name in names {
            let path = format!("{dir}/{name}");
            let Some(target) = link_target(tree, &path) else { continue };
            let base = target.rsplit('/').next().unwrap_or_default();
            if target != "/dev/null" && UnitName::parse(&name).is_some() && (is_ours(&name) || is_ours(base))
            {
                tree.remove(&path)?;
            }
        }
    }
    Ok(())
}

/// Makes a unit impossible to start.
///
/// # Errors
/// Something other than a file or link is in the way.
pub(super) fn mask(tree: &mut Tree, manager: &Manager, name: &str) -> anyhow::Result<()> {
    let path = format!("{}/{name}", manager.config_dir());
    tree.symlink(&path, "/dev/null", ORIGIN).with_context(|| format!("failed to mask {name}"))?;
    Ok(())
}

/// Makes a target the one that is booted.
///
/// # Errors
/// Something other than a file or link is in the way.
pub(super) fn set_default(tree: &mut Tree, unit: &Unit) -> anyhow::Result<()> {
    tree.symlink("/etc/systemd/system/default.target", unit.path.as_str(), ORIGIN)?;
    Ok(())
}

/// One link to make.
#[derive(Debug)]
struct Link {
    /// Below the manager's configuration directory; built from checked unit names only.
    path: String,
    target: String,
    /// Whether another link there is replaced; aliases are not, so the first unit by name keeps a contested one.
    force: bool,
}

fn links_of(unit: &Unit, tree: &Tree, manager: &Manager) -> anyhow::Result<Vec<Link>> {
    let Some(name) = UnitName::parse(&unit.name) else { return Ok(Vec::new()) };
    let mut links = Vec::new();
    for alias in expand_all(unit, &unit.install.alias) {
        // The old form `x.wants/y.service` is not made by systemctl any more; paths are no names.
        let Some(parsed) = UnitName::parse(&alias) else { continue };
        let alias = match name.instance {
            Some(instance) if parsed.is_template() && !instance.is_empty() => parsed.with_instance(instance),
            _ => alias.clone(),
        };
        let fits = UnitName::parse(&alias).is_some_and(|a| name.may_be_called(&a));
        if fits && alias != unit.name {
            links.push(Link { path: alias, target: unit.path.clone(), force: false });
        }
    }
    // A template is enabled as its default instance; without one only other templates and instances can want it.
    let (link_name, target) = match &unit.install.default_instance {
        Some(instance) if name.is_template() => {
            let instance = name.with_instance(instance);
            match manager.resolve(tree, &instance)? {
                Found::Unit(found) if UnitName::parse(&instance).is_some() => (instance, found.path),
                _ => return Ok(links),
            }
        }
        _ => (unit.name.clone(), unit.path.clone()),
    };
    let template_only = link_name == unit.name && name.is_template();
    for (list, suffix) in [
        (&unit.install.wanted_by, "wants"),
        (&unit.install.required_by, "requires"),
        (&unit.install.upheld_by, "upholds"),
    ] {
        for by in expand_all(unit, list) {
            let fits = UnitName::parse(&by).is_some_and(|by| !template_only || by.instance.is_some());
            if fits {
                let path = format!("{by}.{suffix}/{link_name}");
                links.push(Link { path, target: target.clone(), force: true });
            }
        }
    }
    Ok(links)
}

fn make(tree: &mut Tree, manager: &Manager, link: &Link) -> anyhow::Result<()> {
    let path = format!("{}/{}", manager.config_dir(), link.path);
    if !link.force && tree.lstat(&path).is_ok() {
        return Ok(());
    }
    tree.symlink(&path, link.target.as_str(), ORIGIN)
        .with_context(|| format!("failed to make the link {path}"))?;
    Ok(())
}

fn link_target(tree: &Tree, path: &str) -> Option<String> {
    match &tree.inode(tree.lstat(path).ok()?).kind {
        Kind::Symlink(target) => String::from_utf8(target.to_vec()).ok(),
        _ => None,
    }
}

fn expand_all(unit: &Unit, words: &[String]) -> Vec<String> {
    words.iter().filter_map(|word| expand(unit, word)).collect()
}

/// Replaces the specifiers that follow from the unit's name; a word with another one is left out.
fn expand(unit: &Unit, word: &str) -> Option<String> {
    let template = UnitName::parse(&unit.name)?;
    // A template is named as its default instance, as far as specifiers go.
    let full = match &unit.install.default_instance {
        Some(instance) if template.is_template() => template.with_instance(instance),
        _ => unit.name.clone(),
    };
    let name = UnitName::parse(&full)?;
    let mut out = String::new();
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            '%' => out.push('%'),
            'n' => out.push_str(&full),
            'N' => out.push_str(full.rsplit_once('.')?.0),
            'p' => out.push_str(name.prefix),
            'i' => out.push_str(name.instance.unwrap_or_default()),
            'j' => out.push_str(name.prefix.rsplit('-').next()?),
            _ => return None,
        }
    }
    Some(out)
}
