//! File capabilities: text as in RPM headers (cap_from_text(3)) -> the value of `security.capability`.

use anyhow::{Context, bail, ensure};

/// capabilities(7) by number, Linux 6.12.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// VFS_CAP_REVISION_2 and VFS_CAP_FLAGS_EFFECTIVE of linux/capability.h.
const REVISION_2: u32 = 0x0200_0000;
const EFFECTIVE: u32 = 1;

/// The three sets of a file, one bit a capability.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sets {
    effective: u64,
    inheritable: u64,
    permitted: u64,
}

/// The 20 bytes of `security.capability` (struct vfs_cap_data, revision 2) for a text such as `cap_net_raw=ep`.
///
/// # Errors
/// Unknown capability or syntax, or an effective set that a file cannot express (it is one bit for all).
pub(crate) fn xattr(text: &str) -> anyhow::Result<[u8; 20]> {
    let sets = parse(text).with_context(|| format!("cannot understand the file capabilities {text:?}"))?;
    let all = sets.permitted | sets.inheritable;
    ensure!(
        sets.effective == 0 || sets.effective == all,
        "the file capabilities {text:?} make only some of them effective, which a file cannot"
    );
    let magic = REVISION_2 | if sets.effective == 0 { 0 } else { EFFECTIVE };
    let low = |set: u64| (set & 0xffff_ffff) as u32;
    let words = [
        magic,
        low(sets.permitted),
        low(sets.inheritable),
        low(sets.permitted >> 32),
        low(sets.inheritable >> 32),
    ];
    let mut out = [0; 20];
    for (place, word) in out.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    Ok(out)
}

/// Clauses `NAMES OPERATORFLAGS[OPERATORFLAGS...]`, separated by white space; later ones change what earlier ones set.
fn parse(text: &str) -> anyhow::Result<Sets> {
    let mut sets = Sets::default();
    for clause in text.split_ascii_whitespace() {
        let at = clause.find(['=', '+', '-']).context("a clause has no operator")?;
        let (names, mut rest) = clause.split_at(at);
        let mut mask = mask(names)?;
        if names.is_empty() {
            ensure!(rest.starts_with('='), "only = may stand without names");
            mask = all();
        }
        while let Some(op) = rest.chars().next() {
            ensure!("=+-".contains(op), "unexpected {op:?}");
            let end = rest[1..].find(['=', '+', '-']).map_or(rest.len(), |i| i + 1);
            apply(&mut sets, op, &rest[1..end], mask)?;
            rest = &rest[end..];
        }
    }
    Ok(sets)
}

fn apply(sets: &mut Sets, op: char, flags: &str, mask: u64) -> anyhow::Result<()> {
    if op == '=' {
        for set in [&mut sets.effective, &mut sets.inheritable, &mut sets.permitted] {
            *set &= !mask;
        }
    } else {
        ensure!(!flags.is_empty(), "{op} needs flags");
    }
    for flag in flags.chars() {
        let set = match flag {
            'e' => &mut sets.effective,
            'i' => &mut sets.inheritable,
            'p' => &mut sets.permitted,
            _ => bail!("unknown flag {flag:?}"),
        };
        if op == '-' { *set &= !mask } else { *set |= mask }
    }
    Ok(())
}

fn all() -> u64 {
    (1 << NAMES.len()) - 1
}

fn mask(names: &str) -> anyhow::Result<u64> {
    if names.is_empty() {
        return Ok(0);
    }
    let mut mask = 0;
    for name in names.split(',') {
        let name = name.to_ascii_lowercase();
        if name == "all" {
            mask |= all();
            continue;
        }
        let known = name.strip_prefix("cap_").and_then(|n| NAMES.iter().position(|k| *k == n));
        let bit = known.with_context(|| format!("unknown capability {name:?}"))?;
        mask |= 1 << bit;
    }
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_setcap_writes() {
        // `setcap cap_net_raw=ep f; getfattr -e hex -n security.capability f`
        let hex = |b: [u8; 20]| b.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(xattr("cap_net_raw=ep").unwrap()), "0100000200200000000000000000000000000000");
        assert_eq!(
            hex(xattr("cap_setuid,cap_setgid+p").unwrap()),
            "00000002c0000000000000000000000000000000"
        );
        assert_eq!(hex(xattr("=").unwrap()), "0000000200000000000000000000000000000000");
        assert_eq!(hex(xattr("cap_bpf=eip").unwrap()), "0100000200000000000000008000000080000000");
        assert_eq!(xattr("cap_net_raw=p cap_net_raw+e").unwrap(), xattr("cap_net_raw=ep").unwrap());
    }

    #[test]
    fn what_a_file_cannot_express_is_refused() {
        for text in ["cap_nothing=ep", "cap_net_raw", "cap_net_raw=ep cap_kill=p", "cap_net_raw=x", "+ep"] {
            assert!(xattr(text).is_err(), "{text}");
        }
    }
}
