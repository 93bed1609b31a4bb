//! UKIs are what binutils, sbsign and sbverify take for one, and bad input gives an error, never a panic.

use common::cmd::Cmd;
use common::hash::Sha256;
use leviso::profile::BootEntry;
use leviso::uki::{self, UkiParts};
use proptest::prelude::*;

const OSREL: &[u8] = b"NAME=LevitateOS\nID=levitateos\nPRETTY_NAME=\"LevitateOS 1\"\n";
const SBAT: &[u8] =
    b"sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\nstub,1,Stub,stub,1,\n";

#[test]
fn binutils_sees_every_section_with_its_content() {
    let dir = tempfile::tempdir().unwrap();
    for (name, stub) in stubs() {
        let (linux, initrd) = (pe(&[(".text", 0x1000, b"kernel")], 4096), vec![0xa5; 70_001]);
        let file = build(&stub, &linux, &initrd);
        let path = dir.path().join(format!("{name}.efi"));
        std::fs::write(&path, &file).unwrap();

        let listed = listed_sections(&path);
        let wanted = [
            ".osrel", ".cmdline", ".uname", ".initrd", ".linux", ".profile", ".cmdline", ".profile",
            ".cmdline",
        ];
        let names: Vec<_> = listed.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.ends_with(&wanted), "{name}: {names:?}");
        assert!(names.contains(&".sbat") && names.contains(&".text"), "{name}: {names:?}");

        // objcopy takes a name for the first section that has it.
        let contents: [(&str, &[u8]); 5] = [
            (".osrel", OSREL),
            (".cmdline", b"quiet live"),
            (".uname", b"6.12.0-1.x86_64"),
            (".initrd", &initrd),
            (".linux", &linux),
        ];
        for (section, wanted) in contents {
            let out = dir.path().join("section");
            let dump = format!("--dump-section={section}={}", out.display());
            let copy = Cmd::new(testkit::oracle("objcopy")).arg(dump).arg(&path).arg(dir.path().join("copy"));
            copy.run().unwrap();
            let found = std::fs::read(&out).unwrap();
            assert!(found == wanted, "{name} {section}: {} bytes, not {}", found.len(), wanted.len());
            let size = listed.iter().find(|(n, _)| n == section).unwrap().1;
            assert_eq!(size, wanted.len(), "{name} {section}");
        }
    }
}

#[test]
fn inspect_tells_what_build_put_in() {
    for (name, stub) in stubs() {
        let linux = pe(&[(".text", 0x1000, b"kernel"), (".sbat", 0x2000, SBAT)], 4096);
        let file = build(&stub, &linux, b"initrd");
        let found = uki::inspect(&file).unwrap();
        assert!(!found.signed, "{name}");
        let text = |section: &str| -> Vec<String> {
            let all = found.sections.iter().filter(|s| s.name == section);
            all.map(|s| s.text.clone().unwrap()).collect()
        };
        assert_eq!(text(".cmdline"), ["quiet live", "quiet live", "quiet toram"], "{name}");
        assert_eq!(text(".profile"), ["ID=live\nTITLE=Live\n", "ID=toram\nTITLE=Copy to RAM\n"], "{name}");
        let kernel = found.sections.iter().find(|s| s.name == ".linux").unwrap();
        assert_eq!((kernel.sha256, kernel.text.as_ref()), (Sha256::of(&linux), None), "{name}");
        // One table: the header line once, then the stub's, the kernel's and our own components, none twice.
        let sbat = text(".sbat");
        assert_eq!(sbat.len(), 1, "{name}");
        for line in ["sbat,1,", "stub,1,Stub,", "levitateos,1,"] {
            let count = sbat[0].lines().filter(|l| l.starts_with(line)).count();
            assert_eq!(count, 1, "{name}: {line} in {sbat:?}");
        }
        assert!(sbat[0].starts_with("sbat,1,"), "{name}");
        assert_eq!(build(&stub, &linux, b"initrd"), file, "{name}: two builds differ");
    }
}

#[test]
fn a_signer_can_sign_it_and_changed_bytes_are_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let request = Cmd::new(testkit::oracle("openssl"))
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2"])
        .args([std::ffi::OsString::from("-keyout"), at("key").into(), "-out".into(), at("cert").into()]);
    request.output().unwrap();
    for (name, stub) in stubs() {
        std::fs::write(at("uki"), build(&stub, &pe(&[(".text", 0x1000, b"kernel")], 4096), b"initrd"))
            .unwrap();
        let sign = Cmd::new(testkit::oracle("sbsign"))
            .arg("--key")
            .arg(at("key"))
            .arg("--cert")
            .arg(at("cert"))
            .arg("--output")
            .arg(at("signed"))
            .arg(at("uki"));
        let signed = sign.output().unwrap();
        assert!(signed.status.success(), "{name}: {signed:?}");
        // sbsign warns of gaps and of data behind the sections; there is to be nothing to warn of.
        assert!(!String::from_utf8_lossy(&signed.stderr).contains("warning"), "{name}: {signed:?}");
        let verify = || {
            let cmd = Cmd::new(testkit::oracle("sbverify")).arg("--cert").arg(at("cert")).arg(at("signed"));
            cmd.output().unwrap().status.success()
        };
        assert!(verify(), "{name}");
        let mut bytes = std::fs::read(at("signed")).unwrap();
        assert!(uki::inspect(&bytes).unwrap().signed, "{name}");
        let signed_parts = UkiParts { stub: &bytes, ..parts(&[], &stub, &stub) };
        assert!(chain(uki::build(&signed_parts)).contains("is signed"), "{name}");
        let cmdline = bytes.windows(10).position(|w| w == b"quiet live").unwrap();
        bytes[cmdline] ^= 1;
        std::fs::write(at("signed"), &bytes).unwrap();
        assert!(!verify(), "{name}: sbverify took a changed command line");
    }
}

#[test]
fn a_stub_without_room_for_headers_gets_it_or_an_error() {
    let kernel = pe(&[(".text", 0x1000, b"kernel")], 4096);
    // 16 sections need 0x408 bytes of headers behind the rest, which leaves no room below the first at 0x200.
    let tight = pe_at(&[(".text", 0x200, b"stub")], 512, 512);
    let error = chain(uki::build(&parts(&entries(), &tight, &kernel)));
    assert!(error.contains("section headers need"), "{error}");
    // A table that does not fit in place moves behind the last section.
    let squeezed = pe(&[(".text", 0x1000, b"stub"), (".sbat", 0x2000, SBAT), (".reloc", 0x2100, b"r")], 256);
    let big = [SBAT, &b"x,1,".repeat(100)].concat();
    let file = uki::build(&UkiParts { sbat: Some(&big), ..parts(&entries(), &squeezed, &kernel) }).unwrap();
    let names: Vec<_> = uki::inspect(&file).unwrap().sections.into_iter().map(|s| s.name).collect();
    assert_eq!(names[..4], [".text", ".reloc", ".sbat", ".osrel"]);
}

#[test]
fn text_that_would_break_the_format_is_refused() {
    let stub = pe(&[(".text", 0x1000, b"stub")], 4096);
    let with = |id: &str, title: &str, cmdline: &str| {
        let entry = BootEntry { id: id.into(), title: title.into(), cmdline: cmdline.into() };
        uki::build(&parts(&[entry], &stub, &stub))
    };
    assert!(with("live", "Live", "a=b").is_ok());
    for (id, title, cmdline) in
        [("", "t", ""), ("a b", "t", ""), ("a\nTITLE=x", "t", ""), ("a", "t\nID=b", ""), ("a", "t", "x\0y")]
    {
        assert!(with(id, title, cmdline).is_err(), "{id:?} {title:?} {cmdline:?}");
    }
    assert!(uki::build(&UkiParts { sbat: Some(b"no header"), ..parts(&[], &stub, &stub) }).is_err());
    assert!(uki::build(&UkiParts { uname: "6\n", ..parts(&[], &stub, &stub) }).is_err());
}

proptest! {
    #[test]
    fn damaged_input_never_panics(at in 0_usize..0x400, value: u8, cut in 0_usize..0x1000) {
        let good = pe(&[(".text", 0x1000, b"stub"), (".sbat", 0x2000, SBAT)], 4096);
        let mut bad = good.clone();
        bad[at] = value;
        let _ = uki::build(&parts(&entries(), &bad, &good));
        let _ = uki::build(&parts(&entries(), &good, &bad));
        bad.truncate(cut);
        let _ = uki::inspect(&bad);
        let _ = uki::build(&parts(&entries(), &bad, &good));
    }

    #[test]
    fn noise_behind_the_magic_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut bad = pe(&[(".text", 0x1000, b"stub")], 4096);
        let at = 0x44.min(bad.len());
        for (to, from) in bad[at..].iter_mut().zip(&noise) {
            *to = *from;
        }
        let _ = uki::inspect(&bad);
        let _ = uki::build(&parts(&entries(), &bad, &bad));
    }
}

/// Stubs to test with: our own, and systemd's where it is installed.
fn stubs() -> Vec<(&'static str, Vec<u8>)> {
    let sections: [(&str, u32, &[u8]); 3] =
        [(".text", 0x1000, b"stub"), (".sbat", 0x2000, SBAT), (".reloc", 0x3000, b"r")];
    let mut stubs = vec![("own", pe(&sections, 4096))];
    match std::fs::read("/usr/lib/systemd/boot/efi/linuxx64.efi.stub") {
        Ok(stub) => stubs.push(("systemd", stub)),
        Err(_) => testkit::skip("UKI on systemd's stub", "systemd-boot-efi is not installed"),
    }
    stubs
}

fn entries() -> [BootEntry; 2] {
    [("live", "Live", "live"), ("toram", "Copy to RAM", "toram")].map(|(id, title, cmdline)| BootEntry {
        id: id.into(),
        title: title.into(),
        cmdline: cmdline.into(),
    })
}

fn parts<'a>(profiles: &'a [BootEntry], stub: &'a [u8], linux: &'a [u8]) -> UkiParts<'a> {
    let (initrd, uname) = (&b"initrd"[..], "6.12.0-1.x86_64");
    UkiParts { stub, linux, initrd, osrel: OSREL, uname, cmdline: "quiet", profiles, sbat: None }
}

fn build(stub: &[u8], linux: &[u8], initrd: &[u8]) -> Vec<u8> {
    let own = [SBAT, b"levitateos,1,LevitateOS,uki,1,\n"].concat();
    uki::build(&UkiParts { initrd, sbat: Some(&own), ..parts(&entries(), stub, linux) }).unwrap()
}

fn chain(result: anyhow::Result<Vec<u8>>) -> String {
    format!("{:#}", result.unwrap_err())
}

/// Name and size of each section as objdump lists them.
fn listed_sections(path: &std::path::Path) -> Vec<(String, usize)> {
    let text = Cmd::new(testkit::oracle("objdump")).arg("-h").arg(path).read().unwrap();
    let lines = text.lines().filter(|l| l.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    lines
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            (words[1].to_owned(), usize::from_str_radix(words[2], 16).unwrap())
        })
        .collect()
}

/// A small x86-64 PE image with sections (name, address, content).
fn pe(sections: &[(&str, u32, &[u8])], alignment: u32) -> Vec<u8> {
    pe_at(sections, alignment.max(512), 0x400)
}

fn pe_at(sections: &[(&str, u32, &[u8])], alignment: u32, headers: usize) -> Vec<u8> {
    let mut out = vec![0; headers];
    let put = |out: &mut Vec<u8>, at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(&mut out, 0, b"MZ");
    put(&mut out, 0x3c, &0x40_u32.to_le_bytes());
    put(&mut out, 0x40, b"PE\0\0");
    put(&mut out, 0x44, &0x8664_u16.to_le_bytes());
    put(&mut out, 0x46, &u16::try_from(sections.len()).unwrap().to_le_bytes());
    put(&mut out, 0x54, &240_u16.to_le_bytes());
    put(&mut out, 0x56, &0x22e_u16.to_le_bytes());
    let optional = 0x58;
    put(&mut out, optional, &0x20b_u16.to_le_bytes());
    for (at, value) in
        [(16, 0x1000_u32), (32, alignment), (36, 512), (60, u32::try_from(headers).unwrap()), (108, 16)]
    {
        put(&mut out, optional + at, &value.to_le_bytes());
    }
    put(&mut out, optional + 68, &10_u16.to_le_bytes()); // EFI application
    let mut end = 0;
    for (i, (name, address, content)) in sections.iter().enumerate() {
        let (header, at) = (optional + 240 + 40 * i, out.len());
        let size = u32::try_from(content.len()).unwrap();
        put(&mut out, header, name.as_bytes());
        let fields = [
            (8, size),
            (12, *address),
            (16, size.next_multiple_of(512)),
            (20, u32::try_from(at).unwrap()),
            (36, 0x4000_0040),
        ];
        for (field, value) in fields {
            put(&mut out, header + field, &value.to_le_bytes());
        }
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(512), 0);
        end = (address + size).next_multiple_of(alignment);
    }
    put(&mut out, optional + 56, &end.to_le_bytes());
    out
}
