//! Layouts of disks that the system is installed to: which disks, which steps of the guide, what must be true after.

use crate::console::Answer;
use crate::disk::Bus;
use crate::expected::Listed;
use crate::place::Place;

/// The passphrase of encrypted disks.
pub const PASSPHRASE: &str = "a passphrase to type";

/// One layout.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Its name, for people and for directories.
    pub name: &'static str,
    /// The guide's name of it; `None` is the guide's main line.
    pub guide: Option<&'static str>,
    /// How many disks of 8 GiB.
    pub disks: u8,
    /// What they are plugged into.
    pub bus: Bus,
    /// Size of their sectors.
    pub sector: u16,
    /// The file system that must be on / afterwards.
    pub root: &'static str,
    /// Where the root file system is on each of its disks.
    pub place: Place,
    /// What differs from the image in this layout besides what differs in all.
    pub differs: &'static [Listed],
    /// What the first boot asks before the login.
    pub asked: &'static [Answer<'static>],
    /// Commands that must succeed in the installed system: what is special about the layout.
    pub proofs: &'static [&'static str],
}

/// The guide's main line: one virtio disk, ext4.
pub const MAIN: Layout = Layout {
    name: "ext4",
    guide: None,
    disks: 1,
    bus: Bus::Virtio,
    sector: 512,
    root: "ext4",
    place: Place::Partition(2),
    differs: &[],
    asked: &[],
    proofs: &[],
};

/// The others.
pub const MATRIX: &[Layout] = &[
    Layout { name: "nvme", bus: Bus::Nvme, proofs: &["test -b /dev/nvme0n1p2"], ..MAIN },
    Layout { name: "sata", bus: Bus::Sata, proofs: &["lsblk -ndo TRAN /dev/sda | grep -x sata"], ..MAIN },
    Layout { name: "usb", bus: Bus::Usb, proofs: &["lsblk -ndo TRAN /dev/sda | grep -x usb"], ..MAIN },
    Layout {
        name: "4k-sectors",
        sector: 4096,
        proofs: &["test $(blockdev --getss /dev/vda) = 4096"],
        ..MAIN
    },
    Layout { name: "xfs", guide: Some("xfs"), root: "xfs", ..MAIN },
    Layout {
        name: "btrfs",
        guide: Some("btrfs"),
        root: "btrfs",
        differs: &[("home", "the mount point of @home; the user's directory is in there")],
        proofs: &["findmnt --noheadings --output FSROOT / | grep /@", "grep subvol= /etc/fstab"],
        ..MAIN
    },
    Layout {
        name: "luks",
        guide: Some("luks"),
        place: Place::Encrypted,
        asked: &[Answer { asked: "(root): ", typed: PASSPHRASE }],
        proofs: &["lsblk -no TYPE \"$(findmnt -no SOURCE /)\" | grep -x crypt"],
        ..MAIN
    },
    Layout {
        name: "lvm",
        guide: Some("lvm"),
        place: Place::Volume(2),
        differs: &[
            ("etc/lvm (time)", "LVM makes the two below"),
            ("etc/lvm/archive/**", "LVM's records of the volume group before each change"),
            ("etc/lvm/backup/**", "LVM's record of the volume group"),
        ],
        proofs: &["lsblk -no TYPE \"$(findmnt -no SOURCE /)\" | grep -x lvm"],
        ..MAIN
    },
    Layout {
        name: "raid1",
        guide: Some("raid1"),
        disks: 2,
        place: Place::Mirror(2),
        proofs: &[
            "lsblk -no TYPE \"$(findmnt -no SOURCE /)\" | grep -x raid1",
            "grep '\\[UU\\]' /proc/mdstat",
        ],
        ..MAIN
    },
    Layout {
        name: "xbootldr",
        guide: Some("xbootldr"),
        place: Place::Partition(3),
        proofs: &[
            "test \"$(lsblk -no PARTTYPE \"$(findmnt -no SOURCE /boot)\")\" = bc13c2ff-59e6-4262-a352-b275fd6f7172",
            "ls /boot/EFI/Linux/*.efi",
        ],
        ..MAIN
    },
];

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Layout> {
    std::iter::once(&MAIN).chain(MATRIX)
}
