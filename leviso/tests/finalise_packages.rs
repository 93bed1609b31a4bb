//! finalise::packages: every file of the image has an owner in it, where it really lies, and the bytes never vary.

mod packages;

use labrepo::rpm::Package;
use leviso::audit::{Problem, audit};
use leviso::epoch::Epoch;
use leviso::extract::{Extracted, extract};
use leviso::finalise;
use leviso::progress::Quiet;
use leviso::tree::Origin;

const PATH: &str = "/usr/lib/levitate/packages.json";

/// Three packages with everything that matters here.
fn packages() -> Vec<Package> {
    let mut openssl = Package::new("openssl", "3.2.2", "16.el10", "x86_64");
    openssl.epoch = Some(1);
    vec![
        openssl
            .provides("pkgconfig(openssl) = 3.2.2")
            .file("/bin/openssl", b"x", 0o755)
            .file("/usr/share/doc/openssl/README", b"x", 0o644)
            .ghost("/etc/openssl.cnf", 0o644),
        Package::new("bash", "5.2.26", "6.el10", "x86_64")
            .provides("/bin/sh")
            .dir("/usr/share/bash", 0o755)
            .file("/usr/bin/bash", b"x", 0o755)
            .hard_link("/usr/bin/rbash", "/usr/bin/bash")
            .symlink("/usr/bin/sh", "bash"),
        Package::new("other", "1", "1", "noarch")
            .provides("user(other) = dSBvdGhlcgo=")
            // The same file as bash's, as rpm lets two packages have it.
            .symlink("/bin/sh", "bash")
            .file("/etc/other.conf", b"x", 0o644),
    ]
}

fn extracted(packages: &[Package]) -> Extracted {
    let dir = tempfile::tempdir().unwrap();
    let rpms = packages::verified(dir.path(), packages);
    extract(&rpms, &dir.path().join("cache"), Epoch(2_000_000_000), &Quiet).unwrap()
}

fn written(mut system: Extracted) -> String {
    let tree = &mut system.tree;
    // A profile excludes, an overlay replaces, leviso makes.
    tree.remove("/usr/share/doc").unwrap();
    tree.write("/etc/other.conf", "mine", 0o644, Origin::Overlay("overlay".into())).unwrap();
    tree.write("/etc/hostname", "here", 0o644, Origin::Generated("machine-id")).unwrap();
    finalise::packages::apply(tree, &system.packages).unwrap();
    let found = audit(tree, &[]);
    assert!(found.list.iter().all(|f| f.problem != Problem::Unowned || !f.path.contains("levitate")));
    String::from_utf8(tree.read(PATH).unwrap().to_vec()).unwrap()
}

/// `recipe` reads this very file in its tests: the two agree on the format.
#[test]
fn the_document_is_what_recipe_reads() {
    let path = testkit::workspace().join("recipe/tests/cli/packages.json");
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let found = written(extracted(&packages()));
    assert!(found == expected, "{} differs; expected\n{found}", path.display());
}

#[test]
fn the_order_of_packages_does_not_matter() {
    let mut reversed = packages();
    reversed.reverse();
    assert_eq!(written(extracted(&packages())), written(extracted(&reversed)));
}

#[test]
fn every_file_of_the_tree_is_somebodys() {
    let mut system = extracted(&packages());
    finalise::packages::apply(&mut system.tree, &system.packages).unwrap();
    let json: serde_json::Value = serde_json::from_slice(system.tree.read(PATH).unwrap()).unwrap();
    let files = |of: &serde_json::Value| -> Vec<String> {
        let dirs = of.as_object().unwrap().iter();
        let names = dirs.flat_map(|(dir, names)| names.as_array().unwrap().iter().map(move |n| (dir, n)));
        names.map(|(dir, n)| format!("{}/{}", dir.trim_end_matches('/'), n.as_str().unwrap())).collect()
    };
    let mut all = files(&json["image"]);
    all.extend(json["packages"].as_array().unwrap().iter().flat_map(|p| files(&p["files"])));
    for (path, id) in system.tree.walk().iter().filter(|(_, id)| system.tree.entries(*id).is_none()) {
        let path = String::from_utf8(path.clone()).unwrap();
        assert!(all.contains(&path), "{path} (inode {id:?}) is nobody's");
    }
    assert!(all.contains(&"/bin".to_owned()), "links of the root are files of the image too: {all:?}");
}
