//! Installs the live image to a disk: recstrap, recfstab, recchroot.
