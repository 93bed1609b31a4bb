//! sysusers.d(5) lines -> requests for users, groups, memberships and id ranges.
//!
//! The first line about a name wins. A line that cannot be understood, or that would make a second uid 0, stops the
//! build: guessing at accounts is how a system gets a hole.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use anyhow::{Context, bail, ensure};

use super::super::conf;

/// Longest account name (utmp's field is 32 bytes with the NUL).
const NAME_MAX: usize = 31;

/// Where a requested id comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Wanted {
    /// Whatever is free.
    #[default]
    Any,
    /// This number.
    Id(u32),
    /// The owner of this path.
    OwnerOf(String),
}

/// The primary group a `u` line asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Primary {
    /// One of the user's own name.
    #[default]
    Own,
    /// An existing group, by number.
    Id(u32),
    /// An existing group, by name.
    Name(String),
}

/// A `u` or `u!` line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct UserItem {
    pub(super) name: String,
    pub(super) uid: Wanted,
    pub(super) primary: Primary,
    pub(super) gecos: String,
    pub(super) home: Option<String>,
    pub(super) shell: Option<String>,
    /// `u!`: the account is expired as well as without a password.
    pub(super) locked: bool,
}

/// A `g` line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct GroupItem {
    pub(super) name: String,
    pub(super) gid: Wanted,
}

/// All requests, in the order in which they were first made.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests {
    pub(super) users: Vec<UserItem>,
    pub(super) groups: Vec<GroupItem>,
    /// Group -> members, each in order of appearance.
    pub(super) members: Vec<(String, Vec<String>)>,
    pub(super) ranges: Vec<RangeInclusive<u32>>,
    user_index: BTreeMap<String, usize>,
    group_index: BTreeMap<String, usize>,
}

impl Requests {
    /// Adds the lines of one file; `source` names it in errors.
    ///
    /// # Errors
    /// A line is not valid.
    pub(super) fn add_text(&mut self, source: &str, text: &str) -> anyhow::Result<()> {
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                self.add_line(line).with_context(|| format!("failed to parse {source}, line {}", i + 1))?;
            }
        }
        Ok(())
    }

    /// The `u` request for a name.
    pub(super) fn user(&self, name: &str) -> Option<&UserItem> {
        self.user_index.get(name).map(|&i| &self.users[i])
    }

    /// Where the `g` request for a name is in `groups`.
    pub(super) fn group_position(&self, name: &str) -> Option<usize> {
        self.group_index.get(name).copied()
    }

    /// Requests a user, unless one of that name is requested already.
    pub(super) fn add_user(&mut self, item: UserItem) {
        if !self.user_index.contains_key(&item.name) {
            self.user_index.insert(item.name.clone(), self.users.len());
            self.users.push(item);
        }
    }

    /// Requests a membership.
    pub(super) fn add_member(&mut self, group: &str, user: &str) {
        let at = self.members.iter().position(|(g, _)| g == group).unwrap_or_else(|| {
            self.members.push((group.to_owned(), Vec::new()));
            self.members.len() - 1
        });
        let users = &mut self.members[at].1;
        if !users.iter().any(|u| u == user) {
            users.push(user.to_owned());
        }
    }

    /// Requests the users and groups that are only named in `m` lines.
    pub(super) fn add_implicit(&mut self) {
        for (group, users) in self.members.clone() {
            for name in users {
                self.add_user(UserItem { name, ..UserItem::default() });
            }
            if self.user(&group).is_none() {
                self.add_group(GroupItem { name: group, gid: Wanted::Any });
            }
        }
    }

    fn add_group(&mut self, item: GroupItem) {
        if !self.group_index.contains_key(&item.name) {
            self.group_index.insert(item.name.clone(), self.groups.len());
            self.groups.push(item);
        }
    }

    fn add_line(&mut self, line: &str) -> anyhow::Result<()> {
        let words = conf::words(line)?;
        ensure!(words.len() <= 6, "expected at most 6 fields, found {}", words.len());
        let field = |i: usize| -> anyhow::Result<Option<String>> {
            match words.get(i).map(String::as_str) {
                None | Some("" | "-") => Ok(None),
                Some(word) => expand(word).map(Some),
            }
        };
        let action = words.first().map_or("", String::as_str);
        let (name, id) = (field(1)?, field(2)?);
        let (gecos, home, shell) = (field(3)?, field(4)?, field(5)?);
        let no_more = || {
            ensure!(
                words.iter().skip(3).all(|w| w.is_empty() || w == "-"),
                "expected 3 fields after {action:?}"
            );
            Ok(())
        };
        match action {
            "u" | "u!" => {
                let name = valid_name(name)?;
                let (uid, primary) = user_id(id.as_deref())?;
                ensure!(uid != Wanted::Id(0) || name == "root", "only root may have uid 0, found {name:?}");
                let gecos = valid_gecos(gecos.unwrap_or_default())?;
                let (home, shell) = (valid_path(home)?, valid_path(shell)?);
                self.add_user(UserItem { name, uid, primary, gecos, home, shell, locked: action == "u!" });
            }
            "g" => {
                no_more()?;
                let name = valid_name(name)?;
                let gid = wanted(id.as_deref())?;
                ensure!(gid != Wanted::Id(0) || name == "root", "only root may have gid 0, found {name:?}");
                self.add_group(GroupItem { name, gid });
            }
            "m" => {
                no_more()?;
                let (user, group) = (valid_name(name)?, valid_name(id)?);
                self.add_member(&group, &user);
            }
            "r" => {
                no_more()?;
                ensure!(name.is_none(), "expected `-` for the name of a range");
                let id = id.context("expected an id range")?;
                let (from, to) = id.split_once('-').unwrap_or((&id, &id));
                let (from, to) = (parse_id(from)?, parse_id(to)?);
                ensure!(0 < from && from <= to, "expected a range of ids above 0, found {id:?}");
                self.ranges.push(from..=to);
            }
            _ => bail!("expected u, u!, g, m or r, found {action:?}"),
        }
        Ok(())
    }
}

/// A decimal id; 65535 and 4294967295 mean "no id" to the kernel and are refused as systemd refuses them.
pub(super) fn parse_id(text: &str) -> anyhow::Result<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let id = digits.then(|| text.parse::<u32>().ok()).flatten();
    id.filter(|&id| id != 0xffff && id != u32::MAX)
        .with_context(|| format!("expected a user or group id, found {text:?}"))
}

/// Whether systemd's strict rules allow an account of this name (<https://systemd.io/USER_NAMES>).
pub(super) fn is_valid_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= NAME_MAX
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn valid_name(name: Option<String>) -> anyhow::Result<String> {
    let name = name.context("expected an account name")?;
    ensure!(is_valid_name(&name), "expected an account name, found {name:?}");
    Ok(name)
}

/// Text for a field of /etc/passwd.
pub(super) fn valid_gecos(text: String) -> anyhow::Result<String> {
    ensure!(
        !text.chars().any(|c| c == ':' || c.is_control()),
        "expected a description without colons, found {text:?}"
    );
    Ok(text)
}

/// An absolute path for a field of /etc/passwd.
pub(super) fn valid_path(path: Option<String>) -> anyhow::Result<Option<String>> {
    let Some(path) = path else { return Ok(None) };
    ensure!(
        path.starts_with('/') && !path.chars().any(|c| c == ':' || c.is_control()),
        "expected an absolute path without colons, found {path:?}"
    );
    Ok(Some(path))
}

fn wanted(id: Option<&str>) -> anyhow::Result<Wanted> {
    Ok(match id {
        None => Wanted::Any,
        Some(path) if path.starts_with('/') => Wanted::OwnerOf(path.to_owned()),
        Some(id) => Wanted::Id(parse_id(id)?),
    })
}

/// `UID`, `UID:GID`, `UID:GROUP`, `-:GID` or `/path`.
fn user_id(id: Option<&str>) -> anyhow::Result<(Wanted, Primary)> {
    let Some((uid, gid)) = id.filter(|id| !id.starts_with('/')).and_then(|id| id.split_once(':')) else {
        return Ok((wanted(id)?, Primary::Own));
    };
    let uid = if uid == "-" { Wanted::Any } else { Wanted::Id(parse_id(uid)?) };
    let primary = match parse_id(gid) {
        Ok(gid) => Primary::Id(gid),
        Err(_) => Primary::Name(valid_name(Some(gid.to_owned()))?),
    };
    Ok((uid, primary))
}

/// Replaces the specifiers whose values do not depend on the machine that runs the image.
fn expand(word: &str) -> anyhow::Result<String> {
    let mut out = String::with_capacity(word.len());
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => out.push('%'),
            Some('T') => out.push_str("/tmp"),
            Some('V') => out.push_str("/var/tmp"),
            other => bail!(
                "expected a specifier known at build time (%%, %T, %V), found %{}",
                other.unwrap_or(' ')
            ),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> String {
        format!("{:#}", Requests::default().add_text("x.conf", line).unwrap_err())
    }

    #[test]
    fn attacks_are_refused_with_file_and_line() {
        assert!(error("u evil 0").contains("x.conf, line 1: only root may have uid 0"));
        assert!(error("g evil 0").contains("only root may have gid 0"));
        assert!(error("u evil - \"a\\\u{b}b\"").contains("description"));
        assert!(error("u e:vil -").contains("account name"));
        assert!(error("u evil 65535").contains("id"));
        assert!(error("u evil 4294967296").contains("id"));
        assert!(error("u evil - - /home:x").contains("absolute path"));
        assert!(error("u evil%m -").contains("specifier"));
        assert!(error("x evil").contains("expected u, u!"));
        assert!(error("r - 0-5").contains("range"));
        assert!(error("m a").contains("account name"));
    }

    #[test]
    fn the_first_line_about_a_name_wins() {
        let mut r = Requests::default();
        r.add_text("a", "u x 5:users\nu x 6\n# c\nm x wheel\nm x wheel").unwrap();
        assert_eq!(r.user("x").unwrap().uid, Wanted::Id(5));
        assert_eq!(r.user("x").unwrap().primary, Primary::Name("users".into()));
        assert_eq!(r.members, [("wheel".into(), vec!["x".into()])]);
    }
}
