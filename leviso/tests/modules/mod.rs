//! Kernel modules for tests: small ones made here, or a real kernel's where the machine has one.

use std::fs;
use std::path::PathBuf;

/// What a made-up module contains.
#[derive(Default, Clone)]
pub(crate) struct Made<'a> {
    /// Entries of .modinfo (`alias=...`).
    pub(crate) modinfo: &'a [&'a str],
    /// Symbols it exports.
    pub(crate) exports: &'a [&'a str],
    /// Symbols it needs.
    pub(crate) needs: &'a [&'a str],
}

/// An ELF file with the sections that matter, as a compiler and modpost would lay them out.
pub(crate) fn elf(made: &Made<'_>) -> Vec<u8> {
    let mut strtab = vec![0];
    let mut symtab = vec![0; 24];
    let mut symbol = |name: &str, section: u16| {
        let at = u32::try_from(strtab.len()).unwrap();
        strtab.extend_from_slice(name.as_bytes());
        strtab.push(0);
        symtab.extend_from_slice(&at.to_le_bytes());
        symtab.extend_from_slice(&[0x10, 0]);
        symtab.extend_from_slice(&section.to_le_bytes());
        symtab.extend_from_slice(&[0; 16]);
    };
    for name in made.exports {
        symbol(name, 1);
    }
    for name in made.needs {
        symbol(name, 0);
    }
    let join = |list: &[&str]| list.iter().flat_map(|s| s.bytes().chain([0])).collect::<Vec<u8>>();
    let sections: [(&str, u32, Vec<u8>); 5] = [
        (".modinfo", 1, join(made.modinfo)),
        ("__ksymtab_strings", 1, join(made.exports)),
        (".symtab", 2, symtab),
        (".strtab", 3, strtab),
        (".shstrtab", 3, join(&["", ".modinfo", "__ksymtab_strings", ".symtab", ".strtab", ".shstrtab"])),
    ];
    let mut body = vec![0; 64];
    let mut headers = vec![0; 64];
    let mut name_at = 1_u32;
    for (name, kind, content) in &sections {
        let mut header = [0_u8; 64];
        header[..4].copy_from_slice(&name_at.to_le_bytes());
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[24..32].copy_from_slice(&(body.len() as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(content.len() as u64).to_le_bytes());
        if *kind == 2 {
            header[40..44].copy_from_slice(&4_u32.to_le_bytes());
            header[56..64].copy_from_slice(&24_u64.to_le_bytes());
        }
        headers.extend_from_slice(&header);
        body.extend_from_slice(content);
        name_at += u32::try_from(name.len()).unwrap() + 1;
    }
    body[..16].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    body[16..20].copy_from_slice(&[1, 0, 62, 0]);
    body[20..24].copy_from_slice(&1_u32.to_le_bytes());
    let table = body.len() as u64;
    body[40..48].copy_from_slice(&table.to_le_bytes());
    body[52..54].copy_from_slice(&64_u16.to_le_bytes());
    body[58..60].copy_from_slice(&64_u16.to_le_bytes());
    body[60..62].copy_from_slice(&6_u16.to_le_bytes());
    body[62..64].copy_from_slice(&5_u16.to_le_bytes());
    body.extend_from_slice(&headers);
    body
}

/// A directory with `lib/modules/KVER` of a real kernel: LEVITATE_KERNEL_ROOT, or the running system's.
pub(crate) fn real_kernel() -> Option<(PathBuf, String)> {
    let roots =
        std::env::var_os("LEVITATE_KERNEL_ROOT").map(PathBuf::from).into_iter().chain([PathBuf::from("/")]);
    for root in roots {
        let dirs = fs::read_dir(root.join("lib/modules")).into_iter().flatten().flatten();
        for dir in dirs {
            if dir.path().join("modules.order").exists() && dir.path().join("kernel").is_dir() {
                return Some((root, dir.file_name().into_string().unwrap()));
            }
        }
    }
    None
}
