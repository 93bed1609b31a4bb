//! `recfstab`: what is mounted below a directory -> fstab(5).
//!
//! Four texts go in ([`system::Texts`]: findmnt, lsblk, /proc/swaps, blkid), one text comes out; everything between is
//! pure, so that a test or a bug report can feed it files. Read in this order:
//!
//! - [`cli`]: what can be typed, what is printed, exit codes
//! - [`system`]: where the texts come from
//! - [`mounts`]: findmnt -> the mounts that can be seen below ROOT
//! - [`devices`]: lsblk and blkid -> tags, and what lies below a device (LUKS)
//! - [`swaps`]: reads /proc/swaps
//! - [`entries`]: all of it -> entries, and notes for people
//! - [`binds`], [`luks`]: directories mounted elsewhere, encrypted devices
//! - [`options`], [`kinds`]: which options and file systems need care
//! - [`render`], [`escape`]: entries -> text
//! - [`table`], [`same`], [`merge`]: the file that is there already, for `--check` and `--write`; [`file`] is the only part
//!   that writes
//!
//! Invariant: the output is whole or absent. Nothing is written before everything is read, understood and rendered.

pub mod cli;
mod system;
mod mounts;
mod devices;
mod swaps;
mod entries;
mod binds;
mod luks;
mod options;
mod kinds;
mod render;
mod table;
mod same;
mod merge;
mod file;
mod escape;
