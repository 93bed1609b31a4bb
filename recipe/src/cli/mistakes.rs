//! A command line that is wrong -> what clap says of it, with what was probably meant and what must be typed.
//!
//! clap names everything that is a little like a command, the best last, and a usage that has what the environment says. Here the best
//! is first, and the usage is the command's own.

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// Words of other package managers, and what they are here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("rdeps", "`recipe tree --reverse NAME` shows what needs a package"),
    ("completions", "`COMPLETE=bash recipe` prints the script for bash; zsh and fish have theirs"),
    ("man", "`man recipe` is the manual, `man recipe-install` that of a command"),
];
/// Commands that are named at most.
const MEANT: usize = 3;
/// How like a word they are: as for names of recipes ([`crate::shelf::similar`]).
const LIKE: f64 = 0.8;

/// The error of a definition, said better. Help and versions, which clap has as errors, are left alone.
pub(super) fn explain(mut error: Error, mut here: Command) -> Error {
    here.build();
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return error };
    // `Usage: recipe cache info --all`: what comes behind the names of commands is none.
    for word in usage.to_string().split_whitespace().skip(2) {
        let Some(next) = here.find_subcommand(word).cloned() else { break };
        here = next;
    }
    if error.kind() == ErrorKind::InvalidSubcommand {
        meant(&mut error, &here);
    }
    error.insert(ContextKind::Usage, ContextValue::StyledStr(here.render_usage()));
    error
}

/// What an unknown command may have been meant to be.
fn meant(error: &mut Error, command: &Command) {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else { return };
    let typed = typed.clone();
    error.remove(ContextKind::SuggestedSubcommand);
    if let Some((_, tip)) = ELSEWHERE.iter().find(|(word, _)| *word == typed) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![(*tip).into()]));
        return;
    }
    let names = command.get_subcommands().flat_map(Command::get_name_and_visible_aliases);
    let mut names: Vec<_> = names.map(|name| (strsim::jaro_winkler(&typed, name), name)).collect();
    // Two letters begin too many words.
    names.retain(|(likeness, name)| *likeness > LIKE && name.len() > 2);
    names.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let names: Vec<_> = names.into_iter().take(MEANT).map(|(_, name)| name.to_owned()).collect();
    match &names[..] {
        [] => {}
        [name] => drop(error.insert(ContextKind::SuggestedSubcommand, ContextValue::String(name.clone()))),
        _ => drop(error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(names))),
    }
}
