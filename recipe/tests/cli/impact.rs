//! What would be affected if a package went or changed.

use crate::base::System;
use crate::rig::Rig;

/// `app` needs `tool`, that needs `lib`, that needs `dep`; `x` is built with `lib`.
fn rig() -> Rig {
    let rig = Rig::new();
    let add = |name: &str, fields: &str| {
        rig.write(
            &format!("recipes/{name}.rhai"),
            format!(
                "let pkg = #{{ name: \"{name}\", version: \"1\", {fields} }};\n\
                 fn install() {{ write_file(\"f\", \"{name}\"); install_file(\"f\", \"share/{name}\"); }}\n"
            ),
        );
    };
    add("app", "deps: [\"tool\"]");
    add("tool", "deps: [\"lib < 2\"]");
    add("lib", "deps: [\"dep\"]");
    add("dep", "");
    add("x", "build_deps: [\"lib\"]");
    rig.run(&["install", "app", "x"]).ok();
    rig
}

#[test]
fn who_needs_a_package_and_what_goes_with_it_is_said() {
    let rig = rig();
    rig.write("recipes/lib.rhai", rig.recipe("lib").replace("version: \"1\"", "version: \"2\""));
    let before = crate::rig::tree(&rig.path(""));
    let out = rig.run(&["impact", "lib"]).ok();
    let expected = "lib 1                                   1 file  3 B\n\
                    tool 1  needs lib < 2, and 2 is not it  1 file  4 B\n\
                    app 1   needs tool                      1 file  3 B\n\
                    dep 1   not needed any more             1 file  3 B\n\
                    x 1     is built with it                1 file  1 B\n\
                    4 packages, 4 files, 13 B would go with `recipe remove --cascade -s lib`\n";
    assert_eq!(out.stdout, expected);
    let json: serde_json::Value =
        serde_json::from_str(&rig.run(&["impact", "--json", "lib"]).ok().stdout).expect("JSON");
    assert_eq!((&json["version"], &json["recipe"]), (&"1".into(), &"2".into()));
    assert_eq!((&json["files"], &json["bytes"]), (&4.into(), &13.into()));
    let effects: Vec<_> = json["packages"].as_array().expect("a list").iter().collect();
    let of = |at: usize| (&effects[at]["name"], &effects[at]["effect"], &effects[at]["accepts"]);
    assert_eq!(of(1), (&"tool".into(), &"lacks".into(), &false.into()));
    assert_eq!(of(2), (&"app".into(), &"lacks".into(), &serde_json::Value::Null));
    assert_eq!(effects[2]["direct"], false);
    assert_eq!(crate::rig::tree(&rig.path("")), before, "it looks, and changes nothing");
    // It is what happens.
    let out = rig.run(&["remove", "--cascade", "-s", "lib"]).ok();
    assert_eq!(out.stdout, "- app 1\n- dep 1\n- lib 1\n- tool 1\n");
    rig.run(&["impact", "lib"]).fails(11, "lib is not installed");
    rig.run(&["impact", "nosuch"]).fails(11, "there is no recipe \"nosuch\"");
    assert_eq!(
        rig.run(&["impact", "x"]).ok().stdout,
        "x 1    1 file  1 B\n1 package, 1 file, 1 B would go with `recipe remove --cascade -s x`\n"
    );
}

#[test]
fn what_the_base_has_too_is_no_loss() {
    let system = System::new();
    system.add("openssl", "3.5.0", "");
    system.add("curl", "1", "deps: [\"openssl >= 3\"]");
    system.add("new", "1", "deps: [\"openssl >= 3.5\"]");
    system.run(&["install", "openssl"]).ok();
    system.run(&["install", "curl", "new"]).ok();
    let out = system.run(&["impact", "openssl"]).ok().stdout;
    assert!(out.contains("curl 1         needs openssl >= 3, which the base has, too  "), "{out}");
    assert!(out.contains("new 1          needs openssl >= 3.5  "), "{out}");
    assert!(out.contains("\n2 packages, 2 files, 6 B would go with"), "{out}");
}
