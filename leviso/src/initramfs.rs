//! Tree + initramfs/ + module list -> cpio.
