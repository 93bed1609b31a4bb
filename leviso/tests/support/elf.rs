//! A tiny ELF writer for tests: x86-64 files that hold nothing but the tables the loader and ldconfig read.

/// What the file says about itself.
#[derive(Clone, Default)]
pub(crate) struct Spec<'a> {
    /// PT_INTERP.
    pub(crate) interpreter: Option<&'a str>,
    /// DT_SONAME.
    pub(crate) soname: Option<&'a str>,
    /// DT_NEEDED.
    pub(crate) needed: &'a [&'a str],
    /// DT_RPATH.
    pub(crate) rpath: Option<&'a str>,
    /// DT_RUNPATH.
    pub(crate) runpath: Option<&'a str>,
    /// DT_VERNEED: library and version.
    pub(crate) needs: &'a [(&'a str, &'a str)],
    /// DT_VERDEF.
    pub(crate) defines: &'a [&'a str],
    /// GNU_PROPERTY_X86_ISA_1_NEEDED, left out when 0.
    pub(crate) isa_needed: u32,
    /// e_machine; 0 stands for x86-64.
    pub(crate) machine: u16,
}

/// The file's bytes.
pub(crate) fn build(spec: &Spec<'_>) -> Vec<u8> {
    let mut strings = vec![0];
    let mut string = |text: &str| {
        let at = strings.len() as u64;
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        at
    };
    let mut dynamic: Vec<(u64, u64)> = Vec::new();
    dynamic.extend(spec.needed.iter().map(|n| (1, string(n))));
    dynamic.extend(spec.soname.map(|n| (14, string(n))));
    dynamic.extend(spec.rpath.map(|n| (15, string(n))));
    dynamic.extend(spec.runpath.map(|n| (29, string(n))));
    let mut verneed = Vec::new();
    for (i, (library, version)) in spec.needs.iter().enumerate() {
        let next = if i + 1 == spec.needs.len() { 0 } else { 32u32 };
        u16s(&mut verneed, &[1, 1]);
        u32s(&mut verneed, &[string(library) as u32, 16, next, 0]);
        u16s(&mut verneed, &[0, 2]);
        u32s(&mut verneed, &[string(version) as u32, 0]);
    }
    let mut verdef = Vec::new();
    for (i, version) in spec.defines.iter().enumerate() {
        let next = if i + 1 == spec.defines.len() { 0 } else { 28u32 };
        u16s(&mut verdef, &[1, 0, i as u16 + 1, 1]);
        u32s(&mut verdef, &[0, 20, next, string(version) as u32, 0]);
    }
    let mut property = Vec::new();
    if spec.isa_needed != 0 {
        u32s(&mut property, &[4, 16, 5, u32::from_le_bytes(*b"GNU\0"), 0xc000_8002, 4, spec.isa_needed, 0]);
    }
    let interpreter = spec.interpreter.map(|i| [i.as_bytes(), b"\0"].concat()).unwrap_or_default();

    // Header, five program headers, then the pieces, each aligned to 8; addresses are file offsets.
    let mut at = 64 + 5 * 56;
    let mut place = |len: usize| {
        let here = at;
        at += (len as u64).next_multiple_of(8);
        here
    };
    let (interp_at, prop_at) = (place(interpreter.len()), place(property.len()));
    let (need_at, def_at, str_at) = (place(verneed.len()), place(verdef.len()), place(strings.len()));
    dynamic.push((5, str_at));
    if !spec.needs.is_empty() {
        dynamic.extend([(0x6fff_fffe, need_at), (0x6fff_ffff, spec.needs.len() as u64)]);
    }
    if !spec.defines.is_empty() {
        dynamic.extend([(0x6fff_fffc, def_at), (0x6fff_fffd, spec.defines.len() as u64)]);
    }
    dynamic.push((0, 0));
    let dyn_len = dynamic.len() as u64 * 16;
    let dyn_at = place(dyn_len as usize);

    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    u16s(&mut out, &[3, if spec.machine == 0 { 62 } else { spec.machine }]);
    u32s(&mut out, &[1]);
    u64s(&mut out, &[0, 64, 0]);
    u32s(&mut out, &[0]);
    u16s(&mut out, &[64, 56, 5, 0, 0, 0]);
    let mut header = |kind: u32, at: u64, len: u64, align: u64| {
        // An absent piece becomes PT_NULL.
        u32s(&mut out, &[if len == 0 { 0 } else { kind }, 4]);
        u64s(&mut out, &[at, at, at, len, len, align]);
    };
    header(3, interp_at, interpreter.len() as u64, 1);
    header(1, 0, at, 4096);
    header(2, dyn_at, dyn_len, 8);
    header(0x6474_e553, prop_at, property.len() as u64, 8);
    header(4, prop_at, property.len() as u64, 8);
    for piece in [interpreter, property, verneed, verdef, strings] {
        out.extend_from_slice(&piece);
        out.resize(out.len().next_multiple_of(8), 0);
    }
    for (tag, value) in dynamic {
        u64s(&mut out, &[tag, value]);
    }
    assert_eq!(out.len() as u64, at);
    out
}

fn u16s(out: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
}

fn u32s(out: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
}

fn u64s(out: &mut Vec<u8>, values: &[u64]) {
    values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
}
