//! `recchroot`: a command in the root of another system.
//!
//! Three processes, all of this program (it starts itself again: neither fork nor unsafe code is needed):
//!
//! ```text
//! session   what the user started: checks, makes a mount namespace, passes signals on, waits
//!   guard     mounts, starts the command, reaps, ends what was left running, unmounts, looks at the boot entries
//!     enter     chroot(2), user and groups of the target, exec(2): becomes the command
//! ```
//!
//! Invariants:
//! - Nothing is mounted outside of the namespace, so nothing can be left behind, whoever is killed.
//! - Session and guard watch each other; whichever survives ends the processes of the session.
//! - As root there is **no PID namespace**: systemd 257 takes one for a container, and then bootctl skips the boot entry
//!   without a word, and systemctl talks to the host's manager through /run (docs/reference/recchroot.md). With `-N`
//!   there is one (a user namespace may not mount /proc otherwise) and the guard is its process 1.
//! - Every path inside of the target is resolved there (openat2, RESOLVE_IN_ROOT) and mounted on by descriptor.
//!
//! Files: [`cli`]; `session`, `guard`, `enter` as above; `plan` what they hand on; `root` the target directory and its
//! paths; `account` whom to become; `mounts`; `userns` for `-N`; `processes` finding and ending them; `signals`;
//! [`efi`] boot entries; `loaders` what needs one.

pub mod cli;
mod session;
mod guard;
mod enter;
mod plan;
mod root;
pub mod account;
mod mounts;
mod userns;
mod processes;
mod signals;
pub mod efi;
mod loaders;
