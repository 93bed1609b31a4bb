//! `recstrap`: is the target fit, then image -> target, then is it really there.
//!
//! [`run`] is the product on one page, in the order of events; TEAM/0014-installing.md says why this order. Modules:
//!
//! - [`cli`]: what can be typed, and what is printed; [`exit`]: how it ends
//! - [`preflight`]: everything that speaks against installing to a directory
//! - [`manifest`], [`image`]: what is installed, and what it must be; [`plan`]: its names, in memory; [`firststate`]: what
//!   no installed system may have from another one
//! - [`marker`], [`empty`]: an installation is under way; what an interrupted one left is removed
//! - [`root`], [`content`], [`attributes`], [`extract`]: writing, never outside of the target
//! - [`verify`]: reading back; [`record`]: the proof that stays
//! - [`control`], [`progress`]: stopping, and saying what happens
//!
//! Invariants: nothing outside of the target is written; without success the marker stays; success means that all of
//! it is on the disk and was read back from there.

pub mod cli;
pub mod exit;
pub mod control;
pub mod progress;
pub mod manifest;
pub mod mounts;
pub mod plan;
pub mod firststate;
pub mod image;
pub mod root;
pub mod preflight;
pub mod marker;
pub mod empty;
pub mod content;
pub mod attributes;
pub mod extract;
pub mod verify;
pub mod record;
