//! The resolver against judges that share no code with it: a brute-force search over small random universes, the
//! `rpm` tool's order of versions, and dnf's choice on a fixture.

mod universe;

use std::collections::BTreeSet;
use std::fmt;

use common::cmd::Cmd;
use leviso::resolve::resolve;
use proptest::prelude::*;
use universe::{primary, profile, repo};

/// What packages are called and what they provide; versions are 1 to 3.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const CAPS: [&str; 8] = ["a", "b", "c", "d", "e", "x", "y", "z"];
const OPS: [&str; 6] = ["", "<", "<=", "=", ">=", ">"];

/// `CAPS[cap] OPS[op] version`.
#[derive(Debug, Clone, Copy)]
struct Cap {
    cap: usize,
    op: usize,
    version: u32,
}

#[derive(Debug, Clone)]
enum Rich {
    Cap(Cap),
    And(Box<Rich>, Box<Rich>),
    Or(Box<Rich>, Box<Rich>),
    If(Box<Rich>, Box<Rich>),
    IfElse(Box<Rich>, Box<Rich>, Box<Rich>),
    Unless(Box<Rich>, Box<Rich>),
    UnlessElse(Box<Rich>, Box<Rich>, Box<Rich>),
    With(Cap, Cap),
    Without(Cap, Cap),
}

#[derive(Debug, Clone)]
struct Pkg {
    name: usize,
    version: u32,
    provides: Vec<Cap>,
    requires: Vec<Rich>,
    conflicts: Vec<Rich>,
    obsoletes: Vec<Cap>,
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.op {
            0 => f.write_str(CAPS[self.cap]),
            op => write!(f, "{} {} {}", CAPS[self.cap], OPS[op], self.version),
        }
    }
}

impl fmt::Display for Rich {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cap(cap) => cap.fmt(f),
            Self::And(a, b) => write!(f, "({a} and {b})"),
            Self::Or(a, b) => write!(f, "({a} or {b})"),
            Self::If(a, b) => write!(f, "({a} if {b})"),
            Self::IfElse(a, b, c) => write!(f, "({a} if {b} else {c})"),
            Self::Unless(a, b) => write!(f, "({a} unless {b})"),
            Self::UnlessElse(a, b, c) => write!(f, "({a} unless {b} else {c})"),
            Self::With(a, b) => write!(f, "({a} with {b})"),
            Self::Without(a, b) => write!(f, "({a} without {b})"),
        }
    }
}

impl Pkg {
    fn text(&self) -> String {
        let mut out = format!("{} {}-1", NAMES[self.name], self.version);
        let lists = [
            ("provides", self.provides.iter().map(Cap::to_string).collect::<Vec<_>>()),
            ("requires", self.requires.iter().map(Rich::to_string).collect()),
            ("conflicts", self.conflicts.iter().map(Rich::to_string).collect()),
            ("obsoletes", self.obsoletes.iter().map(Cap::to_string).collect()),
        ];
        for (kind, items) in lists.iter().filter(|(_, items)| !items.is_empty()) {
            out += &format!(" | {kind} {}", items.join("; "));
        }
        out
    }

    /// Whether this package alone satisfies the capability.
    fn offers(&self, wanted: Cap) -> bool {
        let own = Cap { cap: self.name, op: 3, version: self.version };
        self.provides.iter().chain([&own]).any(|p| p.cap == wanted.cap && meet(*p, wanted))
    }
}

/// Whether some version lies in both ranges: tried out on a grid finer than the versions.
fn meet(a: Cap, b: Cap) -> bool {
    let inside = |c: Cap, v: u32| match OPS[c.op] {
        "" => true,
        "<" => v < 10 * c.version,
        "<=" => v <= 10 * c.version,
        "=" => v == 10 * c.version,
        ">=" => v >= 10 * c.version,
        _ => v > 10 * c.version,
    };
    (0..50).any(|v| inside(a, v) && inside(b, v))
}

fn holds(rich: &Rich, there: &[&Pkg]) -> bool {
    let any = |f: &dyn Fn(&Pkg) -> bool| there.iter().any(|p| f(p));
    match rich {
        Rich::Cap(cap) => any(&|p| p.offers(*cap)),
        Rich::And(a, b) => holds(a, there) && holds(b, there),
        Rich::Or(a, b) => holds(a, there) || holds(b, there),
        Rich::If(a, b) => !holds(b, there) || holds(a, there),
        Rich::IfElse(a, b, c) => {
            if holds(b, there) {
                holds(a, there)
            } else {
                holds(c, there)
            }
        }
        Rich::Unless(a, b) => !holds(b, there) && holds(a, there),
        Rich::UnlessElse(a, b, c) => {
            if holds(b, there) {
                holds(c, there)
            } else {
                holds(a, there)
            }
        }
        Rich::With(a, b) => any(&|p| p.offers(*a) && p.offers(*b)),
        Rich::Without(a, b) => any(&|p| p.offers(*a) && !p.offers(*b)),
    }
}

/// Whether these packages together are what the request may get.
fn valid(universe: &[Pkg], there: &[&Pkg], include: &[usize]) -> bool {
    let names: BTreeSet<usize> = there.iter().map(|p| p.name).collect();
    let requested = include.iter().all(|&cap| {
        if universe.iter().any(|p| p.name == cap) {
            return there.iter().any(|p| p.name == cap);
        }
        there.iter().any(|p| p.offers(Cap { cap, op: 0, version: 0 }))
    });
    names.len() == there.len()
        && requested
        && there.iter().all(|p| {
            let others: Vec<&Pkg> = there.iter().copied().filter(|o| !std::ptr::eq(*o, *p)).collect();
            let own = |o: &Pkg| Cap { cap: o.name, op: 3, version: o.version };
            p.requires.iter().all(|r| holds(r, there))
                && !p.conflicts.iter().any(|c| holds(c, &others))
                && !p.obsoletes.iter().any(|c| others.iter().any(|o| o.name == c.cap && meet(own(o), *c)))
        })
}

fn cap() -> impl Strategy<Value = Cap> {
    // Most dependencies name no version.
    let op = prop_oneof![2 => Just(0usize), 1 => 1..OPS.len()];
    (0..CAPS.len(), op, 1..4u32).prop_map(|(cap, op, version)| Cap { cap, op, version })
}

fn rich() -> impl Strategy<Value = Rich> {
    let leaf = prop_oneof![
        6 => cap().prop_map(Rich::Cap),
        1 => (cap(), cap()).prop_map(|(a, b)| Rich::With(a, b)),
        1 => (cap(), cap()).prop_map(|(a, b)| Rich::Without(a, b)),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        let two = || (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        let three = || {
            let next = || inner.clone().prop_map(Box::new);
            (next(), next(), next())
        };
        prop_oneof![
            two().prop_map(|(a, b)| Rich::And(a, b)),
            two().prop_map(|(a, b)| Rich::Or(a, b)),
            two().prop_map(|(a, b)| Rich::If(a, b)),
            two().prop_map(|(a, b)| Rich::Unless(a, b)),
            three().prop_map(|(a, b, c)| Rich::IfElse(a, b, c)),
            three().prop_map(|(a, b, c)| Rich::UnlessElse(a, b, c)),
        ]
    })
}

fn pkg() -> impl Strategy<Value = Pkg> {
    let list = |n| prop::collection::vec(cap(), 0..n);
    let formulas = |n| prop::collection::vec(rich(), 0..n);
    (0..NAMES.len(), 1..4u32, list(3), formulas(4), formulas(2), list(2)).prop_map(
        |(name, version, provides, requires, conflicts, obsoletes)| {
            // A package does not obsolete its own name here: rpm forbids it by the one-version rule anyway.
            let obsoletes = obsoletes.into_iter().filter(|o| o.cap != name).collect();
            Pkg { name, version, provides, requires, conflicts, obsoletes }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_solution_is_one_and_no_solution_means_none(
        mut universe in prop::collection::vec(pkg(), 1..10),
        include in prop::collection::vec(0..CAPS.len(), 1..3),
    ) {
        let mut seen = BTreeSet::new();
        universe.retain(|p| seen.insert((p.name, p.version)));
        let lines: Vec<String> = universe.iter().map(Pkg::text).collect();
        let asked: Vec<&str> = include.iter().map(|&i| CAPS[i]).collect();
        let profile = profile(&[("main", 99)], &asked);
        let result = resolve(&profile, &[repo("main", &lines.join("\n"))]);
        match &result {
            Ok(lock) => {
                let is_there = |p: &&Pkg| {
                    let evr = format!("0:{}-1", p.version);
                    lock.packages.iter().any(|l| l.name == NAMES[p.name] && l.evr == evr)
                };
                let there: Vec<&Pkg> = universe.iter().filter(is_there).collect();
                prop_assert_eq!(there.len(), lock.packages.len());
                prop_assert!(valid(&universe, &there, &include), "not a solution: {:?}", lock.packages);
            }
            Err(e) => {
                prop_assert!(common::cli::report(e).lines().count() <= 40);
                for bits in 0u32..1 << universe.len() {
                    let there: Vec<&Pkg> =
                        universe.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, p)| p).collect();
                    let texts: Vec<String> = there.iter().map(|p| p.text()).collect();
                    prop_assert!(!valid(&universe, &there, &include), "missed the solution {:?}", texts);
                }
            }
        }
        // Another order of the same packages, the same answer.
        let backwards: Vec<String> = lines.iter().rev().cloned().collect();
        let again = resolve(&profile, &[repo("main", &backwards.join("\n"))]);
        let packages = |r: anyhow::Result<leviso::lock::Lock>| r.ok().map(|l| l.packages);
        prop_assert_eq!(packages(result), packages(again));
    }
}

#[test]
fn versions_are_ordered_as_rpm_orders_them() {
    let rpm = testkit::oracle("rpm");
    let mut versions: Vec<String> =
        ["1", "01", "1.0", "1.0~rc1", "1.0~~", "1.0^", "1.0^git1", "1.0^git1~pre", "1.0.1", "1.a"]
            .iter()
            .chain(&[
                "a", "A", "a1", "1a", "1_0", "1+0", "10", "9", "20240101", "1.0.", "1..0", "0", "00",
                "1.0a~b^c",
            ])
            .chain(&[
                "99999999999999999999999999",
                "100000000000000000000000000",
                "1.2.3.4.5",
                "rc2",
                "fc42",
                "el10_0",
            ])
            .map(|s| (*s).to_owned())
            .collect();
    versions.sort();
    let pairs: Vec<(String, String)> = versions
        .iter()
        .flat_map(|a| versions.iter().map(move |b| (a, b)))
        .filter(|(a, b)| a < b)
        .flat_map(|(a, b)| {
            // As version, as release, and against an epoch.
            [
                (format!("0:{a}-1"), format!("0:{b}-1")),
                (format!("0:1-{a}"), format!("0:1-{b}")),
                (format!("1:{a}-1"), format!("0:{b}-1")),
            ]
        })
        .collect();
    let list: String = pairs.iter().map(|(a, b)| format!("{{'{a}','{b}'}},")).collect();
    let script = format!("%{{lua:for _,p in ipairs({{{list}}}) do print(rpm.vercmp(p[1],p[2])..' ') end}}");
    let said = Cmd::new(rpm).args(["--eval", &script]).read().unwrap();
    let said: Vec<i32> = said.split_whitespace().map(|w| w.parse().unwrap()).collect();
    assert_eq!(said.len(), pairs.len());
    assert!(pairs.len() > 1000 && said.contains(&0), "the list is worth something");

    // Ours, through the front door: of two versions the newer is taken.
    let lines: Vec<String> =
        pairs.iter().enumerate().flat_map(|(i, (a, b))| [format!("p{i} {a}"), format!("p{i} {b}")]).collect();
    let names: Vec<String> = (0..pairs.len()).map(|i| format!("p{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let lock = resolve(&profile(&[("main", 99)], &names), &[repo("main", &lines.join("\n"))]).unwrap();
    for package in &lock.packages {
        let i: usize = package.name[1..].parse().unwrap();
        let ((a, b), said) = (&pairs[i], said[i]);
        // What rpm calls equal has no newer one.
        if said != 0 {
            let newer = if said > 0 { a } else { b };
            assert_eq!(&package.evr, newer, "{a} and {b}: rpm says {said}");
        }
    }
}

/// A fixture in which dnf has no more choice than we have.
const WORLD: &str = "
    app 2-1 | requires libx.so.1; (plugin if desktop); /usr/bin/sh; config >= 2 | recommends docs
    app 1-1 | requires libx.so.1
    libx 1-5 | provides libx.so.1 | conflicts broken < 3
    libx 1-4 | provides libx.so.1
    plugin 1-1 | requires app
    desktop 1-1 | requires (wm or shell)
    shell 1-1
    sh 5-1 | files /usr/bin/sh | provides sh = 5
    config 2-1 | obsoletes oldconfig < 2
    config 1-1
    config 2~rc1-1
    oldconfig 1-1
    docs 1-1
    broken 2-1
    broken 3-1
    tool 1:1-1 | requires libx >= 1-5
    tool 2-1 | requires nothing-has-this
";

#[test]
fn dnf_chooses_the_same_packages() {
    if !testkit::is_root() {
        return testkit::skip("dnf_chooses_the_same_packages", "dnf install needs root, even to plan");
    }
    let dnf = testkit::oracle("dnf");
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("repo/repodata");
    std::fs::create_dir_all(&data).unwrap();
    let xml = primary(WORLD);
    let digest = common::hash::Sha256::of(xml.as_bytes());
    std::fs::write(data.join("primary.xml"), &xml).unwrap();
    let repomd = format!(
        "<repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><revision>1</revision><data type=\"primary\">\
         <checksum type=\"sha256\">{digest}</checksum><open-checksum type=\"sha256\">{digest}</open-checksum>\
         <location href=\"repodata/primary.xml\"/><timestamp>1</timestamp><size>{0}</size><open-size>{0}</open-size>\
         </data></repomd>",
        xml.len()
    );
    std::fs::write(data.join("repomd.xml"), repomd).unwrap();
    for include in [
        vec!["app"],
        vec!["app", "desktop"],
        vec!["desktop", "tool"],
        vec!["tool", "broken", "app"],
        vec!["libx.so.1", "sh"],
    ] {
        let lock = resolve(&profile(&[("t", 99)], &include), &[repo("t", WORLD)]).unwrap();
        let ours: BTreeSet<String> =
            lock.packages.iter().map(|p| format!("{} {}", p.name, p.evr.trim_start_matches("0:"))).collect();
        let path = dir.path().display();
        let said = Cmd::new(&dnf)
            .args(["-y", "--assumeno", "--disablerepo=*", "--setopt=install_weak_deps=False", "--nogpgcheck"])
            .args(["--releasever=1", "--forcearch=x86_64", "--noplugins", "--setopt=reposdir=/dev/null"])
            .arg(format!("--installroot={path}/root"))
            .arg(format!("--setopt=cachedir={path}/cache"))
            .arg(format!("--repofrompath=t,file://{path}/repo"))
            .arg("install")
            .args(&include)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        // Table rows: name, architecture, version, repository, size.
        let theirs: BTreeSet<String> = text
            .lines()
            .filter_map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                (words.len() >= 5 && words[1] == "noarch" && words[3] == "t")
                    .then(|| format!("{} {}", words[0], words[2]))
            })
            .collect();
        let errors = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(ours, theirs, "{include:?}\n{text}\n{errors}");
    }
}
