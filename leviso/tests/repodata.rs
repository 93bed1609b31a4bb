//! Repository metadata: what is read, and what hostile metadata cannot do.

mod universe;

use common::cli::{exit_code, report};
use common::hash::Sha256;
use leviso::exit;
use leviso::repodata::{Checksum, Op, RepoMetadata, Repomd, read_filelists, read_primary};
use proptest::prelude::*;

const REPOMD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
  <revision>1754000000</revision>
  <tags><content>binary-x86_64</content></tags>
  <data type="primary">
    <checksum type="sha256">ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad</checksum>
    <open-checksum type="sha256">e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855</open-checksum>
    <location href="repodata/ba78-primary.xml.gz"/>
    <timestamp>1754000000</timestamp>
    <size>1234</size>
    <open-size>56789</open-size>
  </data>
  <data type="group"><checksum type="sha256">e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855</checksum>
    <location href="repodata/comps.xml"/></data>
</repomd>
"#;

fn empty() -> RepoMetadata {
    let parsed = Repomd::parse(REPOMD.as_bytes()).unwrap();
    RepoMetadata::new("main", Sha256::of(b""), &parsed)
}

fn primary_error(xml: &str) -> String {
    let Err(error) = read_primary(&mut empty(), xml.as_bytes()) else { return "it was accepted".into() };
    assert_eq!(exit_code(&error), exit::VERIFY);
    report(&error)
}

#[test]
fn repomd_says_where_things_are_and_what_they_hash_to() {
    let repomd = Repomd::parse(REPOMD.as_bytes()).unwrap();
    assert_eq!(repomd.revision, "1754000000");
    assert_eq!(repomd.data.keys().collect::<Vec<_>>(), ["group", "primary"]);
    let primary = &repomd.data["primary"];
    assert_eq!(primary.location, "repodata/ba78-primary.xml.gz");
    assert_eq!(primary.checksum, Checksum::Sha256(Sha256::of(b"abc")));
    assert_eq!(primary.open_checksum, Some(Checksum::Sha256(Sha256::of(b""))));
    assert_eq!((primary.size, primary.open_size), (Some(1234), Some(56789)));
    let sum = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
               47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
    let other = REPOMD.replacen("type=\"sha256\">ba78", "type=\"sha512\">ba78", 1).replacen(
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        sum,
        1,
    );
    let checksum = Repomd::parse(other.as_bytes()).unwrap().data["primary"].checksum;
    assert_eq!(checksum.to_string(), format!("sha512:{sum}"));
}

#[test]
fn a_repomd_that_misleads_is_refused() {
    let cases = [
        ("type=\"sha256\">ba78", "type=\"sha\">ba78", "expected a sha256 or sha512 checksum, found \"sha\""),
        ("ba7816bf", "ba7816b", "64 hex digits"),
        ("repodata/ba78", "../ba78", "not a path inside the repository"),
        ("repodata/ba78", "/etc/ba78", "not a path inside the repository"),
        ("repodata/ba78", "https://elsewhere/ba78", "not a path inside the repository"),
        ("repodata/ba78", "repodata//ba78", "not a path inside the repository"),
        ("<size>1234", "<size>-1", "bad <size>"),
        ("<size>1234", "<size>99999999999999999999999", "bad <size>"),
        ("<repomd xmlns", "<html xmlns", "expected <repomd>, found <html>"),
        ("</repomd>", "", "the document ends inside an element"),
        ("<repomd ", "<!DOCTYPE a [<!ENTITY b \"c\">]><repomd ", "document type declaration"),
        ("1754000000</rev", "&b;</rev", "unknown entity &b;"),
        ("</revision>", "</wrong>", "malformed"),
    ];
    for (from, to, why) in cases {
        assert!(REPOMD.contains(from), "{from}");
        let error = Repomd::parse(REPOMD.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert_eq!(exit_code(&error), exit::VERIFY);
        let text = report(&error);
        assert!(text.contains(why) && text.contains("near byte"), "{to}: {text}");
    }
    assert!(report(&Repomd::parse(b"").unwrap_err()).contains("it is empty"));
}

#[test]
fn a_package_is_read_whole() {
    let repo = universe::repo(
        "main",
        "bash 1:5.2~rc1-1.el10 x86_64 | requires rpmlib(X) <= 1; libc = 2; (a >= 1 if b); libc = 2; /bin/sh \
         | conflicts x < 1:2-3 | obsoletes old | recommends doc | files /usr/bin/bash; /etc/a&amp;b",
    );
    let [package] = &repo.packages[..] else { panic!("one package") };
    let text = |sym| repo.text(sym);
    assert_eq!((text(package.name), text(package.arch)), ("bash", "x86_64"));
    assert_eq!((text(package.evr), package.size), ("1:5.2~rc1-1.el10", 1));
    let mut requires: Vec<_> = package.requires.iter().map(|d| (text(d.name), d.op, text(d.evr))).collect();
    requires.sort_unstable();
    let expected = [("(a >= 1 if b)", Op::Any, ""), ("/bin/sh", Op::Any, ""), ("libc", Op::Eq, "0:2")];
    assert_eq!(requires, expected, "each once, without rpm's own features");
    let conflict = package.conflicts[0];
    assert_eq!((text(conflict.name), conflict.op, text(conflict.evr)), ("x", Op::Lt, "1:2-3"));
    assert_eq!((text(package.obsoletes[0].name), text(package.recommends[0].name)), ("old", "doc"));
    assert_eq!(package.files.iter().map(|f| text(*f)).collect::<Vec<_>>(), ["/usr/bin/bash", "/etc/a&b"]);
}

#[test]
fn packages_that_mislead_are_refused_with_repository_and_byte() {
    let good = universe::primary("bash 5-1 x86_64 | requires a >= 1");
    read_primary(&mut empty(), good.as_bytes()).unwrap();
    let long = "x".repeat(70 << 10);
    let huge = format!("<packager>{}</packager>", "x".repeat(3 << 20));
    let deep = "<a>".repeat(50);
    let cases = [
        ("<name>bash", "<name>../bash", "bad package name \"../bash\""),
        ("<name>bash", "<name>", "bad package name"),
        ("<name>bash", "<name>-bash", "bad package name"),
        ("<arch>x86_64", "<arch>x/y", "bad architecture"),
        ("ver=\"5\"", "ver=\"5/..\"", "bad version or release"),
        ("rel=\"1\"/>\n<checksum", "rel=\"1-2\"/>\n<checksum", "bad version or release"),
        ("epoch=\"0\" ver=\"5\"", "epoch=\"-1\" ver=\"5\"", "bad epoch"),
        ("<checksum type=\"sha256\"", "<checksum type=\"md5\"", "expected a sha256 checksum of bash"),
        ("size package=\"1\"", "size package=\"1e9\"", "bad package size"),
        ("<size package", "<sise package", "it has no size"),
        ("href=\"Packages/", "href=\"../Packages/", "not a path inside the repository"),
        ("href=\"Packages/", "href=\"Packages/%0a?x=\n", "not a path inside the repository"),
        ("<location ", "<location xml:base=\"http://elsewhere/\" ", "outside the repository"),
        ("flags=\"GE\"", "flags=\"NE\"", "unknown dependency flags"),
        ("name=\"a\"", &format!("name=\"{long}\""), "longer than 65536 bytes"),
        ("<packager/>", &huge, "longer than 1048576 bytes"),
        ("<packager/>", &deep, "nested deeper"),
        ("<metadata ", "<filelists ", "expected <metadata>"),
    ];
    for (from, to, why) in cases {
        assert!(good.contains(from), "{from}");
        let text = primary_error(&good.replacen(from, to, 1));
        let short: String = text.chars().take(600).collect();
        assert!(text.contains(why), "{from}: {short}");
        assert!(text.contains("primary.xml of repository main is malformed near byte"), "{short}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_metadata_never_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        truncate in any::<bool>(),
    ) {
        let primary = universe::primary("bash 1:5-1 x86_64 | requires (a if b); c >= 1 | files /usr/bin/bash\nc 2-1");
        let wanted = std::iter::once("/usr/bin/bash".to_owned()).collect();
        for source in [REPOMD.as_bytes(), primary.as_bytes()] {
            let mut bytes = source.to_vec();
            for (at, byte) in &edits {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if truncate {
                bytes.truncate(cut.index(bytes.len()));
            }
            let _ = Repomd::parse(&bytes);
            let mut repo = empty();
            // What is read before the damage may go on to the resolver: it must bear it.
            let _ = read_primary(&mut repo, &bytes[..]);
            let profile = universe::profile(&[("main", 99)], &["bash"]);
            let _ = leviso::resolve::resolve(&profile, &[repo.clone()]);
            let _ = read_filelists(&mut repo, &bytes[..], &wanted);
        }
    }
}
