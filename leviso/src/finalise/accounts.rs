//! Users and groups: sysusers.d fragments, `user()` provides, the profile's users, and what packages ship in /etc.
//!
//! Tree with owner names -> /etc/passwd, group, shadow, gshadow, and a tree whose owners are all numbers. Ids are
//! those systemd-sysusers would give (tests compare with it). No account has a password, root included: the live
//! system logs root in without one, the installed system gets one from its owner.

mod sysusers;
mod database;
mod allocate;
mod owners;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use anyhow::{Context, ensure};
use common::cli::Mark;

use super::conf;
use crate::exit;
use crate::profile::User;
use crate::tree::Tree;
use database::Database;
use sysusers::{Primary, Requests, UserItem, Wanted};

/// Where fragments come from, highest priority first (sysusers.d(5); /run is not part of an image).
const DIRS: [&str; 3] = ["/etc/sysusers.d", "/usr/local/lib/sysusers.d", "/usr/lib/sysusers.d"];

/// Highest id of a system account, whatever login.defs says (systemd's SYSTEM_UID_MAX on both bases).
const SYSTEM_MAX: u32 = 999;

/// Lowest id given to a system account unless login.defs says otherwise.
const SYSTEM_MIN: u32 = 100;

/// Longest `user()` provide: one sysusers.d line.
const PROVIDE_MAX: usize = 4096;

/// The accounts of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    users: BTreeMap<String, u32>,
    groups: BTreeMap<String, u32>,
}

impl Accounts {
    /// The number of a user.
    #[must_use]
    pub fn uid(&self, name: &str) -> Option<u32> {
        self.users.get(name).copied()
    }

    /// The number of a group.
    #[must_use]
    pub fn gid(&self, name: &str) -> Option<u32> {
        self.groups.get(name).copied()
    }

    /// All users, by name.
    #[must_use]
    pub fn users(&self) -> &BTreeMap<String, u32> {
        &self.users
    }

    /// All groups, by name.
    #[must_use]
    pub fn groups(&self) -> &BTreeMap<String, u32> {
        &self.groups
    }
}

/// Makes the accounts and turns every owner name in the tree into a number. `provides` are the sysusers.d lines of the
/// packages' `user(NAME)`, `group(...)` and `groupmember(...)` provides ([`crate::extract::PackageInfo::sysusers`]), in
/// any order.
///
/// # Errors
/// A line is malformed or asks for a second root, ids run out, root is missing, or a file belongs to nobody known;
/// exit code [`exit::SYSTEM`].
pub fn apply(tree: &mut Tree, profile_users: &[User], provides: &[String]) -> anyhow::Result<Accounts> {
    make(tree, profile_users, provides).context("failed to make the accounts").exit(exit::SYSTEM)
}

fn make(tree: &mut Tree, profile_users: &[User], provides: &[String]) -> anyhow::Result<Accounts> {
    let mut requests = Requests::default();
    for user in profile_users {
        request(&mut requests, user)
            .with_context(|| format!("failed to use the profile's user {:?}", user.name))?;
    }
    for fragment in conf::fragments(tree, &DIRS, ".conf")? {
        requests.add_text(&fragment.path, &fragment.text)?;
    }
    for line in provided_lines(provides)? {
        requests.add_text("a package's user() provide", &line)?;
    }
    requests.add_implicit();

    let day = tree.epoch().div_euclid(86400);
    let mut db = Database::read(tree)?;
    db.check()?;
    allocate::allocate(&mut db, &requests, default_range(tree)?, tree, day)?;
    db.complete_shadow(day);
    db.check()?;
    ensure!(
        db.users.iter().any(|u| u.name == "root" && u.uid == 0),
        "no package and no profile makes root with uid 0"
    );
    db.write(tree)?;

    let accounts = Accounts {
        users: db.users.into_iter().map(|u| (u.name, u.uid)).collect(),
        groups: db.groups.into_iter().map(|g| (g.name, g.gid)).collect(),
    };
    owners::resolve(tree, &accounts)?;
    Ok(accounts)
}

fn request(requests: &mut Requests, user: &User) -> anyhow::Result<()> {
    for name in std::iter::once(&user.name).chain(&user.groups) {
        ensure!(sysusers::is_valid_name(name), "expected an account name, found {name:?}");
    }
    let uid = match user.uid {
        None => Wanted::Any,
        Some(id) => Wanted::Id(sysusers::parse_id(&id.to_string())?),
    };
    ensure!(uid != Wanted::Id(0) || user.name == "root", "only root may have uid 0");
    requests.add_user(UserItem {
        name: user.name.clone(),
        uid,
        primary: Primary::Own,
        gecos: sysusers::valid_gecos(user.comment.clone())?,
        home: sysusers::valid_path(user.home.clone())?,
        shell: sysusers::valid_path(user.shell.clone())?,
        locked: false,
    });
    for group in &user.groups {
        requests.add_member(group, &user.name);
    }
    Ok(())
}

/// The packages' lines, sorted, so that the order of packages does not matter.
fn provided_lines(provides: &[String]) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for line in provides {
        ensure!(
            line.len() <= PROVIDE_MAX,
            "expected at most {PROVIDE_MAX} bytes in a user() provide, found {}",
            line.len()
        );
        let line = line.trim();
        ensure!(!line.chars().any(char::is_control), "expected one line in the provide {line:?}");
        lines.push(line.to_owned());
    }
    lines.sort();
    lines.dedup();
    Ok(lines)
}

/// Where free ids are searched: login.defs(5), as systemd-sysusers reads it.
fn default_range(tree: &Tree) -> anyhow::Result<RangeInclusive<u32>> {
    let text = conf::text_of(tree, b"/etc/login.defs").unwrap_or(Ok(String::new()));
    let text = text.context("failed to parse /etc/login.defs")?;
    let value = |key: &str| {
        let mut lines = text.lines().map(str::split_whitespace);
        lines.find_map(|mut words| {
            (words.next() == Some(key)).then(|| words.next()).flatten()?.parse::<u32>().ok()
        })
    };
    let min = value("SYS_UID_MIN").unwrap_or(SYSTEM_MIN).max(1);
    let max = [value("SYS_UID_MAX"), value("SYS_GID_MAX"), Some(SYSTEM_MAX)].into_iter().flatten().min();
    let max = max.unwrap_or(SYSTEM_MAX);
    ensure!(min <= max, "expected SYS_UID_MIN <= SYS_UID_MAX in /etc/login.defs, found {min} and {max}");
    Ok(min..=max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provides_are_single_lines_in_any_order() {
        let lines = provided_lines(&["u dbus 81".to_owned(), "g disk 6".to_owned()]).unwrap();
        assert_eq!(lines, ["g disk 6", "u dbus 81"]);
        let evil = "g a -\nu toor 0".to_owned();
        assert!(provided_lines(&[evil]).unwrap_err().to_string().contains("expected one line"));
        assert!(provided_lines(&["x".repeat(PROVIDE_MAX + 1)]).is_err());
    }
}
