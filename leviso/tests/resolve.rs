//! The resolver's rules, one test a rule, on small repositories written as text.

mod universe;

use common::cli::{exit_code, report};
use leviso::exit;
use leviso::lock::Lock;
use leviso::profile::Profile;
use leviso::repodata::RepoMetadata;
use leviso::resolve::{resolve, unmet_paths};
use universe::{profile, repo};

fn lock(profile: &Profile, repos: &[RepoMetadata]) -> Result<Lock, String> {
    resolve(profile, repos).map_err(|e| {
        assert_eq!(exit_code(&e), exit::RESOLVE);
        report(&e)
    })
}

/// The chosen packages as `name-evr`, or the report.
fn chosen(packages: &str, include: &[&str]) -> Result<Vec<String>, String> {
    let lock = lock(&profile(&[("main", 99)], include), &[repo("main", packages)])?;
    Ok(lock.packages.iter().map(|p| format!("{}-{}", p.name, p.evr.trim_start_matches("0:"))).collect())
}

/// Chosen names, separated by spaces.
fn names(packages: &str, include: &[&str]) -> String {
    let list = chosen(packages, include).unwrap_or_else(|report| panic!("{report}"));
    let names = list.iter().map(|p| p.rsplitn(3, '-').last().unwrap());
    names.collect::<Vec<_>>().join(" ")
}

fn fails(packages: &str, include: &[&str]) -> String {
    chosen(packages, include).expect_err("no solution")
}

#[test]
fn requirements_are_followed_to_the_end_and_nothing_else_is_taken() {
    let packages = "a 1-1 | requires b\nb 1-1 | requires libc.so.6()(64bit)\n\
                    libc 2-1 | provides libc.so.6()(64bit)\nunused 1-1";
    assert_eq!(names(packages, &["a"]), "a b libc");
}

#[test]
fn the_newest_version_is_taken_as_rpm_orders_them() {
    let packages = "a 9-1\na 10-1\na 10~rc1-1\nb 1:1-1\nb 2-1\nc 1.0^git1-1\nc 1.0-1";
    assert_eq!(chosen(packages, &["a", "b", "c"]).unwrap(), ["a-10-1", "b-1:1-1", "c-1.0^git1-1"]);
}

#[test]
fn an_older_version_is_taken_only_when_the_newest_cannot_be() {
    let packages = "a 2-1 | requires missing\na 1-1\n";
    assert_eq!(chosen(packages, &["a"]).unwrap(), ["a-1-1"]);
    let packages = "a 1-1 | requires b < 2\nb 1-1\nb 2-1";
    assert_eq!(chosen(packages, &["a", "b"]).unwrap(), ["a-1-1", "b-1-1"]);
}

#[test]
fn versions_meet_as_in_rpm() {
    // Require, what b provides of it, whether they meet.
    let cases = [
        ("x", "x", true),
        ("x = 1", "x", true),
        ("x", "x = 1", true),
        ("x = 1", "x = 1-5", true),
        ("x = 1-5", "x = 1", true),
        ("x = 1-4", "x = 1-5", false),
        ("x >= 1-4", "x = 1-5", true),
        ("x > 1", "x = 1-5", false),
        ("x < 1", "x = 1-5", false),
        ("x <= 1", "x = 1-5", true),
        ("x >= 1:0", "x = 5", false),
        ("x < 1:0", "x = 5", true),
        ("x = 0:5", "x = 5", true),
        ("x = 3", "x >= 2", true),
        ("x = 1", "x >= 2", false),
        ("x > 5", "x >= 2", true),
        ("x < 2", "x >= 2", false),
        ("x <= 2", "x >= 2", true),
        ("x < 2", "x < 1", true),
        ("x > 2", "x < 2", false),
        ("x = 1.0", "x = 1", false),
        ("x = 01", "x = 1", true),
    ];
    for (require, provide, meets) in cases {
        let packages = format!("a 1-1 | requires {require}\nb 1-1 | provides {provide}");
        assert_eq!(chosen(&packages, &["a"]).is_ok(), meets, "requires {require}, provides {provide}");
    }
}

#[test]
fn a_file_satisfies_a_path() {
    let packages = "a 1-1 | requires /usr/bin/python3\npython 3-1 | files /usr/bin/python3; /etc/python";
    assert_eq!(names(packages, &["a"]), "a python");
    assert_eq!(names(packages, &["/etc/python"]), "python");
}

#[test]
fn filelists_are_asked_for_when_primary_lacks_a_path() {
    let packages = "a 1-1 | requires /usr/share/x\nb 1-1\nunrelated 1-1 | requires /usr/share/y";
    let mut repos = [repo("main", packages)];
    let profile = profile(&[("main", 99)], &["a"]);
    let wanted = unmet_paths(&profile, &repos);
    assert_eq!(wanted.iter().collect::<Vec<_>>(), ["/usr/share/x"], "not what nobody asks for");
    let digest = repos[0].packages[1].sha256;
    let filelists = format!(
        "<?xml version=\"1.0\"?><filelists xmlns=\"http://linux.duke.edu/metadata/filelists\" packages=\"1\">\
         <package pkgid=\"{digest}\" name=\"b\" arch=\"noarch\"><version epoch=\"0\" ver=\"1\" rel=\"1\"/>\
         <file>/usr/share/x</file><file type=\"dir\">/usr/share/z</file></package></filelists>"
    );
    leviso::repodata::read_filelists(&mut repos[0], filelists.as_bytes(), &wanted).unwrap();
    assert!(unmet_paths(&profile, &repos).is_empty());
    let lock = lock(&profile, &repos).unwrap();
    assert_eq!(lock.packages.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(repos[0].packages[1].files.len(), 1, "only the wanted path is kept");
}

#[test]
fn rich_dependencies() {
    let world = "b 1-1\nc 1-1\nd 1-1\ne 2-1 | provides f\ng 1-1 | provides f";
    let cases = [
        ("(b and c)", vec!["a"], "a b c"),
        ("(c or b)", vec!["a"], "a c"),
        ("(c or b)", vec!["a", "b"], "a b"),
        ("(missing or c)", vec!["a"], "a c"),
        ("(b if c)", vec!["a"], "a"),
        ("(b if c)", vec!["a", "c"], "a b c"),
        ("(b if c else d)", vec!["a"], "a d"),
        ("(b if c else d)", vec!["a", "c"], "a b c"),
        ("(b unless c)", vec!["a"], "a b"),
        ("(b unless c else d)", vec!["a", "c"], "a c d"),
        ("(f with e)", vec!["a"], "a e"),
        ("(f without e)", vec!["a"], "a g"),
        ("(e >= 2 with e < 3)", vec!["a"], "a e"),
        ("((b and c) or d)", vec!["a", "d"], "a d"),
        ("((b or c) if (d or e))", vec!["a", "e"], "a b e"),
        ("((b if c) and (c if d))", vec!["a", "d"], "a b c d"),
        ("(a if b)", vec!["a", "b"], "a b"),
        ("(b if a)", vec!["a"], "a b"),
    ];
    for (require, include, expected) in cases {
        let packages = format!("a 1-1 | requires {require}\n{world}");
        assert_eq!(names(&packages, &include), expected, "{require} with {include:?}");
    }
    let impossible =
        [("(b unless c)", vec!["a", "c"]), ("(f with b)", vec!["a"]), ("(e with f < 1)", vec![])];
    for (require, include) in impossible.iter().filter(|(_, include)| !include.is_empty()) {
        fails(&format!("a 1-1 | requires {require}\n{world}"), include);
    }
}

#[test]
fn a_rich_dependency_that_cannot_be_read_makes_its_package_unusable_and_nothing_worse() {
    let deep = format!("{}b{}", "(".repeat(200), ")".repeat(200));
    let wide = (0..40).map(|i| format!("(b{i} and c{i})")).collect::<Vec<_>>().join(" or ");
    for bad in [
        "(b",
        "(b and c or d)",
        "(b xor c)",
        "()",
        "(b >=)",
        "(b with (c and d))",
        &deep,
        &format!("({wide})"),
    ] {
        let report = fails(&format!("a 1-1 | requires {bad}\nb 1-1\nc 1-1"), &["a"]);
        assert!(report.contains("cannot be read"), "{bad}: {report}");
        assert_eq!(names(&format!("a 2-1 | requires {bad}\na 1-1"), &["a"]), "a");
    }
}

#[test]
fn conflicts_and_obsoletes_keep_packages_apart() {
    let packages = "a 1-1 | requires x\nb 1-1 | conflicts c < 2\nc 1-1 | provides x\nd 1-1 | provides x";
    assert_eq!(names(packages, &["a", "b"]), "a b d");
    let packages = "old 1-1 | provides x\nnew 2-1 | obsoletes old < 2 | provides x = 2\na 1-1 | requires new";
    assert_eq!(names(packages, &["a"]), "a new");
    assert!(fails(packages, &["a", "old"]).contains("exclude each other: a, old"));
    // Obsoletes is about names, not about what packages provide; Conflicts is about both.
    let packages = "a 1-1 | obsoletes x\nb 1-1 | provides x";
    assert_eq!(names(packages, &["a", "b"]), "a b");
    fails("a 1-1 | conflicts x\nb 1-1 | provides x", &["a", "b"]);
    // A package that conflicts with what it provides itself keeps others out.
    let packages = "a 1-1 | conflicts mta | provides mta\nb 1-1 | conflicts mta | provides mta";
    assert_eq!(names(packages, &["a"]), "a");
    fails(packages, &["a", "b"]);
}

#[test]
fn one_version_of_a_name_also_of_kernels() {
    let packages = "kernel 1-1 | provides installonlypkg(kernel)\nkernel 2-1 | provides installonlypkg(kernel)\n\
                    a 1-1 | requires kernel = 1";
    assert_eq!(chosen(packages, &["kernel"]).unwrap(), ["kernel-2-1"]);
    assert_eq!(chosen(packages, &["kernel", "a"]).unwrap(), ["a-1-1", "kernel-1-1"]);
    fails(&format!("{packages}\nb 1-1 | requires kernel = 2"), &["a", "b"]);
}

#[test]
fn the_choice_among_providers_is_fixed() {
    let cases = [
        // The name that is asked for.
        ("x 1-1\naa 9-1 | provides x", vec!["a"], "a x"),
        // What is there anyway.
        ("zz 1-1 | provides x\naa 1-1 | provides x", vec!["a", "zz"], "a zz"),
        ("zz 1-1 | provides x\naa 1-1 | provides x\nb 1-1 | requires zz", vec!["a", "b"], "a b zz"),
        // The shorter name, then the alphabet.
        ("aaa 1-1 | provides x\nzz 1-1 | provides x", vec!["a"], "a zz"),
        ("zz 1-1 | provides x\nyy 1-1 | provides x", vec!["a"], "a yy"),
    ];
    for (world, include, expected) in cases {
        assert_eq!(names(&format!("a 1-1 | requires x\n{world}"), &include), expected, "{world}");
        let mut lines: Vec<&str> = world.lines().collect();
        lines.reverse();
        let reversed = format!("{}\na 1-1 | requires x", lines.join("\n"));
        assert_eq!(names(&reversed, &include), expected, "{world}, listed backwards");
    }
}

#[test]
fn repositories_priorities_and_globs() {
    let packages = |v: &str| format!("a {v}-1\nb {v}-1 | provides x\n");
    let from = |profile: &Profile| {
        let repos = [repo("base", &packages("1")), repo("extra", &packages("2"))];
        let lock = lock(profile, &repos).unwrap();
        lock.packages.iter().map(|p| format!("{}@{}", p.name, p.repo)).collect::<Vec<_>>().join(" ")
    };
    let equal = profile(&[("base", 99), ("extra", 99)], &["a", "b"]);
    assert_eq!(from(&equal), "a@extra b@extra", "newest of equals");
    let mut preferred = profile(&[("base", 10), ("extra", 99)], &["a", "b"]);
    assert_eq!(from(&preferred), "a@base b@base", "the lower number hides the other");
    preferred.repos[0].excludepkgs = vec!["b*".into()];
    assert_eq!(from(&preferred), "a@base b@extra");
    let mut only = equal.clone();
    only.repos[1].includepkgs = vec!["?".into()];
    assert_eq!(from(&only), "a@extra b@extra");
    only.repos[1].includepkgs = vec!["b.noarch".into()];
    assert_eq!(from(&only), "a@base b@extra");
    let mut excluded = profile(&[("base", 99), ("extra", 99)], &["x"]);
    excluded.packages.exclude = vec!["b".into()];
    let repos = [repo("base", &packages("1")), repo("extra", &packages("2"))];
    let report = lock(&excluded, &repos).unwrap_err();
    assert!(report.contains("b-1-1.noarch in base is left out: the profile excludes it"), "{report}");
}

#[test]
fn other_architectures_are_not_taken() {
    let packages = "a 2-1 i686\na 1-1 x86_64 | requires b\nb 1-1 noarch\nb 1-1 x86_64";
    let lock = lock(&profile(&[("main", 99)], &["a"]), &[repo("main", packages)]).unwrap();
    let list: Vec<String> = lock.packages.iter().map(leviso::lock::LockedPackage::nevra).collect();
    assert_eq!(list, ["a-1-1.x86_64", "b-1-1.x86_64"]);
}

#[test]
fn recommends_are_followed_where_they_can_be_and_only_if_asked() {
    let packages =
        "a 1-1 | recommends b; c; missing\nb 1-1\nc 1-1 | conflicts a\nd 1-1 | recommends (b if e)\ne 1-1";
    assert_eq!(names(packages, &["a"]), "a");
    let with = |include: &[&str]| {
        let mut profile = profile(&[("main", 99)], include);
        profile.packages.weak = true;
        let lock = lock(&profile, &[repo("main", packages)]).unwrap();
        lock.packages.iter().map(|p| p.name.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(with(&["a"]), "a b");
    assert_eq!(with(&["d"]), "d");
    assert_eq!(with(&["d", "e"]), "b d e");
}

#[test]
fn the_lock_holds_what_the_metadata_says() {
    let repos = [repo("main", "b 1:2-3 x86_64\na 1-1 | requires b")];
    let profile = profile(&[("main", 99)], &["a"]);
    let lock = lock(&profile, &repos).unwrap();
    assert_eq!((lock.date, lock.request), (1_700_000_000, profile.request()));
    assert_eq!(lock.repos[0].repomd, repos[0].repomd);
    let b = &lock.packages[1];
    assert_eq!((b.name.as_str(), b.evr.as_str(), b.arch.as_str()), ("b", "1:2-3", "x86_64"));
    assert_eq!((b.location.as_str(), b.size), ("Packages/b-2-3.x86_64.rpm", 1));
    assert_eq!(b.sha256, repos[0].packages[0].sha256);
    assert_eq!(Lock::parse(&lock.to_toml()).unwrap(), lock);
}

#[test]
fn a_failure_explains_itself() {
    let packages = "vim 9-1 | requires libfoo >= 2; bash\nlibfoo 1-1\nbash 5-1\n\
                    nginx 1-1 | requires openssl-libs\nopenssl-lib 1-1 i686";
    let cases = [
        (
            vec!["vim"],
            "error: no set of packages satisfies profile test\n  \
             the profile asks for vim, offered by vim-9-1.noarch\n  \
             vim-9-1.noarch requires libfoo >= 2, which nothing offers\n    \
             libfoo-1-1.noarch in main offers version 1-1 only\n  \
             repositories: main (5 packages)\n\
             hint: add the repository that has it to the profile, or take the request out of it",
        ),
        (
            vec!["bahs", "vmi"],
            "error: no set of packages satisfies profile test\n  \
             the profile asks for bahs, which nothing offers\n    did you mean bash?\n  \
             the profile asks for vmi, which nothing offers\n    did you mean vim?\n  \
             repositories: main (5 packages)\n\
             hint: add the repository that has it to the profile, or take the request out of it",
        ),
        (
            vec!["openssl-lib"],
            "error: no set of packages satisfies profile test\n  \
             the profile asks for openssl-lib, which nothing offers\n    \
             openssl-lib-1-1.i686 in main is left out: its architecture is i686\n  \
             repositories: main (5 packages)\n\
             hint: add the repository that has it to the profile, or take the request out of it",
        ),
    ];
    for (include, expected) in cases {
        let found = fails(packages, &include);
        assert_eq!(found, expected, "\n--- found\n{found}\n--- expected\n{expected}");
    }
    let found = fails("a 1-1 | requires z\nb 1-1 | requires z\nc 1-1 | requires a\nz1 1-1", &["a", "b", "c"]);
    assert_eq!(found.matches("which nothing offers").count(), 1, "one cause is shown once: {found}");
    assert!(found.contains("and 2 more requests fail"), "{found}");
    let packages = "a 1-1 | requires x = 1\nb 1-1 | requires x = 2\nx 1-1\nx 2-1\nc 1-1\nd 1-1";
    let found = fails(packages, &["c", "a", "d", "b"]);
    assert!(found.contains("these requests exclude each other: a, b\n"), "{found}");
    assert!(found.lines().count() <= 30, "{found}");
}

#[test]
fn a_conflict_that_goes_in_circles_is_explained_too() {
    // resolvo's own account of this one never ends.
    let packages = "c 2-1 | provides y | requires ((e with a) and y < 1)
        e 3-1 | provides e; a = 2 | requires x; (y = 1 if (z without y <= 2) else (b without y))
        e 1-1 | provides a; z | requires (x if (c or (c with c)) else (e < 3 if e else e)); \
        ((a < 1 without z) unless ((z without x) and c = 2)) | obsoletes x < 3
        b 2-1 | provides a | requires (y unless (y unless (a < 3 with b))); (d if z else (y >= 1 with z))
        d 1-1 | provides b > 3; x | requires ((x = 2 with c < 2) unless (b if (x < 1 without d)) else c > 2) | obsoletes x
        a 2-1 | provides x | requires ((d and e) unless (z <= 2 unless x >= 3) else c); (d if z >= 2 else c); (d or a < 2)
        c 3-1 | requires ((b without c <= 1) if y > 2 else x); (c unless x); (z unless e) \
        | conflicts (z < 1 if (x > 3 without d) else c < 3)";
    let found = fails(packages, &["x"]);
    assert!(found.contains("x cannot be installed"), "{found}");
    assert!(found.lines().count() <= 30, "{found}");
}
