//! Programs that are published ready to run, in packages of other languages' managers.

use crate::rig::Rig;
use crate::{lives, sources};

/// This machine's name in registries; none if what is published is not for it.
fn machine(check: &str) -> bool {
    let known = cfg!(target_arch = "x86_64");
    if !known {
        testkit::cannot(check, "the versions that are pinned here are for x86_64");
    }
    known
}

#[test]
fn a_program_of_npm_is_installed() {
    if !machine("a program of npm is installed") {
        return;
    }
    let Some(file) = sources::or_skip("esbuild", sources::npm("@esbuild/linux-x64", "0.25.0")) else {
        return;
    };
    let rig = Rig::new();
    let recipe = format!(
        "let pkg = #{{ name: \"esbuild\", version: \"0.25.0\" }};\nfn install() {{\n    download({});\n    extract();\n    \
         install_bin(\"bin/esbuild\");\n    install_file(\"README.md\", \"share/doc/esbuild/README.md\");\n}}\n",
        sources::serve(&rig, &file)
    );
    rig.write("recipes/esbuild.rhai", recipe);
    lives(
        &rig,
        "esbuild",
        None,
        &[
            ("esbuild --version", "0.25.0"),
            ("echo 'let a: number = 1+1' > a.ts; esbuild a.ts", "let a = 1 + 1"),
        ],
    );
}

#[test]
fn a_program_of_pypi_is_installed() {
    if !machine("a program of PyPI is installed") {
        return;
    }
    let wheel = "ninja-1.11.1.4-py3-none-manylinux_2_12_x86_64.manylinux2010_x86_64.whl";
    let Some(file) = sources::or_skip("ninja", sources::wheel("ninja", "1.11.1.4", wheel)) else { return };
    let rig = Rig::new();
    let recipe = format!(
        "let pkg = #{{ name: \"ninja\", version: \"1.11.1.4\" }};\nfn install() {{\n    download({});\n    extract();\n    \
         install_bin(\"ninja\");\n}}\n",
        sources::serve(&rig, &file)
    );
    rig.write("recipes/ninja.rhai", recipe);
    let build = "printf 'rule c\\n command = cp $in $out\\nbuild b: c a\\n' > build.ninja; echo text > a; ninja -v; cat b";
    lives(&rig, "ninja", None, &[("ninja --version", "1.11.1"), (build, "cp a b\ntext")]);
}
