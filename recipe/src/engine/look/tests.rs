//! Every way to a powerful helper that is known is seen, or counts as one that may lead anywhere.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::capability::Capabilities;
use crate::code::{Code, Origin};
use crate::recipe::Recipe;

/// What a recipe with this top level and this body of `install` can do, with a library `l`.
fn can(top: &str, body: &str, library: &str) -> Vec<String> {
    let text = format!("let pkg = #{{ name: \"p\", version: \"1\" }};\n{top}\nfn install() {{\n{body}\n}}\n");
    let recipe = Recipe::parse(&text, Path::new("r/p.rhai")).unwrap();
    let libraries = BTreeMap::from([("l".to_owned(), library.to_owned())]);
    let code = Code { recipe, text, libraries, origin: Origin::Here };
    let can = Capabilities::of(&code, &|_| None).unwrap_or_else(|e| panic!("{body}: {e:#}"));
    can.iter().map(|(what, at)| format!("{what}, {at}")).collect()
}

#[track_caller]
fn sees(top: &str, body: &str, library: &str, expected: &str) {
    let found = can(top, body, library);
    assert!(
        found.iter().any(|what| what.starts_with(expected)),
        "{top}{body}{library}: {expected} not in {found:#?}"
    );
}

#[test]
fn wherever_a_call_stands_it_is_seen() {
    for body in [
        "shell(\"x\");",
        "let a = shell(\"x\");",
        "if true { } else { while false { shell(\"x\"); } }",
        "if shell(\"x\") == 1 { }",
        "for i in 0..shell(\"x\") { }",
        "for i in 0..1 { shell(\"x\"); }",
        "loop { break shell(\"x\"); }",
        "let a = loop { break if true { shell(\"x\") } };",
        "do { } while shell(\"x\");",
        "switch 1 { 1 if shell(\"x\") => 2, _ => 3 }",
        "switch 1 { 0..5 => shell(\"x\"), _ => 3 }",
        "switch 1 { 1 => 2, _ => shell(\"x\") }",
        "switch shell(\"x\") { _ => 3 }",
        "try { } catch (e) { shell(\"x\"); }",
        "throw shell(\"x\");",
        "return shell(\"x\");",
        "let a = `x${shell(\"x\")}`;",
        "let a = `x${`y${shell(\"x\")}`}`;",
        "let a = [1, #{ b: shell(\"x\") }];",
        "let a = [1]; a[shell(\"x\")] = 2;",
        "let a = #{}; a.b = shell(\"x\");",
        "let a = 1; a += shell(\"x\");",
        "let a = 1 + shell(\"x\") * 2;",
        "let a = false && shell(\"x\");",
        "let a = () ?? shell(\"x\");",
        "let a = 1 in shell(\"x\");",
        "let a = !shell(\"x\");",
        "let f = |x| shell(\"x\");",
        "let f = || { let g = || { || shell(\"x\") }; };",
        "[1].map(|x| [x].filter(|y| shell(\"x\")));",
        "if false { shell(\"x\"); }",
        "print(type_of(shell(\"x\")));",
        "{ { shell(\"x\"); } }",
        "global::shell(\"x\");",
    ] {
        sees("", body, "", "script x, r/p.rhai:");
        sees(&format!("fn other() {{ {body} }}"), "", "", "script x, r/p.rhai:");
        sees("", "", &format!("fn f() {{ {body} }}"), "script x, r/lib/l.rhai:1");
    }
    sees("import \"l\" as l;", "l::f();", "private fn f() { shell(\"x\"); }", "script x, r/lib/l.rhai:1");
}

#[test]
fn what_is_no_literal_is_all_of_its_kind() {
    for (body, expected) in [
        ("let s = \"x\"; shell(s);", "script (computed)"),
        ("shell(`x ${1}`);", "script (computed)"),
        ("shell(\"x\" + \"y\");", "script (computed)"),
        ("\"x\".shell();", "script (computed)"),
        ("let s = \"x\"; s.shell([]);", "script (computed)"),
        ("shell(\"(computed)\");", "script (computed) ... ["),
        ("Fn(\"shell\").call(\"x\");", "script (computed)"),
        ("let f = Fn(\"shell\"); f.call(\"x\");", "script (computed)"),
        ("Fn(\"shell\").curry(\"x\");", "script (computed)"),
        ("let m = #{ act: Fn(\"shell\") }; m.act(\"x\");", "script (computed)"),
        ("call(Fn(\"shell\"), \"x\");", "script (computed)"),
        ("[\"x\"].map(Fn(\"shell\"));", "script (computed)"),
        ("Fn(\"sh\" + \"ell\");", "any-helper (computed)"),
        ("Fn(`sh${\"ell\"}`);", "any-helper (computed)"),
        ("let n = \"shell\"; Fn(n);", "any-helper (computed)"),
        ("[\"shell\"].map(|n| Fn(n));", "any-helper (computed)"),
        ("let p = arch(); exec([p]);", "program (computed)"),
        ("let a = [\"x\"]; exec(a);", "program (computed)"),
        ("exec([\"x\"] + [\"y\"]);", "program (computed)"),
        ("[\"curl\"].exec();", "program (computed)"),
        ("exec([\"sh\", \"-c\", arch()]);", "program (computed)"),
        ("exec(\"sh\", arch());", "program (computed)"),
        ("let u = \"https://a/\"; u = arch(); download(u);", "host (computed)"),
        ("let u = \"https://a/\"; u += arch(); download(u);", "host (computed)"),
        ("let u = \"https://a/\"; u.replace(\"a\", \"b\"); download(u);", "host (computed)"),
        ("let u = \"https://a/\"; u.len.to_string(); download(u);", "host (computed)"),
        (
            "if true { let u = \"https://a/\"; } else { let u = \"https://b/\"; download(u); }",
            "host (computed)",
        ),
        ("let u = \"https://a/\"; for u in [1] { download(u); }", "host (computed)"),
        ("let u = \"https://a/\"; try { } catch (u) { download(u); }", "host (computed)"),
        ("let u = \"https://a/\"; [1].map(|u| download(u));", "host (computed)"),
        ("import \"l\" as l; let u = \"https://a/\"; download(l::u);", "host (computed)"),
        ("let u = v; let v = u; download(u);", "host (computed)"),
        ("let pkg = #{ name: arch() }; download(`https://${pkg.name}/`);", "host (computed)"),
        ("let other = #{ name: arch() }; download(`https://${other.name}/`);", "host (computed)"),
        ("let u = if true { \"https://a/\" } else { \"https://b/\" }; download(u);", "host (computed)"),
        ("let u = \"https://a/x\"; u[8] = 'b'; download(u);", "host (computed)"),
        ("let u = #{ v: \"https://a/\" }; u.v.w = 1; download(u);", "host (computed)"),
        ("download(\"https://a/\" - \"b\");", "host (computed)"),
        ("\"https://a/\".download();", "host (computed)"),
        ("download(\"https://a\" + arch());", "host (computed)"),
        ("download(`https://${arch()}/x`);", "host (computed)"),
        ("download(`https://a${arch()}/x`);", "host (computed)"),
        ("download(\"https://a@b/\");", "host (computed)"),
        ("git_clone(arch(), \"0\");", "host (computed)"),
        ("http_get(arch());", "host (computed)"),
        ("github_latest(arch());", "host (computed)"),
        ("github_latest(\"Owner/name\");", "host github.com/owner"),
        ("verify_minisign(\"k\", arch());", "host (computed)"),
        ("verify_openpgp(arch(), \"k\");", "host (computed)"),
        ("env(arch());", "variable (computed)"),
        ("copy_source(arch());", "file (computed)"),
        ("import arch() as l;", "imports (computed)"),
        ("install_file(\"a\", arch());", "installs (computed)"),
    ] {
        sees("", body, "", expected);
    }
}

#[test]
fn literals_are_named_with_their_lines() {
    let top = "const BASE = \"https://example.org/x\";\nfn post_install() { }\nimport \"l\" as l;";
    let body = "download(BASE + `/${pkg.version}`);\ndownload(`https://github.com/${\"Owner\"}/x-${arch()}`);\n\
                let url = `https://${pkg.name}.example/`; let n = url.len; download(url);\ngit_clone(\"https://b.example/r\", \"0\");\n\
                exec([\"tool\", arch()]);\nexec(\"curl\", [\"-O\", \"https://c/\"]);\noutput([\"other\"]);\nmake();\n\
                env(\"TOKEN\");\ncopy_source(\"fix.patch\");\ninstall_bin(\"src/p\");\ninstall_file(\"a\", \"etc/a\");";
    let found = can(top, body, "");
    for expected in [
        "host example.org, r/p.rhai:6",
        "host github.com/owner, r/p.rhai:7",
        "host p.example, r/p.rhai:8",
        "host b.example, r/p.rhai:9",
        "program tool, r/p.rhai:10",
        "program other, r/p.rhai:12",
        "helper make, r/p.rhai:13",
        "variable TOKEN, r/p.rhai:14",
        "file fix.patch [missing], r/p.rhai:15",
        "installs bin/p, r/p.rhai:16",
        "installs etc/a, r/p.rhai:17",
        "phase post_install, r/p.rhai:3",
        "imports l, r/p.rhai:4",
        "helper git_clone, r/p.rhai:9",
    ] {
        assert!(found.contains(&expected.to_owned()), "{expected} is not in {found:#?}");
    }
    assert!(found.iter().any(|what| what.starts_with("program curl -O https://c/ [")), "{found:#?}");
    assert!(!found.iter().any(|what| what.contains("(computed)")), "{found:#?}");
}

#[test]
fn arguments_of_what_takes_scripts_count() {
    let one = can("", "exec([\"sh\", \"-c\", \"a b\"]);", "");
    for other in [
        "exec([\"sh\", \"-c\", \"a\", \"b\"]);",
        "exec([\"sh\", \"-c\", \"c\"]);",
        "exec([\"/bin/sh\", \"-c\", \"a b\"]);",
    ] {
        assert_ne!(can("", other, ""), one, "{other}");
    }
    assert_eq!(can("", "exec(\"sh\", [\"-c\", \"a b\"]);", ""), one);
}
