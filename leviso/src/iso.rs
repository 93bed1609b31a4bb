//! EROFS + ESP -> ISO 9660 image that boots by UEFI from optical media, USB sticks and virtual disks.
