//! Made files read back; damaged ones are errors, never panics.

use super::*;

#[path = "../../tests/support/elf.rs"]
mod fixture;

use fixture::{Spec, build};

fn full() -> Vec<u8> {
    build(&Spec {
        interpreter: Some("/lib64/ld-linux-x86-64.so.2"),
        soname: Some("liba.so.1"),
        needed: &["libb.so.2", "libc.so.6"],
        rpath: Some("/opt/lib"),
        runpath: Some("$ORIGIN/../lib"),
        needs: &[("libb.so.2", "B_1"), ("libc.so.6", "GLIBC_2.34")],
        defines: &["liba.so.1", "A_1", "A_2"],
        isa_needed: 0b100,
        machine: 0,
    })
}

#[test]
fn every_field_is_read_back() {
    let file = full();
    let elf = Elf::parse(&file).unwrap();
    assert_eq!((elf.wide, elf.machine, elf.kind), (true, EM_X86_64, Kind::Shared));
    assert_eq!(elf.interpreter, Some(&b"/lib64/ld-linux-x86-64.so.2"[..]));
    assert_eq!(elf.isa_needed, 0b100);
    let need = |library, version| Need { library, version, weak: false };
    assert_eq!(
        elf.dynamic.unwrap(),
        Dynamic {
            needed: vec![b"libb.so.2", b"libc.so.6"],
            soname: Some(b"liba.so.1"),
            rpath: Some(b"/opt/lib"),
            runpath: Some(b"$ORIGIN/../lib"),
            no_default_dirs: false,
            needs: vec![need(b"libb.so.2", b"B_1"), need(b"libc.so.6", b"GLIBC_2.34")],
            defines: vec![b"liba.so.1", b"A_1", b"A_2"],
        }
    );
}

#[test]
fn a_real_program_names_its_loader_and_libc() {
    let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let elf = Elf::parse(&file).unwrap();
    assert!(elf.interpreter.unwrap().starts_with(b"/lib"));
    assert_eq!(elf.abi_tag.map(|t| t[0]), Some(0));
    let dynamic = elf.dynamic.unwrap();
    assert!(dynamic.needed.contains(&&b"libc.so.6"[..]));
    assert!(dynamic.needs.iter().any(|n| n.library == b"libc.so.6" && n.version.starts_with(b"GLIBC_2.")));
    assert_eq!(dynamic.soname, None);
}

#[test]
fn no_truncation_and_no_flipped_byte_makes_it_panic() {
    let file = full();
    // The last entry of the dynamic section is its end mark, 16 bytes; without it the file still reads.
    for len in 0..file.len() - 16 {
        assert!(Elf::parse(&file[..len]).is_err(), "cut to {len} of {} bytes", file.len());
    }
    for at in 0..file.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut broken = file.clone();
            broken[at] = value;
            let _ = Elf::parse(&broken);
        }
        // Whole words, where the offsets are.
        if at % 8 == 0 {
            for value in [u64::MAX, u64::MAX - 8, 1 << 63, u64::from(u32::MAX), file.len() as u64 - 1] {
                let mut broken = file.clone();
                broken[at..at + 8].copy_from_slice(&value.to_le_bytes());
                let _ = Elf::parse(&broken);
            }
        }
    }
}

#[test]
fn endless_tables_are_cut_short() {
    // A string without end: the name of a library runs over 4096 bytes.
    let long = "x".repeat(5000);
    let file = build(&Spec { soname: Some(&long), ..Spec::default() });
    assert_eq!(Elf::parse(&file), Err(ElfError::TooMany { what: "bytes in a string", limit: 4096 }));
    assert!(matches!(Elf::parse(b"\x7fELF"), Err(ElfError::Header(_))));
    assert!(matches!(Elf::parse(b"#!/bin/sh"), Err(ElfError::Header(_))));
}
