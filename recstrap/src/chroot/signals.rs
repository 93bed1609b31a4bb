//! Signals as events: which ones are passed on to the command, and waiting for it.
//!
//! What the terminal sends (Ctrl-C) reaches the whole foreground group by itself, the command too; passing it on would
//! deliver it twice. What a process sends to one of us is meant for the command and is passed on. What was ignored when
//! we were started (nohup) stays ignored.

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use signal_hook::consts as number;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;

use anyhow::Context;

/// Signals that are passed on.
const PASSED_ON: &[i32] =
    &[number::SIGHUP, number::SIGINT, number::SIGQUIT, number::SIGTERM, number::SIGUSR1, number::SIGUSR2];

/// How the awaited process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It exited with this code.
    Code(u8),
    /// This signal ended it.
    Signal(u8),
    /// It still runs, but the process that started us is gone.
    Orphaned,
}

impl Ended {
    /// As a shell would report it.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => signal.wrapping_add(128),
            Self::Orphaned => 128 + 15,
        }
    }
}

/// Signals of this process from now on.
#[derive(Debug)]
pub(super) struct Signals(SignalsInfo<WithOrigin>);

impl Signals {
    /// Starts to collect them. To be called before the first child exists: none of its signals may be lost.
    /// CONT is how the guard learns that the session is gone, and the session that it is to go on.
    pub(super) fn collect() -> anyhow::Result<Self> {
        let ignored = ignored()?;
        let wanted = PASSED_ON.iter().copied().filter(|s| ignored & (1 << (s - 1)) == 0);
        let signals = wanted.chain([number::SIGCHLD, number::SIGCONT]);
        let signals = SignalsInfo::with_exfiltrator(signals, WithOrigin::default());
        Ok(Self(signals.context("failed to handle signals")?))
    }

    /// Waits until `child` has ended; reaps whatever else ends, passes signals on. `stop` is what to do when it has stopped.
    pub(super) fn wait_for(
        &mut self,
        child: Pid,
        orphaned: impl Fn() -> bool,
        stop: impl Fn(),
    ) -> anyhow::Result<Ended> {
        loop {
            if let Some(ended) = reap(child, &stop)? {
                return Ok(ended);
            }
            for origin in self.0.wait() {
                if orphaned() {
                    return Ok(Ended::Orphaned);
                }
                let by_terminal = matches!(origin.cause, Cause::Kernel)
                    && [number::SIGINT, number::SIGQUIT].contains(&origin.signal);
                let signal = Signal::from_named_raw(origin.signal);
                if let Some(signal) = signal.filter(|s| *s != Signal::CHILD && !by_terminal) {
                    // It may just have ended: then the next turn of the loop sees that.
                    let _ = kill_process(child, signal);
                }
            }
        }
    }
}

/// Reaps every child that has ended; says how `child` did.
fn reap(child: Pid, stop: impl Fn()) -> anyhow::Result<Option<Ended>> {
    loop {
        match wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
            Ok(Some((pid, status))) if pid == child => {
                if let Some(code) = status.exit_status() {
                    return Ok(Some(Ended::Code(u8::try_from(code).unwrap_or(u8::MAX))));
                }
                if let Some(signal) = status.terminating_signal() {
                    return Ok(Some(Ended::Signal(u8::try_from(signal).unwrap_or(0))));
                }
                // `suspend` of a shell: the session stops as well, so that the shell outside takes the terminal back. Ctrl-Z
                // (TSTP) stopped all of us already.
                if status.stopping_signal() == Some(Signal::STOP.as_raw()) {
                    stop();
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(e) => return Err(e).context("failed to wait for the command"),
        }
    }
}

/// Bit N-1: signal N is ignored by this process.
fn ignored() -> anyhow::Result<u64> {
    let status = common::fs::read_to_string("/proc/self/status".as_ref())?;
    Ok(ignored_in(&status).unwrap_or(0))
}

fn ignored_in(status: &str) -> Option<u64> {
    u64::from_str_radix(status.lines().find_map(|l| l.strip_prefix("SigIgn:"))?.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status = "Name:\tx\nSigIgn:\t0000000000001003\nSigCgt:\t0\n";
        let mask = ignored_in(status).unwrap();
        assert_ne!(mask & (1 << (number::SIGHUP - 1)), 0);
        assert_ne!(mask & (1 << (number::SIGPIPE - 1)), 0);
        assert_eq!(mask & (1 << (number::SIGTERM - 1)), 0);
    }
}
