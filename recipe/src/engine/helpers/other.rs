//! Helpers that say something about the system, and messages.

use common::cli::Mark;

use super::{Group, Helper, Text};
use crate::engine::capability::Kind;

/// The helpers of this file.
pub(super) const TABLE: &[Helper] = &[
    Helper {
        name: "arch",
        group: Group::Other,
        usage: "arch() -> string",
        about: "The machine's architecture: x86_64, aarch64.",
        add: |r| r.pure0(|_| Ok(Text::from(std::env::consts::ARCH))),
    },
    Helper {
        name: "prefix",
        group: Group::Other,
        usage: "prefix() -> string",
        about: "The prefix that is installed into, as programs will see it: for `--prefix` of configure scripts.",
        add: |r| r.pure0(|c| Ok(Text::from(c.prefix.to_string_lossy().into_owned()))),
    },
    Helper {
        name: "env",
        group: Group::Other,
        usage: "env(name) -> string or ()",
        about: "A variable of the environment.",
        add: |r| {
            r.f1(|c, name: Text| {
                c.granted.allows(Kind::Variable, &name)?;
                Ok(std::env::var(name.as_str()).map_or(rhai::Dynamic::UNIT, Into::into))
            });
        },
    },
    Helper {
        name: "fail",
        group: Group::Other,
        usage: "fail(message)",
        about: "Ends the phase with this error.",
        add: |r| {
            r.f1(|_, text: Text| -> anyhow::Result<()> {
                Err(anyhow::anyhow!("{text}")).exit(crate::exit::PHASE)
            });
        },
    },
];
