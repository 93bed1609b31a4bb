//! Generated archives, unpacked by recipe and by two other programs: the same names, contents, link targets and modes.
//!
//! recipe gives files 0644 or 0755, by whether anybody may run them; so the others' modes are looked at in that way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::cmd::Cmd;
use testkit::ledger::{Row, planned};
use testkit::random::Random;
use testkit::scratch;

use crate::forge::{PACKED, pack, pax, tar, zip};
use crate::rig::{Rig, tree};

const SEED: u64 = 41;

/// One name of an archive, below its top directory.
#[derive(Debug, Clone)]
enum Item {
    Dir(String),
    File(String, u32, Vec<u8>),
    Link(String, String),
    /// Another name of a file.
    Hard(String, String),
}

#[test]
fn benign_archives() {
    let count = planned(10_000, 200);
    let rig = Rig::at(scratch::dir());
    let mut random = Random::new(SEED);
    let mut row = Row::new(
        "generated archives: the same tree as GNU tar, bsdtar and unzip make",
        u64::MAX,
        count as u64,
    )
    .seeded(SEED);
    let mut last = BTreeMap::new();
    for i in 0..count {
        let items = generate(&mut random);
        let (ending, bytes) = archive(&items, &mut random);
        let result = compare(&rig, i, ending, &bytes, &mut last);
        row.outcome(&format!("archive {i}, {ending}, {items:?}"), result);
    }
    // The last tree, spoiled in each way.
    let lies: [fn(&mut BTreeMap<String, String>); 4] = [
        |tree| drop(tree.pop_first()),
        |tree| drop(tree.insert("more".to_owned(), "dir".to_owned())),
        |tree| tree.values_mut().for_each(|what| *what = what.replace("0644", "0755")),
        |tree| tree.values_mut().for_each(|what| what.push('x')),
    ];
    last.insert("plain".to_owned(), "file 0644 00".to_owned());
    for lie in lies {
        let mut other = last.clone();
        lie(&mut other);
        row.canary(differ(&last, &other).is_some());
    }
    assert_eq!(differ(&last, &last.clone()), None);
    row.finish();
}

/// A name that need not be pretty.
fn name(random: &mut Random) -> String {
    const PARTS: [&str; 12] = [
        "a",
        "b.txt",
        "-dash",
        "with space",
        ".hidden",
        "\u{fc}ber",
        "\u{65e5}\u{672c}",
        "x=y",
        "#c",
        "~",
        "$v",
        "lib.so.1",
    ];
    let part = PARTS[random.below(12) as usize];
    match random.below(8) {
        0 => format!("{part}{}", "n".repeat(random.below(150) as usize)),
        _ => format!("{part}{}", random.below(30)),
    }
}

fn generate(random: &mut Random) -> Vec<Item> {
    let (mut dirs, mut files) = (vec![String::new()], Vec::new());
    let mut taken = BTreeSet::new();
    let mut items = vec![Item::File("first".to_owned(), 0o644, b"there is one".to_vec())];
    taken.insert("first".to_owned());
    files.push("first".to_owned());
    for _ in 0..random.below(20) {
        let dir = dirs[random.below(dirs.len() as u64) as usize].clone();
        let path = if dir.is_empty() { name(random) } else { format!("{dir}/{}", name(random)) };
        if path.len() > 230 || !taken.insert(path.clone()) {
            continue;
        }
        match random.below(8) {
            0 | 1 => {
                dirs.push(path.clone());
                items.push(Item::Dir(path));
            }
            2 => {
                // Up as far as the top, and down again; where it leads need not be there.
                let up =
                    "../"
                        .repeat(random.below(dir.split('/').filter(|p| !p.is_empty()).count() as u64 + 1)
                            as usize);
                items.push(Item::Link(path, format!("{up}{}", name(random))));
            }
            3 => {
                let first = files[random.below(files.len() as u64) as usize].clone();
                items.push(Item::Hard(path, first));
            }
            _ => {
                const MODES: [u32; 8] = [0o644, 0o755, 0o600, 0o400, 0o444, 0o700, 0o555, 0o664];
                let len = random.below(3000) as usize;
                files.push(path.clone());
                items.push(Item::File(path, MODES[random.below(8) as usize], random.bytes(len)));
            }
        }
    }
    items
}

/// An entry of a tar that holds its bytes: name, type, link target, mode, content.
type Owned = (Vec<u8>, u8, Vec<u8>, u32, Vec<u8>);

/// Packed in one of five ways, with long names written in one of two.
fn archive(items: &[Item], random: &mut Random) -> (&'static str, Vec<u8>) {
    let at = random.below(5) as usize;
    let under = |path: &str| format!("top/{path}");
    if at == 4 {
        let files: BTreeMap<_, _> = items
            .iter()
            .filter_map(|i| {
                if let Item::File(path, mode, content) = i { Some((path, (*mode, content))) } else { None }
            })
            .collect();
        let entries: Vec<(String, u32, Vec<u8>)> = items
            .iter()
            .map(|item| match item {
                Item::Dir(path) => (under(path), 0o040_755, Vec::new()),
                Item::File(path, mode, content) => (under(path), 0o100_000 | mode, content.clone()),
                Item::Link(path, to) => (under(path), 0o120_777, to.clone().into_bytes()),
                // A zip has no other names.
                Item::Hard(path, first) => (under(path), 0o100_000 | files[first].0, files[first].1.clone()),
            })
            .collect();
        let entries: Vec<_> =
            entries.iter().map(|(name, mode, content)| (name.as_str(), *mode, &content[..])).collect();
        return ("zip", zip(&entries));
    }
    let gnu = random.below(2) == 0;
    let mut entries: Vec<Owned> = Vec::new();
    for item in items {
        let (path, kind, link, mode, content) = match item {
            Item::Dir(path) => (path, b'5', String::new(), 0o755, &b""[..]),
            Item::File(path, mode, content) => (path, b'0', String::new(), *mode, &content[..]),
            Item::Link(path, to) => (path, b'2', to.clone(), 0o777, &b""[..]),
            Item::Hard(path, first) => (path, b'1', under(first), 0o644, &b""[..]),
        };
        let path = under(path);
        let mut long = |text: &str, kind: u8, key: &str| {
            if text.len() > 100 && gnu {
                let content = [text.as_bytes(), b"\0"].concat();
                entries.push((b"././@LongLink".to_vec(), kind, Vec::new(), 0o644, content));
            } else if text.len() > 100 {
                entries.push((b"PaxHeader".to_vec(), b'x', Vec::new(), 0o644, pax(key, text.as_bytes())));
            }
        };
        // Both of an entry's pax records would have to be in one header.
        if path.len() > 100 && link.len() > 100 && !gnu {
            continue;
        }
        long(&link, b'K', "linkpath");
        long(&path, b'L', "path");
        let cut = |text: &str| text.as_bytes()[..text.len().min(100)].to_vec();
        entries.push((cut(&path), kind, cut(&link), mode, content.to_vec()));
    }
    let entries: Vec<_> = entries.iter().map(|(n, k, l, m, c)| (&n[..], *k, &l[..], *m, &c[..])).collect();
    (PACKED[at], pack(PACKED[at], &tar(&entries)))
}

/// Unpacks it by all, and says what they agree in.
fn compare(
    rig: &Rig,
    number: usize,
    ending: &'static str,
    bytes: &[u8],
    last: &mut BTreeMap<String, String>,
) -> Result<&'static str, String> {
    let file = rig.path(&format!("www/g{number}.{ending}"));
    std::fs::write(&file, bytes).expect("written");
    let url = rig.server.url(&format!("/g{number}.{ending}"));
    let recipe = format!(
        "let pkg = #{{ name: \"g\", version: \"{number}\" }};\nfn install() {{ download(\"{url}\"); extract(); \
         install_tree(\".\", \"share/g\"); }}\n"
    );
    for name in ["recipes", "prefix", "cache", "others"] {
        let _ = std::fs::remove_dir_all(rig.path(name));
        std::fs::create_dir(rig.path(name)).expect("made");
    }
    rig.write("recipes/g.rhai", recipe);
    let out = rig.run(&["install", "g"]);
    if out.code != Some(0) {
        return Err(format!("{out:?}"));
    }
    let ours = tree(&rig.prefix("share/g"));
    let others: &[(&str, &[&str])] = match ending {
        "zip" => &[("bsdtar", &["-xf"]), ("unzip", &["-q", "-d", "."])],
        _ => &[("bsdtar", &["-xpf"]), ("tar", &["-xpf"])],
    };
    for (program, args) in others {
        let into = rig.path(&format!("others/{program}"));
        std::fs::create_dir(&into).expect("made");
        let cmd = Cmd::new(testkit::oracle(program)).args(args.iter().copied()).arg(&file).dir(&into);
        let cmd = cmd.env("LC_ALL", "C.UTF-8");
        cmd.read().map_err(|e| format!("{program} does not take it: {e:#}"))?;
        let theirs = normal(&into.join("top"));
        if let Some(difference) = differ(&ours, &theirs) {
            return Err(format!("{program} unpacks it otherwise: {difference}"));
        }
    }
    std::fs::remove_file(file).expect("removed");
    *last = ours;
    Ok("the same tree")
}

/// A tree with the modes that recipe gives.
fn normal(root: &Path) -> BTreeMap<String, String> {
    let mode = |what: String| match what.strip_prefix("file ").and_then(|rest| rest.split_once(' ')) {
        Some((mode, content)) => {
            let run = u32::from_str_radix(mode, 8).is_ok_and(|m| m & 0o111 != 0);
            format!("file {} {content}", if run { "0755" } else { "0644" })
        }
        None => what,
    };
    tree(root).into_iter().map(|(path, what)| (path, mode(what))).collect()
}

fn differ(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Option<String> {
    let path = a.keys().chain(b.keys()).find(|path| a.get(*path) != b.get(*path))?;
    Some(format!("{path}: {:?} and {:?}", a.get(path), b.get(path)))
}
