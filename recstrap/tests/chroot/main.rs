//! recchroot, by the real program, on a small system of busybox.

mod target;
mod command;
mod mounts;
mod hostile;
mod signals;
mod users;
mod boot_entries;
