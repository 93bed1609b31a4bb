//! Hostile archives, every kind in every packing: refused, or installed without anything that is dangerous; nothing outside changes.

use std::collections::BTreeMap;
use std::path::Path;

use testkit::ledger::{Row, full};
use testkit::scratch;

use crate::forge::{PACKED, pack};
use crate::kinds::{Kind, tars, zips};
use crate::rig::{Out, Rig, tree};

/// Exit codes of a refusal: integrity, a size limit, a recipe that installs nothing.
const REFUSED: [i32; 3] = [14, 3, 10];

#[test]
fn hostile_archives() {
    let rig = Rig::at(scratch::dir());
    watched(&rig.path(""));
    let mut all = Vec::new();
    for (i, kind) in tars().into_iter().enumerate() {
        // A sample packs each kind in one way.
        let ways = if full() { &PACKED[..] } else { &PACKED[i % 4..=i % 4] };
        all.extend(
            ways.iter()
                .map(|way| (format!("{} in {way}", kind.name), *way, pack(way, &kind.bytes), kind.refuse)),
        );
    }
    let escaped = naive(&tars());
    all.extend(zips().into_iter().map(|k| (format!("{} in zip", k.name), "zip", k.bytes, k.refuse)));
    // Both are all kinds; a sample has each in fewer packings.
    let population = tars().len() * PACKED.len() + zips().len();
    let chosen: Vec<_> = all.into_iter().enumerate().filter(|(i, _)| full() || i % 2 == 0).collect();
    let mut row = Row::new(
        "hostile archives: kinds x tar.gz, tar.xz, tar.zst, tar.bz2, zip",
        population as u64,
        chosen.len() as u64,
    );
    canaries(&mut row, &rig);
    row.canary(escaped > 0);
    row.note(format!("{} kinds of tar, {} of zip", tars().len(), zips().len()));
    row.note(format!("canary: a simple extractor lets {escaped} of the tars write outside"));
    let before = outside(&rig);
    for (i, (name, ending, bytes, refuse)) in chosen {
        let package = format!("k{i}");
        let url = rig.server.url(&format!("/{package}.{ending}"));
        let own = rig.path(&format!("www/{package}.{ending}"));
        let recipe = format!(
            "let pkg = #{{ name: \"{package}\", version: \"1\" }};\nfn install() {{ download(\"{url}\"); extract(); \
             install_tree(\".\", \"share/{package}\"); }}\n"
        );
        rig.write(&format!("recipes/{package}.rhai"), recipe);
        std::fs::write(&own, &bytes).expect("written");
        let out = rig.run(&["install", &package]);
        std::fs::remove_file(own).expect("removed");
        row.outcome(&name, judge(&rig, &package, &out, refuse, &before));
        if out.code == Some(0) {
            rig.run(&["remove", &package]).ok();
        }
        std::fs::remove_file(rig.path(&format!("recipes/{package}.rhai"))).expect("removed");
    }
    row.finish();
}

/// What a hostile name may aim at.
fn watched(root: &Path) {
    for name in ["victim", "v", "outside/victim", "outside/v", "prefix/v"] {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, "as it was").expect("written");
    }
}

/// Everything that no installation may change: the rig without what is ours, and three places of the host.
fn outside(rig: &Rig) -> BTreeMap<String, String> {
    let mut found = tree(&rig.path(""));
    let ours = |path: &str| {
        ["www", "recipes", "cache", "prefix/.recipe", "prefix/share"].iter().any(|own| path.starts_with(own))
    };
    found.retain(|path, _| !ours(path));
    for host in ["/recipe-hostile", "/tmp/recipe-hostile", "/tmp/v"] {
        found.insert(host.to_owned(), Path::new(host).symlink_metadata().is_ok().to_string());
    }
    found
}

fn judge(
    rig: &Rig,
    package: &str,
    out: &Out,
    refuse: bool,
    before: &BTreeMap<String, String>,
) -> Result<&'static str, String> {
    if outside(rig) != *before {
        return Err(format!("something outside changed: {out:?}"));
    }
    if out.stderr.contains("panicked") {
        return Err(format!("panic: {}", out.stderr));
    }
    let installed = rig.prefix(&format!("share/{package}"));
    match out.code {
        Some(0) if !installed.exists() => Err("exit 0, but nothing is installed".to_owned()),
        Some(0) if refuse => Err(format!("it was installed: {:?}", tree(&installed))),
        Some(0) => dangerous(&tree(&installed)).map_or(Ok("installed, harmless"), Err),
        Some(code) if REFUSED.contains(&code) && !installed.exists() => Ok("refused"),
        _ => Err(format!("{out:?}, share: {}", installed.exists())),
    }
}

/// What no installed tree may have.
fn dangerous(tree: &BTreeMap<String, String>) -> Option<String> {
    let bad = |path: &str, what: &str| {
        let depth = path.matches('/').count();
        let leads_out =
            |to: &str| to.starts_with('/') || to.split('/').filter(|p| *p == "..").count() > depth;
        match what.strip_prefix("-> ") {
            Some(to) => leads_out(to),
            None => {
                what == "special" || (what.starts_with("file ") && !["0644", "0755"].contains(&&what[5..9]))
            }
        }
    };
    tree.iter().find(|(path, what)| bad(path, what)).map(|(path, what)| format!("{path} is {what}"))
}

/// The judge must see each of these.
fn canaries(row: &mut Row, rig: &Rig) {
    let before = outside(rig);
    let out = |code| Out { code: Some(code), stdout: String::new(), stderr: String::new() };
    rig.write("outside/v", "other");
    row.canary(judge(rig, "none", &out(14), true, &before).is_err());
    rig.write("outside/v", "as it was");
    rig.write("one-more", "");
    row.canary(judge(rig, "none", &out(14), true, &before).is_err());
    std::fs::remove_file(rig.path("one-more")).expect("removed");
    row.canary(judge(rig, "none", &out(0), true, &before).is_err());
    row.canary(judge(rig, "none", &out(101), true, &before).is_err());
    assert_eq!(judge(rig, "none", &out(14), true, &before), Ok("refused"));
    for (path, what) in [("a/l", "-> ../../x"), ("l", "-> /etc"), ("s", "file 4755 00"), ("p", "special")] {
        row.canary(dangerous(&BTreeMap::from([(path.to_owned(), what.to_owned())])).is_some());
    }
}

/// How many archives make a simple extractor write outside: names are joined, links are followed. Absolute ones are left out.
fn naive(kinds: &[Kind]) -> usize {
    use std::os::unix::ffi::OsStrExt;
    let path = |bytes: &[u8]| Path::new(std::ffi::OsStr::from_bytes(bytes)).to_owned();
    let mut escaped = 0;
    for kind in kinds {
        let absolute =
            |(name, _, target): &(Vec<u8>, u8, Vec<u8>)| name.starts_with(b"/") || target.starts_with(b"/");
        if kind.plain.is_empty() || kind.plain.iter().any(absolute) {
            continue;
        }
        let dir = scratch::dir();
        watched(dir.path());
        let into = dir.path().join("1/2/3/4/5");
        std::fs::create_dir_all(&into).expect("made");
        let seen = || {
            let mut tree = tree(dir.path());
            tree.retain(|path, _| !path.starts_with("1/2/3/4/5"));
            tree
        };
        let before = seen();
        for (name, what, rest) in &kind.plain {
            let at = into.join(path(name));
            // Whatever fails fails.
            let _ = match what {
                b'0' => std::fs::create_dir_all(at.parent().unwrap_or(&into))
                    .and_then(|()| std::fs::write(at, rest)),
                b'1' => std::fs::hard_link(into.join(path(rest)), at),
                b'2' => std::os::unix::fs::symlink(path(rest), at),
                _ => std::fs::create_dir_all(at),
            };
        }
        escaped += usize::from(seen() != before);
    }
    escaped
}
