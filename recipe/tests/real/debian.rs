//! What Debian has the sources of, built as its authors say: configure and make, CMake, Meson.

use crate::rig::Rig;
use crate::{lives, sources};

/// A package: its name, what its sources are called in one or another release of Debian, the code of `build()` and of
/// `install()`, and what it is used for.
struct Package {
    name: &'static str,
    sources: &'static [&'static str],
    build: &'static str,
    install: &'static str,
    uses: &'static [(&'static str, &'static str)],
}

/// How many of these the sample has: those that take seconds.
const SMALL: usize = 3;

const PACKAGES: &[Package] = &[
    Package {
        name: "hello",
        sources: &["hello"],
        build: "configure([\"--disable-nls\"]); make();",
        install: "make([\"install\"]);",
        uses: &[("hello --greeting=hi", "hi"), ("cat $PREFIX/share/man/man1/hello.1", "GNU")],
    },
    Package {
        name: "cmark",
        sources: &["cmark"],
        build: "cmake([\"-DCMARK_TESTS=OFF\"]);",
        install: "cmake_install();",
        uses: &[
            ("echo '*a*' | cmark", "<p><em>a</em></p>"),
            ("PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig pkg-config --libs libcmark", "-lcmark"),
        ],
    },
    Package {
        name: "fribidi",
        sources: &["fribidi"],
        build: "meson([\"-Ddocs=false\"]);",
        install: "meson_install();",
        uses: &[
            ("fribidi --version", "fribidi"),
            ("echo abc | fribidi --nopad", "abc"),
            ("PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig pkg-config --libs fribidi", "-lfribidi"),
        ],
    },
    Package {
        name: "nginx",
        sources: &["nginx"],
        build: "configure([\"--without-http_rewrite_module\", \"--without-http_gzip_module\"]); make();",
        install: "make([\"install\"]);",
        uses: &[
            ("$PREFIX/sbin/nginx -v 2>&1", "nginx version"),
            (
                "mkdir logs; $PREFIX/sbin/nginx -t -p $PWD -c $PREFIX/conf/nginx.conf 2>&1",
                "test is successful",
            ),
        ],
    },
    Package {
        name: "postgresql",
        sources: &["postgresql-15", "postgresql-17"],
        build: "configure([\"--without-readline\", \"--without-zlib\", \"--without-icu\"]); make();",
        install: "make([\"install\"]);",
        uses: &[("postgres --version", "postgres (PostgreSQL) 1"), ("psql --version", "psql")],
    },
];

fn build(package: &Package, user: Option<u32>) {
    let name = package.name;
    let mut found = sources::debian(package.sources[0]);
    for source in &package.sources[1..] {
        found = found.or_else(|_| sources::debian(source));
    }
    let Some((file, version)) = sources::or_skip(name, found) else { return };
    let rig = Rig::new();
    let recipe = format!(
        "let pkg = #{{ name: \"{name}\", version: \"{version}\" }};\nfn acquire() {{ download({}); extract(); }}\n\
         fn build() {{ {} }}\nfn install() {{ {} }}\n",
        sources::serve(&rig, &file),
        package.build,
        package.install
    );
    rig.write(&format!("recipes/{name}.rhai"), recipe);
    lives(&rig, name, user, package.uses);
}

#[test]
fn packages_of_debian_are_built_as_their_authors_say() {
    for tool in ["make", "cmake", "meson", "ninja", "pkg-config"] {
        drop(testkit::oracle(tool));
    }
    for package in PACKAGES.iter().take(testkit::ledger::planned(PACKAGES.len(), SMALL)) {
        build(package, None);
    }
}

#[test]
fn an_ordinary_user_builds_too() {
    if !testkit::is_root() {
        testkit::skip("an ordinary user builds", "needs root to become somebody else");
        return;
    }
    build(&PACKAGES[0], Some(12345));
}
