//! Two commands at the same time: what is there afterwards, and what both said, is that of one after the other.
//!
//! The judge knows every order: each pair is run one behind the other first. Who finds the lock taken may leave with exit code 16,
//! and then only the other has happened; with `--wait` nobody may.

use std::collections::BTreeMap;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use testkit::ledger::{Row, planned};
use testkit::random::Random;
use testkit::strace::{Injection, attack};

use crate::scene::{COMMANDS, READERS, Scene};
use crate::state::{State, no_leftovers};

const SEED: u64 = 31;
const LOCKED: i32 = 16;

/// What a command said, without what differs from run to run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    code: Option<i32>,
    /// Of commands that only look.
    stdout: String,
}

/// Every serial order, run when it is first asked for.
struct Oracle {
    alone: BTreeMap<usize, (Said, State)>,
    both: BTreeMap<(usize, usize), (Said, Said, State)>,
    /// How long each takes.
    time: BTreeMap<usize, Duration>,
}

impl Oracle {
    fn new(scene: &Scene) -> Self {
        let (mut alone, mut time) = (BTreeMap::new(), BTreeMap::new());
        for (x, command) in COMMANDS.iter().enumerate() {
            scene.restore();
            let since = Instant::now();
            let out = scene.command(x).output().expect("recipe starts");
            time.insert(x, since.elapsed());
            assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
            alone.insert(x, (said(x, &out), scene.state()));
        }
        Self { alone, both: BTreeMap::new(), time }
    }

    fn both(&mut self, scene: &Scene, x: usize, y: usize) -> (Said, Said, State) {
        let run = || {
            scene.restore();
            let run = |n: usize| said(n, &scene.command(n).output().expect("recipe starts"));
            (run(x), run(y), scene.state())
        };
        self.both.entry((x, y)).or_insert_with(run).clone()
    }

    /// Which order it was.
    fn judge(
        &mut self,
        scene: &Scene,
        (x, y): (usize, usize),
        (a, b): &(Said, Said),
        may_be_locked: bool,
    ) -> Result<&'static str, String> {
        let found = scene.state();
        no_leftovers(&scene.rig)?;
        let check = scene.rig.run(&["check"]);
        if check.code != Some(0) {
            return Err(format!("check finds {}{}", check.stdout, check.stderr));
        }
        let locked = |said: &Said, n: usize| may_be_locked && n < READERS && said.code == Some(LOCKED);
        let alone = |n: usize, said: &Said| self.alone[&n].0 == *said && self.alone[&n].1 == found;
        if locked(a, x) && alone(y, b) {
            return Ok("the first found it locked");
        }
        if locked(b, y) && alone(x, a) {
            return Ok("the second found it locked");
        }
        let (first, second, state) = self.both(scene, x, y);
        if (a, b, &found) == (&first, &second, &state) {
            return Ok("as the first before the second");
        }
        let (second, first, other) = self.both(scene, y, x);
        if (a, b, &found) == (&first, &second, &other) {
            return Ok("as the second before the first");
        }
        let differ = crate::state::difference(&found, &state, &other);
        Err(format!("no order leads to this: {a:?} and {b:?}, {differ:#?}"))
    }
}

fn said(number: usize, out: &Output) -> Said {
    let stdout = String::from_utf8_lossy(&out.stdout);
    let differs = |line: &str| ["\"tx\"", "\"at\"", "_tx\"", "_at\""].iter().any(|key| line.contains(key));
    let stdout: Vec<_> = stdout.lines().filter(|l| number >= READERS && !differs(l)).collect();
    Said { code: out.status.code(), stdout: stdout.join("\n") }
}

/// Runs both; the second begins so much later. None: the first had ended by then.
fn run(scene: &Scene, (x, y): (usize, usize), later: Duration, wait: bool) -> Option<(Said, Said)> {
    let spawn = |n: usize| -> Child {
        let cmd = scene.command(n);
        let cmd = if wait { cmd.args(["--wait", "60"]) } else { cmd };
        let mut std = cmd.std();
        std.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        std.spawn().expect("recipe starts")
    };
    let mut first = spawn(x);
    std::thread::sleep(later);
    let overlap = first.try_wait().expect("waited").is_none();
    let second = spawn(y);
    let (a, b) = (first.wait_with_output().expect("waited"), second.wait_with_output().expect("waited"));
    for out in [&a, &b] {
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
    overlap.then(|| (said(x, &a), said(y, &b)))
}

#[test]
fn pairs() {
    let scene = Scene::new();
    let mut oracle = Oracle::new(&scene);
    let mut random = Random::new(SEED);
    let (count, kinds) = (planned(1000, 30), (COMMANDS.len() * COMMANDS.len()) as u64);
    let mut row = Row::new("two commands at the same time", kinds * 1_000_000, count as u64).seeded(SEED);
    canaries(&mut row, &scene, &mut oracle);
    let mut tries = 0;
    while row.injected() < count as u64 && tries < 3 * count {
        tries += 1;
        let pair =
            (random.below(COMMANDS.len() as u64) as usize, random.below(COMMANDS.len() as u64) as usize);
        let wait = random.below(2) == 0;
        let most = oracle.time[&pair.0].as_micros() as u64;
        let later = Duration::from_micros(random.below(most + 1));
        scene.restore();
        match run(&scene, pair, later, wait) {
            Some(said) => {
                let result = oracle.judge(&scene, pair, &said, !wait);
                let (a, b) = (COMMANDS[pair.0].join(" "), COMMANDS[pair.1].join(" "));
                row.outcome(&format!("`{a}`, {later:?} later `{b}`, wait {wait}"), result);
            }
            None => row.missed(),
        }
    }
    row.finish();
}

/// Lies about a good pair, and a lock that locks nobody out: the judge must see them.
fn canaries(row: &mut Row, scene: &Scene, oracle: &mut Oracle) {
    let pair = (0, 1);
    let lies: [fn(&Scene); 4] = [
        |s| std::fs::remove_file(s.rig.prefix("bin/b")).expect("removed"),
        |s| drop(s.rig.write("recipes/b.rhai", s.rig.recipe("a"))),
        |s| std::fs::create_dir(s.rig.prefix(".recipe/stage")).expect("made"),
        |s| drop(s.rig.write("prefix/share/a/doc/text", "other")),
    ];
    for lie in lies {
        let (a, b, _) = oracle.both(scene, 0, 1);
        scene.restore();
        for n in [0, 1] {
            assert!(scene.command(n).output().expect("recipe starts").status.success());
        }
        assert_eq!(
            oracle.judge(scene, pair, &(a.clone(), b.clone()), false),
            Ok("as the first before the second")
        );
        scene.restore();
        for n in [0, 1] {
            assert!(scene.command(n).output().expect("recipe starts").status.success());
        }
        lie(scene);
        row.canary(oracle.judge(scene, pair, &(a, b), false).is_err());
    }
    // Torn output of one that only looks.
    let (a, mut b, _) = oracle.both(scene, 0, 5);
    b.stdout.truncate(b.stdout.len() / 2);
    row.canary(oracle.judge(scene, (0, 5), &(a, b), false).is_err());
    // Nobody is locked out.
    let caught = (0..20).any(|i| {
        scene.restore();
        let unlocked = |n: usize| {
            let (name, action) = ("flock".to_owned(), "retval=0".to_owned());
            let lie = Injection { name, action, when: String::new(), main: false, path: None };
            let out = attack(&scene.command(n), &lie, &scene.rig.path(&format!("flock-{n}.log")));
            assert!(!out.injected.is_empty(), "the lock was not taken away");
            Said { code: out.status.code(), stdout: String::new() }
        };
        let said = std::thread::scope(|s| {
            let first = s.spawn(|| unlocked(0));
            std::thread::sleep(oracle.time[&0] * i / 10);
            (unlocked(1), first.join().expect("it ended"))
        });
        oracle.judge(scene, pair, &(said.1, said.0), true).is_err()
    });
    row.canary(caught);
    row.note(format!("canary without a lock: {}", if caught { "seen" } else { "not seen" }));
}
