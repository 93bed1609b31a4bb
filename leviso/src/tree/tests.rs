//! Lookups behave as a chroot's would.

use super::*;

fn tree() -> Tree {
    let mut t = Tree::new(1000);
    let o = Origin::Generated("test");
    t.mkdir_p("/usr/lib", &o).unwrap();
    t.symlink("/lib", "usr/lib", o.clone()).unwrap();
    t.write("/lib/a", "A", 0o644, o).unwrap();
    t
}

#[test]
fn files_land_behind_directory_links() {
    let t = tree();
    assert_eq!(t.read("/usr/lib/a").unwrap(), b"A");
    assert_eq!(t.read("lib//./a").unwrap(), b"A");
    assert_eq!(t.list("/lib"), [b"a"]);
    let names: Vec<_> = t.walk().into_iter().map(|(p, _)| String::from_utf8(p).unwrap()).collect();
    assert_eq!(names, ["/lib", "/usr", "/usr/lib", "/usr/lib/a"]);
}

#[test]
fn nothing_leaves_the_tree() {
    let mut t = tree();
    t.symlink("/up", "../../../../usr", Origin::Generated("test")).unwrap();
    assert_eq!(t.read("/up/../../usr/lib/a").unwrap(), b"A");
    assert_eq!(t.stat("/..").unwrap(), Tree::ROOT);
    let bad = t.write("/usr/..", "", 0o644, Origin::Generated("test"));
    assert_eq!(bad.unwrap_err(), PathError::BadName("/usr/..".into()));
}

#[test]
fn loops_end() {
    let mut t = tree();
    t.symlink("/x", "y", Origin::Generated("test")).unwrap();
    t.symlink("/y", "x", Origin::Generated("test")).unwrap();
    assert_eq!(t.stat("/x/z").unwrap_err(), PathError::Loop("/x/z".into()));
    assert!(t.lstat("/x").is_ok());
}

#[test]
fn a_directory_is_never_replaced_by_a_file() {
    let mut t = tree();
    let err = t.write("/usr/lib", "", 0o644, Origin::Generated("test")).unwrap_err();
    assert_eq!(err, PathError::IsADirectory("/usr/lib".into()));
    assert_eq!(t.read("/usr/lib/a").unwrap(), b"A");
}

#[test]
fn a_directory_over_a_directory_changes_its_attributes_only() {
    let mut t = tree();
    let meta = Meta::root(0o700, 5, Origin::Generated("test"));
    t.insert("/usr/lib", Inode { meta, kind: Kind::Dir(Entries::new()) }).unwrap();
    assert_eq!(t.inode(t.stat("/usr/lib").unwrap()).meta.mode, 0o700);
    assert_eq!(t.read("/lib/a").unwrap(), b"A");
}

#[test]
fn hard_links_share_an_inode() {
    let mut t = tree();
    let id = t.stat("/lib/a").unwrap();
    t.link("/usr/b", id).unwrap();
    t.remove("/lib/a").unwrap();
    assert_eq!(t.read("/usr/b").unwrap(), b"A");
    assert_eq!(t.read("/lib/a").unwrap_err(), PathError::NotFound("/lib/a".into()));
}
