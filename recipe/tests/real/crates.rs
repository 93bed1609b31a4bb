//! Tools that are published as crates, built from source without a network.

use crate::rig::Rig;
use crate::{lives, sources};

/// A crate that is a tool.
struct Tool {
    name: &'static str,
    version: &'static str,
    /// What of it is installed: the code of `install()`.
    install: &'static str,
    /// What it is used for, and what that prints.
    uses: &'static [(&'static str, &'static str)],
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "zoxide",
        version: "0.10.0",
        install: "install_bin(`target/release/zoxide`);
    for page in list_dir(`man/man1`) { install_man(`man/man1/` + page); }
    for shell in [`_zoxide`, `zoxide.bash`, `zoxide.fish`] { install_completion(`contrib/completions/` + shell); }",
        uses: &[
            ("zoxide --version", "zoxide 0.10.0"),
            ("mkdir there; zoxide add there; zoxide query the", "/there"),
            ("cat $PREFIX/share/man/man1/zoxide-query.1", "zoxide"),
        ],
    },
    Tool {
        name: "hyperfine",
        version: "1.20.0",
        install: "install_bin(`target/release/hyperfine`);\n    install_man(`doc/hyperfine.1`);",
        uses: &[
            ("hyperfine --version", "hyperfine 1.20.0"),
            ("hyperfine -N --runs 2 true --export-json out >/dev/null; cat out", "\"command\": \"true\""),
        ],
    },
    Tool {
        name: "fd-find",
        version: "10.3.0",
        install: "install_bin(`target/release/fd`);
    install_man(`doc/fd.1`);
    write_file(`fd.fish`, output([`target/release/fd`, `--gen-completions`, `fish`]));
    install_completion(`fd.fish`);",
        uses: &[
            ("fd --version", "fd 10.3.0"),
            ("mkdir -p a/b; touch a/b/needle.txt; fd needle", "a/b/needle.txt"),
            ("cat $PREFIX/share/fish/vendor_completions.d/fd.fish", "complete -c fd"),
        ],
    },
    Tool {
        name: "ripgrep",
        version: "15.2.0",
        install: "install_bin(`target/release/rg`);
    write_file(`rg.1`, output([`target/release/rg`, `--generate`, `man`]));
    install_man(`rg.1`);",
        uses: &[
            ("rg --version", "ripgrep 15.2.0"),
            ("printf 'hay\\nneedle\\n' > stack; rg -n needle", "stack:2:needle"),
            ("cat $PREFIX/share/man/man1/rg.1", "ripgrep"),
        ],
    },
    Tool {
        name: "just",
        version: "1.53.0",
        install: "install_bin(`target/release/just`);
    write_file(`just.1`, output([`target/release/just`, `--man`]));
    install_man(`just.1`);
    write_file(`just.bash`, output([`target/release/just`, `--completions`, `bash`]));
    install_completion(`just.bash`);",
        uses: &[("just --version", "just 1.53.0"), ("printf 'say:\\n\\t@echo done\\n' > justfile; just say", "done")],
    },
];

/// So that the sample does not take minutes: what is tested is `recipe`, not the optimizer.
const QUICK: &str = "[`--config`, `profile.release.opt-level=0`, `--config`, `profile.release.lto=false`, `--config`, \
                     `profile.release.codegen-units=16`]";

#[test]
fn tools_are_built_from_crates_without_a_network() {
    let full = testkit::ledger::full();
    for tool in TOOLS.iter().take(testkit::ledger::planned(TOOLS.len(), 1)) {
        let Some([krate, vendor]) = sources::or_skip(tool.name, sources::krate(tool.name, tool.version))
        else {
            continue;
        };
        let rig = Rig::new();
        let (krate, vendor) = (sources::serve(&rig, &krate), sources::serve(&rig, &vendor));
        let (args, install) = (if full { "" } else { QUICK }, tool.install.replace('`', "\""));
        let recipe = format!(
            r#"let pkg = #{{ name: "{}", version: "{}" }};

fn acquire() {{
    download({krate});
    extract();
    download({vendor});
    extract();
    cd("..");
    write_file(".cargo/config.toml", `
        [source.crates-io]
        replace-with = "vendor"
        [source.vendor]
        directory = "vendor"
    `);
}}

fn build() {{
    cargo_build({});
}}

fn install() {{
    {install}
}}
"#,
            tool.name,
            tool.version,
            args.replace('`', "\"")
        );
        rig.write(&format!("recipes/{}.rhai", tool.name), recipe);
        lives(&rig, tool.name, None, tool.uses);
    }
}
