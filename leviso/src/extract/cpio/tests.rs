//! Archives that lie: every one is an error, none panics, and what is found is what was put in.

use proptest::prelude::*;

use super::*;

fn file(path: &str, size: u64, links: Option<usize>) -> File {
    File {
        path: path.as_bytes().to_vec(),
        mode: 0o644,
        user: "root".into(),
        group: "root".into(),
        mtime: 0,
        size,
        kind: Kind::Regular { digest: None, links },
        caps: None,
        ghost: false,
    }
}

/// A newc entry; `size` is what its header says.
fn entry(name: &[u8], size: u32, data: &[u8]) -> Vec<u8> {
    let name_size = name.len() + 1;
    let mut out = format!(
        "070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{size:08x}{:08x}{:08x}{:08x}{:08x}{name_size:08x}{:08x}",
        1, 0o100_644, 0, 0, 1, 0, 0, 0, 0, 0, 0
    )
    .into_bytes();
    out.extend_from_slice(name);
    out.push(0);
    pad(&mut out);
    out.extend_from_slice(data);
    pad(&mut out);
    out
}

fn stripped(index: u32, data: &[u8]) -> Vec<u8> {
    let mut out = format!("07070X{index:08x}").into_bytes();
    pad(&mut out);
    out.extend_from_slice(data);
    pad(&mut out);
    out
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

fn trailer() -> Vec<u8> {
    entry(b"TRAILER!!!", 0, b"")
}

fn found(parts: &[Vec<u8>], files: &[File]) -> anyhow::Result<Vec<Vec<u8>>> {
    let archive = parts.concat();
    let ranges = locate(&archive, files)?;
    Ok(ranges.into_iter().map(|r| r.map(|r| archive[r].to_vec()).unwrap_or_default()).collect())
}

#[test]
fn both_forms_give_each_file_its_content() {
    let files = [file("/a", 3, None), file("/b", 2, Some(0)), file("/c", 2, Some(0)), file("/d", 0, None)];
    let content = [&b"aaa"[..], b"bb", b"bb", b""];
    let newc = [
        entry(b"./a", 3, b"aaa"),
        entry(b"./c", 0, b""),
        entry(b"/d", 0, b""),
        entry(b"b", 2, b"bb"),
        trailer(),
    ];
    assert_eq!(found(&newc, &files).unwrap(), content);
    let short = [stripped(3, b""), stripped(1, b""), stripped(2, b"bb"), stripped(0, b"aaa"), trailer()];
    assert_eq!(found(&short, &files).unwrap(), content);
}

#[test]
fn lies_are_errors() {
    let files = [file("/a", 3, None), file("/b", 2, None)];
    let (a, b) = (entry(b"./a", 3, b"aaa"), entry(b"./b", 2, b"bb"));
    let mut no_nul = entry(b"./b", 2, b"bb");
    no_nul[113] = b'x';
    let mut name_huge = b.clone();
    name_huge[94..102].copy_from_slice(b"ffffffff");
    let mut not_hex = b.clone();
    not_hex[54..62].copy_from_slice(b"+0000002");
    let cases: Vec<(Vec<Vec<u8>>, &str)> = vec![
        (vec![a.clone(), b.clone()], "ends without a trailer"),
        (vec![a.clone(), trailer()], "/b is not in the archive"),
        (vec![a.clone(), a.clone(), trailer()], "holds /a twice"),
        (vec![a.clone(), entry(b"./c", 0, b""), trailer()], "does not list"),
        (vec![a.clone(), entry(b"./../b", 2, b"bb"), trailer()], "does not list"),
        (vec![a.clone(), entry(b"./b", 3, b"bbb"), trailer()], "3 bytes in the archive and 2"),
        (vec![a.clone(), entry(b"./b", 0xffff_fff0, b"bb"), trailer()], "ends inside /b"),
        (vec![a.clone(), no_nul, trailer()], "does not end where it says"),
        (vec![a.clone(), name_huge, trailer()], "4294967295 bytes"),
        (vec![a.clone(), not_hex, trailer()], "not hex"),
        (vec![a.clone(), stripped(7, b""), trailer()], "no file number 7"),
        (vec![a.clone(), stripped(1, b"bb")], "without a trailer"),
        (vec![b"070707".repeat(40)], "unknown archive magic"),
        (vec![], "without a trailer"),
    ];
    for (parts, message) in cases {
        let err = format!("{:#}", found(&parts, &files).unwrap_err());
        assert!(err.contains(message), "{err:?} should say {message:?}");
    }
    assert!(found(&[a, b, trailer()], &files).is_ok());
}

#[test]
fn a_hard_link_set_must_agree_and_have_content() {
    let mut other = file("/b", 2, Some(0));
    other.mode = 0o600;
    let set = [file("/a", 2, Some(0)), other];
    let parts = [entry(b"./a", 0, b""), entry(b"./b", 2, b"bb"), trailer()];
    assert!(found(&parts, &set).unwrap_err().to_string().contains("different attributes"));
    let set = [file("/a", 2, Some(0)), file("/b", 2, Some(0))];
    let empty = [entry(b"./a", 0, b""), entry(b"./b", 0, b""), trailer()];
    assert!(found(&empty, &set).unwrap_err().to_string().contains("0 bytes in the archive"));
    let missing = [entry(b"./b", 2, b"bb"), trailer()];
    assert!(found(&missing, &set).unwrap_err().to_string().contains("/a is not in the archive"));
}

proptest! {
    #[test]
    fn damaged_archives_never_panic(at in 0usize..420, with in any::<[u8; 9]>(), len in 1usize..9, cut in 0usize..460) {
        let files = [file("/a", 3, None), file("/b", 2, Some(0)), file("/c", 2, Some(0))];
        let parts = [entry(b"./a", 3, b"aaa"), stripped(1, b""), entry(b"./c", 2, b"bb"), trailer()];
        let mut archive = parts.concat();
        let end = (at + len).min(archive.len());
        let at = at.min(end);
        archive[at..end].copy_from_slice(&with[..end - at]);
        archive.truncate(cut.max(1));
        if let Ok(ranges) = locate(&archive, &files) {
            for range in ranges.into_iter().flatten() {
                prop_assert!(archive.get(range).is_some());
            }
        }
    }
}
