//! The host tools we use, as one table: what for, and which Debian package has them.
//!
//! leviso itself needs none. The lab needs apt; booting needs QEMU and OVMF; the tests compare our output with the
//! field's own tools (oracles).

use std::path::PathBuf;

/// What a tool is needed for; later ones include the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// To compile the workspace and make the lab.
    Build,
    /// To boot an ISO.
    Run,
    /// To compare with in tests.
    Test,
    /// For checks that say so when they are skipped; nothing else asks for it.
    Optional,
}

/// Where to look for it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look {
    /// A program on PATH (or in sbin).
    Program(&'static str),
    /// One of these files.
    File(&'static [&'static str]),
}

/// One tool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) look: Look,
    /// Debian package.
    pub(crate) package: &'static str,
    pub(crate) need: Need,
    /// Completes "required to".
    pub(crate) why: &'static str,
}

const fn program(name: &'static str, package: &'static str, need: Need, why: &'static str) -> Tool {
    Tool { look: Look::Program(name), package, need, why }
}

/// All of them.
pub(crate) const TOOLS: &[Tool] = &[
    program("cc", "gcc", Need::Build, "link Rust programs and compile bundled lz4, xz and zstd"),
    Tool {
        look: Look::File(&["/usr/include/stdio.h"]),
        package: "libc6-dev",
        need: Need::Build,
        why: "compile bundled lz4, xz and zstd",
    },
    program("strip", "binutils", Need::Build, "make our programs smaller for packages"),
    program("qemu-system-x86_64", "qemu-system-x86", Need::Run, "boot the ISO"),
    program("qemu-img", "qemu-utils", Need::Run, "make disk images"),
    Tool {
        look: Look::File(e2e::firmware::CODE_PATHS),
        package: "ovmf",
        need: Need::Run,
        why: "boot the ISO by UEFI",
    },
    program("fsck.erofs", "erofs-utils", Need::Test, "check EROFS images"),
    program("mkfs.erofs", "erofs-utils", Need::Test, "make EROFS images"),
    program("mkfs.ext4", "e2fsprogs", Need::Test, "make targets"),
    program("mkfs.xfs", "xfsprogs", Need::Test, "make targets"),
    program("mkfs.btrfs", "btrfs-progs", Need::Test, "make targets"),
    program("mkfs.ntfs", "ntfs-3g", Need::Test, "make targets that hold no owners"),
    program("filefrag", "e2fsprogs", Need::Test, "find a file's blocks on a disk"),
    program("tune2fs", "e2fsprogs", Need::Test, "give disks of tests other habits"),
    program("lsattr", "e2fsprogs", Need::Test, "look at the flags of files"),
    program("socat", "socat", Need::Test, "let an isolated guest reach a test's server"),
    program("b3sum", "b3sum", Need::Test, "compare digests"),
    program("minisign", "minisign", Need::Test, "make signatures"),
    program("patch", "patch", Need::Test, "plant sabotage"),
    program("setfacl", "acl", Need::Test, "give files ACLs"),
    program("setfattr", "attr", Need::Test, "give files attributes"),
    program("make", "make", Need::Test, "build what a recipe builds"),
    program("cmake", "cmake", Need::Test, "build what a recipe builds"),
    program("meson", "meson", Need::Test, "build what a recipe builds"),
    program("ninja", "ninja-build", Need::Test, "build what a recipe builds"),
    program("pkg-config", "pkg-config", Need::Test, "find what another recipe built"),
    program("git", "git", Need::Test, "make the repositories that a recipe clones"),
    program("pip3", "python3-pip", Need::Test, "get programs that are published as wheels"),
    program("npm", "npm", Need::Test, "get programs that are published for Node"),
    program("bash", "bash", Need::Test, "open sockets from where there are none"),
    program("setpriv", "util-linux", Need::Test, "run as somebody else"),
    program("time", "time", Need::Test, "measure memory"),
    program("xorriso", "xorriso", Need::Test, "read ISO images"),
    program("rpm", "rpm", Need::Test, "check packages and signatures"),
    program("dnf", "dnf", Need::Test, "check repositories and resolving"),
    program("createrepo_c", "createrepo-c", Need::Test, "compare repository metadata"),
    program("objdump", "binutils", Need::Test, "read unified kernel images"),
    program("sbverify", "sbsigntool", Need::Test, "check unified kernel images"),
    program("depmod", "kmod", Need::Test, "compare module indexes"),
    program("systemd-sysusers", "systemd", Need::Test, "compare accounts"),
    program("systemctl", "systemd", Need::Test, "compare presets"),
    program("systemd-hwdb", "udev", Need::Test, "compare hwdb.bin"),
    program("ldconfig", "libc-bin", Need::Test, "compare ld.so.cache"),
    program("fsck.vfat", "dosfstools", Need::Test, "check the EFI system partition"),
    program("mtype", "mtools", Need::Test, "read the EFI system partition"),
    program("debugfs", "e2fsprogs", Need::Test, "change installed disks in tests"),
    program("rsync", "rsync", Need::Test, "compare installed disks with the image, and speeds"),
    program("sfdisk", "fdisk", Need::Test, "check partition tables"),
    program("partx", "util-linux", Need::Test, "find the partitions of installed disks"),
    program("sgdisk", "gdisk", Need::Test, "check partition tables"),
    program("openssl", "openssl", Need::Test, "make keys to sign test images with"),
    Tool {
        look: Look::File(&["/usr/lib/systemd/boot/efi/linuxx64.efi.stub"]),
        package: "systemd-boot-efi",
        need: Need::Test,
        why: "assemble unified kernel images on systemd's own stub",
    },
    program("cpio", "cpio", Need::Test, "read the initramfs"),
    program("setcap", "libcap2-bin", Need::Test, "compare file capabilities"),
    program("zstd", "zstd", Need::Test, "read the initramfs"),
    program("xz", "xz-utils", Need::Test, "make packages for tests"),
    program("bzip2", "bzip2", Need::Test, "make packages for tests"),
    program("bsdtar", "libarchive-tools", Need::Test, "compare extraction"),
    program("unzip", "unzip", Need::Test, "compare extraction"),
    program("shellcheck", "shellcheck", Need::Test, "lint the initramfs's /init"),
    program(
        "busybox",
        "busybox-static",
        Need::Test,
        "run the initramfs's shell functions, make a small system to enter",
    ),
    program("losetup", "mount", Need::Test, "attach disks that are files"),
    program("addpart", "util-linux", Need::Test, "make partitions of them"),
    program("strace", "strace", Need::Test, "prove that a build starts no program"),
    program("genfstab", "arch-install-scripts", Need::Test, "compare fstab"),
    program("findmnt", "util-linux", Need::Test, "check fstab"),
    program("mkfs.xfs", "xfsprogs", Need::Test, "make file systems for tests"),
    program("mkfs.btrfs", "btrfs-progs", Need::Test, "make file systems for tests"),
    program("mkfs.ntfs", "ntfs-3g", Need::Test, "make file systems for tests"),
    program("mkfs.erofs", "erofs-utils", Need::Test, "make images for the installer"),
    program("mkfs.ext4", "e2fsprogs", Need::Test, "make disks to install to"),
    program(
        "qemu-storage-daemon",
        "qemu-system-common",
        Need::Test,
        "record what is written to a disk, for power cuts",
    ),
    program("fusermount3", "fuse3", Need::Test, "export a recorded disk"),
    program("fallocate", "util-linux", Need::Test, "fill disks"),
    program("unsquashfs", "squashfs-tools", Need::Test, "measure extraction against it"),
    program("file", "file", Need::Test, "identify what was built"),
    program("newuidmap", "uidmap", Need::Test, "enter a system as an ordinary user"),
    program("efibootmgr", "efibootmgr", Need::Test, "write boot entries to read"),
    program("readelf", "binutils", Need::Test, "look into our programs"),
    program("rpm2cpio", "rpm2cpio", Need::Test, "unpack our packages"),
    program("gpg", "gpg", Need::Test, "read the key of our packages"),
    program("gpgv", "gpgv", Need::Test, "check signatures of metadata"),
    program(e2e::tpm::SWTPM, "swtpm", Need::Optional, "give machines a TPM (`cargo xtask e2e --boots tpm`)"),
    program("man", "man-db", Need::Test, "read our manual pages"),
    program("groff", "groff-base", Need::Test, "check our manual pages"),
    program("zsh", "zsh", Need::Test, "complete names in it"),
    program("fish", "fish", Need::Test, "complete names in it"),
];

impl Tool {
    /// Its name for people.
    pub(crate) fn name(&self) -> &'static str {
        match self.look {
            Look::Program(name) => name,
            Look::File(paths) => paths[0],
        }
    }

    /// Where it is, if it is there.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        match self.look {
            Look::Program(name) => common::cmd::which(name),
            Look::File(paths) => paths.iter().map(PathBuf::from).find(|p| p.exists()),
        }
    }
}
