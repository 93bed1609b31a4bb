//! Stub + kernel + initramfs + command lines -> unified kernel image.
