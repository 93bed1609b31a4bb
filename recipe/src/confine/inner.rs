//! The first process of the namespaces: mounts, gives up everything, starts the program and waits for it alone.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use common::cmd::Cmd;
use rustix::fs::{Gid, Mode, Uid};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::outer::{code, tie};
use super::{Order, STAGE, mounts};

/// What it is called.
pub(super) const NAME: &str = "recipe-inner";

pub(super) fn main(order: &Order) -> anyhow::Result<u8> {
    tie()?;
    mounts::make(order)?;
    give_up(order)?;
    // Changing ids clears it.
    tie()?;
    // Descriptors that a shell or a service manager left open lead to where they were opened.
    close_fds::set_fds_cloexec(3, &[]);
    let Some((program, args)) = order.argv.split_first() else { bail!("no program") };
    let mut command = Cmd::new(program).args(args).dir(&order.cwd).std();
    command.env_clear().envs(order.env.iter().map(|(k, v)| (k, v))).stdin(Stdio::null()).process_group(0);
    let status = match command.status() {
        Ok(status) => status,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            common::cli::tell(&format!("{program}: there is no such program"));
            return Ok(127);
        }
        Err(e) => {
            common::cli::tell(&format!("{program}: cannot be started: {e}"));
            return Ok(126);
        }
    };
    if order.stage.is_some()
        && let Some(path) = astray(Path::new(STAGE), &order.prefix.1)
    {
        common::cli::tell(&format!(
            "{program} installed {path}, which is not below the prefix {}",
            order.prefix.1.display()
        ));
        return Ok(1);
    }
    Ok(code(status))
}

fn give_up(order: &Order) -> anyhow::Result<()> {
    let what = "failed to give up privileges";
    if order.owner.root {
        let (uid, gid) = (Uid::from_raw(order.owner.uid), Gid::from_raw(order.owner.gid));
        set_thread_groups(&[]).context(what)?;
        set_thread_res_gid(gid, gid, gid).context(what)?;
        set_thread_res_uid(uid, uid, uid).context(what)?;
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).context(what)?;
    set_no_new_privs(true).context(what)?;
    // The program has the same user and may not get hold of this process, which judges it. Its own start resets this.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context(what)?;
    umask(Mode::from_raw_mode(0o022));
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).context(what)
}

/// A file below DESTDIR that is not below the prefix: it would be lost.
fn astray(dir: &Path, prefix: &Path) -> Option<String> {
    let stage = Path::new(STAGE).join(prefix.strip_prefix("/").unwrap_or(prefix));
    for entry in dir.read_dir().ok()?.flatten() {
        let path = entry.path();
        if path == stage {
            continue;
        }
        if !entry.file_type().is_ok_and(|t| t.is_dir()) {
            return Some(format!("/{}", path.strip_prefix(STAGE).unwrap_or(&path).display()));
        }
        if let Some(found) = astray(&path, prefix) {
            return Some(found);
        }
    }
    None
}
