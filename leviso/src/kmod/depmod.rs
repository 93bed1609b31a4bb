//! The index files: modules -> `modules.dep`, `.alias`, `.symbols`, ... as bytes (formats: modules.dep(5), depmod(8)).

use std::collections::BTreeMap;
use std::fmt::Write;

use super::order::{self, Dependencies};
use super::trie::Trie;
use super::{Module, module_name, normal};

/// What the kernel package says about drivers that are part of the kernel itself.
#[derive(Debug, Clone, Default)]
pub struct Builtin {
    /// `modules.builtin`: a path a line.
    pub list: Option<Vec<u8>>,
    /// `modules.builtin.modinfo`: `module.key=value` NUL.
    pub modinfo: Option<Vec<u8>>,
}

/// The files, by name, without the directory.
#[derive(Debug, Clone)]
pub struct Index {
    /// Name (`modules.dep`) -> content.
    pub files: BTreeMap<&'static str, Vec<u8>>,
}

/// Makes the index files of these modules. `order` is the content of `modules.order`; modules it does not list come
/// last. Of two modules with one name that in `updates/` or `extra/` wins, as in Enterprise Linux' depmod.d.
///
/// # Errors
/// Modules depend on each other in a circle, or an alias cannot be put into an index.
pub fn index(modules: Vec<Module>, order: &[u8], builtin: &Builtin) -> anyhow::Result<Index> {
    let mut modules = without_doubles(modules);
    order::by_order_file(&mut modules, order);
    let deps = Dependencies::new(&modules)?;
    let mut files = BTreeMap::new();
    dependencies(&modules, &deps, &mut files)?;
    aliases(&modules, &mut files)?;
    symbols(&modules, &deps, &mut files)?;
    let soft = lines("# Soft dependencies extracted from modules themselves.", "softdep", &modules, |m| {
        &m.info.softdeps
    });
    let weak = lines("# Weak dependencies extracted from modules themselves.", "weakdep", &modules, |m| {
        &m.info.weakdeps
    });
    files.insert("modules.softdep", soft.into_bytes());
    files.insert("modules.weakdep", weak.into_bytes());
    files.insert("modules.devname", devnames(&modules).into_bytes());
    files.insert("modules.builtin.bin", builtin_names(builtin.list.as_deref())?);
    files.insert("modules.builtin.alias.bin", builtin_aliases(builtin.modinfo.as_deref())?);
    Ok(Index { files })
}

fn without_doubles(modules: Vec<Module>) -> Vec<Module> {
    let rank = |m: &Module| match m.path.split('/').next() {
        Some("updates") => 0,
        Some("extra") => 1,
        Some("weak-updates") => 3,
        _ => 2,
    };
    let mut best: BTreeMap<String, Module> = BTreeMap::new();
    for module in modules {
        match best.get(&module.name) {
            Some(old) if (rank(old), &old.path) <= (rank(&module), &module.path) => {}
            _ => {
                best.insert(module.name.clone(), module);
            }
        }
    }
    best.into_values().collect()
}

type Files = BTreeMap<&'static str, Vec<u8>>;

fn dependencies(modules: &[Module], deps: &Dependencies, files: &mut Files) -> anyhow::Result<()> {
    let mut text = String::new();
    let mut trie = Trie::default();
    for (i, module) in modules.iter().enumerate() {
        let mut line = format!("{}:", module.path);
        for other in deps.all(i) {
            line.push(' ');
            line.push_str(&modules[other].path);
        }
        trie.insert(&module.name, &line, i)?;
        text.push_str(&line);
        text.push('\n');
    }
    files.insert("modules.dep", text.into_bytes());
    files.insert("modules.dep.bin", trie.to_bytes()?);
    Ok(())
}

fn aliases(modules: &[Module], files: &mut Files) -> anyhow::Result<()> {
    let mut text = String::from("# Aliases extracted from modules themselves.\n");
    let mut trie = Trie::default();
    for (i, module) in modules.iter().enumerate() {
        for alias in &module.info.aliases {
            put(&mut text, format_args!("alias {alias} {}\n", module.name));
            if let Some(key) = normal_alias(alias) {
                trie.insert(&key, &module.name, i)?;
            }
        }
    }
    files.insert("modules.alias", text.into_bytes());
    files.insert("modules.alias.bin", trie.to_bytes()?);
    Ok(())
}

fn symbols(modules: &[Module], deps: &Dependencies, files: &mut Files) -> anyhow::Result<()> {
    let mut text = String::from("# Aliases for symbols, used by symbol_request().\n");
    let mut trie = Trie::default();
    for (symbol, i) in deps.symbols() {
        put(&mut text, format_args!("alias symbol:{symbol} {}\n", modules[i].name));
        trie.insert(&format!("symbol:{symbol}"), &modules[i].name, i)?;
    }
    files.insert("modules.symbols", text.into_bytes());
    files.insert("modules.symbols.bin", trie.to_bytes()?);
    Ok(())
}

fn lines(
    header: &str,
    keyword: &str,
    modules: &[Module],
    values: impl Fn(&Module) -> &Vec<String>,
) -> String {
    let mut text = format!("{header}\n");
    for module in modules {
        for value in values(module) {
            put(&mut text, format_args!("{keyword} {} {value}\n", module.name));
        }
    }
    text
}

/// Device nodes that load their module when they are opened: needs both a name and numbers among the aliases.
fn devnames(modules: &[Module]) -> String {
    let mut text = String::new();
    for module in modules {
        let (mut name, mut numbers) = (None, None);
        for alias in &module.info.aliases {
            if let Some(rest) = alias.strip_prefix("devname:") {
                name = Some(rest);
            } else if let Some(found) = device_numbers(alias) {
                numbers = Some(found);
            }
            if name.is_some() && numbers.is_some() {
                break;
            }
        }
        if let (Some(name), Some((kind, major, minor))) = (name, numbers) {
            if text.is_empty() {
                text.push_str("# Device nodes to trigger on-demand module loading.\n");
            }
            put(&mut text, format_args!("{} {name} {kind}{major}:{minor}\n", module.name));
        }
    }
    text
}

/// `char-major-10-200` -> `('c', 10, 200)`; what follows the number does not matter, and `-*` is no number.
fn device_numbers(alias: &str) -> Option<(char, u32, u32)> {
    let (kind, rest) = match alias.strip_prefix("char-major-") {
        Some(rest) => ('c', rest),
        None => ('b', alias.strip_prefix("block-major-")?),
    };
    let (major, minor) = rest.split_once('-')?;
    let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
    Some((kind, major.parse().ok()?, minor[..digits].parse().ok()?))
}

fn builtin_names(list: Option<&[u8]>) -> anyhow::Result<Vec<u8>> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let mut trie = Trie::default();
    for line in
        String::from_utf8_lossy(list).lines().filter(|l| l.starts_with(|c: char| c.is_ascii_alphabetic()))
    {
        trie.insert(&module_name(line), "", 0)?;
    }
    trie.to_bytes()
}

fn builtin_aliases(modinfo: Option<&[u8]>) -> anyhow::Result<Vec<u8>> {
    let Some(modinfo) = modinfo else { return Ok(Vec::new()) };
    let mut trie = Trie::default();
    for (module, alias) in builtin_alias_list(modinfo) {
        if let Some(key) = normal_alias(&alias) {
            trie.insert(&key, &module, 0)?;
        }
    }
    trie.to_bytes()
}

/// The aliases in `modules.builtin.modinfo`: (module, alias).
pub(super) fn builtin_alias_list(modinfo: &[u8]) -> Vec<(String, String)> {
    let entries = modinfo.split(|&b| b == 0).filter_map(|e| std::str::from_utf8(e).ok());
    entries
        .filter_map(|entry| {
            let (module, rest) = entry.split_once('.')?;
            let alias = rest.strip_prefix("alias=")?;
            (!module.is_empty() && !alias.is_empty()).then(|| (module.to_owned(), alias.to_owned()))
        })
        .collect()
}

/// `-` as `_`, but not inside `[]`; `None` when the brackets do not match.
fn normal_alias(alias: &str) -> Option<String> {
    let mut out = String::with_capacity(alias.len());
    let mut rest = alias;
    while let Some(at) = rest.find(['[', ']']) {
        out.push_str(&normal(&rest[..at]));
        let end = rest[at..].starts_with('[').then(|| rest[at..].find(']')).flatten()?;
        out.push_str(&rest[at..=at + end]);
        rest = &rest[at + end + 1..];
    }
    out.push_str(&normal(rest));
    Some(out)
}

fn put(text: &mut String, args: std::fmt::Arguments<'_>) {
    text.write_fmt(args).unwrap_or_else(|_| unreachable!("writing to a String cannot fail"));
}
