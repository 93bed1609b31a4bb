//! The `#!` line of every executable file (execve(2)).

use super::{Findings, Level, Problem, text};
use crate::tree::{InodeId, Kind, Tree};

/// The kernel reads no more of the first line than this (BINPRM_BUF_SIZE).
const MAX_LINE: usize = 256;

/// Where `env` and units look for programs.
pub(super) const PATH: [&str; 4] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];

/// Files below these are commands: one that cannot start is an error. Elsewhere (examples, documentation, test
/// helpers) packages ship scripts whose interpreters they only suggest.
const COMMANDS: [&[u8]; 3] = [b"/usr/bin/", b"/usr/sbin/", b"/usr/local/"];

/// Adds a finding for each script whose interpreter is missing.
pub(super) fn check(tree: &Tree, walk: &[(Vec<u8>, InodeId)], found: &mut Findings) {
    for (path, id) in walk {
        let inode = tree.inode(*id);
        let Kind::File(content) = &inode.kind else { continue };
        if inode.meta.mode & 0o111 == 0 {
            continue;
        }
        let Some(interpreter) = interpreter(content.as_slice()) else { continue };
        found.scripts += 1;
        if !exists(tree, interpreter) {
            let is_command = COMMANDS.iter().any(|dir| path.starts_with(dir));
            let level = if is_command { Level::Error } else { Level::Warning };
            found.add(tree, level, path, *id, Problem::NoInterpreter(text(interpreter)));
        }
    }
}

/// What runs a script: the program, or for `env` its argument.
fn interpreter(file: &[u8]) -> Option<&[u8]> {
    let line = file.strip_prefix(b"#!")?;
    let line = &line[..line.len().min(MAX_LINE - 2)];
    let line = line.split(|&b| b == b'\n' || b == 0).next()?;
    let mut words = line.split(|b| b" \t\r".contains(b)).filter(|w| !w.is_empty());
    let program = words.next()?;
    if !program.ends_with(b"/env") {
        return Some(program);
    }
    // `env -S perl -w`, `env VAR=x sh`.
    words.find(|w| !w.starts_with(b"-") && !w.contains(&b'=')).or(Some(program))
}

/// Whether a program exists: by its path, or by its name on PATH.
pub(super) fn exists(tree: &Tree, program: &[u8]) -> bool {
    if program.contains(&b'/') {
        return tree.exists(program);
    }
    PATH.iter().any(|dir| tree.exists([dir.as_bytes(), b"/", program].concat()))
}
