//! Names that two or more tools must agree on: what the disc is called, where things lie on it, which kernel
//! parameters the live system reads.

/// Volume label of the disc: ISO 9660 d-characters, so that every reader sees the same one.
pub const ISO_LABEL: &str = "LEVITATEOS";

/// The root file system on the disc, from the disc's root.
pub const ROOTFS_PATH: &str = "live/rootfs.erofs";

/// What is on the disc, for people and for `recstrap` (JSON, see leviso's manifest stage).
pub const MANIFEST_PATH: &str = "live/manifest.json";

/// The UKI on the ESP; systemd-boot lists everything in this directory (UAPI.1 Boot Loader Specification, type 2).
pub const ESP_UKI_PATH: &str = "EFI/Linux/levitateos.efi";

/// What UEFI starts from removable media (UEFI 2.10, 3.5.1.1).
pub const ESP_BOOT_PATH: &str = "EFI/BOOT/BOOTX64.EFI";

/// systemd-boot's configuration on the ESP.
pub const ESP_LOADER_CONF: &str = "loader/loader.conf";

/// Marks a boot from the disc; the live initramfs and the live-only units look for it.
pub const PARAM_LIVE: &str = "levitate.live";

/// `levitate.label=LABEL`: the volume label the live initramfs searches for; default [`ISO_LABEL`].
pub const PARAM_LABEL: &str = "levitate.label";

/// `levitate.uuid=UUID`: the volume UUID (ISO 9660 modification date) to search for instead of a label.
pub const PARAM_UUID: &str = "levitate.uuid";

/// `levitate.toram`: copy the root file system to RAM, so that the medium can be removed.
pub const PARAM_TORAM: &str = "levitate.toram";

/// `levitate.overlay=SIZE`: size of the writable layer (tmpfs size= syntax); default from the machine's RAM.
pub const PARAM_OVERLAY: &str = "levitate.overlay";

/// `levitate.iso=DEVICE/PATH`: the disc is a file on a partition (`/dev/NAME/PATH`, `LABEL=NAME/PATH`, `UUID=ID/PATH`).
pub const PARAM_ISO: &str = "levitate.iso";

/// `levitate.iso_file=PATH`: the disc is a file on whichever partition has it.
pub const PARAM_ISO_FILE: &str = "levitate.iso_file";

/// `levitate.rootdelay=SECONDS`: how long the live initramfs waits for the disc; default 30.
pub const PARAM_ROOTDELAY: &str = "levitate.rootdelay";

/// `levitate.shell`: a shell in the live initramfs, just before the real system starts.
pub const PARAM_SHELL: &str = "levitate.shell";

/// `levitate.debug`: the live initramfs shows every command.
pub const PARAM_DEBUG: &str = "levitate.debug";

/// Where the live system mounts the medium.
pub const LIVE_MEDIUM_DIR: &str = "/run/levitate/medium";

/// Where the live system mounts the EROFS image, read-only.
pub const LIVE_ROOTFS_DIR: &str = "/run/levitate/rootfs";

/// Where the live system keeps the overlay's upper and work directories.
pub const LIVE_OVERLAY_DIR: &str = "/run/levitate/overlay";

/// The manifest of the disc the system was started from, kept by the live initramfs also after the medium is gone.
pub const LIVE_MANIFEST: &str = "/run/levitate/manifest.json";

/// The EROFS image as a file, wherever the live system has it: a link made by the live initramfs to the file on the
/// medium or in RAM.
pub const LIVE_IMAGE: &str = "/run/levitate/image";

/// In the root of a target while it is being installed; removed last. A system that has it is not whole.
pub const INCOMPLETE_MARKER: &str = ".recstrap-incomplete";

/// What was installed, when and from which image (JSON); written by recstrap when everything is verified.
pub const INSTALLED_RECORD: &str = "var/lib/levitate/installed.json";

/// File name of the UKI of an installed system, in its kernel's directory under /usr/lib/modules.
pub const INSTALLED_UKI: &str = "levitateos.efi";

/// Where the image keeps what the initramfs of an installed system is made from (`init`, module lists), for `recuki`.
pub const INITRAMFS_DIR: &str = "usr/lib/levitate/initramfs";

/// Where an image says which packages it is made of, what they provide, and whose each of its files is (JSON; written by
/// leviso's finalise::packages, read by `recipe`).
pub const PACKAGES: &str = "usr/lib/levitate/packages.json";
