//! Helpers that say something about the system, and messages.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use common::cli::Mark;

use super::{EVERYWHERE, Group, Helper, Text};
use crate::engine::PHASES;
use crate::engine::capability::Kind;
use crate::engine::context::Context;

/// The helpers of this file.
pub(super) const TABLE: &[Helper] = &[
    Helper {
        name: "arch",
        group: Group::Other,
        phases: EVERYWHERE,
        usage: "arch() -> string",
        about: "The machine's architecture: x86_64, aarch64.",
        add: |r| r.f0(|_| Ok(Text::from(std::env::consts::ARCH))),
    },
    Helper {
        name: "prefix",
        group: Group::Other,
        phases: EVERYWHERE,
        usage: "prefix() -> string",
        about: "The prefix that is installed into, as programs will see it: for `--prefix` of configure scripts.",
        add: |r| r.f0(|c| Ok(Text::from(c.prefix.to_string_lossy().into_owned()))),
    },
    Helper {
        name: "env",
        group: Group::Other,
        phases: PHASES,
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
        name: "sleep",
        group: Group::Other,
        phases: PHASES,
        usage: "sleep(seconds)",
        about: "Waits so long; fractions of seconds are possible.",
        add: |r| {
            r.f1(|c, seconds: i64| sleep(c, seconds.max(0) as f64));
            r.f1(|c, seconds: f64| sleep(c, seconds));
        },
    },
    Helper {
        name: "fail",
        group: Group::Other,
        phases: PHASES,
        usage: "fail(message)",
        about: "Ends the phase with this error.",
        add: |r| {
            r.f1(|_, text: Text| -> anyhow::Result<()> {
                Err(anyhow::anyhow!("{text}")).exit(crate::exit::PHASE)
            });
        },
    },
];

/// Rhai's own would not end when it is interrupted.
fn sleep(context: &mut Context, seconds: f64) -> anyhow::Result<()> {
    let wait = Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    let wait = wait
        .filter(|wait| Instant::now().checked_add(*wait).is_some())
        .with_context(|| format!("expected a number of seconds, found {seconds}"))
        .exit(crate::exit::RECIPE)?;
    context.interrupt.sleep(wait)
}
