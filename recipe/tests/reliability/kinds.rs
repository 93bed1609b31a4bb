//! Kinds of hostile archives: names, link targets, orders of entries, types, and headers that lie.

use crate::forge::{Entry, header, pax, sum, tar, zip};

/// A hostile archive.
pub(crate) struct Kind {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// Nothing of it may be installed. Else it may, if nothing of it is dangerous.
    pub(crate) refuse: bool,
    /// The same as names, targets and contents, where it is that simple.
    pub(crate) plain: Vec<(Vec<u8>, u8, Vec<u8>)>,
}

const FILE: u8 = b'0';
const HARD: u8 = b'1';
const SOFT: u8 = b'2';
const DIR: u8 = b'5';

/// Names that no entry may have. The build directory lies five levels below what is watched.
const NAMES: &[&[u8]] = &[
    b"../v",
    b"../../../../../victim",
    b"a/../../v",
    b"a/b/../../../v",
    b"./../v",
    b"..",
    b"a/..",
    b"../",
    b"a/../v",
    b"../p/v",
    b"a/./../../v",
    b"a//..//..//v",
    b"/recipe-hostile",
    b"//recipe-hostile",
    b"/../recipe-hostile",
    b"/tmp/recipe-hostile",
    b"x\ny",
    b"x\ty",
    b"x\x7fy",
    b"\xff\xfe",
];

/// Where no link may lead that lies at the top.
const TARGETS: &[&[u8]] = &[
    b"../v",
    b"..",
    b"../..",
    b"a/..",
    b"a/../../v",
    b"./../v",
    b"../../../../../outside",
    b"..//v",
    b"/",
    b"/etc",
    b"/proc/self/root",
    b"/proc/self/cwd/v",
    b"//x",
    b"",
];

fn words(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn simple(name: String, entries: &[Entry<'_>], refuse: bool) -> Kind {
    let plain = entries.iter().map(|e| (e.0.to_vec(), e.1, if e.1 == FILE { e.4 } else { e.2 }.to_vec()));
    Kind { name, bytes: tar(entries), refuse, plain: plain.collect() }
}

fn raw(name: &str, bytes: Vec<u8>, refuse: bool) -> Kind {
    Kind { name: name.to_owned(), bytes, refuse, plain: Vec::new() }
}

/// All tars, not packed.
pub(crate) fn tars() -> Vec<Kind> {
    let ok: Entry<'_> = (b"ok", FILE, b"", 0o644, b"ok");
    let mut all = Vec::new();
    for name in NAMES {
        for (kind, what) in [(FILE, "file"), (DIR, "directory"), (SOFT, "link"), (HARD, "hard link")] {
            let entry =
                (*name, kind, if kind == FILE || kind == DIR { &b""[..] } else { b"ok" }, 0o644, &b""[..]);
            all.push(simple(format!("{what} called {}", words(name)), &[ok, entry], true));
        }
    }
    for target in TARGETS {
        for (kind, what) in [(SOFT, "link"), (HARD, "hard link")] {
            let entries = [ok, (b"l", kind, *target, 0o777, b"")];
            all.push(simple(format!("{what} to {}", words(target)), &entries, true));
        }
    }
    all.extend(sequences(ok));
    for kind in [b'3', b'4', b'6', b'V', b'M', b'D', b'N', b'A', b'Z', b'9'] {
        all.push(simple(
            format!("type {}", char::from(kind)),
            &[ok, (b"x", kind, b"", 0o666, b"")],
            kind != b'D',
        ));
    }
    all.extend(headers(ok));
    all
}

/// Entries that are harmless alone.
fn sequences(ok: Entry<'_>) -> Vec<Kind> {
    let up = b"../../../../../outside";
    fn link(name: &'static [u8], target: &'static [u8]) -> Entry<'static> {
        (name, SOFT, target, 0o777, b"")
    }
    fn file(name: &'static [u8]) -> Entry<'static> {
        (name, FILE, b"", 0o644, b"x")
    }
    let cases: [(&str, Vec<Entry<'_>>); 18] = [
        ("file through a link that leads out", vec![ok, link(b"l", up), file(b"l/victim")]),
        ("file through a link inside", vec![ok, link(b"l", b"d"), file(b"l/x")]),
        ("directory through a link", vec![ok, link(b"l", b"d"), (b"l/x", DIR, b"", 0o755, b"")]),
        ("link through a link", vec![ok, link(b"l", b"d"), link(b"l/x", b"y")]),
        ("hard link through a link", vec![ok, link(b"l", b"d"), (b"l/x", HARD, b"ok", 0o644, b"")]),
        ("file over a link", vec![ok, link(b"l", up), file(b"l")]),
        ("link over a file", vec![ok, file(b"f"), link(b"f", b"ok")]),
        ("link over a directory", vec![ok, file(b"d/f"), link(b"d", b"ok")]),
        ("directory over a link", vec![ok, link(b"l", b"d"), (b"l", DIR, b"", 0o755, b"")]),
        ("directory over a file", vec![ok, file(b"f"), (b"f", DIR, b"", 0o755, b"")]),
        ("file over a directory", vec![ok, file(b"d/f"), file(b"d")]),
        ("file below a file", vec![ok, file(b"f"), file(b"f/f")]),
        ("a name twice", vec![ok, file(b"f"), file(b"./f")]),
        ("a name twice, with slashes", vec![ok, file(b"d/f"), file(b"d//./f")]),
        ("hard link to a link", vec![ok, link(b"l", up), (b"h", HARD, b"l", 0o644, b"")]),
        ("hard link, then a file over it", vec![ok, (b"h", HARD, b"ok", 0o644, b""), file(b"h")]),
        ("hard link to what comes later", vec![ok, (b"h", HARD, b"f", 0o644, b""), file(b"f")]),
        ("links in a row that lead out", vec![ok, link(b"a", b"."), link(b"b", b"a/../..")]),
    ];
    cases.into_iter().map(|(name, entries)| simple(name.to_owned(), &entries, true)).collect()
}

/// Headers that lie, and extended headers that say something else than the plain ones.
fn headers(ok: Entry<'_>) -> Vec<Kind> {
    let file: Entry<'_> = (b"f", FILE, b"", 0o644, b"content");
    let extended = |records: &[u8]| tar(&[ok, (b"x", b'x', b"", 0o644, records), file]);
    let long = |kind: u8, text: &[u8]| {
        tar(&[ok, (b"././@LongLink", kind, b"", 0o644, text), (b"f", FILE, b"", 0o644, b"x")])
    };
    let mut all = vec![
        raw("pax path leads up", extended(&pax("path", b"../v")), true),
        raw("pax path is absolute", extended(&pax("path", b"/recipe-hostile")), true),
        raw("pax path has a NUL", extended(&pax("path", b"a\0b")), true),
        raw("pax path is as long as none may be", extended(&pax("path", &[b'n'; 5000])), true),
        raw("pax path is too deep", extended(&pax("path", &b"d/".repeat(3000))), true),
        raw("pax size is larger", extended(&pax("size", b"100000")), true),
        raw("pax size is no number", extended(&pax("size", b"many")), false),
        raw("pax size is negative", extended(&pax("size", b"-1")), false),
        raw("pax size is beyond 64 bits", extended(&pax("size", b"99999999999999999999")), false),
        raw("pax record is cut off", extended(b"30 path=f"), false),
        raw("pax record has no length", extended(b"path=f\n"), false),
        raw("pax record has no end", extended(b"8 path=fx"), false),
        raw("GNU long name leads up", long(b'L', b"../../../../../victim\0"), true),
        raw("GNU long name is absolute", long(b'L', b"/recipe-hostile\0"), true),
        raw("a comment alone", tar(&[(b"g", b'g', b"", 0o644, &pax("comment", b"x"))]), true),
        raw("no entry", vec![0; 1024], true),
        raw("nothing", Vec::new(), true),
        raw("text", b"<html>404</html>".repeat(100), true),
        raw("setuid", tar(&[ok, (b"s", FILE, b"", 0o6755, b"x"), (b"t", DIR, b"", 0o7777, b"")]), false),
        raw("everybody may write", tar(&[ok, (b"w", FILE, b"", 0o666, b"x")]), false),
        raw("behind the end", [tar(&[ok]), tar(&[(b"../v", FILE, b"", 0o644, b"x")])].concat(), false),
    ];
    let link_path = [pax("linkpath", b"../../../../../outside")].concat();
    let entries: [Entry<'_>; 3] = [ok, (b"x", b'x', b"", 0o644, &link_path), (b"l", SOFT, b"ok", 0o777, b"")];
    all.push(raw("pax link target leads out", tar(&entries), true));
    let entries: [Entry<'_>; 3] =
        [ok, (b"././@LongLink", b'K', b"", 0o644, b"/etc\0"), (b"l", SOFT, b"ok", 0o777, b"")];
    all.push(raw("GNU long target leads out", tar(&entries), true));
    let whole = tar(&[ok, (b"f", FILE, b"", 0o644, &[7; 3000])]);
    for (name, end) in [("in a header", 1024 + 100), ("behind a header", 1536), ("in a content", 1536 + 1000)]
    {
        all.push(raw(&format!("cut off {name}"), whole[..end].to_vec(), true));
    }
    let mut damage = |name: &str, at: usize, bytes: &[u8], fix: bool, refuse: bool| {
        let mut head = header(b"f", FILE, b"", 0o644, 7);
        head[at..at + bytes.len()].copy_from_slice(bytes);
        if fix {
            sum(&mut head);
        }
        let content = [&b"content"[..], &[0; 505 + 1024]].concat();
        all.push(raw(name, [tar(&[ok])[..1024].to_vec(), head.to_vec(), content].concat(), refuse));
    };
    damage("wrong checksum", 148, b"0000001\0", false, true);
    damage("no checksum", 148, &[0; 8], false, true);
    damage("size is negative", 124, &[0xff; 12], true, true);
    damage("size is the largest", 124, b"77777777777\0", true, true);
    damage("size is beyond the file", 124, b"00000010000\0", true, true);
    damage("size is no number", 124, b"many bytes!\0", true, true);
    damage("size is 2^63", 124, &[0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0], true, true);
    damage("mode is no number", 100, b"rwxrwxr\0", true, false);
    damage("time is the largest", 136, b"77777777777\0", true, false);
    damage("time is negative", 136, &[0xff; 12], true, false);
    damage("name is empty", 0, b"\0", true, true);
    damage("GNU sparse of nothing", 156, b"S", true, false);
    all
}

/// All zips.
pub(crate) fn zips() -> Vec<Kind> {
    let (file, dir, link) = (0o100_644, 0o040_755, 0o120_777);
    let ok = ("ok", file, &b"ok"[..]);
    let mut all = Vec::new();
    let text = |bytes: &'static [u8]| std::str::from_utf8(bytes).ok();
    let names = NAMES.iter().filter_map(|n| text(n)).chain(["..\\v", "C:\\v", "a\\b"]);
    for name in names {
        for (mode, what) in [(file, "file"), (dir, "directory"), (link, "link")] {
            // The writer itself makes a directory of what ends in a slash.
            let content: &[u8] = if mode == link { b"ok" } else { b"" };
            let name_words = name.escape_debug();
            all.push(raw(&format!("{what} called {name_words}"), zip(&[ok, (name, mode, content)]), true));
        }
    }
    for target in TARGETS.iter().filter(|t| !t.is_empty()) {
        all.push(raw(&format!("link to {}", words(target)), zip(&[ok, ("l", link, target)]), true));
    }
    for (mode, what) in
        [(0o010_644, "pipe"), (0o020_644, "device"), (0o060_644, "block device"), (0o140_644, "socket")]
    {
        // The writer knows no such types; what it wrote for a file is changed.
        let mut bytes = zip(&[("x", file, b"x")]);
        let at = bytes.windows(4).position(|w| w == b"PK\x01\x02").expect("a directory") + 38;
        let attributes = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four")) & 0xffff;
        bytes[at..at + 4].copy_from_slice(&(attributes | (mode << 16)).to_le_bytes());
        all.push(raw(what, bytes, true));
    }
    all.push(raw("through a link", zip(&[ok, ("l", link, b"d"), ("l/x", file, b"x")]), true));
    all.push(raw("over a link", zip(&[ok, ("l/x", file, b"x"), ("l", link, b"d")]), true));
    let whole = zip(&[ok, ("f", file, &[7; 3000])]);
    all.push(raw("cut off", whole[..whole.len() / 2].to_vec(), true));
    all.push(raw("without its end", whole[..whole.len() - 10].to_vec(), true));
    all.push(raw("no zip", b"PK\x03\x04 no".to_vec(), true));
    let flip = |at: usize, bits: u8| {
        let mut bytes = whole.clone();
        bytes[at] ^= bits;
        bytes
    };
    let central = whole.windows(4).position(|w| w == b"PK\x01\x02").expect("a directory");
    all.push(raw("wrong checksum", flip(central + 16, 1), true));
    all.push(raw("encrypted", flip(central + 8, 1), true));
    all.push(raw("unknown method", flip(central + 10, 0x40), true));
    all.push(raw("offset beyond the file", flip(central + 45, 0x40), true));
    all.push(raw("setuid", zip(&[ok, ("s", 0o106_755, b"x")]), false));
    all
}
