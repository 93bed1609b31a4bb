//! `recfstab`: what is mounted below a directory -> fstab(5).
