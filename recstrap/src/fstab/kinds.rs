//! What is known about file system types by name.

/// File systems without content that would outlast a boot, and those that a hypervisor or a service mounts: no lines
/// of fstab unless `-P` asks for them. libmount calls the same ones pseudo file systems. Sorted.
const PSEUDO: &[&str] = &[
    "anon_inodefs",
    "apparmorfs",
    "autofs",
    "bdev",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cpuset",
    "debugfs",
    "devfs",
    "devpts",
    "devtmpfs",
    "dlmfs",
    "dmabuf",
    "drm",
    "efivarfs",
    "fuse",
    "fuse.archivemount",
    "fuse.avfsd",
    "fuse.dumpfs",
    "fuse.encfs",
    "fuse.gvfs-fuse-daemon",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fuse.rofiles-fuse",
    "fuse.vmware-vmblock",
    "fuse.xwmfs",
    "fusectl",
    "hugetlbfs",
    "ipathfs",
    "mqueue",
    "nfsd",
    "none",
    "nsfs",
    "overlay",
    "pidfs",
    "pipefs",
    "proc",
    "pstore",
    "ramfs",
    "resctrl",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sockfs",
    "spufs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "vboxsf",
    "virtiofs",
];

/// Types that have an `fsck` program to run at boot. btrfs has none by design. Sorted.
const CHECKED: &[&str] = &[
    "cramfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fat", "jfs", "minix", "msdos", "reiserfs",
    "vfat", "xfs",
];

/// Directories of a root whose mounts are made anew at each boot by systemd, udev or a desktop.
const API_DIRS: &[&str] = &["/proc", "/sys", "/dev", "/run"];

/// Whether it is no business of fstab's (without `-P`).
pub(super) fn is_pseudo(fstype: &str) -> bool {
    PSEUDO.binary_search(&fstype).is_ok()
}

/// The sixth field of fstab: when `fsck` looks at it; 0 is never.
pub(super) fn pass(fstype: &str, is_root: bool) -> u8 {
    match CHECKED.binary_search(&fstype) {
        Ok(_) if is_root => 1,
        Ok(_) => 2,
        Err(_) => 0,
    }
}

/// Whether a path of the new system lies at or below a directory whose mounts are not configured by fstab.
pub(super) fn is_api_path(path: &str) -> bool {
    API_DIRS.iter().any(|dir| super::mounts::is_below(path, dir))
}

/// Whether its mounts start at something else than `/` without being bind mounts: the cgroup of this container, the
/// name of a namespace.
pub(super) fn has_own_roots(fstype: &str) -> bool {
    matches!(fstype, "cgroup" | "cgroup2" | "nsfs")
}

/// Whether systemd's boot tools look for an EFI system partition (or what extends it) there.
pub(super) fn is_boot_dir(path: &str) -> bool {
    BOOT_DIRS.contains(&path)
}

/// Where the ESP and the XBOOTLDR partition are mounted, from ROOT.
pub(super) const BOOT_DIRS: &[&str] = &["/boot", "/efi", "/boot/efi"];

/// Partition types of the ESP and of XBOOTLDR (UAPI.2).
const BOOT_PARTITIONS: &[&str] =
    &["c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "bc13c2ff-59e6-4262-a352-b275fd6f7172"];

/// Whether a partition of this type is an ESP or an XBOOTLDR partition.
pub(super) fn is_boot_partition(parttype: &str) -> bool {
    BOOT_PARTITIONS.iter().any(|p| p.eq_ignore_ascii_case(parttype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted() {
        assert!(PSEUDO.is_sorted() && CHECKED.is_sorted());
    }
}
